// The divide of a softmax moves behind the product with V, where there are D elements a row and not
// S.
//
//   %4 = div %e, %s                              : f32[B,H,S,S]      %s: f32[B,H,S,1], a reduce_sum
//   %5 = brgemm %4, %v                           : f32[B,H,S,D]
// ->
//   %5 = brgemm %e, %v                           : f32[B,H,S,D]
//   %6 = div %5, %s                              : f32[B,H,S,D]
//
// Legal if all between the two is linear in the probability, key by key: Mul, Where with 0 on one
// side, a cast.
//
// Without any key at all (a dimension of 0) the product is 0, not 0 / 0: the sum gets 1 more then.
//
// A row without any valid key has p = NaN in all keys. What a Where keeps of it is NaN, what it
// selects nothing of is 0. Behind the product that is what the product is already, 0 or NaN, so
// where there is a Where such a row is not divided:
//
//   %0 = where %c, 0, %4
//   %5 = brgemm %0, %v
// ->
//   %0 = where %c, 0, %e
//   %5 = brgemm %0, %v
//   %6 = div %5, %s
//   %7 = greater %s, 0
//   %8 = where %7, %6, %5
//
// The guard of exporters, where(is_nan(p), 0, p), becomes a rule for the row:
//
//   %4 = div %e, %s
//   %5 = is_nan %4
//   %6 = where %5, 0, %4
//   %7 = brgemm %6, %v
// ->
//   %5 = brgemm %e, %v
//   %6 = div %5, %s
//   %7 = greater %s, 0
//   %8 = where %7, %6, 0
//
// Both are legal if e = exp(x - max x) and s is its sum: e is in [0, 1] or NaN, and one NaN makes s
// NaN. So p is NaN in all keys of a row (s is NaN, or 0/0), or in none. Only where V holds a NaN or
// an infinity does a row without any valid key differ: 0 afterwards, NaN (0 * inf) before.

#include <algorithm>
#include <vector>

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"
#include "graph/shape_math.h"

