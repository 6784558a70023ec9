#include "tokenize/elementwise.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "burin/error.h"
#include "graph/pieces.h"
#include "tokenize/carve.h"
#include "tokenize/contraction.h"
#include "tokenize/cost_rule.h"
#include "tokenize/element_types.h"
#include "tokenize/pieces_in_group.h"

namespace burin {
namespace {

bool is_movement_kind(OpKind op) { return info(op).category == OpCategory::movement; }

/// The axes that a reduction or a normalisation folds.
std::set<std::size_t> folded_axes(const Graph& graph, const Node& node) {
  std::set<std::size_t> axes;
  if (info(node.op).category == OpCategory::reduce)
    for (const std::int64_t axis : node.ints_attribute("axes"))
      axes.insert(static_cast<std::size_t>(axis));
  if (info(node.op).category != OpCategory::normalize || node.op == OpKind::BatchNormalization) return axes;
  const std::size_t rank = graph.value(node.inputs[0]).shape.size();
  const bool one = node.op == OpKind::Softmax || node.op == OpKind::LogSoftmax;
  const bool channels =
      node.op == OpKind::GroupNormalization || node.op == OpKind::InstanceNormalization;
  const std::int64_t given = node.int_attribute("axis", -1);
  const auto first = static_cast<std::size_t>(
      channels ? 1 : given < 0 ? given + static_cast<std::int64_t>(rank) : given);
  for (std::size_t axis = first; axis < (one ? first + 1 : rank); ++axis) axes.insert(axis);
  return axes;
}

bool is_supported_normalisation(const Graph& graph, const Node& node) {
  const std::size_t rank = graph.value(node.inputs[0]).shape.size();
  switch (node.op) {
    case OpKind::Softmax:
    case OpKind::LogSoftmax:
    case OpKind::LayerNormalization:
    case OpKind::RMSNormalization: return node.outputs.size() == 1 && rank > 0;
    case OpKind::InstanceNormalization:
    case OpKind::GroupNormalization: return rank > 2;
    case OpKind::BatchNormalization: return rank > 1;
    default: return false;
  }
}

bool is_integer_of_kernels(Precision precision) { return precision == Precision::i32 || precision == Precision::i64; }

/// A shape that members iterate over, and those of its axes that they fold.
struct Space {
  Shape shape;
  std::set<std::size_t> folded;
  bool is_of_rows = false;  ///< of what is left where a reduction of the group has dropped axes
};

/// The candidates: single nodes that may be members of a group.
class Candidates {
 public:
  Candidates(const Graph& graph, Movement movement) : graph_(graph), users_(graph.users()), movement_(movement) {}

  /// Why the node cannot be a member; nothing if it can, or if it is of a kind that no group takes.
  std::optional<std::string> refusal(const Node& node) const {
    if (!is_candidate_kind(node)) return std::nullopt;
    if (auto reason = wrong_type(node)) return reason;
    if (is_tiny(space(node))) return why_tiny_is_left();
    return std::nullopt;
  }

  bool is_member(const Node& node) const {
    if (is_movement_kind(node.op)) return is_movement(node) && !is_tiny(space(node));
    return is_candidate_kind(node) && !refusal(node);
  }

  /// The shapes that its values have: one, but for movement.
  std::vector<Space> spaces(const Node& node) const {
    std::vector<Space> all = {{space(node), folded_axes(graph_, node)}};
    if (is_movement_kind(node.op)) all.push_back({graph_.value(node.inputs[0]).shape, {}});
    return all;
  }
  /// The result has another rank than the space.
  bool drops_axis(const Node& node) const {
    return is_reduction(node) && node.int_attribute("keepdims", 1) == 0;
  }

 private:
  bool is_candidate_kind(const Node& node) const {
    return is_elementwise(node.op) || is_reduction(node) || info(node.op).category == OpCategory::normalize;
  }
  bool is_movement(const Node& node) const {
    return is_movement_of_group(graph_, node, users_, movement_) && !wrong_precision(node);
  }
  bool is_reduction(const Node& node) const { return info(node.op).category == OpCategory::reduce; }

  /// The shape that the node iterates over.
  const Shape& space(const Node& node) const {
    return graph_.value(is_reduction(node) ? node.inputs[0] : node.outputs[0]).shape;
  }

