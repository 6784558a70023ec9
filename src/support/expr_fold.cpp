// The rules by which applications of functions fold. All of them hold for any values of the
// symbols, given that the original has a value at all: a fold may lose an error (floor_div(a*b, b)
// -> a does not notice b == 0), never gain one other than the overflow of a coefficient.

#include "support/expr_fold.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "burin/error.h"
#include "support/expr_node.h"
#include "support/integer_function.h"

namespace burin {

namespace {

using Node = Expr::Node;
using Function = Expr::Function;
using Factors = std::vector<Node::Factor>;

constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();

Bounds bounds_by(const BoundsOracle& oracle, const Expr& e) {
  return oracle ? oracle(e) : bounds_of(e);
}

/// The bounds of a - b, which often are tighter than those of a minus those of b.
Bounds difference_bounds(const BoundsOracle& oracle, const Expr& a, const Expr& b) {
  const std::optional<Expr> d = difference(a, b);
  return d ? bounds_by(oracle, *d) : Bounds{};
}

Expr of_terms(std::vector<Node::Term> terms) { return Node::make(std::move(terms)); }

// ---- division of polynomials
// ----------------------------------------------------------------------

/// Splits a coefficient into a multiple of `b` and a rest: towards zero for terms, so that
/// floor_div(-S, 2) stays what it is, and down for constants, so that the constant that remains in
/// a numerator is in [0, b).
std::pair<std::int64_t, std::int64_t> divide_coefficient(const Node::Term& a, std::int64_t b) {
  if (a.factors.empty())
    return {integer::floor_div(a.coefficient, b), integer::mod(a.coefficient, b)};
  return {a.coefficient / b, a.coefficient % b};
}

Division divide_by_term(const Expr& a, const Node::Term& b) {
  std::vector<Node::Term> quotient;
  std::vector<Node::Term> remainder;
  for (const Node::Term& term : a.node().terms) {
    std::optional<Factors> factors = Node::divide(term.factors, b.factors);
    const bool overflows = term.coefficient == kLowest && b.coefficient == -1;
    if (!factors || overflows) {
      remainder.push_back(term);
      continue;
    }
    const auto [whole, rest] = divide_coefficient(term, b.coefficient);
    if (whole != 0) quotient.push_back({whole, std::move(*factors)});
    if (rest != 0) remainder.push_back({rest, term.factors});
  }
  return {of_terms(std::move(quotient)), of_terms(std::move(remainder))};
}

/// One step of long division: the quotient of the leading terms, if it is exact.
std::optional<Expr> leading_quotient(const Expr& a, const Expr& b) {
  const Node::Term& left = a.node().terms.front();
  const Node::Term& right = b.node().terms.front();
  if (left.coefficient == kLowest || left.coefficient % right.coefficient != 0) return std::nullopt;
  std::optional<Factors> factors = Node::divide(left.factors, right.factors);
  if (!factors) return std::nullopt;
  return of_terms({{left.coefficient / right.coefficient, std::move(*factors)}});
}

/// Long division, which ends because the order of the terms is a monomial order. Nothing if it
/// stops at something else than a constant.
std::optional<Division> divide_by_sum(const Expr& a, const Expr& b) {
  constexpr int kMaxSteps = 256;  // x^10000 - 1 by x - 1 is no sum that a shape gives
  Division result{0, a};
  for (int step = 0; step < kMaxSteps; ++step) {
    if (result.remainder.is_constant()) return result;
    const std::optional<Expr> quotient = leading_quotient(result.remainder, b);
    if (!quotient) return std::nullopt;
    const std::optional<Expr> remainder =
        unless_too_large([&] { return result.remainder - *quotient * b; });
    if (!remainder) return std::nullopt;
    result = {result.quotient + *quotient, *remainder};
  }
  return std::nullopt;
}

// ---- common factors
// -------------------------------------------------------------------------------

std::uint64_t magnitude(std::int64_t value) {
  return value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
}

/// The greatest common divisor of the coefficients, those of a constant term only if asked for. 0
/// for no terms.
std::uint64_t common_divisor(const Expr& e, bool with_constant) {
  std::uint64_t result = 0;
  for (const Node::Term& term : e.node().terms)
    if (with_constant || !term.factors.empty())
      result = std::gcd(result, magnitude(term.coefficient));
  return result;
}

Factors common_factors(const Factors& a, const Factors& b) {
  Factors result;
  for (const Node::Factor& factor : a) {
    const auto same = std::find_if(b.begin(), b.end(), [&](const Node::Factor& other) {
      return Node::compare(factor.atom, other.atom) == 0;
    });
    if (same != b.end()) result.push_back({factor.atom, std::min(factor.power, same->power)});
  }
  return result;
}

/// The largest term that divides both expressions, with a positive coefficient.
Expr common_term(const Expr& a, const Expr& b) {
  const std::uint64_t divisor = std::gcd(common_divisor(a, true), common_divisor(b, true));
  Factors factors = b.node().terms.front().factors;
  for (const Expr* e : {&a, &b})
    for (const Node::Term& term : e->node().terms) factors = common_factors(factors, term.factors);
  const bool fits = divisor <= magnitude(kLowest) - 1;
  return of_terms({{fits ? static_cast<std::int64_t>(divisor) : 1, std::move(factors)}});
}

// ---- floor_div and mod
// ----------------------------------------------------------------------------

/// floor_div and mod share their rules: each writes the pair (quotient, remainder) of a / b by that
/// of a simpler division. A rule returns nothing where it does not apply.
class DivisionRules {
 public:
  DivisionRules(Function function, Expr a, Expr b, const BoundsOracle& oracle)
      : function_(function), a_(std::move(a)), b_(std::move(b)), oracle_(oracle) {}

