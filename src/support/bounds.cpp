#include "support/bounds.h"

#include <algorithm>

#include "support/integer_function.h"

namespace burin {

namespace {

constexpr std::int64_t kMinusInfinity = Bounds::kMinusInfinity;
constexpr std::int64_t kPlusInfinity = Bounds::kPlusInfinity;

/// The product of two interval ends, infinite where it does not fit. 0 times infinity is 0: the end
/// of an interval is a limit, and no finite factor leaves 0.
std::int64_t saturating_mul(std::int64_t a, std::int64_t b) {
  if (a == 0 || b == 0) return 0;
  std::int64_t result;
  const bool negative = (a < 0) != (b < 0);
  const bool infinite =
      a == kMinusInfinity || a == kPlusInfinity || b == kMinusInfinity || b == kPlusInfinity;
  if (infinite || __builtin_mul_overflow(a, b, &result))
    return negative ? kMinusInfinity : kPlusInfinity;
  return result;
}

/// The sum of two lower ends (`infinity` is minus infinity) or of two upper ends.
std::int64_t saturating_add(std::int64_t a, std::int64_t b, std::int64_t infinity) {
  std::int64_t result;
  if (a == infinity || b == infinity) return infinity;
  if (__builtin_add_overflow(a, b, &result)) return a < 0 ? kMinusInfinity : kPlusInfinity;
  return result;
}

std::int64_t saturating_negate(std::int64_t a) {
  if (a == kMinusInfinity) return kPlusInfinity;
  return a == kPlusInfinity ? kMinusInfinity : -a;
}

/// a / b for a positive b, rounded down, where both may be infinite.
std::int64_t saturating_floor_div(std::int64_t a, std::int64_t b) {
  if (a == kMinusInfinity || a == kPlusInfinity) return a;
  if (b == kPlusInfinity) return a < 0 ? -1 : 0;
  return integer::floor_div(a, b);
}

Bounds power(Bounds base, int exponent) {
  Bounds result = base;
  for (int i = 1; i < exponent; ++i) result = result * base;
  if (exponent % 2 == 0) result.low = std::max<std::int64_t>(result.low, 0);
  return result;
}

Bounds bounds_of_function(const Expr::Node::Atom& atom, const AtomBounds& known) {
  const Bounds a = bounds_of(atom.arguments[0], known);
  const Bounds b = bounds_of(atom.arguments[1], known);
  switch (atom.function) {
    case Expr::Function::floor_div: return floor_div(a, b);
    case Expr::Function::mod: return mod(a, b);
    case Expr::Function::min: return {std::min(a.low, b.low), std::min(a.high, b.high)};
    case Expr::Function::max: return {std::max(a.low, b.low), std::max(a.high, b.high)};
    case Expr::Function::less:
    case Expr::Function::less_equal:
    case Expr::Function::equal: return {0, 1};
    case Expr::Function::select: return hull(b, bounds_of(atom.arguments[2], known));
    case Expr::Function::broadcast: return hull(a, b);
  }
  return {};
}

Bounds bounds_of(const Expr::Node::Atom& atom, const AtomBounds& known) {
  const Bounds own = atom.is_symbol() ? Bounds{} : bounds_of_function(atom, known);
  return known ? intersection(own, known(atom)) : own;
}

}  // namespace

Bounds operator+(Bounds a, Bounds b) {
  return {saturating_add(a.low, b.low, kMinusInfinity),
          saturating_add(a.high, b.high, kPlusInfinity)};
}

Bounds operator*(Bounds a, Bounds b) {
  const auto corners = {saturating_mul(a.low, b.low), saturating_mul(a.low, b.high),
                        saturating_mul(a.high, b.low), saturating_mul(a.high, b.high)};
  return {std::min(corners), std::max(corners)};
}

Bounds operator-(Bounds a) { return {saturating_negate(a.high), saturating_negate(a.low)}; }

Bounds intersection(Bounds a, Bounds b) {
  return {std::max(a.low, b.low), std::min(a.high, b.high)};
}

Bounds hull(Bounds a, Bounds b) { return {std::min(a.low, b.low), std::max(a.high, b.high)}; }

Bounds floor_div(Bounds a, Bounds b) {
  if (b.high < 0) return floor_div(-a, -b);
  if (b.low <= 0) return {};
  // A larger divisor brings the quotient nearer to zero.
  return {saturating_floor_div(a.low, a.low < 0 ? b.low : b.high),
          saturating_floor_div(a.high, a.high < 0 ? b.high : b.low)};
}

Bounds mod(Bounds a, Bounds b) {
  if (b.high < 0) return -mod(-a, -b);
  if (b.low <= 0) return {};
  const std::int64_t high = b.high == kPlusInfinity ? kPlusInfinity : b.high - 1;
  return {0, a.low >= 0 ? std::min(a.high, high) : high};
}

Bounds bounds_of(const Expr& e, const AtomBounds& known) {
  Bounds sum{0, 0};
  for (const Expr::Node::Term& term : e.node().terms) {
    Bounds product{term.coefficient, term.coefficient};
    for (const Expr::Node::Factor& factor : term.factors)
      product = product * power(bounds_of(factor.atom, known), factor.power);
    sum = sum + product;
  }
  return sum;
}

}  // namespace burin
