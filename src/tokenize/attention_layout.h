#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "burin/graph.h"
#include "tokenize/attention_match.h"
#include "tokenize/axis_view.h"

namespace burin {

/// How the values between the two MatMuls of an attention, and its result, lie in one space: the
/// axes of the batch, as finely as any of them splits it, then the queries, then the keys (of the
/// result: the columns of V). In the body, every value has all these axes in this order, some with
/// one element; outside, a value is a view of that.
///
///     %0 = matmul %k, %q        [12*B, T, S]     axes B, 12, S, T      dimensions {B 12} {T} {S}
///     %1 = reshape %0           [B, 12, T, S]                          {B} {12} {T} {S}
///     %2 = transpose %1         [B, 12, S, T]                          {B} {12} {S} {T}
class AttentionLayout {
 public:
  /// Throws Refusal where a value does not fit.
  AttentionLayout(const Graph& graph, const AttentionMatch& match);

  /// Of the batch, the queries and the keys.
  std::size_t axes() const { return axes_.size(); }
  std::size_t query_axis() const { return axes_.size() - 2; }
  std::size_t key_axis() const { return axes_.size() - 1; }
  /// The queries are the second operand of the first MatMul.
  bool is_swapped() const { return swapped_; }
  /// The probabilities are the second operand of the second MatMul.
  bool is_result_swapped() const;

  /// Of a value between the MatMuls, or of the result; its source is the value in the body.
  const AxisView& of(ValueId value) const { return views_.at(value); }
  /// Of the result of an element-wise operation on values that have these views. Throws Refusal.
  AxisView join(const Shape& result, const std::vector<const AxisView*>& operands);

 private:
  struct Restart {};
  using Group = AxisView::Group;

  bool find();
  void place_scores();
  void place(const Node& node);
  void place_view(const Node& node);
  void place_reduction(const Node& node);
  void place_elementwise(const Node& node);
  void place_result();
  bool refine_by(const AttentionOperand& operand);
  void adopt_split(const Shape& before, const Shape& after);
  std::size_t free_axis(const Group& group, const Shape& source,
                        const std::vector<Group>& groups_in_front);
  static bool runs_over(const AxisView& view, std::size_t dimension, std::size_t axis);
  Group only(std::size_t axis, const Expr& size) const { return {{size, axis}}; }
  const Shape& shape(ValueId value) const { return graph_.value(value).shape; }

  const Graph& graph_;
  const AttentionMatch& match_;
  Shape axes_;  ///< of the scores
  bool swapped_ = false, oriented_ = false;
  std::map<ValueId, AxisView> views_;
};

/// How an operand that broadcasts is read in the order of the axes: reshaped, then transposed.
struct Lifting {
  Shape spread;
  std::vector<std::int64_t> perm;  ///< empty: none

  bool apply(AxisView& view) const;
  Shape shape() const;  ///< of what comes out
};
/// `groups`: the axes of the dimensions that the operand broadcasts to, aligned at the end; `axes`:
/// how many there are. Axes in front of all that the operand has are left out, unless `all`. Throws
/// Refusal.
Lifting lift(const Shape& operand, const std::vector<AxisView::Group>& groups, std::size_t axes,
             const Facts& facts, bool all = false);

/// The operand through the nodes of its chain but the first `skip`, of which only views count;
/// nothing where that is no view.
std::optional<AxisView> view_of(const Graph& graph, const AttentionOperand& operand,
                                std::size_t skip);
/// What goes into the nodes of the chain but the first `skip`.
ValueId source_of(const Graph& graph, const AttentionOperand& operand, std::size_t skip);

}  // namespace burin