  Expr fold() const {
    using Rule = std::optional<Expr> (DivisionRules::*)() const;
    constexpr std::array<Rule, 8> kRules = {
        &DivisionRules::zero,         &DivisionRules::positive_divisor,
        &DivisionRules::whole_part,   &DivisionRules::common_factor,
        &DivisionRules::constant_gcd, &DivisionRules::nested_division,
        &DivisionRules::nested_mod,   &DivisionRules::known_quotient,
    };
    for (const Rule rule : kRules)
      if (std::optional<Expr> result = (this->*rule)()) return *result;
    return Node::of_function(function_, {a_, b_});
  }

 private:
  bool is_mod() const { return function_ == Function::mod; }
  Expr again(const Expr& a, const Expr& b) const { return burin::fold(function_, {a, b}, oracle_); }

  std::optional<Expr> zero() const {
    if (b_.as_constant() == 0) {
      throw ArithmeticError(std::string(integer::kSubject) + ": " + std::string(name_of(function_)) + "(" +
                  a_.to_string() + ", 0): division by zero");
    }
    return a_.as_constant() == 0 ? std::optional(a_) : std::nullopt;
  }

  /// floor_div(a, -b) -> floor_div(-a, b), mod(a, -b) -> -mod(-a, b): the leading coefficient of
  /// the divisor is positive.
  std::optional<Expr> positive_divisor() const {
    if (b_.node().terms.front().coefficient > 0) return std::nullopt;
    const std::optional<Expr> a = difference(0, a_);
    const std::optional<Expr> b = difference(0, b_);
    if (!a || !b) return std::nullopt;
    return is_mod() ? 0 - again(*a, *b) : again(*a, *b);
  }

  /// floor_div(q*b + r, b) -> q + floor_div(r, b), mod(q*b + r, b) -> mod(r, b).
  std::optional<Expr> whole_part() const {
    const Division division = divide(a_, b_);
    if (division.quotient.as_constant() == 0) return std::nullopt;
    const Expr rest = again(division.remainder, b_);
    return is_mod() ? rest : division.quotient + rest;
  }

