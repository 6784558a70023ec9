#include <algorithm>
#include <cstring>
#include <utility>

#include "graph/canonicalize.h"
#include "graph/shape_math.h"

namespace burin {
namespace {

bool takes_repeated_operands(OpKind op) {
  // The operands of these do not all broadcast into each other.
  return is_elementwise(op) && op != OpKind::PRelu && op != OpKind::Clip;
}

class ExpandSinking {
 public:
  explicit ExpandSinking(Graph& graph)
      : graph_(graph), math_(graph.facts), bound_(bound_symbols(graph)) {}

  bool run() {
    bool changed = false;
    for (const NodeId id : graph_.order())
      if (takes_repeated_operands(graph_.node(id).op)) changed |= sink(id);
    redirects_.apply(graph_);
    for (const NodeId id : replaced_) graph_.erase_node(id);
    return changed;
  }

 private:
  bool sink(NodeId id) {
    const Node node = graph_.node(id);
    std::vector<ValueId> inputs = node.inputs;
    for (ValueId& input : inputs)
      if (const Node* maker = producer(graph_, input); maker && maker->op == OpKind::Expand)
        input = maker->inputs[0];
    if (inputs == node.inputs) return false;

    const auto small = broadcast_shape(inputs);
    const Shape shape = graph_.value(node.outputs[0]).shape;
    if (!small) return false;
    if (*small == shape) {
      graph_.node(id).inputs = inputs;
      return true;
    }
    if (!uses_only(shape, bound_)) return false;
    const std::string result_name = graph_.value(node.outputs[0]).name;
    const ValueId result = graph_.add_op(node.op, node.name, inputs, node.attributes);
    // An output of the graph has to keep its name; otherwise it is that of what was computed.
    const bool is_output = graph_.is_output(node.outputs[0]);
    graph_.value(result).name = result_name + (is_output ? ".narrow" : "");
    const ValueId target =
        add_known_integers(graph_, node.name + ".shape", Precision::i64, shape, false);
    const ValueId expanded = graph_.add_op(OpKind::Expand, node.name + ".expand", {result, target});
    graph_.value(expanded).name = result_name + (is_output ? "" : ".expand");
    redirects_.add(node.outputs[0], expanded);
    replaced_.push_back(id);
    return true;
  }

  std::optional<Shape> broadcast_shape(const std::vector<ValueId>& inputs) const {
    Shape result;
    for (const ValueId input : inputs) {
      const Shape& shape = graph_.value(input).shape;
      if (shape.size() > result.size())
        result.insert(result.begin(), shape.size() - result.size(), 1);
      const std::size_t shift = result.size() - shape.size();
      for (std::size_t d = 0; d < shape.size(); ++d) {
        const auto dimension = math_.broadcast(result[shift + d], shape[d]);
        if (!dimension) return std::nullopt;
        result[shift + d] = *dimension;
      }
    }
    return result;
  }

  Graph& graph_;
  ShapeMath math_;
  std::set<std::string> bound_;
  Redirects redirects_;
  std::vector<NodeId> replaced_;
};

Tensor as_scalar(const Tensor& one_element) {
  Tensor scalar = Tensor::zeros(one_element.precision(), {});
  std::memcpy(scalar.mutable_data(), one_element.data(), one_element.bytes());
  return scalar;
}

}  // namespace

bool sink_expands(Graph& graph) { return ExpandSinking(graph).run(); }

bool splats_to_expands(Graph& graph) {
  bool changed = false;
  for (const NodeId id : graph.order()) {
    if (graph.node(id).op != OpKind::ConstantOfShape) continue;
    const auto found = graph.node(id).attributes.find("value");
    const Tensor value = found != graph.node(id).attributes.end()
                             ? std::get<Tensor>(found->second)
                             : Tensor::zeros(Precision::f32, {1});
    const ValueId scalar = graph.add_constant(graph.node(id).name + ".value", as_scalar(value));
    Node& node = graph.node(id);
    node.op = OpKind::Expand;
    node.attributes.clear();
    node.inputs.insert(node.inputs.begin(), scalar);
    changed = true;
  }
  return changed;
}

}  // namespace burin
