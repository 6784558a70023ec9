// LayerNormalization over the last axis by its plain formula.
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
    if (node.int_attribute("axis", -1) !=
        static_cast<std::int64_t>(graph.value(x).shape.size()) - 1)
      continue;
    const ValueId centred =
        binary(graph, OpKind::Sub, x, reduce_last(graph, OpKind::ReduceMean, x));
    const ValueId variance =
        reduce_last(graph, OpKind::ReduceMean, unary(graph, OpKind::Square, centred));
    const ValueId epsilon =
        add_scalar(graph, node.float_attribute("epsilon", 1e-5), graph.value(x).precision);
    const ValueId factor =
        unary(graph, OpKind::Rsqrt, binary(graph, OpKind::Add, variance, epsilon));
    ValueId result = binary(graph, OpKind::Mul, centred, factor);
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
