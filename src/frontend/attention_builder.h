#pragma once

#include <optional>
#include <vector>

#include "frontend/node_importer.h"

namespace burin::frontend {

/// What an attention looks at: true where a query sees a key; bool that broadcasts to the scores.
struct AttentionMask {
  ValueId allowed = kNone;
  /// There may be queries that see no key at all. False only if it is certain.
  bool may_hide_rows = true;
};

/// One attention, in the way that all fused operators of exporters come down to.
struct AttentionParts {
  ValueId query = kNone;      ///< [B, heads, S, D]
  ValueId key = kNone;        ///< [B, heads or a divisor of these, T, D]
  ValueId value = kNone;      ///< [B, as many as key has, T, E]
  ValueId scale = kNone;      ///< one number
  double softcap = 0;         ///< 0: none
  ValueId bias = kNone;       ///< added to the scores
  bool bias_may_hide = true;  ///< there may be -inf in it
  std::vector<AttentionMask> masks;
  Precision softmax_precision = Precision::f32;  ///< in which the softmax is computed
};

/// What comes out of it, and on the way.
struct AttentionResults {
  ValueId scores = kNone;  ///< scaled: [B, heads, S, T]
  ValueId capped = kNone;  ///< and capped
  ValueId probabilities = kNone;
  ValueId output = kNone;  ///< [B, heads, S, E]
};

/// Builds attentions from ordinary operations, so that the tokenizer carves them as any other:
///
///     %s = mul (matmul %q, (transpose %k)), scale
///     %h = where %allowed, (add (softcap %s), %bias), lowest
///     %p = mul (softmax %h), (cast %allowed)
///     %y = matmul %p, %v
///
/// What is hidden has the lowest score, not -inf, and the probabilities of what a row hides are
/// multiplied by 0: so a query that sees no key gives zeros, as ONNX has it, and nothing but
/// products stands behind the softmax. The product is left out where each query is certain to see a
/// key.
class AttentionBuilder {
 public:
  explicit AttentionBuilder(NodeImporter& n) : n_(n) {}

  AttentionResults build(const AttentionParts& parts);
  /// The scores with bias, -inf where they are hidden: what operators give out on demand.
  ValueId masked_scores(const AttentionParts& parts, ValueId capped);

  /// 1 / sqrt(size of a head), unless another scale is stated.
  ValueId scale(ValueId query, std::optional<double> stated);
  /// [B, S, heads * D] -> [B, heads, S, D], and back.
  ValueId split_heads(ValueId x, std::int64_t heads);
  ValueId merge_heads(ValueId x);
  /// Along an axis of 4-D tensors; the new one alone where there is nothing in front.
  ValueId append(ValueId past, ValueId x, std::int64_t axis = 2);

  /// Position of the key <op> position of the query + offset: less_equal is a causal mask.
  ValueId compare(OpKind op, const Expr& queries, const Expr& keys, const Expr& offset);
  /// The same with an offset for each batch, an integer tensor [B].
  ValueId compare_by_batch(OpKind op, const Expr& queries, const Expr& keys, ValueId offsets);
  /// The keys in front of a length for each batch, an integer tensor [B]: bool[B, 1, 1, keys].
  ValueId keys_before(const Expr& keys, ValueId lengths);

  Expr dim(ValueId x, std::size_t d) const { return n_.dim(x, d); }
  ValueId transpose(ValueId x, std::vector<std::int64_t> perm);

 private:
  void check_shapes(const AttentionParts& parts);
  ValueId repeat_heads(ValueId x, const Expr& times);
  ValueId capped(ValueId scores, double cap);
  ValueId softmax(ValueId scores, Precision precision);
  ValueId is_not_minus_infinity(ValueId x);
  ValueId number_by_batch(ValueId integers);

  NodeImporter& n_;
};

}  // namespace burin::frontend
