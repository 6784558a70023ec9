// LogSoftmax by its plain formula.
//
//   %1 = log_softmax %0, axis=1                  : f32[M,N]
// ->
//   %m = reduce_max %0, axes=[1], keepdims=1     : f32[M,1]
//   %d = sub %0, %m                              : f32[M,N]
//   %e = exp %d                                  : f32[M,N]
//   %s = reduce_sum %e, axes=[1], keepdims=1     : f32[M,1]
//   %l = log %s                                  : f32[M,1]
//   %1 = sub %d, %l                              : f32[M,N]

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"

namespace burin::dataflow {

bool decompose_log_softmax(Graph& graph) {
  bool changed = false;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.op != OpKind::LogSoftmax) continue;
    const ValueId x = node.inputs[0], old = node.outputs[0];
    const std::vector<std::int64_t> axes = {axes_from(graph, x, node.int_attribute("axis", -1))[0]};
    const ValueId maximum = reduce(graph, OpKind::ReduceMax, x, axes);
    const ValueId shifted = binary(graph, OpKind::Sub, x, maximum);
    const ValueId sum = reduce(graph, OpKind::ReduceSum, unary(graph, OpKind::Exp, shifted), axes);
    replace(graph, old, binary(graph, OpKind::Sub, shifted, unary(graph, OpKind::Log, sum)));
    changed = true;
  }
  graph.erase_dead_nodes();
  return changed;
}

}  // namespace burin::dataflow
