// Expr: the canonical form and its arithmetic. What functions fold to is in expr_fold.cpp, printing
// and parsing in expr_text.cpp.

#include "burin/expr.h"

#include <algorithm>
#include <array>

#include "burin/error.h"
#include "support/checked.h"
#include "support/expr_node.h"
#include "support/integer_function.h"

namespace burin {

namespace {

using Node = Expr::Node;
using Factors = std::vector<Node::Factor>;

constexpr std::string_view kCoefficient = "coefficient of an integer expression";

std::int64_t negated(std::int64_t value) {
  return checked_sub<std::int64_t>(0, value, kCoefficient);
}

void combine(std::size_t& hash, std::size_t value) {
  hash ^= value + 0x9e3779b97f4a7c15ULL + (hash << 6) + (hash >> 2);
}

std::size_t hash_of(const Node::Atom& atom) {
  if (atom.is_symbol()) return std::hash<std::string>{}(atom.name);
  auto hash = static_cast<std::size_t>(atom.function) + 1;
  for (const Expr& argument : atom.arguments) combine(hash, argument.hash());
  return hash;
}

std::size_t hash_of(const std::vector<Node::Term>& terms) {
  std::size_t hash = terms.size();
  for (const Node::Term& term : terms) {
    combine(hash, static_cast<std::size_t>(term.coefficient));
    for (const Node::Factor& factor : term.factors) {
      combine(hash, hash_of(factor.atom));
      combine(hash, static_cast<std::size_t>(factor.power));
    }
  }
  return hash;
}

/// Fills in size and depth, and refuses what is too large. The sums cannot overflow: an argument is
/// at most kMaxSize, and the check is made at each step.
void measure(Node& node) {
  const auto grow = [&node](std::size_t by) {
    if (by > Node::kMaxSize - node.size) {
      throw ArithmeticError("integer expression too large: more than " + std::to_string(Node::kMaxSize) +
                  " terms and factors");
    }
    node.size += static_cast<std::uint32_t>(by);
  };
  for (const Node::Term& term : node.terms) {
    grow(1);
    for (const Node::Factor& factor : term.factors) {
      grow(static_cast<std::size_t>(factor.power));
      for (const Expr& argument : factor.atom.arguments) {
        grow(argument.node().size);
        node.depth = std::max(node.depth, argument.node().depth + 1);
      }
    }
  }
  if (node.depth > Node::kMaxDepth) {
    throw ArithmeticError("integer expression too deep: more than " + std::to_string(Node::kMaxDepth) +
                " functions inside of each other");
  }
}

int compare_values(std::int64_t a, std::int64_t b) { return a < b ? -1 : static_cast<int>(b < a); }

std::int64_t degree(const Factors& factors) {
  std::int64_t sum = 0;
  for (const Node::Factor& factor : factors) sum += factor.power;
  return sum;
}

std::int64_t degree(const Expr& e) {
  const auto& terms = e.node().terms;
  return terms.empty() ? 0 : degree(terms.front().factors);
}

bool is_sorted(const Factors& factors) {
  for (std::size_t i = 1; i < factors.size(); ++i)
    if (Node::compare(factors[i - 1].atom, factors[i].atom) >= 0) return false;
  return true;
}

Factors sorted(const Factors& factors) {
  Factors result;
  for (const Node::Factor& factor : factors) result = Node::multiply(result, {factor});
  return result;
}

/// a + sign * b for a sign of 1 or -1: a merge of sorted lists, so that terms that cancel do not
/// overflow on the way.
Expr add(const Expr& a, const Expr& b, int sign) {
  if (b.node().terms.empty()) return a;
  if (a.node().terms.empty() && sign > 0) return b;
  std::vector<Node::Term> result;
  auto i = a.node().terms.begin();
  auto j = b.node().terms.begin();
  const auto a_end = a.node().terms.end();
  const auto b_end = b.node().terms.end();
  result.reserve(a.node().terms.size() + b.node().terms.size());
  while (i != a_end || j != b_end) {
    const int order = i == a_end ? 1 : j == b_end ? -1 : Node::compare(i->factors, j->factors);
    if (order < 0) {
      result.push_back(*i++);
    } else if (order > 0) {
      result.push_back({sign < 0 ? negated(j->coefficient) : j->coefficient, j->factors});
      ++j;
    } else {
      const std::int64_t sum = sign < 0 ? checked_sub(i->coefficient, j->coefficient, kCoefficient)
                                        : checked_add(i->coefficient, j->coefficient, kCoefficient);
      if (sum != 0) result.push_back({sum, i->factors});
      ++i;
      ++j;
    }
  }
  return Node::of_sorted(std::move(result));
}

Expr scaled(const Expr& e, std::int64_t factor) {
  if (factor == 1) return e;
  std::vector<Node::Term> terms = e.node().terms;
  for (Node::Term& term : terms)
    term.coefficient = checked_mul(term.coefficient, factor, kCoefficient);
  return Node::of_sorted(std::move(terms));
}

bool is_identifier(std::string_view name) {
  if (name.empty() || !starts_identifier(name[0])) return false;
  return std::all_of(name.begin(), name.end(), continues_identifier);
}

void collect_symbols(const Expr& e, std::set<std::string>& names) {
  for (const Node::Term& term : e.node().terms) {
    for (const Node::Factor& factor : term.factors) {
      if (factor.atom.is_symbol()) names.insert(factor.atom.name);
      for (const Expr& argument : factor.atom.arguments) collect_symbols(argument, names);
    }
  }
}

bool uses_symbol(const Node::Atom& atom, std::string_view symbol) {
  if (atom.is_symbol()) return atom.name == symbol;
  return std::any_of(atom.arguments.begin(), atom.arguments.end(),
                     [symbol](const Expr& argument) { return argument.uses(symbol); });
}

/// Evaluates in the order in which the tape does, so that both overflow alike.
class Evaluator {
 public:
  using Lookup = std::function<std::optional<std::int64_t>(std::string_view)>;
  explicit Evaluator(const Lookup& lookup) : lookup_(lookup) {}

