#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

#include "burin/error.h"
#include "burin/expr.h"
#include "support/bounds.h"
#include "support/expr_fold.h"
#include "support/expr_node.h"
#include "support/integer_function.h"

namespace burin {

namespace {

using Node = Expr::Node;
using Function = Expr::Function;
using Factors = std::vector<Node::Factor>;

Expr term(std::int64_t coefficient, Factors factors) {
  return Node::make({{coefficient, std::move(factors)}});
}

/// The greatest common divisor of the coefficients other than the constant; 0 for none, 1 if it
/// does not fit.
std::int64_t content(const Expr& e) {
  std::int64_t result = 0;
  for (const Node::Term& t : e.node().terms) {
    if (t.factors.empty()) continue;
    if (t.coefficient == Bounds::kMinusInfinity) return 1;
    result = std::gcd(result, t.coefficient);
  }
  return result;
}

/// `e` without the factor that all its terms have; 2*S - 2*T == 0 says S - T == 0.
Expr without_content(const Expr& e) {
  const std::int64_t divisor = content(e);
  if (divisor <= 1) return e;
  return exact_quotient(e, divisor).value_or(e);
}

bool excludes_zero(Bounds bounds) { return bounds.low > 0 || bounds.high < 0; }

/// Whether no integers solve e == 0: 2*S + 1 == 0.
bool is_never_zero(const Expr& e) {
  const std::int64_t divisor = content(e);
  return divisor > 1 && Node::constant_part(e) % divisor != 0;
}

/// The way to write `symbol` by others that e == 0 gives, if there is one.
std::optional<Expr> solution(const Expr& e, const std::string& symbol) {
  const std::optional<Expr> coefficient = e.coefficient(symbol);
  if (!coefficient) return std::nullopt;
  const auto factor = coefficient->as_constant();
  if (factor != 1 && factor != -1) return std::nullopt;
  const Expr product = Expr::symbol(symbol) * *factor;
  return factor == 1 ? difference(product, e) : difference(e, product);
}

/// What replaces what: a symbol that stands alone on a side of the equality, before others; a
/// made-up one (with a '?'), before one that the model's author named; then the later one by name.
auto replacement_rank(const std::string& symbol, const std::set<std::string>& sides) {
  return std::tuple(sides.contains(symbol), symbol.find('?') != std::string::npos, symbol);
}

[[noreturn]] void fail_contradiction(const Facts::Check& check, const Expr& left,
                                     const Expr& right) {
  const Facts::Check simplified{left, right, check.relation, ""};
  std::string text = check.to_string() + " can never hold";
  if (left != check.left || right != check.right) text += ": it comes to " + simplified.to_string();
  throw Error(text);
}

[[noreturn]] void fail_conflict(const std::string& subject, const std::string& consequence) {
  throw Error(subject + ": contradicts other assumptions: " + consequence);
}

/// Whether `divisor` cannot divide `value`, whatever the symbols are.
bool is_never_divisible(const Expr& divisor, const Expr& value) {
  const auto d = divisor.as_constant();
  const auto v = value.as_constant();
  return d && (*d == 0 || (v && integer::mod(*v, *d) != 0));
}

/// What can be taken out of a constant divisor and of all terms of `value`: 8 divides 4*S says that
/// 2 divides S.
std::int64_t common_factor(const Expr& divisor, const Expr& value) {
  const auto d = divisor.as_constant();
  const std::int64_t constant = Node::constant_part(value);
  if (!d || *d == Bounds::kMinusInfinity || constant == Bounds::kMinusInfinity) return 1;
  return std::gcd(std::gcd(*d, content(value)), constant);
}

/// Whether sums of two such numbers cannot overflow.
bool is_moderate(std::int64_t value) {
  constexpr std::int64_t kLimit = std::int64_t{1} << 61;
  return -kLimit < value && value < kLimit;
}

}  // namespace

/// The reasoning. All expressions given to bounds() and divides() are simplified already.
class Facts::Knowledge {
 public:
  explicit Knowledge(const Facts& facts) : facts_(facts) {}

  Expr simplify(const Expr& e) const {
    if (knows_nothing() || is_plain(e)) return e;
    constexpr int kMaxRounds = 8;  // each round makes the expression simpler; two are common
    Expr result = e;
    for (int round = 0; round < kMaxRounds; ++round) {
      const Expr next = cancel_divisions(rewrite(result));
      if (next == result) break;
      result = next;
    }
    return result;
  }

