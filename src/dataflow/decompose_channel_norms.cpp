// InstanceNormalization and GroupNormalization by their plain formula. A group's channels get an axis of their own, which
// costs nothing: axes only name places (graph/axes.h).
//
//   %1 = group_norm %0, %scale, %bias, num_groups=32, epsilon=1e-05     : f32[N,320,H,W]
// ->
//   %g = reshape %0, [N, 32, 10, H, W]                                  : f32[N,32,10,H,W]
//   (mean, sub, square, mean, add, rsqrt, mul over the axes from 2 on)
//   %n = reshape ..., [N, 320, H, W]                                    : f32[N,320,H,W]
//   %s = unsqueeze %scale, axes=[1,2]                                   : f32[320,1,1]
//   %t = mul %n, %s                                                     : f32[N,320,H,W]
//   (the same with %bias)                                               : f32[N,320,H,W]

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"
#include "graph/canonicalize.h"

namespace burin::dataflow {
namespace {

constexpr std::int64_t kChannel = 1;

/// [C] as it meets [N, C, ...].
ValueId per_channel(Graph& graph, ValueId parameter, std::size_t rank) {
  std::vector<std::int64_t> axes;
  for (std::int64_t axis = 1; axis + kChannel < static_cast<std::int64_t>(rank); ++axis) axes.push_back(axis);
  return axes.empty() ? parameter : graph.add_op(OpKind::Unsqueeze, "", {parameter}, {{"axes", axes}});
}

ValueId standardize_groups(Graph& graph, const Node& node) {
  const ValueId x = node.inputs[0];
  const double epsilon = node.float_attribute("epsilon", 1e-5);
  if (node.op == OpKind::InstanceNormalization) return standardize(graph, x, axes_from(graph, x, kChannel + 1), epsilon);
  const Shape shape = graph.value(x).shape;
  const Expr groups = node.int_attribute("num_groups", 1);
  Shape grouped = shape;
  grouped[kChannel] = graph.facts.simplify(floor_div(shape[kChannel], groups));
  grouped.insert(grouped.begin() + kChannel, groups);
  const ValueId view = add_reshape(graph, x, grouped);
  return add_reshape(graph, standardize(graph, view, axes_from(graph, view, kChannel + 1), epsilon), shape);
}

}  // namespace

bool decompose_channel_norms(Graph& graph) {
  bool changed = false;
  for (const NodeId id : graph.order()) {
    const Node node = graph.node(id);
    if (node.op != OpKind::InstanceNormalization && node.op != OpKind::GroupNormalization) continue;
    const std::size_t rank = graph.value(node.inputs[0]).shape.size();
    const ValueId scale = per_channel(graph, node.inputs[1], rank), bias = per_channel(graph, node.inputs[2], rank);
    const ValueId scaled = binary(graph, OpKind::Mul, standardize_groups(graph, node), scale);
    replace(graph, node.outputs[0], binary(graph, OpKind::Add, scaled, bias));
    changed = true;
  }
  graph.erase_dead_nodes();
  return changed;
}

}  // namespace burin::dataflow
