#include "linear/integer_range.h"

#include <fmt/format.h>

#include <algorithm>

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

}  // namespace

/// An operand that is not known yet is 0 in the result, and goes to `open`.
Expr IntegerBounds::bound_anew(ValueId id, std::vector<ValueId>& open) const {
  const Value& value = body_.value(id);
  if (value.precision == Precision::boolean) return 1;
  if (value.constant) return bound_of_constant(*value.constant);
  if (value.elements && !value.elements->empty()) return bound_of_elements(*value.elements, body_.facts);
  if (value.producer == burin::kNone)
    throw Error(fmt::format("input '{}': no kernel reads {}", value.name, to_string(value.precision)));
  const Node& node = body_.node(value.producer);
  if (size_of(value.precision) < sizeof(float))  // narrow integers wrap
    throw Error(fmt::format("node '{}': no kernel that computes {}", node.name, to_string(value.precision)));
  const auto operand = [&](std::size_t i) -> Expr {
    if (const auto found = known_.find(node.inputs[i]); found != known_.end()) return found->second;
    open.push_back(node.inputs[i]);
    return 0;
  };
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
      if (!is_float(body_.value(node.inputs[0]).precision)) return operand(0);
      break;
    default: break;
  }
  throw Error(
      fmt::format("node '{}': no kernel for {} of {}", node.name, info(node.op).name, to_string(value.precision)));
}

/// With a list of what is open, as chains may be longer than a stack.
const Expr& IntegerBounds::of(ValueId value) {
  std::vector<ValueId> open = {value};
  while (!open.empty()) {
    const ValueId next = open.back();
    const std::size_t before = open.size();
    if (!known_.contains(next)) {
      Expr bound = bound_anew(next, open);
      if (open.size() > before) continue;
      known_.emplace(next, std::move(bound));
    }
    open.pop_back();
  }
  return known_.at(value);
}

}  // namespace burin::linear