  Bounds bounds(const Expr& e) const {
    Bounds result = bounds_by_atoms(e);
    if (facts_.lower_bounds_.empty()) return result;
    const std::optional<Expr> negated = difference(0, e);
    for (const LowerBound& fact : facts_.lower_bounds_) {
      result = intersection(result, bounds_by(fact, e));
      if (negated) result = intersection(result, -bounds_by(fact, *negated));
    }
    return result;
  }

  /// Whether `divisor` divides `value`. `budget` limits how many facts are chained.
  bool divides(const Expr& divisor, const Expr& value, int budget = 4) const {
    if (value.as_constant() == 0 || exact_quotient(value, divisor)) return true;
    if (divides_each_term(divisor, value, budget)) return true;
    if (budget == 0) return false;
    for (const Divisibility& fact : facts_.divisibilities_)
      if (divides_by(fact, divisor, value, budget - 1)) return true;
    return false;
  }

 private:
  bool knows_nothing() const {
    return facts_.representatives_.empty() && facts_.divisibilities_.empty() &&
           facts_.lower_bounds_.empty() && facts_.intervals_.empty();
  }

  /// Whether the expression is a polynomial in symbols that stay: the common case, made fast.
  bool is_plain(const Expr& e) const {
    for (const Node::Term& t : e.node().terms) {
      for (const Node::Factor& factor : t.factors)
        if (!factor.atom.is_symbol() || facts_.representatives_.contains(factor.atom.name))
          return false;
    }
    return true;
  }

  // -- bounds --

  Bounds bounds_by_atoms(const Expr& e) const {
    if (facts_.intervals_.empty()) return bounds_of(e);
    return bounds_of(e, [this](const Node::Atom& atom) -> Bounds {
      const auto found = facts_.intervals_.find(Node::of_atom(atom));
      if (found == facts_.intervals_.end()) return {};
      return {found->second.low, found->second.high};
    });
  }

  /// e = c*value + rest with c > 0, and value >= bound, give a lower bound of e.
  Bounds bounds_by(const LowerBound& fact, const Expr& e) const {
    const std::optional<std::int64_t> multiple = multiple_of(fact.value, e);
    if (!multiple || *multiple <= 0) return {};
    const auto rest = unless_too_large([&] { return e - fact.value * *multiple; });
    if (!rest) return {};
    const Bounds value{fact.bound, Bounds::kPlusInfinity};
    const Bounds low = value * Bounds{*multiple, *multiple} + bounds_by_atoms(*rest);
    return {low.low, Bounds::kPlusInfinity};
  }

  /// How often the leading term of `part` fits into the term of `e` that it matches.
  static std::optional<std::int64_t> multiple_of(const Expr& part, const Expr& e) {
    const Node::Term& leading = part.node().terms.front();
    for (const Node::Term& t : e.node().terms) {
      if (Node::compare(t.factors, leading.factors) != 0) continue;
      const bool fits = t.coefficient != Bounds::kMinusInfinity;
      return fits ? std::optional(t.coefficient / leading.coefficient) : std::nullopt;
    }
    return std::nullopt;
  }

  // -- divisibility --

  bool divides_each_term(const Expr& divisor, const Expr& value, int budget) const {
    const auto& terms = value.node().terms;
    const auto constant = divisor.as_constant();
    if (constant && *constant > 0) {
      return std::all_of(terms.begin(), terms.end(), [&](const Node::Term& t) {
        return rest_of_divisor(*constant, t, budget) == 1;
      });
    }
    return terms.size() > 1 && std::all_of(terms.begin(), terms.end(), [&](const Node::Term& t) {
             return divides(divisor, Node::make({t}), budget);
           });
  }

  /// What is left of `divisor` once everything that divides the term's factors is taken out of it.
  std::int64_t rest_of_divisor(std::int64_t divisor, const Node::Term& t, int budget) const {
    divisor /= std::gcd(divisor, t.coefficient % divisor);
    for (const Node::Factor& factor : t.factors) {
      const std::int64_t known = known_divisor(factor.atom, divisor, budget);
      for (int i = 0; i < factor.power && divisor > 1; ++i) divisor /= std::gcd(divisor, known);
    }
    return divisor;
  }

