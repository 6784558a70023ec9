#include "tokenize/elementwise.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "burin/error.h"
#include "tokenize/carve.h"
#include "tokenize/contraction.h"
#include "tokenize/cost_rule.h"

namespace burin {
namespace {

bool is_last_axis_reduction(const Graph& graph, const Node& node) {
  switch (node.op) {
    case OpKind::ReduceSum:
    case OpKind::ReduceMean:
    case OpKind::ReduceMax:
    case OpKind::ReduceMin: break;
    default: return false;
  }
  const auto last = static_cast<std::int64_t>(graph.value(node.inputs[0]).shape.size()) - 1;
  return last >= 0 && node.ints_attribute("axes") == std::vector<std::int64_t>{last};
}

bool is_last_axis_normalisation(const Graph& graph, const Node& node) {
  switch (node.op) {
    case OpKind::Softmax:
    case OpKind::LogSoftmax:
    case OpKind::LayerNormalization:
    case OpKind::RMSNormalization: break;
    default: return false;
  }
  const auto last = static_cast<std::int64_t>(graph.value(node.inputs[0]).shape.size()) - 1;
  return node.outputs.size() == 1 && last >= 0 && node.int_attribute("axis", -1) == last;
}

/// A shape with its last dimension as 1.
Shape per_row(Shape shape) {
  if (!shape.empty()) shape.back() = Expr(1);
  return shape;
}

/// The candidates: single nodes that may be members of a group.
class Candidates {
 public:
  explicit Candidates(const Graph& graph) : graph_(graph) {}

  /// Why the node cannot be a member; nothing if it can, or if it is of a kind that no group takes.
  std::optional<std::string> refusal(const Node& node) const {
    if (!is_candidate_kind(node)) return std::nullopt;
    if (auto reason = wrong_type(node)) return reason;
    if (is_tiny(space(node))) return "tiny: a call would cost more than the work";
    return broadcast_of_last(node);
  }

  bool is_candidate_kind(const Node& node) const {
    return (is_elementwise(node.op) && node.op != OpKind::Mod) || is_reduction(node) ||
           info(node.op).category == OpCategory::normalize;
  }
  bool is_member(const Node& node) const {
    if (!is_candidate_kind(node) || refusal(node)) return false;
    return is_elementwise(node.op) || is_last_axis_reduction(graph_, node) ||
           is_last_axis_normalisation(graph_, node);
  }

  /// The shape that the node iterates over.
  const Shape& space(const Node& node) const {
    return graph_.value(is_reduction(node) ? node.inputs[0] : node.outputs[0]).shape;
  }
  /// The result has another rank than the space: nobody in the group may read it.
  bool drops_axis(const Node& node) const {
    return is_reduction(node) && node.int_attribute("keepdims", 1) == 0;
  }
  bool is_reduction(const Node& node) const { return info(node.op).category == OpCategory::reduce; }

 private:
  std::optional<std::string> wrong_type(const Node& node) const {
    for (const auto* values : {&node.inputs, &node.outputs}) {
      for (const ValueId value : *values) {
        if (value == kNone) continue;
        const Precision precision = graph_.value(value).precision;
        if (precision != Precision::f32 && precision != Precision::boolean)
          return fmt::format("works on {}; kernels are f32 and bool", to_string(precision));
      }
    }
    if (is_elementwise(node.op)) return std::nullopt;
    if (!is_last_axis_reduction(graph_, node) && !is_last_axis_normalisation(graph_, node))
      return fmt::format("{} is not over the last axis alone", info(node.op).name);
    return std::nullopt;
  }

  std::optional<std::string> broadcast_of_last(const Node& node) const {
    const Shape& full = space(node);
    for (const ValueId input : node.inputs) {
      if (input == kNone || full.empty()) continue;
      const Shape& shape = graph_.value(input).shape;
      if (shape.empty() || shape.back() == Expr(1) || shape.back() == full.back()) continue;
      if (graph_.facts.proves_equal(shape.back(), full.back())) continue;
      return fmt::format("the last dimension {} of '{}' is {} or 1 only at a call",
                         shape.back().to_string(), graph_.value(input).name,
                         full.back().to_string());
    }
    return std::nullopt;
  }

