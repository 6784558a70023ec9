// Division of a row by one number becomes multiplication by its reciprocal: one division a row. Likewise of all that a
// reduction over other axes has folded: one division a column.
//
//   %1 = div %0, %s                              : f32[M,N]          %s: f32[M,1]
// ->
//   %r = reciprocal %s                           : f32[M,1]
//   %1 = mul %0, %r                              : f32[M,N]
//
//   %s = reduce_sum %y, axes=[0], keepdims=1     : f32[1,N]
//   %1 = div %0, %s                              : f32[M,N]
// ->
//   %r = reciprocal %s                           : f32[1,N]
//   %1 = mul %0, %r                              : f32[M,N]
//
// Within 1.5 ulp; a divisor below 2^-127 (denormal) gives an infinity.

#include <algorithm>
#include <set>

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"

namespace burin::dataflow {
namespace {

/// What reductions give, and what is computed of nothing else but numbers.
std::set<ValueId> folded_values(const Graph& graph) {
  std::set<ValueId> folded;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    const auto is_folded = [&](ValueId v) { return folded.count(v) != 0; };
    const auto is_number = [&](ValueId v) { return graph.is_constant(v) && graph.value(v).constant->size() == 1; };
    const OpCategory category = info(node.op).category;
    const bool is_elementwise = category == OpCategory::unary || category == OpCategory::binary;
    if (category == OpCategory::reduce ||
        (is_elementwise && std::ranges::any_of(node.inputs, is_folded) &&
         std::ranges::all_of(node.inputs, [&](ValueId v) { return is_folded(v) || is_number(v); })))
      folded.insert(node.outputs[0]);
  }
  return folded;
}

/// Not where each divisor divides one element only: that would be a reciprocal more.
bool is_repeated(const Graph& graph, ValueId divisor, ValueId quotient) {
  const Shape &from = graph.value(divisor).shape, &to = graph.value(quotient).shape;
  const std::size_t added = to.size() - from.size();
  const auto is_one = [](const Expr& extent) { return extent == Expr(1); };
  if (!std::all_of(to.begin(), to.begin() + static_cast<std::ptrdiff_t>(added), is_one)) return true;
  for (std::size_t d = 0; d < from.size(); ++d)
    if (is_one(from[d]) && !is_one(to[added + d])) return true;
  return false;
}

}  // namespace

bool divide_by_rows_to_multiply(Graph& graph) {
  bool changed = false;
  const std::set<ValueId> folded = folded_values(graph);
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.op != OpKind::Div || !is_float(graph.value(node.outputs[0]).precision)) continue;
    const ValueId x = node.inputs[0], divisor = node.inputs[1], old = node.outputs[0];
    const bool one_a_row = is_per_row(graph, divisor) && !is_per_row(graph, x);
    const bool one_a_column = folded.count(divisor) != 0 && folded.count(x) == 0 && !graph.is_constant(x) && is_repeated(graph, divisor, old);
    if (!one_a_row && !one_a_column) continue;
    replace(graph, old, binary(graph, OpKind::Mul, x, unary(graph, OpKind::Reciprocal, divisor)));
    changed = true;
  }
  graph.erase_dead_nodes();
  return changed;
}

}  // namespace burin::dataflow
