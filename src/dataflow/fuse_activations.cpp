// Activations that exporters spell out become one operation, for which the code generator has a
// formula.
//
//   %1 = div %x, 1.41421354
//   %2 = erf %1
//   %3 = add %2, 1
//   %4 = mul %x, %3
//   %5 = mul %4, 0.5
// ->
//   %5 = gelu %x
//
// However it is spelled (0.5 first or last, x^3 by Pow or by Mul, x factored out or not): the
// argument of the inner function t is a polynomial in x, and the result is a polynomial in x and t.
// Both are compared.

#include <array>
#include <cmath>
#include <map>
#include <numbers>
#include <set>
#include <utility>

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"

namespace burin::dataflow {
namespace {

constexpr int kMaxDepth = 8;
constexpr int kMaxDegree = 4;
constexpr double kTolerance =
    2e-6;  // relative; constants were rounded to f32, maybe after a product

/// Coefficients by the powers of x and of t.
using Polynomial = std::map<std::pair<int, int>, double>;

Polynomial add(const Polynomial& a, const Polynomial& b, double factor) {
  Polynomial sum = a;
  for (const auto& [power, coefficient] : b) sum[power] += factor * coefficient;
  return sum;
}

std::optional<Polynomial> multiply(const Polynomial& a, const Polynomial& b) {
  Polynomial product;
  for (const auto& [p, c] : a) {
    for (const auto& [q, d] : b) {
      const std::pair<int, int> power{p.first + q.first, p.second + q.second};
      if (power.first > kMaxDegree || power.second > 1) return std::nullopt;
      product[power] += c * d;
    }
  }
  return product;
}

bool nearly_equal(const Polynomial& a, const Polynomial& b) {
  const Polynomial difference = add(a, b, -1);
  double largest = 0;
  for (const auto& [power, coefficient] : b) largest = std::max(largest, std::abs(coefficient));
  for (const auto& [power, coefficient] : difference) {
    const auto expected = b.find(power);
    const double scale =
        expected != b.end() && expected->second != 0 ? std::abs(expected->second) : largest;
    if (!(std::abs(coefficient) <= kTolerance * scale)) return false;
  }
  return true;
}

/// Writes a value as a polynomial in two other values.
class Reader {
 public:
  Reader(const Graph& graph, ValueId x, ValueId t) : graph_(graph), x_(x), t_(t) {}

  std::optional<Polynomial> read(ValueId value, int depth = 0) const {
    if (value == x_) return Polynomial{{{1, 0}, 1.0}};
    if (value == t_) return Polynomial{{{0, 1}, 1.0}};
    if (const auto number = scalar(graph_, value)) return Polynomial{{{0, 0}, *number}};
    const NodeId producer = graph_.value(value).producer;
    if (producer == kNone || depth == kMaxDepth) return std::nullopt;
    return read_node(graph_.node(producer), depth + 1);
  }

 private:
  std::optional<Polynomial> read_node(const Node& node, int depth) const {
    switch (node.op) {
      case OpKind::Add:
      case OpKind::Sub:
      case OpKind::Mul: {
        const auto a = read(node.inputs[0], depth);
        const auto b = a ? read(node.inputs[1], depth) : std::nullopt;
        if (!b) return std::nullopt;
        return node.op == OpKind::Mul ? multiply(*a, *b)
                                      : add(*a, *b, node.op == OpKind::Add ? 1 : -1);
      }
      case OpKind::Div: {
        const auto a = read(node.inputs[0], depth);
        const auto divisor = scalar(graph_, node.inputs[1]);
        if (!a || !divisor) return std::nullopt;
        return multiply(*a, {{{0, 0}, 1 / *divisor}});
      }
      case OpKind::Neg:
      case OpKind::Square: {
        const auto a = read(node.inputs[0], depth);
        if (!a) return std::nullopt;
        return node.op == OpKind::Neg ? add({}, *a, -1) : multiply(*a, *a);
      }
      case OpKind::Pow: {
        const auto exponent = scalar(graph_, node.inputs[1]);
        const auto a = read(node.inputs[0], depth);
        if (!a || (exponent != 2 && exponent != 3)) return std::nullopt;
        auto power = multiply(*a, *a);
        return power && exponent == 3 ? multiply(*power, *a) : power;
      }
      default: return std::nullopt;
    }
  }