  std::optional<std::string> wrong_type(const Node& node) const {
    if (auto reason = wrong_precision(node)) return reason;
    if (const auto type = type_without_kernel(node)) return fmt::format("no kernel for {} of {}", info(node.op).name, to_string(*type));
    if (auto reason = no_kernel_of_these(node)) return reason;
    const bool normalises = info(node.op).category == OpCategory::normalize;
    const bool folds_nothing = is_reduction(node) && node.ints_attribute("axes").empty();
    if (node.op == OpKind::ArgMax || folds_nothing ||
        (normalises && !is_supported_normalisation(graph_, node)))
      return fmt::format("no kernel for {}", info(node.op).name);
    return std::nullopt;
  }

  /// What an operation's attributes and operands decide.
  std::optional<std::string> no_kernel_of_these(const Node& node) const {
    const bool floats = is_float(graph_.value(node.inputs[0]).precision);
    if (node.op == OpKind::Mod && floats && node.int_attribute("fmod", 0) == 0) return "no kernel for Mod of floats without fmod";
    if (node.op != OpKind::Pow || floats) return std::nullopt;
    const Value& exponent = graph_.value(node.inputs[1]);
    const auto& known = exponent.elements;
    const auto number = known && known->size() == 1 ? known->front().as_constant() : std::nullopt;
    if (!number || *number < 0) return "no kernel for Pow of integers whose exponent is not known";
    return std::nullopt;
  }

  std::optional<std::string> wrong_precision(const Node& node) const {
    for (const auto* values : {&node.inputs, &node.outputs}) {
      for (const ValueId value : *values) {
        if (value == kNone || is_shape_operand(node, value)) continue;
        const Precision precision = graph_.value(value).precision;
        if (precision != Precision::f32 && precision != Precision::boolean && !is_integer_of_kernels(precision))
          return fmt::format("works on {}; kernels are f32, i32, i64 and bool", to_string(precision));
      }
    }
    return std::nullopt;
  }

  /// (What a wrong type of another kind would be does not get through inference.)
  std::optional<Precision> type_without_kernel(const Node& node) const {
    for (const ValueId v : node.inputs) {
      if (v == kNone || is_shape_operand(node, v) || !is_integer_of_kernels(graph_.value(v).precision)) continue;
      if (!is_carved_of(node.op, graph_.value(v).precision)) return graph_.value(v).precision;
    }
    return std::nullopt;
  }

  /// Bounds of a Slice, the shape of a Reshape: integers that are known.
  bool is_shape_operand(const Node& node, ValueId value) const {
    return is_movement_kind(node.op) && value != node.inputs[0] &&
           graph_.value(value).elements.has_value();
  }

  const Graph& graph_;
  std::vector<std::vector<NodeId>> users_;
  Movement movement_;
};

/// As a reduction that drops its axes sees the spaces of those who read it: with ones in their places.
std::vector<Space> with_dropped_axes(const std::vector<Space>& spaces, const Graph& graph, const Node& reduction) {
  const std::size_t rank = graph.value(reduction.outputs[0]).shape.size();
  std::vector<Space> all;
  for (const Space& space : spaces) {
    if (space.is_of_rows || space.shape.size() != rank || !space.folded.empty()) continue;
    Space wide;
    wide.shape = space.shape;
    for (const std::int64_t axis : reduction.ints_attribute("axes")) wide.shape.insert(wide.shape.begin() + axis, Expr(1));
    all.push_back(std::move(wide));
  }
  return all;
}

/// The larger of two spaces, if the other one is the same or has one number instead of the elements
/// of the last axis, or of those that are folded.
std::optional<Space> common_space(const Space& a, const Space& b) {
  if (a.shape.size() != b.shape.size() || (a.is_of_rows && b.is_of_rows)) return std::nullopt;
  Space out = a;
  out.is_of_rows = a.is_of_rows || b.is_of_rows;
  out.folded.insert(b.folded.begin(), b.folded.end());
  bool a_is_smaller = false, b_is_smaller = false;
  for (std::size_t d = 0; d < a.shape.size(); ++d) {
    if (a.shape[d] == b.shape[d]) continue;
    const bool may_be_one = d + 1 == a.shape.size() || out.folded.contains(d);
    if (!may_be_one || (a.shape[d] != Expr(1) && b.shape[d] != Expr(1))) return std::nullopt;
    (a.shape[d] == Expr(1) ? a_is_smaller : b_is_smaller) = true;
  }
  if (a_is_smaller && b_is_smaller) return std::nullopt;
  if (a_is_smaller) out.shape = b.shape;
  return out;
}

/// All spaces of both, where one of each fit together; none otherwise.
std::vector<Space> common_spaces(const std::vector<Space>& a, std::vector<Space> b) {
  std::vector<Space> all;
  bool any = false;
  for (const Space& x : a) {
    const auto fits = std::find_if(b.begin(), b.end(), [&](const Space& y) { return common_space(x, y).has_value(); });
    if (fits == b.end()) {
      all.push_back(x);
    } else {
      any = true;
      all.push_back(*common_space(x, *fits));
      b.erase(fits);
    }
  }
  if (!any) return {};
  all.insert(all.end(), b.begin(), b.end());
  return all;
}

/// Grows groups along the edges of the graph, in order, one merge at a time.
class Grouping {
 public:
  Grouping(const Graph& graph, const std::vector<NodeId>& nodes, Movement movement)
      : graph_(graph), candidates_(graph, movement), contraction_(graph) {
    for (const NodeId id : nodes) {
      const Node& node = graph.node(id);
      if (node.erased || !candidates_.is_member(node)) continue;
      members_.push_back(id);
      spaces_[id] = candidates_.spaces(node);
      if (moves_last_axis(node)) transposed_.insert(id);
      for (const ValueId input : node.inputs)
        if (input != kNone) try_merge(graph.value(input).producer, id);
    }
  }

