// Reductions and normalisations.

#include <algorithm>
#include <functional>

#include "graph/infer_context.h"
#include "support/expr_fold.h"

namespace burin {
namespace {

Shape reduced(const Shape& shape, const std::vector<std::int64_t>& axes, bool keep) {
  Shape result;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (!std::binary_search(axes.begin(), axes.end(), static_cast<std::int64_t>(i)))
      result.push_back(shape[i]);
    else if (keep)
      result.emplace_back(1);
  }
  return result;
}

bool reduces_expressions(OpKind op) {
  return op == OpKind::ReduceSum || op == OpKind::ReduceProd || op == OpKind::ReduceMax || op == OpKind::ReduceMin;
}

Expr combined(const ShapeMath& math, OpKind op, const Expr& a, const Expr& b) {
  switch (op) {
    case OpKind::ReduceSum: return a + b;
    case OpKind::ReduceProd: return a * b;
    case OpKind::ReduceMax: return math.max(a, b);
    default: return math.min(a, b);
  }
}

/// Nothing also where it wraps in 64 bits: such integers are no shapes.
Elements reduced_elements(const InferContext& context, const std::vector<std::int64_t>& axes) {
  const Elements& elements = context.in(0).elements;
  if (!elements || elements->empty()) return std::nullopt;
  if (axes.empty()) return elements;
  if (!reduces_expressions(context.op())) return std::nullopt;
  const auto result = unless_too_large([&] {
    Expr result = elements->front();
    for (std::size_t i = 1; i < elements->size(); ++i) result = combined(context.math(), context.op(), result, (*elements)[i]);
    return result;
  });
  return result ? Elements(std::vector<Expr>{*result}) : std::nullopt;
}

/// Parameters of one element for each channel, the dimension 1 of x.
void require_channels(InferContext& context, std::size_t input) {
  context.require_rank(input, 1, 1);
  context.unify(context.shape(0)[1], context.shape(input)[0],
                fmt::format("the channels of {} and the length of {}", context.describe(0),
                            context.describe(input)));
}

}  // namespace

void infer_reduce(InferContext& context) {
  if (context.in(0).precision == Precision::boolean)
    context.fail("{} must be of a numeric type", context.describe(0));
  const std::vector<std::int64_t> axes = context.axes(context.rank(0), true);
  context.set(context.in(0).precision,
              reduced(context.shape(0), axes, context.flag("keepdims", true)),
              reduced_elements(context, axes));
}

void infer_argmax(InferContext& context) {
  if (context.in(0).precision == Precision::boolean)
    context.fail("{} must be of a numeric type", context.describe(0));
  context.require_rank(0, 1, 64);
  const std::int64_t axis = context.axis("axis", 0, context.rank(0));
  context.set(Precision::i64, reduced(context.shape(0), {axis}, context.flag("keepdims", true)));
}

void infer_cumsum(InferContext& context) {
  if (context.in(0).precision == Precision::boolean)
    context.fail("{} must be of a numeric type", context.describe(0));
  context.require_integer(1);
  context.require_scalar(1);
  if (const auto axis = context.constants(1); axis && axis->size() == 1)
    context.canonical_axis(axis->front(), context.rank(0), "axis");
  const bool exclusive = context.flag("exclusive", false);
  const bool reverse = context.flag("reverse", false);
  Elements elements = context.in(0).elements;
  if (elements) {
    if (reverse) std::reverse(elements->begin(), elements->end());
    Expr sum = 0;
    for (Expr& element : *elements) {
      const Expr before = sum;
      sum += element;
      element = exclusive ? before : sum;
    }
    if (reverse) std::reverse(elements->begin(), elements->end());
  }
  context.set(context.in(0).precision, context.shape(0), std::move(elements));
}

void infer_softmax(InferContext& context) {
  context.require_float(0);
  context.require_rank(0, 1, 64);
  context.axis("axis", -1, context.rank(0));
  context.set(context.in(0).precision, context.shape(0));
}

void infer_layer_norm(InferContext& context) {
  context.require_float(0);
  context.require_rank(0, 1, 64);
  const std::int64_t axis = context.axis("axis", -1, context.rank(0));
  const Shape normalized(context.shape(0).begin() + axis, context.shape(0).end());
  for (std::size_t i = 1; i < context.input_count(); ++i) {
    if (!context.has(i)) continue;
    context.require_float(i);
    const Shape& parameters = context.shape(i);
    if (parameters.size() > normalized.size())
      context.fail("{} must not have more than the {} normalized dimensions", context.describe(i),
                   normalized.size());
    const std::size_t offset = normalized.size() - parameters.size();
    for (std::size_t d = 0; d < parameters.size(); ++d)
      if (parameters[d] != Expr(1))
        context.unify(normalized[offset + d], parameters[d],
                      fmt::format("dimension {} of {}", d, context.describe(i)));
  }
  context.set(context.in(0).precision, context.shape(0));
  // The optional mean and inverse standard deviation.
  if (context.op() != OpKind::LayerNormalization) return;
  Shape statistics = context.shape(0);
  std::fill(statistics.begin() + axis, statistics.end(), Expr(1));
  for (const std::size_t output : {std::size_t{1}, std::size_t{2}})
    context.set(Precision::f32, statistics, std::nullopt, output);
}

void infer_channel_norm(InferContext& context) {
  context.require_float(0);
  context.require_rank(0, 2, 64);
  require_channels(context, 1);
  require_channels(context, 2);
  if (context.op() == OpKind::GroupNormalization) {
    const std::int64_t groups = context.node().int_attribute("num_groups", 1);
    if (groups < 1) context.fail("attribute 'num_groups' must be positive, not {}", groups);
    const Expr& channels = context.shape(0)[1];
    const auto count = channels.as_constant();
    if (count && *count % groups != 0)
      context.fail("{} channels cannot be divided into {} groups", *count, groups);
    if (!count) context.assume_divides(groups, channels, "the groups and the channels");
  }
  context.set(context.in(0).precision, context.shape(0));
}

void infer_batch_norm(InferContext& context) {
  context.require_float(0);
  context.require_rank(0, 2, 64);
  for (std::size_t i = 1; i < context.input_count(); ++i) require_channels(context, i);
  context.set(context.in(0).precision, context.shape(0));
}

}  // namespace burin
