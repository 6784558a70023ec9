#pragma once

#include <cstdint>
#include <functional>
#include <limits>

#include "burin/expr.h"
#include "support/expr_node.h"

namespace burin {

/// A closed interval of integers. The lowest 64-bit value as the lower end stands for minus
/// infinity, the highest as the upper end for plus infinity. Ends that do not fit are widened. A
/// lower end is never plus infinity nor an upper one minus infinity, so that negation needs no case
/// distinction.
struct Bounds {
  static constexpr std::int64_t kMinusInfinity = std::numeric_limits<std::int64_t>::min();
  static constexpr std::int64_t kPlusInfinity = std::numeric_limits<std::int64_t>::max();

  std::int64_t low = kMinusInfinity;
  std::int64_t high = kPlusInfinity;

  Bounds() = default;
  Bounds(std::int64_t lower, std::int64_t upper)
      : low(lower < kPlusInfinity ? lower : kPlusInfinity - 1),
        high(upper > kMinusInfinity ? upper : kMinusInfinity + 1) {}

  /// Whether there is one value only.
  bool is_point() const { return low == high; }
};

Bounds operator+(Bounds a, Bounds b);
Bounds operator*(Bounds a, Bounds b);
Bounds operator-(Bounds a);
Bounds intersection(Bounds a, Bounds b);
/// The smallest interval that holds both.
Bounds hull(Bounds a, Bounds b);
/// floor_div and mod for any a, b out of the intervals.
Bounds floor_div(Bounds a, Bounds b);
Bounds mod(Bounds a, Bounds b);

/// What is known of an atom beyond what its own form says (that 0 <= mod(x, 8) <= 7, say).
using AtomBounds = std::function<Bounds(const Expr::Node::Atom&)>;

/// An interval that holds the value of `e`, by interval arithmetic over its atoms. `known` may be
/// empty.
Bounds bounds_of(const Expr& e, const AtomBounds& known = {});

}  // namespace burin
