#include "frontend/attention_builder.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "burin/error.h"
#include "graph/canonicalize.h"
#include "graph/positions.h"

namespace burin::frontend {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
using Axes = std::vector<std::int64_t>;

double lowest(Precision precision) {
  switch (precision) {
    case Precision::f16: return -65504.0;
    case Precision::bf16: return -0x1.fep127;
    case Precision::f64: return std::numeric_limits<double>::lowest();
    default: return std::numeric_limits<float>::lowest();
  }
}

/// False only if it is certain.
bool may_be_infinite(const Value& value) {
  if (!value.constant) return true;
  for (std::int64_t i = 0; i < value.constant->size(); ++i)
    if (std::isinf(value.constant->at(i))) return true;
  return false;
}

}  // namespace

ValueId AttentionBuilder::transpose(ValueId x, Axes perm) {
  return n_.apply(OpKind::Transpose, {x}, {{"perm", std::move(perm)}});
}

// ---- Heads

ValueId AttentionBuilder::split_heads(ValueId x, std::int64_t heads) {
  if (heads <= 0) throw Error("the number of heads must be positive");
  if (n_.rank(x) != 3) throw Error("'" + n_.value(x).name + "' must have three dimensions");
  const Shape split = {dim(x, 0), dim(x, 1), Expr(heads), floor_div(dim(x, 2), heads)};
  return transpose(n_.reshape(x, split), {0, 2, 1, 3});
}

ValueId AttentionBuilder::merge_heads(ValueId x) {
  const Shape merged = {dim(x, 0), dim(x, 2), dim(x, 1) * dim(x, 3)};
  return n_.reshape(transpose(x, {0, 2, 1, 3}), merged);
}

/// Each head so many times, side by side.
ValueId AttentionBuilder::repeat_heads(ValueId x, const Expr& times) {
  if (times == Expr(1)) return x;
  const Shape repeated = {dim(x, 0), dim(x, 1), times, dim(x, 2), dim(x, 3)};
  const Shape all = {dim(x, 0), dim(x, 1) * times, dim(x, 2), dim(x, 3)};
  const ValueId group = n_.apply(OpKind::Unsqueeze, {x}, {{"axes", Axes{2}}});
  return n_.reshape(n_.apply(OpKind::Expand, {group, n_.integers("repeats", repeated)}), all);
}

ValueId AttentionBuilder::append(ValueId past, ValueId x, std::int64_t axis) {
  if (past == kNone) return x;
  return n_.apply(OpKind::Concat, {past, x}, {{"axis", axis}});
}

ValueId AttentionBuilder::scale(ValueId query, std::optional<double> stated) {
  const Expr size = dim(query, 3);
  if (!stated && size.is_constant())
    stated = 1 / std::sqrt(static_cast<double>(*size.as_constant()));
  if (stated) return n_.scalar("scale", *stated, query);
  const ValueId number = n_.cast(n_.integers("head_size", {size}), n_.value(query).precision);
  return n_.apply(OpKind::Reciprocal, {n_.apply(OpKind::Sqrt, {number})});
}

// ---- Masks

ValueId AttentionBuilder::compare(OpKind op, const Expr& queries, const Expr& keys,
                                  const Expr& offset) {
  const ValueId diagonal = offset == Expr(0)
                               ? kNone
                               : add_known_integers(n_.graph(), "", Precision::i64, {offset}, true);
  return add_comparison_of_positions(n_.graph(), op, queries, keys, diagonal);
}

/// f32 is exact for positions, and no kernel reads integers.
ValueId AttentionBuilder::number_by_batch(ValueId integers) {
  return n_.apply(OpKind::Unsqueeze, {n_.cast(integers, Precision::f32)},
                  {{"axes", Axes{1, 2, 3}}});
}

ValueId AttentionBuilder::compare_by_batch(OpKind op, const Expr& queries, const Expr& keys,
                                           ValueId offsets) {
  const ValueId row = n_.cast(add_positions(n_.graph(), queries, 2, 4), Precision::f32);
  const ValueId column = n_.cast(add_positions(n_.graph(), keys, 3, 4), Precision::f32);
  const ValueId diagonal = n_.apply(OpKind::Add, {row, number_by_batch(offsets)});
  return n_.apply(op, {column, diagonal});
}