  const Graph& graph_;
  ValueId x_, t_;
};

struct Activation {
  OpKind inner;         ///< t = inner(argument)
  Polynomial argument;  ///< in x
  Polynomial result;    ///< in x and t
  OpKind op;
  Attributes attributes;
};

std::vector<Activation> activations() {
  const double half_sqrt2 = std::numbers::sqrt2 / 2;
  const double tanh_scale = std::sqrt(2 / std::numbers::pi);
  const Polynomial gelu = {{{1, 0}, 0.5}, {{1, 1}, 0.5}};
  return {
      {OpKind::Erf,
       {{{1, 0}, half_sqrt2}},
       gelu,
       OpKind::Gelu,
       {{"approximate", std::string("none")}}},
      {OpKind::Tanh,
       {{{1, 0}, tanh_scale}, {{3, 0}, tanh_scale * 0.044715}},
       gelu,
       OpKind::Gelu,
       {{"approximate", std::string("tanh")}}},
      {OpKind::Sigmoid, {{{1, 0}, 1.0}}, {{{1, 1}, 1.0}}, OpKind::Silu, {}},
      {OpKind::HardSigmoid, {{{1, 0}, 1.0}}, {{{1, 1}, 1.0}}, OpKind::HardSwish, {}},
      {OpKind::Clip, {{{1, 0}, 1.0}, {{0, 0}, 3.0}}, {{{1, 1}, 1.0 / 6}}, OpKind::HardSwish, {}},
  };
}

/// What the polynomials do not say of the inner function.
bool has_parameters(const Graph& graph, const Node& inner) {
  if (inner.op == OpKind::HardSigmoid)
    return std::abs(inner.float_attribute("alpha", 0.2) - 1.0 / 6) < 1e-6 &&
           inner.float_attribute("beta", 0.5) == 0.5;
  if (inner.op == OpKind::Clip)
    return inner.inputs.size() == 3 && scalar(graph, inner.inputs[1]) == 0.0 &&
           scalar(graph, inner.inputs[2]) == 6.0;
  return true;
}

/// Every value that the argument may be a polynomial in.
void collect_candidates(const Graph& graph, ValueId value, int depth,
                        std::set<ValueId>& candidates) {
  if (value == kNone || graph.is_constant(value) || depth == kMaxDepth ||
      !candidates.insert(value).second)
    return;
  const NodeId producer = graph.value(value).producer;
  if (producer == kNone || !is_elementwise(graph.node(producer).op)) return;
  for (const ValueId input : graph.node(producer).inputs)
    collect_candidates(graph, input, depth + 1, candidates);
}

/// The value that spells the activation of x with inner function value t; kNone if there is none.
ValueId find_result(const Graph& graph, ValueId x, ValueId t, const Polynomial& expected) {
  const Reader reader(graph, x, t);
  ValueId value = t;
  for (int depth = 0; depth < kMaxDepth; ++depth) {
    const NodeId user = only_user(graph, value);
    if (user == kNone || !is_elementwise(graph.node(user).op)) return kNone;
    value = graph.node(user).outputs[0];
    const auto polynomial = reader.read(value);
    if (!polynomial) return kNone;
    if (nearly_equal(*polynomial, expected)) return value;
  }
  return kNone;
}

bool fuse_one(Graph& graph, NodeId id, const std::vector<Activation>& table) {
  for (const Activation& activation : table) {
    const Node& inner = graph.node(id);
    if (inner.op != activation.inner || !has_parameters(graph, inner)) continue;
    std::set<ValueId> candidates;
    collect_candidates(graph, inner.inputs[0], 0, candidates);
    for (const ValueId x : candidates) {
      const auto argument = Reader(graph, x, kNone).read(inner.inputs[0]);
      if (!argument || !nearly_equal(*argument, activation.argument)) continue;
      const ValueId result = find_result(graph, x, inner.outputs[0], activation.result);
      if (result == kNone || graph.value(result).shape != graph.value(x).shape) continue;
      replace(graph, result, graph.add_op(activation.op, "", {x}, activation.attributes));
      graph.erase_dead_nodes();
      return true;
    }
  }
  return false;
}

}  // namespace

bool fuse_activations(Graph& graph) {
  static const std::vector<Activation> table = activations();
  bool changed = false;
  for (const NodeId id : graph.order())
    if (!graph.node(id).erased && fuse_one(graph, id, table)) changed = true;
  return changed;
}

}  // namespace burin::dataflow