namespace burin::dataflow {
namespace {

/// The way from the divide to the operand of the Brgemm.
struct Path {
  ValueId dividend = kNone, divisor = kNone;
  bool guarded = false;  ///< the divide's result went through where(is_nan(p), 0, p)
  bool selects = false;  ///< it went through another Where
  struct Step {
    NodeId node;
    std::size_t input;  ///< that the path comes in by
  };
  std::vector<Step> steps;  ///< from the operand up to the divide
};

/// The sum over the keys that a softmax divides by, of e = exp(...).
bool is_sum_of_exp(const Graph& graph, ValueId sum, ValueId e) {
  const Node* reduce = made_by(graph, sum, OpKind::ReduceSum);
  if (reduce == nullptr || reduce->inputs[0] != e) return false;
  const Node* exp = made_by(graph, e, OpKind::Exp);
  if (exp == nullptr) exp = made_by(graph, e, OpKind::Exp2);
  const Node* shifted = exp != nullptr ? made_by(graph, exp->inputs[0], OpKind::Sub) : nullptr;
  const Node* max =
      shifted != nullptr ? made_by(graph, shifted->inputs[1], OpKind::ReduceMax) : nullptr;
  return max != nullptr && max->inputs[0] == shifted->inputs[0] && reduces_last(graph, *max);
}

/// The divide, if the value is one that can move.
bool ends_at_divide(const Graph& graph, ValueId value, Path& path) {
  const Node* divide = made_by(graph, value, OpKind::Div);
  if (divide == nullptr) return false;
  const Node* sum = made_by(graph, divide->inputs[1], OpKind::ReduceSum);
  if (sum == nullptr || !reduces_last(graph, *sum)) return false;
  if (graph.value(divide->inputs[0]).shape != graph.value(value).shape) return false;
  path.dividend = divide->inputs[0];
  path.divisor = divide->inputs[1];
  return true;
}

/// where(is_nan(p), 0, p) of a divide p.
bool ends_at_guard(const Graph& graph, const Node& where, Path& path) {
  const ValueId p = where.inputs[2];
  const Node* is_nan = made_by(graph, where.inputs[0], OpKind::IsNaN);
  if (is_nan == nullptr || is_nan->inputs[0] != p || scalar(graph, where.inputs[1]) != 0.0)
    return false;
  if (graph.is_output(p) || users_of(graph, p).size() != 2 || !used_once(graph, where.inputs[0]))
    return false;
  if (!ends_at_divide(graph, p, path) || !is_sum_of_exp(graph, path.divisor, path.dividend))
    return false;
  path.guarded = true;
  return true;
}

/// The inputs of the node in which it is linear, whatever its other inputs are.
std::vector<std::size_t> linear_inputs(const Graph& graph, const Node& node) {
  switch (node.op) {
    case OpKind::Mul: return {0, 1};
    case OpKind::Cast:
      return is_float(graph.value(node.inputs[0]).precision) ? std::vector<std::size_t>{0}
                                                             : std::vector<std::size_t>{};
    case OpKind::Where:
      if (scalar(graph, node.inputs[1]) == 0.0) return {2};
      if (scalar(graph, node.inputs[2]) == 0.0) return {1};
      return {};
    default: return {};
  }
}

bool find_path(const Graph& graph, ValueId value, Path& path) {
  if (!used_once(graph, value)) return false;
  if (ends_at_divide(graph, value, path)) return true;
  const NodeId id = graph.value(value).producer;
  if (id == kNone) return false;
  const Node& node = graph.node(id);
  if (node.op == OpKind::Where && ends_at_guard(graph, node, path)) return true;
  for (const std::size_t input : linear_inputs(graph, node)) {
    if (graph.value(node.inputs[input]).shape != graph.value(value).shape) continue;
    path.steps.push_back({id, input});
    if (find_path(graph, node.inputs[input], path)) {
      path.selects |= node.op == OpKind::Where;
      return true;
    }
    path.steps.pop_back();
  }
  return false;
}

/// Some call may have queries, and no keys.
bool may_be_without_keys(const Graph& graph, const Path& path) {
  const Shape& scores = graph.value(path.dividend).shape;
  const Expr& keys = scores.back();
  const ShapeMath math(graph.facts);
  return !math.at_least(keys, 1) &&
         std::none_of(scores.begin(), scores.end() - 1, [&](const Expr& dimension) {
           return math.at_most(dimension, keys);  // such as the queries
         });
}

/// The sum, and 1 more where there are no keys.
ValueId divisor_with_keys(Graph& graph, const Path& path) {
  if (!may_be_without_keys(graph, path)) return path.divisor;
  Value no_keys;
  no_keys.precision = Precision::i64;
  no_keys.elements = {equal(graph.value(path.dividend).shape.back(), 0)};
  const ValueId one = graph.add_op(OpKind::Cast, "", {graph.add_value(std::move(no_keys))},
                                   {{"to", std::string("f32")}});
  return binary(graph, OpKind::Add, path.divisor, one);
}

}  // namespace

bool move_divide_behind_brgemm(Graph& graph) {
  bool changed = false;
  for (const NodeId id : graph.order()) {
    const Node brgemm = graph.node(id);
    if (brgemm.op != OpKind::Brgemm || !brgemm.attributes.empty()) continue;
    Path path;
    if (!find_path(graph, brgemm.inputs[0], path)) continue;
    if (path.selects && !is_sum_of_exp(graph, path.divisor, path.dividend)) continue;
    if (graph.value(path.dividend).shape.size() < graph.value(brgemm.inputs[1]).shape.size())
      continue;

    ValueId operand = path.dividend;
    if (!path.steps.empty()) {  // its values have no other use: change the inputs in place
      const auto [node, input] = path.steps.back();
      graph.node(node).inputs[input] = operand;
      operand = brgemm.inputs[0];
    }
    const ValueId product = binary(graph, OpKind::Brgemm, operand, brgemm.inputs[1]);
    const bool is_chosen = path.guarded || path.selects;
    ValueId result = binary(graph, OpKind::Div, product,
                            is_chosen ? path.divisor : divisor_with_keys(graph, path));
    if (is_chosen) {
      const ValueId zero = add_scalar(graph, 0);
      const ValueId has_keys = binary(graph, OpKind::Greater, path.divisor, zero);
      result = graph.add_op(OpKind::Where, "", {has_keys, result, path.guarded ? zero : product});
    }
    replace(graph, brgemm.outputs[0], result);
    graph.erase_dead_nodes();
    changed = true;
  }
  return changed;
}

}  // namespace burin::dataflow