  std::int64_t operator()(const Expr& e) const {
    const auto& terms = e.node().terms;
    if (terms.empty()) return 0;
    std::int64_t sum = evaluate(terms[0]);
    for (std::size_t i = 1; i < terms.size(); ++i)
      sum = checked_add(sum, evaluate(terms[i]), integer::kSubject);
    return sum;
  }

 private:
  std::int64_t evaluate(const Node::Term& term) const {
    std::optional<std::int64_t> product;
    for (const Node::Factor& factor : term.factors) {
      const std::int64_t value = evaluate(factor.atom);
      for (int i = 0; i < factor.power; ++i)
        product = product ? checked_mul(*product, value, integer::kSubject) : value;
    }
    if (!product) return term.coefficient;
    if (term.coefficient == 1) return *product;
    return checked_mul(*product, term.coefficient, integer::kSubject);
  }

  std::int64_t evaluate(const Node::Atom& atom) const {
    if (atom.is_symbol()) {
      const std::optional<std::int64_t> value = lookup_(atom.name);
      if (!value) throw Error("integer expression: symbol '" + atom.name + "' has no value");
      return *value;
    }
    std::array<std::int64_t, 3> arguments{};
    for (std::size_t i = 0; i < atom.arguments.size(); ++i)
      arguments[i] = (*this)(atom.arguments[i]);
    return integer::apply(atom.function, arguments.data());
  }

  const Lookup& lookup_;
};

}  // namespace

// ---- the canonical form
// ---------------------------------------------------------------------------

Expr Expr::Node::of_sorted(std::vector<Term> terms) {
  auto node = std::make_shared<Node>();
  node->terms = std::move(terms);
  measure(*node);
  node->hash = hash_of(node->terms);
  return Expr(std::shared_ptr<const Node>(std::move(node)));
}

Expr Expr::Node::make(std::vector<Term> terms) {
  for (Term& term : terms)
    if (!is_sorted(term.factors)) term.factors = sorted(term.factors);
  // Stable: like terms are added in the order given, which decides whether a sum overflows.
  std::stable_sort(terms.begin(), terms.end(),
                   [](const Term& a, const Term& b) { return compare(a.factors, b.factors) < 0; });
  std::vector<Term> merged;
  for (Term& term : terms) {
    if (!merged.empty() && compare(merged.back().factors, term.factors) == 0) {
      merged.back().coefficient =
          checked_add(merged.back().coefficient, term.coefficient, kCoefficient);
    } else {
      merged.push_back(std::move(term));
    }
  }
  std::erase_if(merged, [](const Term& term) { return term.coefficient == 0; });
  return of_sorted(std::move(merged));
}

Expr Expr::Node::of_atom(Atom atom) {
  std::vector<Term> terms(1);
  terms[0].coefficient = 1;
  terms[0].factors.push_back({std::move(atom), 1});
  return of_sorted(std::move(terms));
}

Expr Expr::Node::of_function(Function function, std::vector<Expr> arguments) {
  return of_atom({{}, function, std::move(arguments)});
}

const Expr::Node::Atom* Expr::Node::lone_atom(const Expr& e) {
  const auto& terms = e.node().terms;
  if (terms.size() != 1 || terms[0].coefficient != 1 || terms[0].factors.size() != 1)
    return nullptr;
  const Factor& factor = terms[0].factors[0];
  return factor.power == 1 ? &factor.atom : nullptr;
}

const Expr::Node::Atom* Expr::Node::lone_function(const Expr& e, Function function) {
  const Atom* atom = lone_atom(e);
  return atom != nullptr && !atom->is_symbol() && atom->function == function ? atom : nullptr;
}

std::int64_t Expr::Node::constant_part(const Expr& e) {
  const auto& terms = e.node().terms;
  return terms.empty() || !terms.back().factors.empty() ? 0 : terms.back().coefficient;
}

int Expr::Node::compare(const Atom& a, const Atom& b) {
  if (a.is_symbol() != b.is_symbol()) return a.is_symbol() ? -1 : 1;
  if (a.is_symbol()) return a.name.compare(b.name);
  if (a.function != b.function) return a.function < b.function ? -1 : 1;
  for (std::size_t i = 0; i < a.arguments.size(); ++i)
    if (const int order = compare(a.arguments[i], b.arguments[i])) return order;
  return 0;
}

int Expr::Node::compare(const std::vector<Factor>& a, const std::vector<Factor>& b) {
  if (const int order = compare_values(degree(b), degree(a))) return order;
  // Of the same degree: first whichever has the higher power of the first atom in which they
  // differ.
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
    if (const int order = compare(a[i].atom, b[i].atom)) return order;
    if (const int order = compare_values(b[i].power, a[i].power)) return order;
  }
  return 0;
}

