// Arithmetic on dimensions: integer expressions of which more is known than their form says,
// because a dimension is never negative and because of the facts of a graph.

#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "burin/expr.h"
#include "burin/type.h"

namespace burin {

/// What the names of symbols for dimensions and for integers that depend on data start with. All
/// symbols are dimensions, so at least 0, but for unknown integers, which may be negative.
inline constexpr std::string_view kUnknownDimension = "?n";
inline constexpr std::string_view kUnknownInteger = "?v";

/// Proofs and simplifications. None of them assumes anything; what they do not find may still hold.
class ShapeMath {
 public:
  explicit ShapeMath(const Facts& facts) : facts_(facts) {}

  bool at_least(const Expr& e, std::int64_t bound) const;
  /// a <= b
  bool at_most(const Expr& a, const Expr& b) const { return at_least(b - a, 0); }
  bool equal(const Expr& a, const Expr& b) const;
  /// They differ for every value of the symbols.
  bool different(const Expr& a, const Expr& b) const;

  /// min, max and comparisons, resolved where that can be proved.
  Expr min(const Expr& a, const Expr& b) const;
  Expr max(const Expr& a, const Expr& b) const;
  Expr equal_to(const Expr& a, const Expr& b) const;
  Expr less(const Expr& a, const Expr& b) const;
  Expr less_equal(const Expr& a, const Expr& b) const;
  Expr select(const Expr& condition, const Expr& a, const Expr& b) const;

  /// numpy's rule for two dimensions; nothing if they can never be broadcast.
  std::optional<Expr> broadcast(const Expr& a, const Expr& b) const;

 private:
  bool at_least(const Expr& e, std::int64_t bound, int splits) const;

  const Facts& facts_;
};

/// An expression without the clamps that slicing brings in, and what has to be at least 0 for that:
/// min(512, S) is S where 512 - S is. Nothing if there are no clamps, or one to 1 (which
/// broadcasts).
struct Unclamped {
  Expr value;
  std::vector<Expr> non_negative;
};
std::optional<Unclamped> unclamp(const Expr& e);

/// The greatest integer that divides all coefficients of both.
std::int64_t common_factor(const Expr& a, const Expr& b);

/// The product of all dimensions.
Expr product(const Shape& shape);

/// Elements from one index of each dimension to the next, in a dense tensor.
Dims row_major_strides(const Dims& dims);

}  // namespace burin
