// Softmax by its plain formula.
//
//   %1 = softmax %0, axis=3                      : f32[B,H,S,S]
// ->
//   %m = reduce_max %0, axes=[3], keepdims=1     : f32[B,H,S,1]
//   %d = sub %0, %m                              : f32[B,H,S,S]
//   %e = exp %d                                  : f32[B,H,S,S]
//   %s = reduce_sum %e, axes=[3], keepdims=1     : f32[B,H,S,1]
//   %1 = div %e, %s                              : f32[B,H,S,S]

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"

namespace burin::dataflow {

bool decompose_softmax(Graph& graph) {
  bool changed = false;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.op != OpKind::Softmax) continue;
    const ValueId x = node.inputs[0], old = node.outputs[0];
    const std::vector<std::int64_t> axes = {axes_from(graph, x, node.int_attribute("axis", -1))[0]};
    const ValueId maximum = reduce(graph, OpKind::ReduceMax, x, axes);
    const ValueId e = unary(graph, OpKind::Exp, binary(graph, OpKind::Sub, x, maximum));
    replace(graph, old, binary(graph, OpKind::Div, e, reduce(graph, OpKind::ReduceSum, e, axes)));
    changed = true;
  }
  graph.erase_dead_nodes();
  return changed;
}

}  // namespace burin::dataflow