  /// A divisor of the atom's value: by facts, or `wanted` if the atom's arguments show it.
  std::int64_t known_divisor(const Node::Atom& atom, std::int64_t wanted, int budget) const {
    if (wanted == 1) return 1;
    if (budget > 0 && divides_function(wanted, atom, budget - 1)) return wanted;
    std::int64_t result = 1;
    const Expr e = Node::of_atom(atom);
    for (const Divisibility& fact : facts_.divisibilities_) {
      const auto divisor = fact.divisor.as_constant();
      if (divisor && *divisor > 0 && fact.value == e)
        result = least_common_multiple(result, *divisor);
    }
    return result;
  }

  static std::int64_t least_common_multiple(std::int64_t a, std::int64_t b) {
    std::int64_t result = 0;
    return __builtin_mul_overflow(a / std::gcd(a, b), b, &result) ? a : result;
  }

  bool divides_function(std::int64_t divisor, const Node::Atom& atom, int budget) const {
    if (atom.is_symbol()) return false;
    const Expr& a = atom.arguments[0];
    const Expr& b = atom.arguments[1];
    switch (atom.function) {
      case Function::floor_div: {
        const auto product = unless_too_large([&] { return b * divisor; });
        return product && divides(*product, a, budget);
      }
      case Function::select:
        return divides(divisor, b, budget) && divides(divisor, atom.arguments[2], budget);
      case Function::mod:
      case Function::min:
      case Function::max:
      case Function::broadcast: return divides(divisor, a, budget) && divides(divisor, b, budget);
      default: return false;
    }
  }

  /// value = c*fact.value + rest: `divisor` divides it if it divides c*fact.divisor and the rest.
  bool divides_by(const Divisibility& fact, const Expr& divisor, const Expr& value,
                  int budget) const {
    const Division division = split(value, fact.value);
    if (division.quotient.as_constant() == 0) return false;
    const auto product = unless_too_large([&] { return division.quotient * fact.divisor; });
    if (!product || !divides_by_form(divisor, *product)) return false;
    return divides(divisor, division.remainder, budget);
  }

  static bool divides_by_form(const Expr& divisor, const Expr& value) {
    return exact_quotient(value, divisor).has_value();
  }

  /// Division that also finds a sum inside of a longer one: S + T + U by S + T.
  static Division split(const Expr& value, const Expr& part) {
    Division division = divide(value, part);
    if (division.quotient.as_constant() != 0 || part.is_constant()) return division;
    const auto multiple = multiple_of(part, value);
    if (!multiple || *multiple == 0) return division;
    const auto rest = unless_too_large([&] { return value - part * *multiple; });
    return rest ? Division{*multiple, *rest} : division;
  }

  // -- rewriting --

  Expr rewrite(const Expr& e) const {
    return Node::map_atoms(e, [this](const Node::Atom& atom) { return rewrite(atom); });
  }

  std::optional<Expr> rewrite(const Node::Atom& atom) const {
    if (atom.is_symbol()) {
      const auto found = facts_.representatives_.find(atom.name);
      return found == facts_.representatives_.end() ? std::nullopt : std::optional(found->second);
    }
    std::vector<Expr> arguments;
    arguments.reserve(atom.arguments.size());
    for (const Expr& argument : atom.arguments) arguments.push_back(rewrite(argument));
    const BoundsOracle oracle = [this](const Expr& e) { return bounds(e); };
    if (atom.function == Function::floor_div || atom.function == Function::mod)
      return rewrite_division(atom.function, arguments[0], arguments[1], oracle);
    return fold(atom.function, arguments, oracle);
  }

  /// floor_div(m + r, k) -> floor_div(m, k) + floor_div(r, k), mod(m + r, k) -> mod(r, k), where k
  /// is known to divide m.
  Expr rewrite_division(Function function, const Expr& a, const Expr& b,
                        const BoundsOracle& oracle) const {
    if (facts_.divisibilities_.empty()) return fold(function, {a, b}, oracle);
    const Expr multiple = divisible_part(a, b);
    const Expr rest = fold(function, {a - multiple, b}, oracle);
    return function == Function::mod ? rest : fold(function, {multiple, b}, oracle) + rest;
  }

  Expr divisible_part(const Expr& a, const Expr& b) const {
    const Expr without_constant = a - Node::constant_part(a);
    if (divides(b, without_constant)) return divides(b, a) ? a : without_constant;
    std::vector<Node::Term> terms;
    for (const Node::Term& t : a.node().terms)
      if (divides(b, Node::make({t}))) terms.push_back(t);
    return Node::make(std::move(terms));
  }

