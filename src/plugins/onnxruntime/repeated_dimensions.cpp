#include "plugins/onnxruntime/repeated_dimensions.h"

#include <algorithm>
#include <cstdint>
#include <string>

namespace burin::ort {
namespace {

class Analysis {
 public:
  explicit Analysis(const Graph& graph) : graph_(graph), repeated_(graph.value_count()) {}

  std::vector<std::vector<bool>> run() {
    for (const NodeId id : graph_.order()) {
      const Node& node = graph_.node(id);
      if (node.outputs.size() != 1) continue;
      std::vector<bool> found = repeated_by(node);
      if (std::find(found.begin(), found.end(), true) != found.end()) repeated_[node.outputs[0]] = std::move(found);
    }
    return std::move(repeated_);
  }

 private:
  std::vector<bool> repeated_by(const Node& node) const {
    if (is_elementwise(node.op)) return broadcast(node, node.inputs);
    switch (node.op) {
      case OpKind::Expand: return broadcast(node, {node.inputs[0]});
      case OpKind::ConstantOfShape: return broadcast(node, {});
      case OpKind::Slice: return repeated_[node.inputs[0]];
      case OpKind::Transpose: return transposed(node);
      case OpKind::Unsqueeze: return unsqueezed(node);
      default: return {};
    }
  }

  const Shape& shape(ValueId id) const { return graph_.value(id).shape; }

  /// Along which dimensions of the result each operand has one element, or repeats.
  std::vector<bool> broadcast(const Node& node, const std::vector<ValueId>& operands) const {
    const Shape& to = shape(node.outputs[0]);
    std::vector<bool> result(to.size());
    for (std::size_t d = 0; d < to.size(); ++d)
      result[d] = to[d] != Expr(1) && std::all_of(operands.begin(), operands.end(), [&](ValueId operand) {
                    return operand == kNone || is_one_of_many(operand, to.size() - d);
                  });
    return result;
  }

  /// `from_end`: the dimension, the last one being 1.
  bool is_one_of_many(ValueId id, std::size_t from_end) const {
    const Shape& from = shape(id);
    if (from_end > from.size()) return true;
    const std::size_t d = from.size() - from_end;
    return from[d] == Expr(1) || (!repeated_[id].empty() && repeated_[id][d]);
  }

  std::vector<bool> transposed(const Node& node) const {
    const std::vector<bool>& from = repeated_[node.inputs[0]];
    std::vector<bool> result;
    if (!from.empty())
      for (const std::int64_t axis : node.ints_attribute("perm"))
        result.push_back(from[static_cast<std::size_t>(axis)]);
    return result;
  }

  std::vector<bool> unsqueezed(const Node& node) const {
    const std::vector<bool>& from = repeated_[node.inputs[0]];
    if (from.empty()) return {};
    std::vector<bool> result(shape(node.outputs[0]).size());
    const std::vector<std::int64_t> added = node.ints_attribute("axes");
    for (std::size_t d = 0, next = 0; d < result.size(); ++d)
      if (std::find(added.begin(), added.end(), static_cast<std::int64_t>(d)) == added.end()) result[d] = from[next++];
    return result;
  }

  const Graph& graph_;
  std::vector<std::vector<bool>> repeated_;
};

}  // namespace

std::vector<std::vector<bool>> repeated_dimensions(const Graph& graph) { return Analysis(graph).run(); }

}  // namespace burin::ort
