#include <algorithm>
#include <cmath>
#include <cstddef>

#include "graph/canonicalize.h"
#include "graph/shape_math.h"

namespace burin {
namespace {

/// The same contents in the same order; only the dimensions are named anew.
bool only_names_dimensions(OpKind op) {
  return op == OpKind::Reshape || op == OpKind::Squeeze || op == OpKind::Unsqueeze ||
         op == OpKind::Flatten;
}

bool is_ascending(const std::vector<std::int64_t>& perm) {
  return std::is_sorted(perm.begin(), perm.end());
}

class Identities {
 public:
  explicit Identities(Graph& graph) : graph_(graph), math_(graph.facts) {}

  bool run() {
    Redirects redirects;
    for (const NodeId id : graph_.order()) {
      const Node& node = graph_.node(id);
      if (is_identity(node)) {
        redirects.add(node.outputs[0], source(node));
      } else if (const ValueId kept = other_than_neutral(node); kept != kNone) {
        redirects.add(node.outputs[0], kept);
      }
    }
    return redirects.apply(graph_);
  }

 private:
  bool is_identity(const Node& node) const {
    switch (node.op) {
      case OpKind::Identity: return true;
      case OpKind::Cast:
        return graph_.value(node.inputs[0]).precision == graph_.value(node.outputs[0]).precision;
      case OpKind::Transpose: return is_ascending(node.ints_attribute("perm"));
      case OpKind::Concat:
      case OpKind::Split:
        return node.inputs.size() == 1 && node.outputs.size() == 1 && keeps_shape(node);
      case OpKind::Slice: return keeps_shape(node) && all_elements(node, 4, 1);
      case OpKind::Pad: return keeps_shape(node) && all_elements(node, 1, 0);
      case OpKind::Expand:
      case OpKind::Tile:
      case OpKind::Reshape:
      case OpKind::Squeeze:
      case OpKind::Unsqueeze:
      case OpKind::Flatten: return keeps_shape(node);
      default: return false;
    }
  }

  /// The operand x of x * 1 and the like; kNone if there is none.
  ValueId other_than_neutral(const Node& node) const {
    const auto neutral = neutral_element(node.op);
    if (!neutral) return kNone;
    const bool commutes = node.op != OpKind::Div && node.op != OpKind::Sub;
    for (std::size_t i = commutes ? 0 : 1; i < 2; ++i) {
      const Value& value = graph_.value(node.inputs[i]);
      const ValueId kept = node.inputs[1 - i];
      if (!value.constant || value.constant->size() != 1) continue;
      const double number = value.constant->at(0);
      if (number == *neutral && !std::signbit(number) && same_shape(kept, node.outputs[0]))
        return kept;
    }
    return kNone;
  }

  /// Not the 0 of Add, nor the -0 of Sub: -0.0 + 0.0 is 0.0.
  static std::optional<double> neutral_element(OpKind op) {
    switch (op) {
      case OpKind::Mul:
      case OpKind::Div:
      case OpKind::And: return 1.0;
      case OpKind::Sub:
      case OpKind::Or: return 0.0;
      default: return std::nullopt;
    }
  }

  /// What the node gives; behind a chain of Squeeze, Reshape, ... what the chain began with.
  ValueId source(const Node& node) const {
    if (!only_names_dimensions(node.op)) return node.inputs[0];
    return first_of_same_shape(node);
  }

  bool same_shape(ValueId a, ValueId b) const {
    const Shape& x = graph_.value(a).shape;
    const Shape& y = graph_.value(b).shape;
    return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                      [&](const Expr& p, const Expr& q) { return math_.equal(p, q); });
  }

  bool keeps_shape(const Node& node) const {
    if (only_names_dimensions(node.op)) return first_of_same_shape(node) != kNone;
    return same_shape(node.inputs[0], node.outputs[0]);
  }

  ValueId first_of_same_shape(const Node& node) const {
    for (const Node* at = &node; at != nullptr && only_names_dimensions(at->op);
         at = producer(graph_, at->inputs[0])) {
      if (same_shape(at->inputs[0], node.outputs[0])) return at->inputs[0];
    }
    return kNone;
  }

