#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "support/arithmetic_error.h"
#include "burin/expr.h"
#include "support/bounds.h"

namespace burin {

/// How a fold learns what interval an expression lies in; empty: from the expression's form alone.
using BoundsOracle = std::function<Bounds(const Expr&)>;

/// Applies a function, simplified by the rules of Expr::apply and by what `oracle` knows.
///
/// The result is a fixpoint: folding it again, from its parts up, gives the same expression. That
/// is what makes parse(to_string(e)) == e hold.
Expr fold(Expr::Function function, const std::vector<Expr>& arguments,
          const BoundsOracle& oracle = {});

/// a == quotient * b + remainder, with what is visibly a multiple of `b` in the quotient.
///
/// 5*S*T + S + 3 by 2*S -> 2*T and S*T + S + 3; 5*S - 3 by 2 -> 2*S - 2 and S + 1. A sum as the
/// divisor must divide exactly or leave a constant: (S + P)*768 + 1 by S + P -> 768 and 1.
struct Division {
  Expr quotient;
  Expr remainder;
};
Division divide(const Expr& a, const Expr& b);

/// a / b, if that is a polynomial with integer coefficients.
std::optional<Expr> exact_quotient(const Expr& a, const Expr& b);

/// The result of arithmetic on expressions, or nothing if a coefficient overflows or the result is
/// too large: then a rule does not apply.
template <typename Compute>
std::optional<Expr> unless_too_large(const Compute& compute) {
  try {
    return compute();
  } catch (const ArithmeticError&) {
    return std::nullopt;
  }
}

/// a - b, unless a coefficient overflows.
std::optional<Expr> difference(const Expr& a, const Expr& b);

}  // namespace burin
