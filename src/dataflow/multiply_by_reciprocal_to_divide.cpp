// A softmax that is spelled out may multiply by the reciprocal of its sum: it divides, like any
// other, so that the divide can move.
//
//   %r = reciprocal %s                           : f32[M,1]          %s: a reduce_sum
//   %1 = mul %e, %r                              : f32[M,N]
// ->
//   %1 = div %e, %s                              : f32[M,N]

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"

namespace burin::dataflow {

bool multiply_by_reciprocal_to_divide(Graph& graph) {
  bool changed = false;
  for (const NodeId id : graph.order()) {
    const Node node = graph.node(id);
    if (node.op != OpKind::Mul) continue;
    for (const std::size_t i : {0U, 1U}) {
      const Node* reciprocal = made_by(graph, node.inputs[i], OpKind::Reciprocal);
      if (reciprocal == nullptr || !used_once(graph, node.inputs[i])) continue;
      if (made_by(graph, reciprocal->inputs[0], OpKind::ReduceSum) == nullptr) continue;
      replace(graph, node.outputs[0],
              binary(graph, OpKind::Div, node.inputs[1 - i], reciprocal->inputs[0]));
      changed = true;
      break;
    }
  }
  graph.erase_dead_nodes();
  return changed;
}

}  // namespace burin::dataflow