  /// floor_div(a*m, b*m) -> floor_div(a, b), mod(a*m, b*m) -> m*mod(a, b).
  std::optional<Expr> common_factor() const {
    const Expr common = common_term(a_, b_);
    if (common.as_constant() == 1) return std::nullopt;
    const Expr rest = again(*exact_quotient(a_, common), *exact_quotient(b_, common));
    return is_mod() ? common * rest : rest;
  }

  /// floor_div(g*a + c, g*k) -> floor_div(a + c/g, k), mod(g*a + c, g*k) -> g*mod(a + c/g, k) +
  /// c%g: a constant may be rounded down to a multiple of what all others are multiples of.
  std::optional<Expr> constant_gcd() const {
    const auto divisor = b_.as_constant();
    if (!divisor || *divisor < 0) return std::nullopt;
    const auto g = static_cast<std::int64_t>(
        std::gcd(common_divisor(a_, false), static_cast<std::uint64_t>(*divisor)));
    if (g <= 1) return std::nullopt;
    const Division division = divide(a_, g);
    const Expr rest = again(division.quotient, *divisor / g);
    return is_mod() ? g * rest + division.remainder : rest;
  }

  /// floor_div(floor_div(a, j) + c, k) -> floor_div(a + c*j, j*k) for constants, k > 0.
  std::optional<Expr> nested_division() const {
    const auto outer = b_.as_constant();
    if (is_mod() || !outer || *outer < 0) return std::nullopt;
    const std::int64_t constant = Node::constant_part(a_);
    const Expr numerator = a_ - constant;
    const Node::Atom* nested = Node::lone_function(numerator, Function::floor_div);
    if (nested == nullptr) return std::nullopt;
    const auto inner = nested->arguments[1].as_constant();
    if (!inner) return std::nullopt;
    const auto sum =
        unless_too_large([&] { return nested->arguments[0] + Expr(constant) * *inner; });
    const auto product = unless_too_large([&] { return Expr(*inner) * *outer; });
    if (!sum || !product) return std::nullopt;
    return again(*sum, *product);
  }

  /// mod(m*mod(a, j) + r, k) -> mod(m*a + r, k) for constants with k dividing m*j.
  std::optional<Expr> nested_mod() const {
    const auto divisor = b_.as_constant();
    if (!is_mod() || !divisor || *divisor < 0) return std::nullopt;
    for (const Node::Term& term : a_.node().terms) {
      const Expr* inner = droppable_mod(term, *divisor);
      if (inner == nullptr) continue;
      const auto without =
          unless_too_large([&] { return a_ - of_terms({term}) + Expr(term.coefficient) * *inner; });
      if (without) return again(*without, b_);
    }
    return std::nullopt;
  }

  /// The `a` of a term m*mod(a, j) with k dividing m*j.
  static const Expr* droppable_mod(const Node::Term& term, std::int64_t k) {
    if (term.factors.size() != 1 || term.factors[0].power != 1) return nullptr;
    const Node::Atom& atom = term.factors[0].atom;
    if (atom.is_symbol() || atom.function != Function::mod) return nullptr;
    const auto j = atom.arguments[1].as_constant();
    if (!j) return nullptr;
    // k divides m*j if and only if k / gcd(k, j) divides m.
    const auto rest = static_cast<std::int64_t>(
        static_cast<std::uint64_t>(k) / std::gcd(static_cast<std::uint64_t>(k), magnitude(*j)));
    return term.coefficient % rest == 0 ? &atom.arguments[0] : nullptr;
  }

  /// floor_div(a, b) -> q, mod(a, b) -> a - q*b where the bounds allow only one quotient q.
  std::optional<Expr> known_quotient() const {
    const std::optional<std::int64_t> quotient = only_quotient();
    if (!quotient) return std::nullopt;
    if (!is_mod()) return *quotient;
    return unless_too_large([&] { return a_ - b_ * *quotient; });
  }