ValueId AttentionBuilder::keys_before(const Expr& keys, ValueId lengths) {
  const ValueId column = n_.cast(add_positions(n_.graph(), keys, 3, 4), Precision::f32);
  return n_.apply(OpKind::Less, {column, number_by_batch(lengths)});
}

// ---- The attention

ValueId AttentionBuilder::capped(ValueId scores, double cap) {
  if (cap <= 0) return scores;
  const ValueId limit = n_.scalar("softcap", cap, scores);
  const ValueId bent = n_.apply(OpKind::Tanh, {n_.apply(OpKind::Div, {scores, limit})});
  return n_.apply(OpKind::Mul, {bent, limit});
}

ValueId AttentionBuilder::masked_scores(const AttentionParts& parts, ValueId capped) {
  ValueId scores = capped;
  if (parts.bias != kNone) scores = n_.apply(OpKind::Add, {scores, parts.bias});
  const ValueId hidden = n_.scalar("hidden", -kInfinity, scores);
  for (const AttentionMask& mask : parts.masks)
    scores = n_.apply(OpKind::Where, {mask.allowed, scores, hidden});
  return scores;
}

ValueId AttentionBuilder::softmax(ValueId scores, Precision precision) {
  const ValueId rows =
      n_.apply(OpKind::Softmax, {n_.cast(scores, precision)}, {{"axis", std::int64_t{3}}});
  return n_.cast(rows, n_.value(scores).precision);
}

void AttentionBuilder::check_shapes(const AttentionParts& parts) {
  for (const ValueId x : {parts.query, parts.key, parts.value})
    if (n_.rank(x) != 4) throw Error("'" + n_.value(x).name + "' must have four dimensions");
  for (const ValueId x : {parts.key, parts.value}) n_.assume_dim(x, 0, dim(parts.query, 0));
  const std::string subject = n_.node().title() + ": heads of '" + n_.value(parts.key).name + "'";
  n_.graph().facts.assume_at_least(dim(parts.key, 1), 1, subject);
  n_.graph().facts.assume_divides(dim(parts.key, 1), dim(parts.query, 1), subject);
  n_.assume_dim(parts.value, 1, dim(parts.key, 1));
  n_.assume_dim(parts.value, 2, dim(parts.key, 2));
}

AttentionResults AttentionBuilder::build(const AttentionParts& parts) {
  check_shapes(parts);
  const Expr group = floor_div(dim(parts.query, 1), dim(parts.key, 1));
  const ValueId key = repeat_heads(parts.key, group), value = repeat_heads(parts.value, group);

  AttentionResults r;
  const ValueId product = n_.apply(OpKind::MatMul, {parts.query, transpose(key, {0, 1, 3, 2})});
  r.scores = n_.apply(OpKind::Mul, {product, parts.scale});
  r.capped = capped(r.scores, parts.softcap);

  std::vector<AttentionMask> masks = parts.masks;
  const ValueId bottom = n_.scalar("lowest", lowest(n_.value(product).precision), product);
  ValueId scores = r.capped;
  if (parts.bias != kNone) {
    scores = n_.apply(OpKind::Add, {scores, parts.bias});
    if (parts.bias_may_hide && may_be_infinite(n_.value(parts.bias))) {
      scores = n_.apply(OpKind::Max, {scores, bottom});
      masks.push_back({is_not_minus_infinity(parts.bias)});
    }
  }
  for (const AttentionMask& mask : parts.masks)
    scores = n_.apply(OpKind::Where, {mask.allowed, scores, bottom});

  r.probabilities = softmax(scores, parts.softmax_precision);
  if (std::any_of(masks.begin(), masks.end(), [](const auto& m) { return m.may_hide_rows; }))
    for (const AttentionMask& mask : masks) {
      const ValueId factor = n_.cast(mask.allowed, n_.value(r.probabilities).precision);
      r.probabilities = n_.apply(OpKind::Mul, {r.probabilities, factor});
    }
  r.output = n_.apply(OpKind::MatMul, {r.probabilities, value});
  return r;
}

ValueId AttentionBuilder::is_not_minus_infinity(ValueId x) {
  const Attributes negative_only = {{"detect_positive", std::int64_t{0}}};
  return n_.apply(OpKind::Not, {n_.apply(OpKind::IsInf, {x}, negative_only)});
}

}  // namespace burin::frontend
