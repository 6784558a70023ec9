#include "graph/shape_math.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "burin/error.h"
#include "support/bounds.h"
#include "support/expr_node.h"

namespace burin {
namespace {

using Function = Expr::Function;
using Atom = Expr::Node::Atom;

/// How many min and max atoms a proof replaces by their arguments, one after the other.
constexpr int kMaxSplits = 4;

Bounds bounds_of_symbol(const std::string& name, const Facts& facts) {
  Bounds bounds;
  if (name.compare(0, kUnknownInteger.size(), kUnknownInteger) != 0) bounds.low = 0;
  for (const Facts::Check& check : facts.checks()) {
    if (check.relation != Facts::Check::Relation::at_least) continue;
    const auto symbol = check.left.as_symbol();
    const auto bound = check.right.as_constant();
    if (bound && symbol == name) bounds.low = std::max(bounds.low, *bound);
  }
  return bounds;
}

/// A min or max that stands as a term of its own, and the coefficient of that term.
struct Extremum {
  Atom atom;
  std::int64_t coefficient;
  /// min(a, b) is at most each of its arguments, and one of them; max(a, b) the other way round. So
  /// for a lower bound of -min(a, b) either argument will do, for one of min(a, b) it takes both.
  bool takes_both() const { return (atom.function == Function::min) == (coefficient > 0); }
};

/// Preferably one that takes both: what the others are replaced by may differ in each case.
std::optional<Extremum> find_extremum(const Expr& e) {
  std::optional<Extremum> result;
  for (const Expr::Node::Term& term : e.node().terms) {
    if (term.factors.size() != 1 || term.factors[0].power != 1) continue;
    const Atom& atom = term.factors[0].atom;
    if (atom.is_symbol() || (atom.function != Function::min && atom.function != Function::max))
      continue;
    if (!result || !result->takes_both()) result = {atom, term.coefficient};
  }
  return result;
}

}  // namespace

bool ShapeMath::at_least(const Expr& e, std::int64_t bound) const {
  if (const auto constant = e.as_constant()) return *constant >= bound;
  const Expr simple = facts_.simplify(e);
  return at_least(simple, bound, kMaxSplits) || facts_.proves_at_least(simple, bound);
}

bool ShapeMath::at_least(const Expr& e, std::int64_t bound, int splits) const {
  const auto known = [this](const Atom& atom) {
    return atom.is_symbol() ? bounds_of_symbol(atom.name, facts_) : Bounds{};
  };
  if (bounds_of(e, known).low >= bound) return true;
  if (splits == 0) return false;

  const auto extremum = find_extremum(e);
  if (!extremum) return false;
  const Atom& atom = extremum->atom;
  const auto with = [&](const Expr& argument) {
    const Expr change = argument - Expr::Node::of_atom(atom);
    return at_least(e + Expr(extremum->coefficient) * change, bound, splits - 1);
  };
  return extremum->takes_both() ? with(atom.arguments[0]) && with(atom.arguments[1])
                                : with(atom.arguments[0]) || with(atom.arguments[1]);
}

bool ShapeMath::equal(const Expr& a, const Expr& b) const {
  return a == b || facts_.proves_equal(a, b);
}

bool ShapeMath::different(const Expr& a, const Expr& b) const {
  return a != b && (at_least(a - b, 1) || at_least(b - a, 1));
}

Expr ShapeMath::min(const Expr& a, const Expr& b) const {
  if (at_most(a, b)) return a;
  if (at_most(b, a)) return b;
  return burin::min(a, b);
}

Expr ShapeMath::max(const Expr& a, const Expr& b) const {
  if (at_most(a, b)) return b;
  if (at_most(b, a)) return a;
  return burin::max(a, b);
}

Expr ShapeMath::equal_to(const Expr& a, const Expr& b) const {
  if (equal(a, b)) return 1;
  if (different(a, b)) return 0;
  return burin::equal(a, b);
}

Expr ShapeMath::less(const Expr& a, const Expr& b) const {
  if (at_least(b - a, 1)) return 1;
  if (at_least(a - b, 0)) return 0;
  return burin::less(a, b);
}

Expr ShapeMath::less_equal(const Expr& a, const Expr& b) const {
  if (at_least(b - a, 0)) return 1;
  if (at_least(a - b, 1)) return 0;
  return burin::less_equal(a, b);
}

Expr ShapeMath::select(const Expr& condition, const Expr& a, const Expr& b) const {
  if (at_least(condition, 1) || equal(a, b)) return a;
  return burin::select(condition, a, b);
}

std::optional<Expr> ShapeMath::broadcast(const Expr& a, const Expr& b) const {
  if (a == b || b == Expr(1)) return a;
  if (a == Expr(1)) return b;
  if (a.is_constant() && b.is_constant()) return std::nullopt;
  if (facts_.proves_equal(a, b))
    return a.is_constant() ? a : b.is_constant() ? b : facts_.simplify(a);
  // A dimension other than 1 decides; that the other one is 1 or the same is checked at run time.
  if (a.is_constant() || at_least(a, 2)) return a;
  if (b.is_constant() || at_least(b, 2)) return b;
  return burin::broadcast(a, b);
}

namespace {

class Unclamping {
 public:
  std::optional<Unclamped> run(const Expr& e) {
    const Expr value = visit(e);
    if (non_negative_.empty() || cuts_to_one_) return std::nullopt;
    return Unclamped{value, std::move(non_negative_)};
  }

 private:
  Expr visit(const Expr& e) {
    return Expr::Node::map_atoms(e, [this](const Atom& atom) { return visit(atom); });
  }

  std::optional<Expr> visit(const Atom& atom) {
    if (atom.is_symbol()) return std::nullopt;
    if (atom.function == Function::select) {
      // select(x < y, behind the end, in the tensor)
      const Atom* less = Expr::Node::lone_function(atom.arguments[0], Function::less);
      if (less != nullptr) {
        non_negative_.push_back(visit(less->arguments[0]) - visit(less->arguments[1]));
        return visit(atom.arguments[2]);
      }
    }
    std::vector<Expr> arguments;
    for (const Expr& argument : atom.arguments) arguments.push_back(visit(argument));
    const bool is_min = atom.function == Function::min;
    if (is_min || atom.function == Function::max) {
      for (const std::size_t i : {std::size_t{0}, std::size_t{1}}) {
        const auto limit = arguments[i].as_constant();
        if (!limit) continue;
        const Expr& kept = arguments[1 - i];
        if (is_min && *limit <= 1) cuts_to_one_ = true;
        non_negative_.push_back(is_min ? Expr(*limit) - kept : kept - Expr(*limit));
        return kept;
      }
    }
    return Expr::apply(atom.function, arguments);
  }

  std::vector<Expr> non_negative_;
  bool cuts_to_one_ = false;
};

}  // namespace

std::optional<Unclamped> unclamp(const Expr& e) { return Unclamping().run(e); }

std::int64_t common_factor(const Expr& a, const Expr& b) {
  std::int64_t factor = 0;
  for (const Expr* e : {&a, &b})
    for (const Expr::Node::Term& term : e->node().terms)
      if (term.coefficient != std::numeric_limits<std::int64_t>::min())
        factor = std::gcd(factor, term.coefficient);
      else
        return 1;
  return std::max<std::int64_t>(factor, 1);
}

Expr product(const Shape& shape) {
  Expr result = 1;
  for (const Expr& dimension : shape) result *= dimension;
  return result;
}

Dims row_major_strides(const Dims& dims) {
  Dims strides(dims.size());
  std::int64_t stride = 1;
  for (std::size_t d = dims.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= dims[d];
  }
  return strides;
}

}  // namespace burin
