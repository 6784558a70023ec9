// Identities of algebra, applied until none fits.
//
//   x * 1, x / 1, x + 0, x - 0, x ^ 1         -> x
//   (x * a) * b, (x + a) + b                  -> x * (a * b), x + (a + b)    for numbers a and b
//   x * x, x * -1                             -> square(x), neg(x)
//   neg(neg(x)), not(not(x))                  -> x
//   reciprocal(sqrt(x)), sqrt(reciprocal(x))  -> rsqrt(x)
//   identity(x), where(c, x, x)               -> x
//   cast to the type that x has               -> x
//   transpose(transpose(x))                   -> one transpose, or none
//   squeeze(unsqueeze(x)) over the same axes  -> x
//   an element-wise operation on constants    -> a constant
//
// -0 + 0 is +0 by the plain formula, and stays -0.

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"

namespace burin::dataflow {
namespace {

constexpr std::int64_t kMaxFoldedElements = 65536;

bool same_type_and_shape(const Graph& graph, ValueId a, ValueId b) {
  return graph.value(a).precision == graph.value(b).precision &&
         graph.value(a).shape == graph.value(b).shape;
}

/// The node's result, computed now. kNone if not all inputs are constants, or they are large.
ValueId fold_constants(Graph& graph, const Node& node) {
  if (!is_elementwise(node.op) || graph.value(node.outputs[0]).elements) return kNone;
  const auto folds = [&](ValueId input) {
    return input == kNone ||
           (graph.is_constant(input) && graph.value(input).constant->size() <= kMaxFoldedElements);
  };
  if (!std::all_of(node.inputs.begin(), node.inputs.end(), folds)) return kNone;
  Graph alone;
  std::vector<ValueId> inputs;
  for (const ValueId input : node.inputs)
    inputs.push_back(input == kNone ? kNone : alone.add_constant("", *graph.value(input).constant));
  alone.outputs = {alone.add_op(node.op, "", inputs, node.attributes)};
  return graph.add_constant("", interpret(alone, {}).front());
}

/// a and b combined, if the result is a normal number.
std::optional<double> combine(OpKind op, double a, double b) {
  const double result = op == OpKind::Mul ? a * b : a + b;
  const double size = std::abs(result);
  const bool normal = result == 0 ? op == OpKind::Add || a == 0 || b == 0
                                  : size >= std::numeric_limits<float>::min() &&
                                        size <= std::numeric_limits<float>::max();
  return normal ? std::optional<double>(result) : std::nullopt;
}

/// (x op a) op b -> x op (a op b).
ValueId fold_chain(Graph& graph, const Node& node, const WithScalar& outer) {
  const Node* inner_node = made_by(graph, outer.value, node.op);
  if (inner_node == nullptr || !used_once(graph, outer.value)) return kNone;
  const auto inner = with_scalar(graph, *inner_node);
  if (!inner) return kNone;
  const auto number = combine(node.op, inner->number, outer.number);
  if (!number) return kNone;
  return binary(graph, node.op, inner->value,
                add_scalar(graph, *number, graph.value(inner->value).precision));
}

ValueId fold_binary(Graph& graph, const Node& node) {
  const ValueId result = node.outputs[0];
  if (!is_float(graph.value(result).precision)) return kNone;
  if (node.op == OpKind::Mul && node.inputs[0] == node.inputs[1])
    return unary(graph, OpKind::Square, node.inputs[0]);
  const auto operand = with_scalar(graph, node);
  if (!operand || graph.is_constant(operand->value)) return kNone;
  const auto [x, number] = *operand;
  const bool scalar_is_right = node.inputs[0] == x;
  switch (node.op) {
    case OpKind::Mul:
      if (number == 1) return x;
      if (number == -1) return unary(graph, OpKind::Neg, x);
      return fold_chain(graph, node, *operand);
    case OpKind::Add:
      if (number == 0) return x;
      return fold_chain(graph, node, *operand);
    case OpKind::Sub:
      if (number == 0) return scalar_is_right ? x : unary(graph, OpKind::Neg, x);
      return kNone;
    case OpKind::Div:
    case OpKind::Pow: return scalar_is_right && number == 1 ? x : kNone;
    default: return kNone;
  }
}

/// op(inner(x)) -> x, or another operation on x.
ValueId fold_unary(Graph& graph, const Node& node) {
  const auto argument_of = [&](OpKind inner) {
    const Node* found = made_by(graph, node.inputs[0], inner);
    return found != nullptr ? found->inputs[0] : kNone;
  };
  switch (node.op) {
    case OpKind::Identity: return node.inputs[0];
    case OpKind::Cast:
      return same_type_and_shape(graph, node.inputs[0], node.outputs[0]) ? node.inputs[0] : kNone;
    case OpKind::Neg: return argument_of(OpKind::Neg);
    case OpKind::Not: return argument_of(OpKind::Not);
    case OpKind::Reciprocal:
    case OpKind::Sqrt: {
      const ValueId x = argument_of(node.op == OpKind::Sqrt ? OpKind::Reciprocal : OpKind::Sqrt);
      return x != kNone ? unary(graph, OpKind::Rsqrt, x) : kNone;
    }
    default: return kNone;
  }
}

ValueId fold_movement(Graph& graph, const Node& node) {
  if (node.op == OpKind::Transpose) {
    const auto perm = node.ints_attribute("perm");
    if (is_identity(perm)) return node.inputs[0];
    const Node* inner = made_by(graph, node.inputs[0], OpKind::Transpose);
    if (inner == nullptr) return kNone;
    const auto source = inner->inputs[0];
    return transpose(graph, source, compose(inner->ints_attribute("perm"), perm));
  }
  if (node.op == OpKind::Squeeze || node.op == OpKind::Unsqueeze) {
    const OpKind inverse = node.op == OpKind::Squeeze ? OpKind::Unsqueeze : OpKind::Squeeze;
    const Node* inner = made_by(graph, node.inputs[0], inverse);
    if (inner != nullptr && inner->ints_attribute("axes") == node.ints_attribute("axes"))
      return inner->inputs[0];
  }
  return kNone;
}

/// What the node's result can be replaced by; kNone if no rule fits.
ValueId folded(Graph& graph, const Node& node) {
  if (node.outputs.size() != 1) return kNone;
  if (const ValueId constant = fold_constants(graph, node); constant != kNone) return constant;
  switch (info(node.op).category) {
    case OpCategory::unary: return fold_unary(graph, node);
    case OpCategory::binary: return fold_binary(graph, node);
    case OpCategory::ternary:
      return node.op == OpKind::Where && node.inputs[1] == node.inputs[2] ? node.inputs[1] : kNone;
    case OpCategory::movement: return fold_movement(graph, node);
    default: return kNone;
  }
}

}  // namespace

bool algebraic_folding(Graph& graph) {
  bool changed = false;
  for (bool again = true; again;) {
    again = false;
    for (const NodeId id : graph.order()) {
      if (graph.node(id).erased) continue;
      const Node node = graph.node(id);
      const ValueId instead = folded(graph, node);
      if (instead == kNone || !same_type_and_shape(graph, instead, node.outputs[0])) continue;
      replace(graph, node.outputs[0], instead);
      graph.erase_dead_nodes();
      again = changed = true;
    }
  }
  return changed;
}

}  // namespace burin::dataflow
