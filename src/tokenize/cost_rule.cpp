#include "tokenize/cost_rule.h"

#include <algorithm>

#include <fmt/format.h>

namespace burin {
namespace {

/// Several passes over memory, or a long formula, in one node.
bool is_heavy(OpKind op) {
  switch (op) {
    case OpKind::Softmax:
    case OpKind::LogSoftmax:
    case OpKind::LayerNormalization:
    case OpKind::RMSNormalization:
    case OpKind::Gelu:
    case OpKind::Erf: return true;
    default: return false;
  }
}

bool computes_nothing(OpKind op) {
  return op == OpKind::Cast || op == OpKind::Identity || op == OpKind::Not;
}

}  // namespace

bool is_tiny(const Shape& shape) {
  Expr size = 1;
  for (const Expr& dimension : shape) size *= dimension;
  const auto elements = size.as_constant();
  return elements && *elements < kTinyElements;
}

std::optional<std::string> why_not_worth_it(const Graph& graph, const std::vector<NodeId>& nodes) {
  std::size_t operations = 0;
  bool heavy = false, all_tiny = true;
  for (const NodeId id : nodes) {
    const Node& node = graph.node(id);
    if (!computes_nothing(node.op)) ++operations;
    heavy = heavy || is_heavy(node.op);
    for (const ValueId output : node.outputs)
      all_tiny = all_tiny && is_tiny(graph.value(output).shape);
    for (const ValueId input : node.inputs)
      all_tiny = all_tiny && (input == kNone || is_tiny(graph.value(input).shape));
  }
  if (all_tiny)
    return fmt::format("fewer than {} elements: a call would cost more than the work",
                       kTinyElements);
  if (operations < 2 && !heavy) return "one cheap operation: a kernel of its own saves nothing";
  return std::nullopt;
}

}  // namespace burin