  const Graph& graph_;
};

/// Grows groups along the edges of the graph, in order, one merge at a time.
class Grouping {
 public:
  explicit Grouping(const Graph& graph) : graph_(graph), candidates_(graph), contraction_(graph) {
    for (const NodeId id : graph.order()) {
      const Node& node = graph.node(id);
      if (!candidates_.is_member(node)) continue;
      members_.insert(id);
      space_[id] = candidates_.space(node);
      for (const ValueId input : node.inputs)
        if (input != kNone) try_merge(graph.value(input).producer, id);
    }
  }

  std::vector<std::vector<NodeId>> groups() const {
    std::vector<std::vector<NodeId>> groups;
    std::set<NodeId> seen;
    for (const NodeId id : graph_.order())
      if (members_.contains(id) && seen.insert(contraction_.cluster(id)).second)
        groups.push_back(contraction_.members(id));
    return groups;
  }

 private:
  void try_merge(NodeId producer, NodeId node) {
    if (producer == kNone || !members_.contains(producer)) return;
    const NodeId a = contraction_.cluster(producer), b = contraction_.cluster(node);
    if (a == b || candidates_.drops_axis(graph_.node(producer))) return;
    const auto space = common_space(space_.at(a), space_.at(b));
    if (!space || contraction_.makes_cycle(a, b)) return;
    contraction_.merge(a, b);
    space_[contraction_.cluster(a)] = *space;
  }

  /// The larger of two shapes, if the other one is the same or has one number a row.
  static std::optional<Shape> common_space(const Shape& a, const Shape& b) {
    if (a == b || b == per_row(a)) return a;
    if (a == per_row(b)) return b;
    return std::nullopt;
  }

  const Graph& graph_;
  Candidates candidates_;
  Contraction contraction_;
  std::set<NodeId> members_;
  std::map<NodeId, Shape> space_;  ///< by cluster
};

void carve_group(Graph& graph, const std::vector<NodeId>& nodes, std::size_t number,
                 TokenizeReport& report) {
  const auto users = graph.users();
  const std::set<NodeId> members(nodes.begin(), nodes.end());
  Carver carver(graph, fmt::format("elementwise_{}", number));
  std::map<ValueId, ValueId> values;
  std::vector<std::pair<ValueId, ValueId>> results;
  for (const NodeId id : nodes) {
    const Node& node = graph.node(id);
    std::vector<ValueId> inputs;
    for (const ValueId input : node.inputs) {
      if (input == kNone) {
        inputs.push_back(kNone);
      } else {
        const auto known = values.find(input);
        inputs.push_back(known != values.end() ? known->second : carver.import(input));
      }
    }
    const ValueId outside = node.outputs[0];
    const ValueId inside = carver.clone(node, inputs);
    values[outside] = inside;
    const bool leaves = graph.is_output(outside) ||
                        std::any_of(users[outside].begin(), users[outside].end(),
                                    [&](NodeId user) { return !members.contains(user); });
    if (leaves) results.emplace_back(outside, inside);
  }
  const std::string name = carver.body().name;
  const NodeId node = carver.finish(results);
  report.subgraphs.push_back({name, "elementwise", names_of_erased(graph, nodes), node});
}

std::vector<std::string> names(const Graph& graph, const std::vector<NodeId>& nodes) {
  std::vector<std::string> result;
  for (const NodeId node : nodes) result.push_back(name_of(graph, node));
  return result;
}

/// Nodes that no group takes, with the same reason in one entry.
void report_refusals(const Graph& graph, TokenizeReport& report) {
  const Candidates candidates(graph);
  std::map<std::string, std::vector<NodeId>> refused;
  for (const NodeId id : graph.order())
    if (const auto reason = candidates.refusal(graph.node(id))) refused[*reason].push_back(id);
  for (const auto& [reason, nodes] : refused)
    report.rejected.push_back({names(graph, nodes), reason});
}

}  // namespace

void carve_elementwise(Graph& graph, TokenizeReport& report) {
  report_refusals(graph, report);
  std::size_t carved = 0;
  for (const std::vector<NodeId>& nodes : Grouping(graph).groups()) {
    if (const auto reason = why_not_worth_it(graph, nodes)) {
      report.rejected.push_back({names(graph, nodes), *reason});
      continue;
    }
    try {
      carve_group(graph, nodes, carved, report);
      ++carved;
    } catch (const Refusal& refusal) {
      report.rejected.push_back({names(graph, nodes), refusal.reason});
    } catch (const Error& error) {
      report.rejected.push_back({names(graph, nodes), error.what()});
    }
  }
}

}  // namespace burin
