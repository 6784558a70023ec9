// Constants with one element, or many equal ones, become numbers (rank 0); a broadcast that the
// element-wise operation would do by itself is dropped. Only where the result keeps its shape.
//
//   %c = const f32[1,1,1] 0.125
//   %1 = expand %m, %shape                       : f32[B,12,S,S]
//   %2 = mul %0, %c                              : f32[B,12,S,S]
//   %3 = add %2, %1                              : f32[B,12,S,S]
// ->
//   %2 = mul %0, 0.125                           : f32[B,12,S,S]
//   %3 = add %2, %m                              : f32[B,12,S,S]

#include <algorithm>

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"

namespace burin::dataflow {
namespace {

/// The one value of all elements.
std::optional<double> splat(const Tensor& tensor) {
  if (tensor.size() == 0) return std::nullopt;
  const std::size_t width = size_of(tensor.precision());
  const std::byte* first = tensor.data();
  for (std::int64_t i = 1; i < tensor.size(); ++i)
    if (!std::equal(first, first + width, first + static_cast<std::size_t>(i) * width))
      return std::nullopt;
  return tensor.at(0);
}

/// What the input can be replaced by if its own shape does not matter.
ValueId smaller(Graph& graph, ValueId input) {
  const Value& value = graph.value(input);
  if (value.constant) {
    if (value.constant->dims().empty() ||
        (!is_float(value.precision) && value.precision != Precision::boolean))
      return kNone;
    const auto number = splat(*value.constant);
    return number ? add_scalar(graph, *number, value.precision) : kNone;
  }
  if (const Node* expand = made_by(graph, input, OpKind::Expand)) return expand->inputs[0];
  return kNone;
}

/// The node's result has the same shape if the shape of input `index` were that of `instead`:
/// another input has the full shape.
bool keeps_shape(const Graph& graph, const Node& node, std::size_t index, ValueId instead) {
  const Shape& full = graph.value(node.outputs[0]).shape;
  if (graph.value(instead).shape.size() > full.size()) return false;
  if (node.op == OpKind::Clip) return index > 0;
  // The slope must not have more dimensions than x.
  if (node.op == OpKind::PRelu && index == 0) return false;
  for (std::size_t i = 0; i < node.inputs.size(); ++i)
    if (i != index && node.inputs[i] != kNone && graph.value(node.inputs[i]).shape == full)
      return true;
  return false;
}

}  // namespace

bool constants_to_scalars(Graph& graph) {
  bool changed = false;
  for (const NodeId id : graph.order()) {
    if (!is_elementwise(graph.node(id).op)) continue;
    for (std::size_t i = 0; i < graph.node(id).inputs.size(); ++i) {
      const ValueId input = graph.node(id).inputs[i];
      if (input == kNone || graph.node(id).inputs.size() < 2) continue;
      const ValueId instead = smaller(graph, input);
      if (instead == kNone || !keeps_shape(graph, graph.node(id), i, instead)) continue;
      graph.node(id).inputs[i] = instead;
      changed = true;
    }
  }
  graph.erase_dead_nodes();
  return changed;
}

}  // namespace burin::dataflow
