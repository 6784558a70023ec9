// Reductions keep the reduced axis as 1, so that what follows broadcasts without a change of rank.
//
//   %1 = reduce_sum %0, axes=[2], keepdims=0     : f32[B,S]
// ->
//   %1 = reduce_sum %0, axes=[2], keepdims=1     : f32[B,S,1]
//   %2 = squeeze %1, axes=[2]                    : f32[B,S]

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"

namespace burin::dataflow {

bool keep_reduced_dims(Graph& graph) {
  bool changed = false;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (info(node.op).category != OpCategory::reduce || node.op == OpKind::ArgMax) continue;
    if (node.int_attribute("keepdims", 1) != 0) continue;
    const auto axes = node.ints_attribute("axes");
    const ValueId old = node.outputs[0];
    Attributes attributes = node.attributes;
    attributes["keepdims"] = std::int64_t{1};
    const ValueId kept = graph.add_op(node.op, "", {node.inputs[0]}, std::move(attributes));
    replace(graph, old, graph.add_op(OpKind::Squeeze, "", {kept}, {{"axes", axes}}));
    changed = true;
  }
  graph.erase_dead_nodes();
  return changed;
}

}  // namespace burin::dataflow
