// LayerNormalization (over all axes from `axis` on) by its plain formula.
//
//   %1 = layer_norm %0, %scale, %bias, axis=2, epsilon=1e-12     : f32[B,S,768]
// ->
//   %m = reduce_mean %0, axes=[2], keepdims=1                    : f32[B,S,1]
//   %d = sub %0, %m                                              : f32[B,S,768]
//   %q = square %d                                               : f32[B,S,768]
//   %v = reduce_mean %q, axes=[2], keepdims=1                    : f32[B,S,1]
//   %a = add %v, 1e-12                                           : f32[B,S,1]
//   %r = rsqrt %a                                                : f32[B,S,1]
//   %n = mul %d, %r                                              : f32[B,S,768]
//   %t = mul %n, %scale                                          : f32[B,S,768]
//   %1 = add %t, %bias                                           : f32[B,S,768]

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"

namespace burin::dataflow {

bool decompose_layer_norm(Graph& graph) {
  bool changed = false;
  for (const NodeId id : graph.order()) {
    const Node node = graph.node(id);
    if (node.op != OpKind::LayerNormalization || node.outputs.size() != 1) continue;
    const ValueId x = node.inputs[0];
    ValueId result = standardize(graph, x, axes_from(graph, x, node.int_attribute("axis", -1)),
                                 node.float_attribute("epsilon", 1e-5));
    result = binary(graph, OpKind::Mul, result, node.inputs[1]);
    if (node.inputs.size() > 2 && node.inputs[2] != kNone)
      result = binary(graph, OpKind::Add, result, node.inputs[2]);
    replace(graph, node.outputs[0], result);
    changed = true;
  }
  graph.erase_dead_nodes();
  return changed;
}

}  // namespace burin::dataflow
