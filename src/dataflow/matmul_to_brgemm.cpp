// MatMul becomes Brgemm, whose ports may permute axes (empty permutations: as they are).
//
//   %2 = matmul %0, %1                           : f32[B,12,S,S]
// ->
//   %2 = brgemm %0, %1                           : f32[B,12,S,S]

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"

namespace burin::dataflow {

bool matmul_to_brgemm(Graph& graph) {
  bool changed = false;
  for (const NodeId id : graph.order()) {
    const Node node = graph.node(id);
    if (node.op != OpKind::MatMul) continue;
    if (graph.value(node.inputs[0]).shape.size() < 2 ||
        graph.value(node.inputs[1]).shape.size() < 2)
      continue;
    replace(graph, node.outputs[0], binary(graph, OpKind::Brgemm, node.inputs[0], node.inputs[1]));
    changed = true;
  }
  graph.erase_dead_nodes();
  return changed;
}

}  // namespace burin::dataflow
