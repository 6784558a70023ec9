#include "tokenize/attention_match.h"

#include <algorithm>
#include <deque>
#include <set>

#include <fmt/format.h>

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

/// A movement that leaves the last two dimensions (queries, keys) alone.
bool keeps_matrix(const Graph& graph, const Node& node) {
  if (node.op != OpKind::Reshape && node.op != OpKind::Squeeze && node.op != OpKind::Unsqueeze &&
      node.op != OpKind::Flatten)
    return false;
  const Shape& from = graph.value(node.inputs[0]).shape;
  const Shape& to = graph.value(node.outputs[0]).shape;
  return from.size() >= 2 && to.size() >= 2 && std::equal(from.end() - 2, from.end(), to.end() - 2);
}

bool is_score_node(const Graph& graph, const Node& node) {
  return is_score_op(graph, node) || keeps_matrix(graph, node);
}

std::string describe(const Graph& graph, NodeId node) {
  return fmt::format("{} '{}'", info(graph.node(node).op).name, name_of(graph, node));
}

/// The MatMul that makes the scores: the nearest one above the Softmax.
NodeId find_query_key(const Graph& graph, NodeId softmax) {
  std::deque<ValueId> open = {graph.node(softmax).inputs[0]};
  std::set<ValueId> seen;
  NodeId blocker = kNone;
  while (!open.empty()) {
    const ValueId value = open.front();
    open.pop_front();
    const NodeId producer = value == kNone ? kNone : graph.value(value).producer;
    if (producer == kNone || !seen.insert(value).second) continue;
    const Node& node = graph.node(producer);
    if (is_activation_matmul(graph, producer)) return producer;
    if (is_score_node(graph, node)) {
      open.insert(open.end(), node.inputs.begin(), node.inputs.end());
    } else if (blocker == kNone && reaches_matmul_up(graph, value)) {
      blocker = producer;
    }
  }
  throw Refusal{blocker == kNone ? "no product of two activations in front of the Softmax"
                                 : fmt::format("{} stands between the scores and the Softmax",
                                               describe(graph, blocker))};
}

/// Collects all that depends on the scores, up to the second MatMul.
void collect_middle(const Graph& graph, AttentionMatch& match) {
  const auto users = graph.users();
  std::vector<ValueId> open = {graph.node(match.query_key).outputs[0]};
  std::set<NodeId> middle;
  while (!open.empty()) {
    const ValueId value = open.back();
    open.pop_back();
    if (graph.is_output(value))
      throw Refusal{fmt::format("'{}', scores or probabilities, is an output of the model",
                                graph.value(value).name)};
    if (!is_f32_or_bool(graph.value(value)))
      throw Refusal{fmt::format("'{}' is {}; only f32 is carved", graph.value(value).name,
                                to_string(graph.value(value).precision))};
    for (const NodeId user : users[value]) {
      const Node& node = graph.node(user);
      if (node.op == OpKind::MatMul) {
        if (match.probability_value != kNone && match.probability_value != user)
          throw Refusal{
              fmt::format("the probabilities have another use: {}", describe(graph, user))};
        if (node.inputs[0] != value || node.inputs[1] == value)
          throw Refusal{
              fmt::format("the probabilities are the second operand of {}", describe(graph, user))};
        if (middle.empty())
          throw Refusal{fmt::format("the scores have another use: {}", describe(graph, user))};
        match.probability_value = user;
        continue;
      }
      if (user != match.softmax && !is_score_node(graph, node))
        throw Refusal{fmt::format("{} uses scores or probabilities", describe(graph, user))};
      if (middle.insert(user).second) open.push_back(node.outputs[0]);
    }
  }
  if (!middle.contains(match.softmax) || match.probability_value == kNone)
    throw Refusal{"the probabilities do not lead to a product with V"};
  for (const NodeId node : graph.order())
    if (middle.contains(node)) match.middle.push_back(node);
}

AttentionOperand operand(const Graph& graph, ValueId value) {
  AttentionOperand result{value, {}};
  for (;;) {
    const NodeId producer = graph.value(value).producer;
    if (producer == kNone) break;
    const Node& node = graph.node(producer);
    const auto scaled = scaled_input(graph, node);
    if (!is_view(node.op) && !scaled) break;
    result.chain.push_back(producer);
    value = node.inputs[scaled.value_or(0)];
  }
  std::reverse(result.chain.begin(), result.chain.end());
  return result;
}

void collect_behind(const Graph& graph, AttentionMatch& match) {
  const auto users = graph.users();
  ValueId value = graph.node(match.probability_value).outputs[0];
  while (!graph.is_output(value) && users[value].size() == 1) {
    const NodeId user = users[value].front();
    const Node& node = graph.node(user);
    const auto scaled = scaled_input(graph, node);
    if (!(is_view(node.op) && node.inputs[0] == value) &&
        !(scaled && node.inputs[*scaled] == value))
      break;
    match.behind.push_back(user);
    value = node.outputs[0];
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

bool is_activation_matmul(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  return node.op == OpKind::MatMul &&
         std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
           return !graph.is_constant(input) && graph.value(input).shape.size() >= 2;
         });
}

bool is_between_matmuls(const Graph& graph, NodeId softmax) {
  return reaches_matmul_up(graph, graph.node(softmax).inputs[0]) &&
         reaches_matmul_down(graph, graph.node(softmax).outputs[0]);
}

AttentionMatch match_attention(const Graph& graph, NodeId softmax) {
  AttentionMatch match;
  match.softmax = softmax;
  const Node& node = graph.node(softmax);
  const auto last = static_cast<std::int64_t>(graph.value(node.inputs[0]).shape.size()) - 1;
  if (node.int_attribute("axis", -1) != last)
    throw Refusal{"the Softmax is not over the last axis"};
  match.query_key = find_query_key(graph, softmax);
  collect_middle(graph, match);
  match.query = operand(graph, graph.node(match.query_key).inputs[0]);
  match.key = operand(graph, graph.node(match.query_key).inputs[1]);
  match.value = operand(graph, graph.node(match.probability_value).inputs[1]);
  collect_behind(graph, match);
  return match;
}

}  // namespace burin
