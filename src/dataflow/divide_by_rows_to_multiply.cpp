// Division of a row by one number becomes multiplication by its reciprocal: one division a row.
//
//   %1 = div %0, %s                              : f32[M,N]          %s: f32[M,1]
// ->
//   %r = reciprocal %s                           : f32[M,1]
//   %1 = mul %0, %r                              : f32[M,N]
//
// Within 1.5 ulp; a divisor below 2^-127 (denormal) gives an infinity.

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"

namespace burin::dataflow {

bool divide_by_rows_to_multiply(Graph& graph) {
  bool changed = false;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.op != OpKind::Div || !is_float(graph.value(node.outputs[0]).precision)) continue;
    const ValueId x = node.inputs[0], divisor = node.inputs[1], old = node.outputs[0];
    if (!is_per_row(graph, divisor) || is_per_row(graph, x)) continue;
    replace(graph, old, binary(graph, OpKind::Mul, x, unary(graph, OpKind::Reciprocal, divisor)));
    changed = true;
  }
  graph.erase_dead_nodes();
  return changed;
}

}  // namespace burin::dataflow
