#include "tokenize/attention_match.h"

#include <algorithm>
#include <deque>
#include <set>

#include <fmt/format.h>

#include "graph/canonicalize.h"

namespace burin {
namespace {

bool is_movement(OpKind op) { return info(op).category == OpCategory::movement; }

/// A search from a value towards inputs (up) or outputs (down) through element-wise operations and
/// movements.
bool reaches_matmul_up(const Graph& graph, ValueId from) {
  std::vector<ValueId> open = {from};
  std::set<ValueId> seen;
  while (!open.empty()) {
    const ValueId value = open.back();
    open.pop_back();
    const NodeId producer = value == kNone ? kNone : graph.value(value).producer;
    if (producer == kNone || !seen.insert(value).second) continue;
    const Node& node = graph.node(producer);
    if (is_activation_matmul(graph, producer)) return true;
    if (is_elementwise(node.op) || is_movement(node.op))
      open.insert(open.end(), node.inputs.begin(), node.inputs.end());
  }
  return false;
}

bool reaches_matmul_down(const Graph& graph, ValueId from) {
  const auto users = graph.users();
  std::vector<ValueId> open = {from};
  std::set<ValueId> seen;
  while (!open.empty()) {
    const ValueId value = open.back();
    open.pop_back();
    if (!seen.insert(value).second) continue;
    for (const NodeId user : users[value]) {
      const Node& node = graph.node(user);
      if (is_activation_matmul(graph, user)) return true;
      if (is_elementwise(node.op) || is_movement(node.op))
        open.insert(open.end(), node.outputs.begin(), node.outputs.end());
    }
  }
  return false;
}

/// An element-wise operation that may stand between the MatMuls.
bool is_score_op(const Graph& graph, const Node& node) {
  if (!is_elementwise(node.op) || node.op == OpKind::Mod) return false;
  const auto fits = [&](ValueId value) {
    return value == kNone || is_f32_or_bool(graph.value(value));
  };
  return std::all_of(node.inputs.begin(), node.inputs.end(), fits) &&
         std::all_of(node.outputs.begin(), node.outputs.end(), fits);
}

/// A reduction over one axis.
bool is_score_reduction(const Node& node) {
  switch (node.op) {
    case OpKind::Softmax: return true;
    case OpKind::ReduceSum:
    case OpKind::ReduceMean:
    case OpKind::ReduceMax:
    case OpKind::ReduceMin: return node.ints_attribute("axes").size() == 1;
    default: return false;
  }
}

bool is_score_node(const Graph& graph, const Node& node) {
  return is_score_op(graph, node) || is_score_reduction(node) ||
         (is_view(node.op) && node.op != OpKind::Expand);
}

std::string describe(const Graph& graph, NodeId node) {
  return fmt::format("{} '{}'", info(graph.node(node).op).name, name_of(graph, node));
}

/// All nodes that depend on the value.
std::set<NodeId> nodes_behind(const std::vector<std::vector<NodeId>>& users, const Graph& graph,
                              ValueId from) {
  std::vector<ValueId> open = {from};
  std::set<NodeId> found;
  while (!open.empty()) {
    const ValueId value = open.back();
    open.pop_back();
    for (const NodeId user : users[value])
      if (found.insert(user).second)
        open.insert(open.end(), graph.node(user).outputs.begin(), graph.node(user).outputs.end());
  }
  return found;
}

/// The MatMul that the probabilities enter: the nearest one behind the Softmax.
NodeId find_probability_value(const Graph& graph, const std::vector<std::vector<NodeId>>& users,
                              NodeId softmax) {
  std::deque<ValueId> open = {graph.node(softmax).outputs[0]};
  std::set<ValueId> seen;
  while (!open.empty()) {
    const ValueId value = open.front();
    open.pop_front();
    if (!seen.insert(value).second) continue;
    for (const NodeId user : users[value]) {
      if (is_activation_matmul(graph, user)) return user;
      if (is_score_node(graph, graph.node(user))) open.push_back(graph.node(user).outputs[0]);
    }
  }
  throw Refusal{"the probabilities do not lead to a product with V"};
}

/// Collects all on the way from the scores to the second MatMul, and what of it is read elsewhere.
void collect_middle(const Graph& graph, NodeId softmax, AttentionMatch& match) {
  const auto users = graph.users();
  match.probability_value = find_probability_value(graph, users, softmax);
  const ValueId scores = graph.node(match.query_key).outputs[0];
  const std::set<NodeId> behind = nodes_behind(users, graph, scores);
  const auto depends = [&](ValueId value) {
    return value == scores || (value != kNone && graph.value(value).producer != kNone &&
                               behind.contains(graph.value(value).producer));
  };
  const std::vector<ValueId>& operands = graph.node(match.probability_value).inputs;
  if (depends(operands[0]) == depends(operands[1]))
    throw Refusal{"both operands of the second product come from the scores"};

  std::set<NodeId> middle;
  std::vector<ValueId> open = {depends(operands[0]) ? operands[0] : operands[1]};
  while (!open.empty()) {
    const ValueId value = open.back();
    open.pop_back();
    if (!is_f32_or_bool(graph.value(value)))
      throw Refusal{fmt::format("'{}' is {}; only f32 is carved", graph.value(value).name,
                                to_string(graph.value(value).precision))};
    if (value == scores || !middle.insert(graph.value(value).producer).second) continue;
    const NodeId producer = graph.value(value).producer;
    if (!is_score_node(graph, graph.node(producer)))
      throw Refusal{fmt::format("{} uses scores or probabilities", describe(graph, producer))};
    for (const ValueId input : graph.node(producer).inputs)
      if (depends(input)) open.push_back(input);
  }
  if (!middle.contains(softmax)) throw Refusal{"the probabilities do not lead to a product with V"};

  const auto note_result = [&](ValueId value) {
    const bool read_elsewhere = std::any_of(
        users[value].begin(), users[value].end(),
        [&](NodeId user) { return !middle.contains(user) && user != match.probability_value; });
    if (read_elsewhere || graph.is_output(value)) match.results.push_back(value);
  };
  note_result(scores);
  for (const NodeId node : graph.order()) {
    if (!middle.contains(node)) continue;
    match.middle.push_back(node);
    note_result(graph.node(node).outputs[0]);
  }
}

bool is_repetition(OpKind op) {
  return op == OpKind::Tile || op == OpKind::Gather || op == OpKind::Concat;
}

bool repeats(const Graph& graph, const Node& node) {
  AxisView view(graph.value(node.inputs[0]).shape, graph.facts);
  return is_repetition(node.op) && view.apply(graph, node);
}

AttentionOperand operand(const Graph& graph, ValueId value,
                         const std::vector<std::vector<NodeId>>& users) {
  AttentionOperand result{value, {}};
  for (;;) {
    const NodeId producer = graph.value(value).producer;
    if (producer == kNone) break;
    const Node& node = graph.node(producer);
    const auto through = chain_input(graph, node);
    // Whatever is dearer than a factor is computed once.
    const bool is_read_once = users[value].size() == 1 && !graph.is_output(value);
    const bool is_taken =
        through && (scaled_input(graph, node) || (is_score_op(graph, node) && is_read_once));
    if (!is_view(node.op) && !repeats(graph, node) && !is_taken) break;
    result.chain.push_back(producer);
    value = node.inputs[through.value_or(0)];
  }
  std::reverse(result.chain.begin(), result.chain.end());
  return result;
}

/// Steps behind a result.
class Behind {
 public:
  Behind(const Graph& graph, const std::vector<std::vector<NodeId>>& users, NodeId query_key)
      : graph_(graph), users_(users), query_key_(query_key) {}