int Expr::Node::compare(const Expr& a, const Expr& b) {
  if (&a.node() == &b.node()) return 0;
  if (const int order = compare_values(degree(a), degree(b))) return order;
  const auto& left = a.node().terms;
  const auto& right = b.node().terms;
  for (std::size_t i = 0; i < left.size() && i < right.size(); ++i) {
    if (const int order = compare(left[i].factors, right[i].factors)) return order;
    if (const int order = compare_values(left[i].coefficient, right[i].coefficient)) return order;
  }
  return compare_values(static_cast<std::int64_t>(left.size()),
                        static_cast<std::int64_t>(right.size()));
}

std::vector<Expr::Node::Factor> Expr::Node::multiply(const std::vector<Factor>& a,
                                                     const std::vector<Factor>& b) {
  Factors result;
  result.reserve(a.size() + b.size());
  auto i = a.begin();
  auto j = b.begin();
  while (i != a.end() && j != b.end()) {
    const int order = compare(i->atom, j->atom);
    if (order < 0) {
      result.push_back(*i++);
    } else if (order > 0) {
      result.push_back(*j++);
    } else {
      // A power beyond an int would be an expression beyond kMaxSize: checked_add only says so
      // first.
      result.push_back(
          {i->atom, checked_add(i->power, j->power, "power of an integer expression")});
      ++i;
      ++j;
    }
  }
  result.insert(result.end(), i, a.end());
  result.insert(result.end(), j, b.end());
  return result;
}

std::optional<std::vector<Expr::Node::Factor>> Expr::Node::divide(const std::vector<Factor>& a,
                                                                  const std::vector<Factor>& b) {
  Factors result;
  auto j = b.begin();
  for (const Factor& factor : a) {
    if (j == b.end() || compare(factor.atom, j->atom) != 0) {
      result.push_back(factor);
      continue;
    }
    if (factor.power < j->power) return std::nullopt;
    if (factor.power > j->power) result.push_back({factor.atom, factor.power - j->power});
    ++j;
  }
  if (j != b.end()) return std::nullopt;
  return result;
}

Expr Expr::Node::map_atoms(const Expr& e, const std::function<std::optional<Expr>(const Atom&)>& replace) {
  std::vector<Term> terms;
  for (const Term& term : e.node().terms) {
    Term kept{term.coefficient, {}};
    std::vector<Expr> replaced;
    for (const Factor& factor : term.factors) {
      if (const std::optional<Expr> replacement = replace(factor.atom))
        replaced.insert(replaced.end(), static_cast<std::size_t>(factor.power), *replacement);
      else
        kept.factors.push_back(factor);
    }
    if (replaced.empty()) {
      terms.push_back(std::move(kept));
      continue;
    }
    Expr product = of_sorted({std::move(kept)});
    for (const Expr& factor : replaced) product *= factor;
    terms.insert(terms.end(), product.node().terms.begin(), product.node().terms.end());
  }
  return make(std::move(terms));
}

// ---- Expr
// -----------------------------------------------------------------------------------------

Expr::Expr(std::int64_t value) {
  const auto made = [](std::int64_t number) {
    return Node::of_sorted(number == 0 ? std::vector<Node::Term>() : std::vector<Node::Term>{{number, {}}});
  };
  // Most numbers are small ones. Each thread has its own, whose counts of references no other one waits for.
  constexpr std::int64_t kLeast = -1, kMost = 16;
  thread_local const std::vector<Expr> small = [&] {
    std::vector<Expr> numbers;
    for (std::int64_t i = kLeast; i <= kMost; ++i) numbers.push_back(made(i));
    return numbers;
  }();
  *this = value < kLeast || value > kMost ? made(value) : small[static_cast<std::size_t>(value - kLeast)];
}