  std::optional<std::int64_t> only_quotient() const {
    const Bounds a = bounds_by(oracle_, a_);
    const Bounds b = bounds_by(oracle_, b_);
    const Bounds quotient = floor_div(a, b);
    if (quotient.is_point()) return quotient.low;
    if (b.low <= 0) return std::nullopt;
    if (a.low >= 0 && difference_bounds(oracle_, b_, a_).low > 0) return 0;
    const std::optional<Expr> sum = unless_too_large([this] { return a_ + b_; });
    if (a.high < 0 && sum && bounds_by(oracle_, *sum).low >= 0) return -1;
    return std::nullopt;
  }

  Function function_;
  Expr a_, b_;
  const BoundsOracle& oracle_;
};

// ---- min, max, broadcast
// --------------------------------------------------------------------------

/// The operands of nested applications of the same function, in any order.
void collect_leaves(Function function, const Expr& e, std::vector<Expr>& leaves) {
  if (const Node::Atom* atom = Node::lone_function(e, function)) {
    for (const Expr& argument : atom->arguments) collect_leaves(function, argument, leaves);
  } else {
    leaves.push_back(e);
  }
}

std::vector<Expr> leaves_of(Function function, const Expr& e) {
  std::vector<Expr> leaves;
  collect_leaves(function, e, leaves);
  return leaves;
}

/// The canonical nesting of an associative and commutative function that is idempotent.
Expr nest(Function function, std::vector<Expr> leaves) {
  std::sort(leaves.begin(), leaves.end());
  leaves.erase(std::unique(leaves.begin(), leaves.end()), leaves.end());
  Expr result = leaves.back();
  for (std::size_t i = leaves.size() - 1; i-- > 0;) {
    Expr a = leaves[i];
    if (result < a) std::swap(a, result);
    result = Node::of_function(function, {std::move(a), std::move(result)});
  }
  return result;
}

/// Drops operands that another one makes superfluous. Only operands of different sides are
/// compared: those of one side have been when it was folded.
Expr fold_extremum(Function function, const Expr& a, const Expr& b, const BoundsOracle& oracle) {
  const auto is_superfluous = [&](const Expr& e, const Expr& beside) {
    const Expr& small = function == Function::min ? beside : e;
    const Expr& large = function == Function::min ? e : beside;
    return difference_bounds(oracle, large, small).low >= 0;
  };
  const auto is_superfluous_beside = [&](const std::vector<Expr>& others) {
    return [&](const Expr& e) {
      return std::any_of(others.begin(), others.end(),
                         [&](const Expr& other) { return is_superfluous(e, other); });
    };
  };
  std::vector<Expr> left = leaves_of(function, a);
  std::vector<Expr> right = leaves_of(function, b);
  // The right side first, then the left one beside what is left of it: of two equal ones one stays.
  std::erase_if(right, is_superfluous_beside(left));
  std::erase_if(left, is_superfluous_beside(right));
  left.insert(left.end(), right.begin(), right.end());
  return nest(function, std::move(left));
}

Expr fold_broadcast(const Expr& a, const Expr& b) {
  std::vector<Expr> leaves = leaves_of(Function::broadcast, a);
  collect_leaves(Function::broadcast, b, leaves);
  std::int64_t constant = 1;
  for (const Expr& leaf : leaves)
    if (const auto value = leaf.as_constant()) constant = integer::broadcast(constant, *value);
  // Whoever asks for this broadcast has to check that the others are 1 or equal to the constant.
  if (constant != 1) return constant;
  std::erase(leaves, Expr(1));
  return leaves.empty() ? Expr(1) : nest(Function::broadcast, std::move(leaves));
}

// ---- comparisons and select
// -----------------------------------------------------------------------

Expr fold_less(Function function, const Expr& a, const Expr& b, const BoundsOracle& oracle) {
  const Bounds d = difference_bounds(oracle, b, a);
  const std::int64_t least = function == Function::less ? 1 : 0;
  if (d.low >= least) return 1;
  if (d.high < least) return 0;
  return Node::of_function(function, {a, b});
}

Expr fold_equal(const Expr& a, const Expr& b, const BoundsOracle& oracle) {
  // One difference may overflow where the opposite one does not: sort before.
  if (b < a) return fold_equal(b, a, oracle);
  const Bounds d = difference_bounds(oracle, a, b);
  if (d.low == 0 && d.high == 0) return 1;
  if (d.low > 0 || d.high < 0) return 0;
  return Node::of_function(Function::equal, {a, b});
}

/// The value, if all arguments are constants.
std::optional<std::int64_t> fold_constants(Function function, const std::vector<Expr>& arguments) {
  std::array<std::int64_t, 3> values{};
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const auto value = arguments[i].as_constant();
    if (!value) return std::nullopt;
    values[i] = *value;
  }
  return integer::apply(function, values.data());
}

Expr fold_select(const Expr& condition, const Expr& a, const Expr& b, const BoundsOracle& oracle) {
  const Bounds bounds = bounds_by(oracle, condition);
  if (a == b || bounds.low > 0 || bounds.high < 0) return a;
  if (bounds.low == 0 && bounds.high == 0) return b;
  return Node::of_function(Function::select, {condition, a, b});
}

}  // namespace