  /// floor_div(a, k)*k -> a, where k is known to divide a.
  Expr cancel_divisions(const Expr& e) const {
    if (facts_.divisibilities_.empty()) return e;
    for (const Node::Term& t : e.node().terms) {
      for (const Node::Factor& factor : t.factors) {
        if (factor.atom.is_symbol() || factor.atom.function != Function::floor_div) continue;
        if (std::optional<Expr> result = cancel_division(e, factor.atom)) return *result;
      }
    }
    return e;
  }

  std::optional<Expr> cancel_division(const Expr& e, const Node::Atom& atom) const {
    std::vector<Node::Term> with;
    std::vector<Node::Term> without;
    for (const Node::Term& t : e.node().terms) {
      std::optional<Factors> rest = Node::divide(t.factors, {{atom, 1}});
      if (rest) {
        with.push_back({t.coefficient, std::move(*rest)});
      } else {
        without.push_back(t);
      }
    }
    const Division division = divide(Node::make(std::move(with)), atom.arguments[1]);
    if (division.quotient.as_constant() == 0) return std::nullopt;
    if (!divides(atom.arguments[1], atom.arguments[0])) return std::nullopt;
    return unless_too_large([&] {
      return division.quotient * atom.arguments[0] + division.remainder * Node::of_atom(atom) +
             Node::make(without);
    });
  }

