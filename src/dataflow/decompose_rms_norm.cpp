// RMSNormalization (over all axes from `axis` on) by its plain formula.
//
//   %1 = rms_norm %0, %scale, axis=2, epsilon=1e-06      : f32[B,S,768]
// ->
//   %q = square %0                                       : f32[B,S,768]
//   %v = reduce_mean %q, axes=[2], keepdims=1            : f32[B,S,1]
//   %a = add %v, 1e-06                                   : f32[B,S,1]
//   %r = rsqrt %a                                        : f32[B,S,1]
//   %n = mul %0, %r                                      : f32[B,S,768]
//   %1 = mul %n, %scale                                  : f32[B,S,768]

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"

namespace burin::dataflow {

bool decompose_rms_norm(Graph& graph) {
  bool changed = false;
  for (const NodeId id : graph.order()) {
    const Node node = graph.node(id);
    if (node.op != OpKind::RMSNormalization) continue;
    const ValueId x = node.inputs[0];
    const auto axes = axes_from(graph, x, node.int_attribute("axis", -1));
    const ValueId mean = reduce(graph, OpKind::ReduceMean, unary(graph, OpKind::Square, x), axes);
    const ValueId epsilon =
        add_scalar(graph, node.float_attribute("epsilon", 1e-5), graph.value(x).precision);
    const ValueId factor = unary(graph, OpKind::Rsqrt, binary(graph, OpKind::Add, mean, epsilon));
    const ValueId normal = binary(graph, OpKind::Mul, x, factor);
    replace(graph, node.outputs[0], binary(graph, OpKind::Mul, normal, node.inputs[1]));
    changed = true;
  }
  graph.erase_dead_nodes();
  return changed;
}

}  // namespace burin::dataflow