// ---- interface
// ------------------------------------------------------------------------------------

std::optional<Expr> difference(const Expr& a, const Expr& b) {
  return unless_too_large([&] { return a - b; });
}

Division divide(const Expr& a, const Expr& b) {
  if (b.node().terms.size() == 1) return divide_by_term(a, b.node().terms.front());
  if (b.node().terms.size() > 1)
    if (std::optional<Division> division = divide_by_sum(a, b)) return *division;
  return {0, a};
}

std::optional<Expr> exact_quotient(const Expr& a, const Expr& b) {
  if (b.as_constant() == 0) return std::nullopt;
  Division division = divide(a, b);
  if (division.remainder.as_constant() != 0) return std::nullopt;
  return std::move(division.quotient);
}

Expr fold(Function function, const std::vector<Expr>& arguments, const BoundsOracle& oracle) {
  if (arguments.size() != arity(function)) {
    throw Error("integer expression: " + std::string(name_of(function)) + " takes " +
                std::to_string(arity(function)) + " arguments, not " +
                std::to_string(arguments.size()));
  }
  if (const std::optional<std::int64_t> value = fold_constants(function, arguments)) return *value;
  const Expr& a = arguments[0];
  const Expr& b = arguments[1];
  switch (function) {
    case Function::floor_div:
    case Function::mod: return DivisionRules(function, a, b, oracle).fold();
    case Function::min:
    case Function::max: return fold_extremum(function, a, b, oracle);
    case Function::less:
    case Function::less_equal: return fold_less(function, a, b, oracle);
    case Function::equal: return fold_equal(a, b, oracle);
    case Function::select: return fold_select(a, b, arguments[2], oracle);
    case Function::broadcast: return fold_broadcast(a, b);
  }
  throw Error("integer expression: unknown function");
}

Expr Expr::apply(Function function, const std::vector<Expr>& arguments) {
  return fold(function, arguments);
}

Expr floor_div(const Expr& a, const Expr& b) { return fold(Function::floor_div, {a, b}); }
Expr ceil_div(const Expr& a, const Expr& b) { return floor_div(a + b - 1, b); }
Expr mod(const Expr& a, const Expr& b) { return fold(Function::mod, {a, b}); }
Expr min(const Expr& a, const Expr& b) { return fold(Function::min, {a, b}); }
Expr max(const Expr& a, const Expr& b) { return fold(Function::max, {a, b}); }
Expr less(const Expr& a, const Expr& b) { return fold(Function::less, {a, b}); }
Expr less_equal(const Expr& a, const Expr& b) { return fold(Function::less_equal, {a, b}); }
Expr equal(const Expr& a, const Expr& b) { return fold(Function::equal, {a, b}); }
Expr select(const Expr& condition, const Expr& a, const Expr& b) {
  return fold(Function::select, {condition, a, b});
}
Expr broadcast(const Expr& a, const Expr& b) { return fold(Function::broadcast, {a, b}); }

}  // namespace burin