  /// Input i is absent, or all its elements are known to be this number.
  bool all_elements(const Node& node, std::size_t i, std::int64_t number) const {
    if (i >= node.inputs.size() || node.inputs[i] == kNone) return true;
    const auto& elements = graph_.value(node.inputs[i]).elements;
    return elements && std::all_of(elements->begin(), elements->end(),
                                   [&](const Expr& e) { return e == Expr(number); });
  }

  Graph& graph_;
  ShapeMath math_;
};

/// Nodes whose operand may be replaced by the operand of the node that made it.
class MovementMerger {
 public:
  explicit MovementMerger(Graph& graph) : graph_(graph) {}

  bool run() {
    bool changed = false;
    for (const NodeId id : graph_.order()) {
      switch (graph_.node(id).op) {
        case OpKind::Reshape: changed |= merge_reshape(id); break;
        case OpKind::Unsqueeze: changed |= merge_unsqueeze(id); break;
        case OpKind::Transpose: changed |= merge_transpose(id); break;
        case OpKind::Expand: changed |= merge_expand(id); break;
        default: break;
      }
    }
    return changed;
  }

 private:
  bool merge_reshape(NodeId id) {
    if (!states_whole_shape(graph_, graph_.node(id))) return false;
    ValueId x = graph_.node(id).inputs[0];
    for (const Node* maker = producer(graph_, x); maker && only_names_dimensions(maker->op);
         maker = producer(graph_, x))
      x = maker->inputs[0];
    return set_operand(id, x);
  }

  bool merge_unsqueeze(NodeId id) {
    const Node* inner = producer(graph_, graph_.node(id).inputs[0]);
    if (inner == nullptr || inner->op != OpKind::Unsqueeze) return false;
    std::vector<std::int64_t> axes = graph_.node(id).ints_attribute("axes");
    const std::vector<std::int64_t> outer = axes;
    const std::vector<std::int64_t> first = inner->ints_attribute("axes");
    const auto rank =
        static_cast<std::int64_t>(graph_.value(graph_.node(id).outputs[0]).shape.size());
    std::int64_t middle = 0;  // the axis of the tensor between the two
    for (std::int64_t axis = 0; axis < rank; ++axis) {
      if (std::find(outer.begin(), outer.end(), axis) != outer.end()) continue;
      if (std::find(first.begin(), first.end(), middle++) != first.end()) axes.push_back(axis);
    }
    std::sort(axes.begin(), axes.end());
    graph_.node(id).attributes["axes"] = axes;
    return set_operand(id, inner->inputs[0]);
  }

  bool merge_transpose(NodeId id) {
    const Node* inner = producer(graph_, graph_.node(id).inputs[0]);
    if (inner == nullptr || inner->op != OpKind::Transpose) return false;
    const std::vector<std::int64_t> first = inner->ints_attribute("perm");
    std::vector<std::int64_t> perm = graph_.node(id).ints_attribute("perm");
    for (std::int64_t& axis : perm) axis = first[static_cast<std::size_t>(axis)];
    graph_.node(id).attributes["perm"] = perm;
    return set_operand(id, inner->inputs[0]);
  }

  bool merge_expand(NodeId id) {
    const Node* inner = producer(graph_, graph_.node(id).inputs[0]);
    if (inner == nullptr || inner->op != OpKind::Expand) return false;
    return states_whole_shape(graph_, graph_.node(id)) && set_operand(id, inner->inputs[0]);
  }

  bool set_operand(NodeId id, ValueId x) {
    if (graph_.node(id).inputs[0] == x) return false;
    graph_.node(id).inputs[0] = x;
    return true;
  }

  Graph& graph_;
};

}  // namespace

bool remove_identities(Graph& graph) { return Identities(graph).run(); }

bool merge_movements(Graph& graph) { return MovementMerger(graph).run(); }

}  // namespace burin
