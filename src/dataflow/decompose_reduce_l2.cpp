// The Euclidean norm by its plain formula.
//
//   %1 = reduce_l2 %0, axes=[2]      ->   %q = square %0
//                                         %s = reduce_sum %q, axes=[2]
//                                         %1 = sqrt %s

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"

namespace burin::dataflow {

bool decompose_reduce_l2(Graph& graph) {
  bool changed = false;
  for (const NodeId id : graph.order()) {
    const Node node = graph.node(id);
    if (node.op != OpKind::ReduceL2) continue;
    const ValueId squares = unary(graph, OpKind::Square, node.inputs[0]);
    const ValueId sum = graph.add_op(OpKind::ReduceSum, "", {squares}, node.attributes);
    replace(graph, node.outputs[0], unary(graph, OpKind::Sqrt, sum));
    changed = true;
  }
  graph.erase_dead_nodes();
  return changed;
}

}  // namespace burin::dataflow
