#include "dataflow/score.h"

#include <set>
#include <vector>

#include "dataflow/rewrite.h"

namespace burin::dataflow {

std::optional<Scaled> as_scaled(const Graph& graph, ValueId value) {
  if (const Node* mul = made_by(graph, value, OpKind::Mul)) {
    for (const std::size_t i : {1U, 0U})
      if (has_one_element(graph, mul->inputs[i]) &&
          graph.value(mul->inputs[1 - i]).shape == graph.value(value).shape)
        return Scaled{mul->inputs[1 - i], mul->inputs[i], false};
  } else if (const Node* div = made_by(graph, value, OpKind::Div)) {
    if (has_one_element(graph, div->inputs[1]) &&
        graph.value(div->inputs[0]).shape == graph.value(value).shape)
      return Scaled{div->inputs[0], div->inputs[1], true};
  }
  return std::nullopt;
}

ValueId multiply_factors(Graph& graph, ValueId a, ValueId b) {
  const auto x = scalar(graph, a), y = scalar(graph, b);
  if (x && y) return add_scalar(graph, *x * *y, graph.value(a).precision);
  return binary(graph, OpKind::Mul, a, b);
}

ValueId scale(Graph& graph, ValueId x, ValueId factor) {
  const auto inner = as_scaled(graph, x);
  if (inner && !inner->divides && users_of(graph, x).size() <= 1 && !graph.is_output(x))
    return binary(graph, OpKind::Mul, inner->value, multiply_factors(graph, inner->factor, factor));
  return binary(graph, OpKind::Mul, x, factor);
}

bool makes_scores(const Graph& graph, const Node& brgemm) {
  std::vector<ValueId> open = {brgemm.outputs[0]};
  std::set<ValueId> seen;
  while (!open.empty()) {
    const ValueId value = open.back();
    open.pop_back();
    if (!seen.insert(value).second) continue;
    for (const NodeId user : users_of(graph, value)) {
      const Node& node = graph.node(user);
      if (node.op == OpKind::ReduceMax) return true;
      if (is_elementwise(node.op)) open.push_back(node.outputs[0]);
    }
  }
  return false;
}

}  // namespace burin::dataflow