  std::vector<std::vector<NodeId>> groups() const {
    std::vector<std::vector<NodeId>> groups;
    std::set<NodeId> seen;
    for (const NodeId id : members_)
      if (seen.insert(contraction_.cluster(id)).second) groups.push_back(contraction_.members(id));
    return groups;
  }

 private:
  void try_merge(NodeId producer, NodeId node) {
    if (producer == kNone || !spaces_.contains(producer)) return;
    const NodeId a = contraction_.cluster(producer), b = contraction_.cluster(node);
    if (a == b) return;
    std::vector<Space> spaces = candidates_.drops_axis(graph_.node(producer)) ? spaces_of_rows_as_well(a, b, graph_.node(producer))
                                                                               : common_spaces(spaces_.at(a), spaces_.at(b));
    if (spaces.empty() || (folds(spaces) && (transposed_.contains(a) || transposed_.contains(b))) || contraction_.makes_cycle(a, b)) return;
    contraction_.merge(a, b);
    const NodeId merged = contraction_.cluster(a);
    spaces_[merged] = std::move(spaces);
    if (transposed_.contains(a) || transposed_.contains(b)) transposed_.insert(merged);
  }

  static bool folds(const std::vector<Space>& spaces) {
    return std::ranges::any_of(spaces, [](const Space& space) { return !space.folded.empty(); });
  }

  /// Of the reduction's cluster and of one that reads it: the rows' too, so that more of what is computed for them may join.
  /// (Rows of one length: what is computed for rows joins the reductions of one cluster only.)
  std::vector<Space> spaces_of_rows_as_well(NodeId reduction, NodeId reader, const Node& node) const {
    std::vector<Space> spaces = common_spaces(spaces_.at(reduction), with_dropped_axes(spaces_.at(reader), graph_, node));
    if (spaces.empty()) return {};
    for (Space space : spaces_.at(reader)) {
      space.is_of_rows = true;
      spaces.push_back(std::move(space));
    }
    return spaces;
  }

