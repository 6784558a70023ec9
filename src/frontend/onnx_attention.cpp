// ONNX's operator Attention, from operator set 23 on, as
// https://onnx.ai/onnx/operators/onnx__Attention.html states it.

#include <limits>
#include <optional>

#include "burin/error.h"
#include "frontend/attention_builder.h"
#include "frontend/onnx_model.h"
#include "frontend/operators.h"

namespace burin::frontend {
namespace {

enum Operand : std::size_t { kQuery, kKey, kValue, kMask, kPastKey, kPastValue, kFilledKeys };
enum Output : std::size_t { kResult, kPresentKey, kPresentValue, kScores };

class OnnxAttention {
 public:
  explicit OnnxAttention(NodeImporter& n) : n_(n), build_(n) {}

  void convert() {
    read_operands();
    read_masks();
    const AttentionResults r = build_.build(parts_);
    n_.finish(is_flat_ ? build_.merge_heads(r.output) : r.output, kResult);
    finish_if_asked(kPresentKey, parts_.key);
    finish_if_asked(kPresentValue, parts_.value);
    finish_scores(r);
  }

 private:
  void read_operands() {
    is_flat_ = n_.rank(n_.input(kQuery)) == 3;
    const std::int64_t heads = n_.int_attribute("q_num_heads", 0);
    const std::int64_t key_heads = n_.int_attribute("kv_num_heads", 0);
    const auto by_heads = [&](std::size_t i, std::int64_t count) {
      const ValueId x = n_.input(i);
      if (is_flat_) return build_.split_heads(x, count);
      if (n_.rank(x) != 4)
        throw Error("'" + n_.value(x).name + "' must have 3 or 4 dimensions, as Q has");
      return x;
    };
    if (n_.has_input(kPastKey) != n_.has_input(kPastValue))
      throw Error("past_key and past_value must be given together");
    parts_.query = by_heads(kQuery, heads);
    parts_.key = build_.append(n_.optional_input(kPastKey), by_heads(kKey, key_heads));
    parts_.value = build_.append(n_.optional_input(kPastValue), by_heads(kValue, key_heads));
    queries_ = build_.dim(parts_.query, 2);
    keys_ = build_.dim(parts_.key, 2);
    parts_.softcap = n_.float_attribute("softcap", 0);
    const double scale = n_.float_attribute("scale", 1);
    parts_.scale =
        build_.scale(parts_.query, n_.has_attribute("scale") ? std::optional(scale) : std::nullopt);
    const Precision own = n_.value(parts_.query).precision;
    parts_.softmax_precision = n_.has_attribute("softmax_precision")
                                   ? precision_from_onnx(n_.int_attribute("softmax_precision", 0))
                                   : own;
  }

  void read_masks() {
    // Whole tiles of keys are skipped where positions alone decide: these masks come first.
    read_positions();
    if (n_.has_input(kFilledKeys))
      parts_.masks.push_back({build_.keys_before(keys_, n_.input(kFilledKeys))});
    if (!n_.has_input(kMask)) return;
    const ValueId mask = padded_mask();
    if (n_.value(mask).precision == Precision::boolean) {
      parts_.masks.push_back({mask});
    } else {
      parts_.bias = mask;
    }
  }

  /// Query i stands at i + the number of keys in front of all queries.
  void read_positions() {
    const std::int64_t left = n_.int_attribute("left_window_size", -1);
    const std::int64_t right = n_.int_attribute("right_window_size", -1);
    if (n_.int_attribute("is_causal", 0) != 0) add_bound(OpKind::LessOrEqual, 0);
    if (right >= 0) add_bound(OpKind::LessOrEqual, right);
    if (left >= 0) add_bound(OpKind::GreaterOrEqual, -left);
  }

  void add_bound(OpKind op, std::int64_t shift) {
    if (n_.has_input(kFilledKeys)) {
      const ValueId shifts = n_.integers("shift", {shift - queries_});
      const ValueId offsets = n_.emit(OpKind::Add, "offsets", {n_.input(kFilledKeys), shifts});
      parts_.masks.push_back({build_.compare_by_batch(op, queries_, keys_, offsets)});
      return;
    }
    const Expr past = n_.has_input(kPastKey) ? build_.dim(n_.input(kPastKey), 2) : Expr(0);
    // The first key, and later the one at the query's own position, are there for all to see;
    // behind the last key a window has nothing to show.
    const bool may_hide_rows = op == OpKind::GreaterOrEqual && queries_ + past != keys_;
    parts_.masks.push_back({build_.compare(op, queries_, keys_, past + shift), may_hide_rows});
  }

  /// A mask for fewer keys hides the others.
  ValueId padded_mask() {
    const ValueId mask = n_.input(kMask);
    const Shape shape = n_.value(mask).shape;
    if (shape.empty()) throw Error("attn_mask must have dimensions");
    if (n_.opset() < 24 || shape.back() == keys_) return mask;
    std::vector<Expr> pads(2 * shape.size(), Expr(0));
    pads.back() = keys_ - shape.back();
    const double hidden = -std::numeric_limits<double>::infinity();
    const bool is_bool = n_.value(mask).precision == Precision::boolean;
    return n_.emit(
        OpKind::Pad, "padded",
        {mask, n_.integers("pads", pads), n_.scalar("hidden", is_bool ? 0 : hidden, mask)});
  }

  void finish_if_asked(std::size_t output, ValueId value) {
    if (!n_.is_asked(output)) return;
    const bool is_operand = value == n_.input(kKey) || value == n_.input(kValue);
    n_.finish(is_operand ? n_.emit(OpKind::Identity, "present", {value}) : value, output);
  }

  void finish_scores(const AttentionResults& r) {
    const std::int64_t mode = n_.int_attribute("qk_matmul_output_mode", 0);
    if (!n_.is_asked(kScores)) return;
    switch (mode) {
      case 0: return n_.finish(r.scores, kScores);
      case 1: return n_.finish(r.capped, kScores);
      case 2: return n_.finish(build_.masked_scores(parts_, r.capped), kScores);
      case 3: return n_.finish(r.probabilities, kScores);
      default: throw Error("qk_matmul_output_mode must be 0, 1, 2 or 3");
    }
  }

  NodeImporter& n_;
  AttentionBuilder build_;
  AttentionParts parts_;
  bool is_flat_ = false;
  Expr queries_, keys_;
};

void convert_attention(NodeImporter& n) { OnnxAttention(n).convert(); }

}  // namespace

std::vector<Operator> attention_operators() { return {{{"", "Attention"}, convert_attention}}; }

}  // namespace burin::frontend