  const Facts& facts_;
};

// ---- assumptions
// ----------------------------------------------------------------------------------

void Facts::assume_equal(const Expr& a, const Expr& b, std::string subject) {
  if (proves_equal(a, b)) return;
  const Expr left = simplify(a);
  const Expr right = simplify(b);
  Check check{a, b, Check::Relation::equal, std::move(subject)};
  const std::optional<Expr> d = difference(left, right);
  if (d && (is_never_zero(*d) || excludes_zero(Knowledge(*this).bounds(*d))))
    fail_contradiction(check, left, right);

  Facts next = *this;
  if (d) {
    Equality equality{*d, {}, check.subject};
    for (const Expr* side : {&left, &right})
      if (const auto symbol = side->as_symbol()) equality.sides.insert(*symbol);
    next.learn_zero(std::move(equality));
  }
  next.checks_.push_back(std::move(check));
  *this = std::move(next);
}

void Facts::assume_divides(const Expr& divisor, const Expr& value, std::string subject) {
  const Expr left = simplify(divisor);
  const Expr right = simplify(value);
  Check check{divisor, value, Check::Relation::divides, std::move(subject)};
  if (is_never_divisible(left, right)) fail_contradiction(check, left, right);
  if (Knowledge(*this).divides(left, right)) return;
  learn_divides(left, right, check.subject);
  checks_.push_back(std::move(check));
}

void Facts::assume_at_least(const Expr& value, std::int64_t bound, std::string subject) {
  if (proves_at_least(value, bound)) return;
  const Expr left = simplify(value);
  Check check{value, bound, Check::Relation::at_least, std::move(subject)};
  if (Knowledge(*this).bounds(left).high < bound) fail_contradiction(check, left, bound);
  learn_at_least(left, bound, check.subject);
  checks_.push_back(std::move(check));
}

// ---- what follows from assumptions
// ----------------------------------------------------------------

void Facts::learn_zero(Equality equality) {
  equalities_.push_back(std::move(equality));
  solve();
}

/// Gives symbols representatives as long as an equality yields one.
void Facts::solve() {
  for (std::size_t i = 0; i < equalities_.size();) {
    Equality& equality = equalities_[i];
    equality.difference = without_content(simplify(equality.difference));
    if (equality.difference.as_constant() == 0) {
      equalities_.erase(equalities_.begin() + static_cast<std::ptrdiff_t>(i));
      continue;
    }
    if (equality.difference.is_constant() || is_never_zero(equality.difference)) {
      fail_conflict(equality.subject, equality.difference.to_string() + " would have to be 0");
    }
    std::optional<std::string> best;
    for (const std::string& symbol : equality.difference.symbols()) {
      if (!solution(equality.difference, symbol)) continue;
      if (!best ||
          replacement_rank(*best, equality.sides) < replacement_rank(symbol, equality.sides))
        best = symbol;
    }
    if (!best) {
      ++i;
      continue;
    }
    const Expr by = *solution(equality.difference, *best);
    const std::string subject = std::move(equality.subject);
    equalities_.erase(equalities_.begin() + static_cast<std::ptrdiff_t>(i));
    replace(*best, by, subject);
    i = 0;  // earlier ones may have become solvable
  }
}

/// `by` has no symbol with a representative, and not `symbol`: so no cycle comes about.
void Facts::replace(const std::string& symbol, const Expr& by, const std::string& subject) {
  const std::map<std::string, Expr> replacement = {{symbol, by}};
  for (auto& [name, representative] : representatives_)
    representative = representative.substitute(replacement);
  representatives_.emplace(symbol, by);

  const std::vector<Divisibility> divisibilities = std::exchange(divisibilities_, {});
  const std::vector<LowerBound> lower_bounds = std::exchange(lower_bounds_, {});
  const std::map<Expr, Interval> intervals = std::exchange(intervals_, {});
  for (const Divisibility& fact : divisibilities)
    learn_divides(fact.divisor.substitute(replacement), fact.value.substitute(replacement),
                  subject);
  for (const LowerBound& fact : lower_bounds)
    learn_at_least(fact.value.substitute(replacement), fact.bound, subject);
  for (const auto& [atom, interval] : intervals) {
    const Expr value = atom.substitute(replacement);
    if (interval.low != Bounds::kMinusInfinity) learn_at_least(value, interval.low, subject);
    if (interval.high != Bounds::kPlusInfinity) learn_at_least(0 - value, -interval.high, subject);
  }
}

void Facts::learn_divides(const Expr& divisor, const Expr& value, const std::string& subject) {
  if (is_never_divisible(divisor, value)) {
    fail_conflict(subject, divisor.to_string() + " would have to divide " + value.to_string());
  }
  if (value.is_constant() && divisor.is_constant()) return;
  const std::int64_t common = common_factor(divisor, value);
  divisibilities_.push_back({*exact_quotient(divisor, common), *exact_quotient(value, common)});
}

/// c*atom + k >= bound bounds the atom; anything else is kept as it is.
void Facts::learn_at_least(const Expr& value, std::int64_t bound, const std::string& subject) {
  if (const auto constant = value.as_constant()) {
    if (*constant < bound)
      fail_conflict(subject,
                    value.to_string() + " would have to be at least " + std::to_string(bound));
    return;
  }
  const std::int64_t k = Node::constant_part(value);
  const Node::Term& leading = value.node().terms.front();
  const Expr atom = term(1, leading.factors);
  const bool is_linear = Node::lone_atom(atom) != nullptr && is_moderate(bound) && is_moderate(k) &&
                         value.node().terms.size() == (k == 0 ? 1U : 2U);
  if (!is_linear) {
    lower_bounds_.push_back({value, bound});
    return;
  }
  Interval& interval =
      intervals_.emplace(atom, Interval{Bounds::kMinusInfinity, Bounds::kPlusInfinity})
          .first->second;
  const std::int64_t c = leading.coefficient;
  if (c > 0) {
    interval.low = std::max(interval.low, -integer::floor_div(k - bound, c));
  } else {
    interval.high = std::min(interval.high, integer::floor_div(bound - k, c));
  }
}

// ---- questions
// ------------------------------------------------------------------------------------

Expr Facts::simplify(const Expr& e) const { return Knowledge(*this).simplify(e); }

bool Facts::proves_equal(const Expr& a, const Expr& b) const {
  const std::optional<Expr> d = difference(simplify(a), simplify(b));
  if (!d) return false;
  const Expr simplified = simplify(*d);
  if (simplified.as_constant() == 0) return true;
  return std::any_of(equalities_.begin(), equalities_.end(), [&](const Equality& equality) {
    return exact_quotient(simplified, equality.difference).has_value();
  });
}

bool Facts::proves_divides(const Expr& divisor, const Expr& value) const {
  return Knowledge(*this).divides(simplify(divisor), simplify(value));
}

bool Facts::proves_at_least(const Expr& value, std::int64_t bound) const {
  return Knowledge(*this).bounds(simplify(value)).low >= bound;
}

std::string Facts::Check::to_string() const {
  const auto write = [this](std::string_view relation) {
    std::string text = subject.empty() ? "" : subject + ": ";
    return text.append(left.to_string()).append(relation).append(right.to_string());
  };
  switch (relation) {
    case Relation::equal: return write(" == ");
    case Relation::divides: return write(" divides ");
    case Relation::at_least: return write(" >= ");
  }
  return subject;
}

void Facts::assume(const Check& check) {
  switch (check.relation) {
    case Check::Relation::equal: return assume_equal(check.left, check.right, check.subject);
    case Check::Relation::divides: return assume_divides(check.left, check.right, check.subject);
    case Check::Relation::at_least:
      return assume_at_least(check.left, check.right.as_constant().value(), check.subject);
  }
}

}  // namespace burin
