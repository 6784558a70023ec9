// InstanceNormalization, GroupNormalization and BatchNormalization by their plain formula. A group's channels get an axis of their own, which
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
//
// A BatchNormalization is a factor and a summand for each channel: scale / sqrt(variance + epsilon) and bias - mean * factor,
// constants where these are.

#include <array>
#include <cmath>
#include <optional>
#include <utility>

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

/// Where all parameters are constants.
std::optional<std::pair<Tensor, Tensor>> constant_factor_and_shift(const Graph& graph, const Node& node) {
  std::array<const Tensor*, 5> in{};
  for (std::size_t i = 1; i < in.size(); ++i) {
    const auto& constant = graph.value(node.inputs[i]).constant;
    if (!constant) return std::nullopt;
    in.at(i) = &*constant;
  }
  const double epsilon = node.float_attribute("epsilon", 1e-5);
  Tensor factor = Tensor::zeros(Precision::f32, in[1]->dims()), shift = Tensor::zeros(Precision::f32, in[1]->dims());
  for (std::int64_t c = 0; c < factor.size(); ++c) {
    const double f = in[1]->at(c) / std::sqrt(in[4]->at(c) + epsilon);
    factor.set(c, f);
    shift.set(c, in[2]->at(c) - in[3]->at(c) * f);
  }
  return std::pair{factor, shift};
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

/// y = x * factor + shift; factor and shift for each channel.
ValueId normalize_batch(Graph& graph, const Node& node) {
  const double epsilon = node.float_attribute("epsilon", 1e-5);
  const std::size_t rank = graph.value(node.inputs[0]).shape.size();
  const ValueId scale = node.inputs[1], bias = node.inputs[2], mean = node.inputs[3], variance = node.inputs[4];
  ValueId factor, shift;
  const auto known = constant_factor_and_shift(graph, node);
  if (known) {
    factor = graph.add_constant("", known->first), shift = graph.add_constant("", known->second);
  } else {
    const ValueId deviation = unary(graph, OpKind::Sqrt, binary(graph, OpKind::Add, variance, add_scalar(graph, epsilon)));
    factor = binary(graph, OpKind::Div, scale, deviation);
    shift = binary(graph, OpKind::Sub, bias, binary(graph, OpKind::Mul, mean, factor));
  }
  const ValueId scaled = binary(graph, OpKind::Mul, node.inputs[0], per_channel(graph, factor, rank));
  return binary(graph, OpKind::Add, scaled, per_channel(graph, shift, rank));
}

}  // namespace

bool decompose_channel_norms(Graph& graph) {
  bool changed = false;
  for (const NodeId id : graph.order()) {
    const Node node = graph.node(id);
    if (node.op == OpKind::BatchNormalization) {
      replace(graph, node.outputs[0], normalize_batch(graph, node));
      changed = true;
      continue;
    }
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