  std::vector<NodeId> step(ValueId value) const {
    if (graph_.is_output(value)) return {};
    if (users_[value].size() == 1) {
      const Node& node = graph_.node(users_[value].front());
      if (is_view(node.op) && node.op != OpKind::Expand && node.inputs[0] == value)
        return {users_[value].front()};
    }
    std::vector<NodeId> step;
    std::set<ValueId> values = {value};
    while (step.size() < kLargestStep) {
      const NodeId next = next_node(values, step);
      if (next == kNone) return {};
      step.push_back(next);
      values.insert(graph_.node(next).outputs[0]);
      if (is_closed(values, step)) return step;
    }
    return {};
  }

 private:
  static constexpr std::size_t kLargestStep = 16;

  static bool has(const std::vector<NodeId>& step, NodeId node) {
    return std::find(step.begin(), step.end(), node) != step.end();
  }

  /// One that reads of the attention nothing but the values.
  NodeId next_node(const std::set<ValueId>& values, const std::vector<NodeId>& step) const {
    for (const ValueId value : values)
      for (const NodeId user : users_[value])
        if (!has(step, user) && fits(graph_.node(user), value, values)) return user;
    return kNone;
  }

  bool fits(const Node& node, ValueId value, const std::set<ValueId>& values) const {
    return is_score_op(graph_, node) &&
           graph_.value(node.outputs[0]).shape == graph_.value(value).shape &&
           std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
             return input == kNone || values.contains(input) ||
                    !depends_on(graph_, input, query_key_);
           });
  }

  /// Of the values none but the last one is read by others.
  bool is_closed(const std::set<ValueId>& values, const std::vector<NodeId>& step) const {
    const ValueId last = graph_.node(step.back()).outputs[0];
    return std::all_of(values.begin(), values.end(), [&](ValueId value) {
      const auto& readers = users_[value];
      return value == last || (!graph_.is_output(value) &&
                               std::all_of(readers.begin(), readers.end(),
                                           [&](NodeId user) { return has(step, user); }));
    });
  }

  const Graph& graph_;
  const std::vector<std::vector<NodeId>>& users_;
  NodeId query_key_;
};