  const Graph& graph_;
  Candidates candidates_;
  Contraction contraction_;
  std::vector<NodeId> members_;
  std::map<NodeId, std::vector<Space>> spaces_;  ///< by cluster
  std::set<NodeId> transposed_;                  ///< clusters that move the last axis: they fold nothing
};

bool moves(const Graph& graph, const std::vector<NodeId>& nodes) {
  return std::any_of(nodes.begin(), nodes.end(), [&](NodeId id) { return is_movement_kind(graph.node(id).op); });
}

/// What is taken apart need not be a tensor only if nobody else asks for the parts; and what is put
/// together is computed by the group.
std::optional<std::string> why_movement_stays_outside(const Graph& graph, const std::vector<NodeId>& nodes) {
  const auto users = graph.users();
  const std::set<NodeId> members(nodes.begin(), nodes.end());
  const auto is_needed_outside = [&](ValueId v) {
    return graph.is_output(v) || std::any_of(users[v].begin(), users[v].end(), [&](NodeId user) { return !members.contains(user); });
  };
  for (const NodeId id : nodes) {
    const Node& node = graph.node(id);
    if (node.op == OpKind::Concat) {
      for (const ValueId input : node.inputs)
        if (!members.contains(graph.value(input).producer)) return fmt::format("'{}' comes from outside", graph.value(input).name);
    } else if (node.op == OpKind::Transpose && members.contains(graph.value(node.inputs[0]).producer)) {
      continue;  // the store does it
    } else if (is_movement_kind(node.op) && node.op != OpKind::Reshape) {
      for (const ValueId output : node.outputs)
        if (is_needed_outside(output)) return fmt::format("'{}' is needed outside", graph.value(output).name);
    }
  }
  return std::nullopt;
}

/// In the body, what stands for the outputs of a node.
std::vector<ValueId> clone_into(Carver& carver, const Graph& graph, const Node& node, const std::vector<ValueId>& inputs) {
  if (node.op != OpKind::Split) return {carver.clone(node, inputs)};
  std::vector<ValueId> parts;
  PieceRange range;
  range.axis = static_cast<std::size_t>(node.int_attribute("axis", 0));
  for (const ValueId output : node.outputs) {
    range.length = graph.value(output).shape[range.axis];
    parts.push_back(add_slice(carver.body(), inputs[0], range));
    range.start += range.length;
  }
  return parts;
}

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
    const std::vector<ValueId> inside = clone_into(carver, graph, node, inputs);
    for (std::size_t i = 0; i < inside.size(); ++i) {
      const ValueId outside = node.outputs[i];
      values[outside] = inside[i];
      const bool leaves = graph.is_output(outside) ||
                          std::any_of(users[outside].begin(), users[outside].end(),
                                      [&](NodeId user) { return !members.contains(user); });
      if (leaves) results.emplace_back(outside, inside[i]);
    }
  }
  if (moves(graph, nodes)) {
    Graph body = carver.body();
    for (const auto& result : results) body.outputs.push_back(result.second);
    if (const auto reason = why_not_one_space(std::move(body))) throw Refusal{*reason};
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
  const Candidates candidates(graph, Movement::none);
  std::map<std::string, std::vector<NodeId>> refused;
  for (const NodeId id : graph.order())
    if (const auto reason = candidates.refusal(graph.node(id))) refused[*reason].push_back(id);
  for (const auto& [reason, nodes] : refused)
    report.rejected.push_back({names(graph, nodes), reason});
}

class Carving {
 public:
  Carving(Graph& graph, TokenizeReport& report) : graph_(graph), report_(report) {}

  /// Groups with movement in them first; where that does not fit, their nodes with less of it.
  void carve(const std::vector<NodeId>& nodes, Movement movement) {
    for (const std::vector<NodeId>& group : Grouping(graph_, nodes, movement).groups()) carve_one(group, movement);
  }

 private:
  void carve_one(const std::vector<NodeId>& group, Movement movement) {
    const bool with_movement = moves(graph_, group);
    std::optional<std::string> reason = why_not_worth_it(graph_, group);
    if (!reason && with_movement) reason = why_movement_stays_outside(graph_, group);
    if (!reason) reason = try_carving(group);
    if (!reason) return;
    if (with_movement && movement > Movement::equal_pieces) return carve(group, less_of(movement));
    if (with_movement) return carve_without_movement(group, *reason);
    report_.rejected.push_back({names(graph_, group), *reason});
  }

  static Movement less_of(Movement movement) {
    return movement == Movement::transposes ? Movement::any_pieces : Movement::equal_pieces;
  }

  void carve_without_movement(const std::vector<NodeId>& group, const std::string& reason) {
    std::vector<NodeId> movement;
    std::copy_if(group.begin(), group.end(), std::back_inserter(movement), [&](NodeId id) { return is_movement_kind(graph_.node(id).op); });
    if (movement.size() < group.size()) report_.rejected.push_back({names(graph_, movement), reason});
    carve(group, Movement::none);
  }

  std::optional<std::string> try_carving(const std::vector<NodeId>& group) {
    try {
      carve_group(graph_, group, carved_, report_);
      ++carved_;
      return std::nullopt;
    } catch (const Refusal& refusal) {
      return refusal.reason;
    } catch (const Error& error) {
      return error.what();
    }
  }

  Graph& graph_;
  TokenizeReport& report_;
  std::size_t carved_ = 0;
};

}  // namespace

void carve_elementwise(Graph& graph, TokenizeReport& report) {
  report_refusals(graph, report);
  Carving(graph, report).carve(graph.order(), Movement::transposes);
}

}  // namespace burin
