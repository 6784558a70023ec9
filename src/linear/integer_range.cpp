#include "linear/integer_range.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "burin/error.h"

namespace burin::linear {
namespace {

/// (How much too large a number is does not matter.)
std::int64_t magnitude(std::int64_t x) { return std::abs(std::clamp(x, -2 * kExactIntegers, 2 * kExactIntegers)); }
Expr magnitude(const Expr& e, const Facts& facts) {
  if (const auto number = e.as_constant()) return magnitude(*number);
  return facts.proves_at_least(e, 0) ? e : max(e, 0 - e);
}

Expr bound_of_elements(const std::vector<Expr>& elements, const Facts& facts) {
  Expr bound = magnitude(elements.front(), facts);
  for (const Expr& e : elements) bound = max(bound, magnitude(e, facts));
  return bound;
}

Expr bound_of_constant(const Tensor& tensor) {
  std::int64_t bound = 0;
  for (std::int64_t i = 0; i < tensor.size(); ++i)
    bound = std::max(bound, magnitude(tensor.int_at(i)));
  return bound;
}

/// Of each value once, however often it is read.
using Known = std::map<ValueId, Expr>;

Expr bound_of(const Graph& body, ValueId id, Known& known);

Expr bound_anew(const Graph& body, ValueId id, Known& known) {
  const Value& value = body.value(id);
  if (value.precision == Precision::boolean) return 1;
  if (value.constant) return bound_of_constant(*value.constant);
  if (value.elements && !value.elements->empty()) return bound_of_elements(*value.elements, body.facts);
  if (value.producer == burin::kNone)
    throw Error(fmt::format("input '{}': no kernel reads {}", value.name, to_string(value.precision)));
  const Node& node = body.node(value.producer);
  if (size_of(value.precision) < sizeof(float))  // narrow integers wrap
    throw Error(fmt::format("node '{}': no kernel that computes {}", node.name, to_string(value.precision)));
  const auto operand = [&](std::size_t i) { return bound_of(body, node.inputs[i], known); };
  switch (node.op) {
    case OpKind::Range: return operand(0) + operand(2) * value.shape[0];
    case OpKind::Add:
    case OpKind::Sub: return operand(0) + operand(1);
    case OpKind::Mul: return operand(0) * operand(1);
    case OpKind::Min:
    case OpKind::Max: return max(operand(0), operand(1));
    case OpKind::Where: return max(operand(1), operand(2));
    case OpKind::Neg:
    case OpKind::Abs:
    case OpKind::Identity:
    case OpKind::Transpose:
    case OpKind::Unsqueeze:
    case OpKind::Squeeze:
    case OpKind::Expand:
    case OpKind::Repeat: return operand(0);
    case OpKind::Cast:
      if (!is_float(body.value(node.inputs[0]).precision)) return operand(0);
      break;
    default: break;
  }
  throw Error(
      fmt::format("node '{}': no kernel for {} of {}", node.name, info(node.op).name, to_string(value.precision)));
}

Expr bound_of(const Graph& body, ValueId id, Known& known) {
  if (const auto found = known.find(id); found != known.end()) return found->second;
  return known[id] = bound_anew(body, id, known);
}

}  // namespace

Expr integer_bound(const Graph& body, ValueId value) {
  Known known;
  return bound_of(body, value, known);
}

}  // namespace burin::linear