void collect_behind(const Graph& graph, AttentionMatch& match,
                    const std::vector<std::vector<NodeId>>& users) {
  const Behind behind(graph, users, match.query_key);
  ValueId value = graph.node(match.probability_value).outputs[0];
  for (auto step = behind.step(value); !step.empty(); step = behind.step(value)) {
    value = graph.node(step.back()).outputs[0];
    match.behind.push_back(std::move(step));
  }
}

}  // namespace

bool is_f32_or_bool(const Value& value) {
  return value.precision == Precision::f32 || value.precision == Precision::boolean;
}

bool is_view(OpKind op) {
  switch (op) {
    case OpKind::Transpose:
    case OpKind::Reshape:
    case OpKind::Flatten:
    case OpKind::Squeeze:
    case OpKind::Unsqueeze:
    case OpKind::Expand: return true;
    default: return false;
  }
}

std::optional<std::size_t> scaled_input(const Graph& graph, const Node& node) {
  if (node.op != OpKind::Mul && node.op != OpKind::Div) return std::nullopt;
  if (graph.value(node.outputs[0]).precision != Precision::f32) return std::nullopt;
  for (const std::size_t i : {0U, 1U}) {
    if (node.op == OpKind::Div && i == 1) continue;
    const bool keeps_shape =
        graph.value(node.inputs[i]).shape == graph.value(node.outputs[0]).shape;
    if (keeps_shape && has_one_element(graph, node.inputs[1 - i]) &&
        !has_one_element(graph, node.inputs[i]))
      return i;
  }
  return std::nullopt;
}

std::optional<std::size_t> chain_input(const Graph& graph, const Node& node) {
  if (const auto scaled = scaled_input(graph, node)) return scaled;
  if (!is_elementwise(node.op)) return std::nullopt;
  std::optional<std::size_t> through;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i] == kNone ||
        graph.value(node.inputs[i]).shape != graph.value(node.outputs[0]).shape)
      continue;
    if (through) return std::nullopt;
    through = i;
  }
  return through;
}

bool depends_on(const Graph& graph, ValueId value, NodeId node) {
  std::vector<ValueId> open = {value};
  std::set<NodeId> seen;
  while (!open.empty()) {
    const ValueId at = open.back();
    open.pop_back();
    const NodeId producer = at == kNone ? kNone : graph.value(at).producer;
    if (producer == node) return true;
    if (producer == kNone || !seen.insert(producer).second) continue;
    open.insert(open.end(), graph.node(producer).inputs.begin(), graph.node(producer).inputs.end());
  }
  return false;
}

bool is_activation_matmul(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (node.op != OpKind::MatMul) return false;
  const Value &left = graph.value(node.inputs[0]), &right = graph.value(node.inputs[1]);
  const bool is_projection = right.constant && (left.constant || right.shape.size() == 2);
  return left.shape.size() >= 2 && right.shape.size() >= 2 && !is_projection;
}

bool is_attention_softmax(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (node.erased) return false;
  const Node* maker = node.op == OpKind::ReduceSum ? producer(graph, node.inputs[0]) : nullptr;
  if (node.op != OpKind::Softmax && (maker == nullptr || maker->op != OpKind::Exp)) return false;
  return reaches_matmul_up(graph, node.inputs[0]) && reaches_matmul_down(graph, node.outputs[0]);
}

std::vector<NodeId> find_query_keys(const Graph& graph, NodeId softmax) {
  std::deque<ValueId> open = {graph.node(softmax).inputs[0]};
  std::set<ValueId> seen;
  std::vector<NodeId> found;
  NodeId blocker = kNone;
  while (!open.empty()) {
    const ValueId value = open.front();
    open.pop_front();
    const NodeId producer = value == kNone ? kNone : graph.value(value).producer;
    if (producer == kNone || !seen.insert(value).second) continue;
    const Node& node = graph.node(producer);
    if (is_activation_matmul(graph, producer)) {
      found.push_back(producer);
    } else if (is_score_node(graph, node)) {
      open.insert(open.end(), node.inputs.begin(), node.inputs.end());
    } else if (blocker == kNone && reaches_matmul_up(graph, value)) {
      blocker = producer;
    }
  }
  if (!found.empty()) return found;
  throw Refusal{blocker == kNone ? "no product of two activations in front of the Softmax"
                                 : fmt::format("{} stands between the scores and the Softmax",
                                               describe(graph, blocker))};
}

AttentionMatch match_attention(const Graph& graph, NodeId softmax, NodeId query_key) {
  AttentionMatch match;
  match.query_key = query_key;
  collect_middle(graph, softmax, match);
  const auto users = graph.users();
  match.left = operand(graph, graph.node(query_key).inputs[0], users);
  match.right = operand(graph, graph.node(query_key).inputs[1], users);
  const std::vector<ValueId>& last = graph.node(match.probability_value).inputs;
  match.value = operand(graph, depends_on(graph, last[0], query_key) ? last[1] : last[0], users);
  collect_behind(graph, match, users);
  return match;
}

}  // namespace burin