Expr Expr::symbol(std::string_view name) {
  if (!is_identifier(name)) {
    throw Error("'" + std::string(name) +
                "' is not a symbol name: expected a letter, '_' or '?', then letters, digits, '_', "
                "'.' or '?'");
  }
  return Node::of_atom({std::string(name), {}, {}});
}

Expr operator+(const Expr& a, const Expr& b) { return add(a, b, 1); }

Expr operator-(const Expr& a, const Expr& b) { return add(a, b, -1); }

Expr operator*(const Expr& a, const Expr& b) {
  if (const auto factor = b.as_constant()) return *factor == 0 ? Expr(0) : scaled(a, *factor);
  if (const auto factor = a.as_constant()) return *factor == 0 ? Expr(0) : scaled(b, *factor);
  const auto& left = a.node().terms;
  const auto& right = b.node().terms;
  if (left.size() * right.size() > Node::kMaxSize)
    throw ArithmeticError("integer expression too large: a product of sums of " +
                std::to_string(left.size()) + " and " + std::to_string(right.size()) + " terms");
  std::vector<Node::Term> terms;
  terms.reserve(left.size() * right.size());
  for (const Node::Term& l : left) {
    for (const Node::Term& r : right)
      terms.push_back({checked_mul(l.coefficient, r.coefficient, kCoefficient),
                       Node::multiply(l.factors, r.factors)});
  }
  return Node::make(std::move(terms));
}

bool Expr::operator==(const Expr& other) const {
  if (node_ == other.node_) return true;
  return node_->hash == other.node_->hash && Node::compare(*this, other) == 0;
}

bool Expr::operator<(const Expr& other) const { return Node::compare(*this, other) < 0; }

std::size_t Expr::hash() const { return node_->hash; }

std::optional<std::int64_t> Expr::as_constant() const {
  if (node_->terms.empty()) return 0;
  // The constant term is the last: if it is the first, it is the only one.
  if (!node_->terms[0].factors.empty()) return std::nullopt;
  return node_->terms[0].coefficient;
}

std::optional<std::string> Expr::as_symbol() const {
  const Node::Atom* atom = Node::lone_atom(*this);
  if (atom == nullptr || !atom->is_symbol()) return std::nullopt;
  return atom->name;
}

std::set<std::string> Expr::symbols() const {
  std::set<std::string> names;
  collect_symbols(*this, names);
  return names;
}

bool Expr::uses(std::string_view symbol) const {
  for (const Node::Term& term : node_->terms)
    for (const Node::Factor& factor : term.factors)
      if (uses_symbol(factor.atom, symbol)) return true;
  return false;
}

Expr Expr::substitute(const std::map<std::string, Expr>& replacements) const {
  const auto is_used = [this](const auto& entry) { return uses(entry.first); };
  if (std::none_of(replacements.begin(), replacements.end(), is_used)) return *this;
  return Node::map_atoms(*this, [&](const Node::Atom& atom) -> std::optional<Expr> {
    if (atom.is_symbol()) {
      const auto found = replacements.find(atom.name);
      return found == replacements.end() ? std::nullopt : std::optional(found->second);
    }
    std::vector<Expr> arguments;
    arguments.reserve(atom.arguments.size());
    for (const Expr& argument : atom.arguments)
      arguments.push_back(argument.substitute(replacements));
    return apply(atom.function, arguments);
  });
}

std::optional<Expr> Expr::coefficient(std::string_view symbol) const {
  const auto is_of = [symbol](const Node::Factor& factor) { return uses_symbol(factor.atom, symbol); };
  std::vector<Node::Term> terms;
  for (const Node::Term& term : node_->terms) {
    const auto found = std::ranges::find_if(term.factors, is_of);
    if (found == term.factors.end()) continue;
    if (!found->atom.is_symbol() || found->power != 1 || std::any_of(found + 1, term.factors.end(), is_of)) return std::nullopt;
    Node::Term rest{term.coefficient, Factors(term.factors.begin(), found)};
    rest.factors.insert(rest.factors.end(), found + 1, term.factors.end());
    terms.push_back(std::move(rest));
  }
  // (All of them without the same factor are in the same order.)
  return terms.empty() ? Expr(0) : Node::of_sorted(std::move(terms));
}

std::int64_t Expr::evaluate(
    const std::function<std::optional<std::int64_t>(std::string_view)>& lookup) const {
  return Evaluator(lookup)(*this);
}

std::int64_t Expr::evaluate(const std::map<std::string, std::int64_t>& values) const {
  return evaluate([&values](std::string_view name) -> std::optional<std::int64_t> {
    const auto found = values.find(std::string(name));
    if (found == values.end()) return std::nullopt;
    return found->second;
  });
}

}  // namespace burin
