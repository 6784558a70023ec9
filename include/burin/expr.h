#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "burin/export.h"

namespace burin {

/// An integer expression over named symbols, in canonical form.
///
/// The canonical form is a polynomial with 64-bit coefficients over *atoms*: symbols and
/// applications of floor_div, mod, min, max, select, broadcast and the comparisons. Two expressions
/// that have the same canonical form are equal (`==`, same hash); expressions that differ may still
/// be equal in value (nothing is known without a fact, see `Facts`).
///
/// Immutable and cheap to copy; safe to share between threads. All arithmetic on coefficients is
/// overflow-checked and throws `burin::Error`.
class BURIN_EXPORT Expr {
 public:
  /// The operations that make an atom (a polynomial cannot express them).
  enum class Function : std::uint8_t {
    floor_div,   ///< floor_div(a, b): b != 0, rounds towards minus infinity
    mod,         ///< mod(a, b) = a - b * floor_div(a, b)
    min,         ///< min(a, b): arguments are sorted
    max,         ///< max(a, b): arguments are sorted
    less,        ///< less(a, b): 1 if a < b, else 0
    less_equal,  ///< less_equal(a, b): 1 if a <= b, else 0
    equal,       ///< equal(a, b): 1 if a == b, else 0
    select,      ///< select(c, a, b): a if c != 0, else b; both are evaluated, and may throw
    broadcast,  ///< broadcast(a, b): numpy's rule for two dimensions; evaluating it checks the rule
  };

  Expr() : Expr(0) {}
  Expr(std::int64_t value);  // NOLINT(google-explicit-constructor): numbers read as expressions
  Expr(int value) : Expr(static_cast<std::int64_t>(value)) {}  // NOLINT: the same

  /// A symbol. The name is an identifier: [A-Za-z_?][A-Za-z0-9_.?]*; throws burin::Error otherwise.
  static Expr symbol(std::string_view name);

  /// Parses what to_string() prints: + - * parentheses, integers, symbols, and the functions by
  /// name (also ceil_div(a, b)). Throws burin::Error that names the column.
  static Expr parse(std::string_view text);

  friend BURIN_EXPORT Expr operator+(const Expr& a, const Expr& b);
  friend BURIN_EXPORT Expr operator-(const Expr& a, const Expr& b);
  friend BURIN_EXPORT Expr operator*(const Expr& a, const Expr& b);
  Expr& operator+=(const Expr& other) { return *this = *this + other; }
  Expr& operator-=(const Expr& other) { return *this = *this - other; }
  Expr& operator*=(const Expr& other) { return *this = *this * other; }

  /// Applies a function, folding constants and the identities that always hold:
  /// floor_div(a*k, k) = a, min(a, a) = a, select(1, a, b) = a, broadcast(a, 1) = a, and so on.
  static Expr apply(Function function, const std::vector<Expr>& arguments);

  bool operator==(const Expr& other) const;
  /// A total order with no meaning but determinism.
  bool operator<(const Expr& other) const;
  std::size_t hash() const;
  std::string to_string() const;

  bool is_constant() const { return as_constant().has_value(); }
  std::optional<std::int64_t> as_constant() const;
  /// The name, if the expression is one symbol and nothing else.
  std::optional<std::string> as_symbol() const;

  /// All symbols that occur, also inside of atoms.
  std::set<std::string> symbols() const;
  bool uses(std::string_view symbol) const;

  /// Replaces symbols by expressions, everywhere.
  Expr substitute(const std::map<std::string, Expr>& replacements) const;

  /// The factor of `symbol` where the expression is linear in it (0 where it does not occur);
  /// nothing if it occurs with a power > 1 or inside of an atom.
  std::optional<Expr> coefficient(std::string_view symbol) const;

  /// Evaluates with the given symbol values; throws burin::Error on overflow, division by zero, an
  /// unknown symbol (lookup returns nothing) or dimensions that do not broadcast.
  std::int64_t evaluate(
      const std::function<std::optional<std::int64_t>(std::string_view)>& lookup) const;
  std::int64_t evaluate(const std::map<std::string, std::int64_t>& values) const;

  struct Node;
  /// The canonical form itself, for the tape and the code generator; see src/support/expr_node.h.
  const Node& node() const { return *node_; }

 private:
  explicit Expr(std::shared_ptr<const Node> node) : node_(std::move(node)) {}
  friend struct Node;
  std::shared_ptr<const Node> node_;
};

BURIN_EXPORT Expr floor_div(const Expr& a, const Expr& b);
/// ceil_div(a, b) = floor_div(a + b - 1, b), for b > 0.
BURIN_EXPORT Expr ceil_div(const Expr& a, const Expr& b);
BURIN_EXPORT Expr mod(const Expr& a, const Expr& b);
BURIN_EXPORT Expr min(const Expr& a, const Expr& b);
BURIN_EXPORT Expr max(const Expr& a, const Expr& b);
BURIN_EXPORT Expr less(const Expr& a, const Expr& b);
BURIN_EXPORT Expr less_equal(const Expr& a, const Expr& b);
BURIN_EXPORT Expr equal(const Expr& a, const Expr& b);
BURIN_EXPORT Expr select(const Expr& condition, const Expr& a, const Expr& b);
BURIN_EXPORT Expr broadcast(const Expr& a, const Expr& b);

/// What inference may assume about symbols. Each assumption becomes a check when shapes are bound.
///
/// An assumption that follows from earlier ones is not recorded. One that can never hold throws
/// burin::Error that starts with its subject, and leaves the facts as they were. Nothing is assumed
/// of a symbol unless said, not even that it is not negative.
class BURIN_EXPORT Facts {
 public:
  /// An assumption as an expression that must be non-zero, and the words that the error message
  /// starts with (they name the tensor and the dimension).
  struct Check {
    Expr left, right;
    enum class Relation : std::uint8_t {
      equal,
      divides,  ///< left divides right
      at_least
    } relation;
    std::string subject;
    std::string to_string() const;  ///< "subject: S == T"
  };

  void assume_equal(const Expr& a, const Expr& b, std::string subject);
  void assume_divides(const Expr& divisor, const Expr& value, std::string subject);
  void assume_at_least(const Expr& value, std::int64_t bound, std::string subject);
  /// What checks() of other facts gave.
  void assume(const Check& check);

  /// Rewrites by the known equalities (a symbol is replaced by its representative), by the known
  /// divisibilities (floor_div(a, k) * k = a) and by the known bounds (max(S, 1) = S).
  Expr simplify(const Expr& e) const;
  /// Conservative: false means that it is not known.
  bool proves_equal(const Expr& a, const Expr& b) const;
  bool proves_divides(const Expr& divisor, const Expr& value) const;
  bool proves_at_least(const Expr& value, std::int64_t bound) const;

  const std::vector<Check>& checks() const { return checks_; }

 private:
  /// An equality that gives no symbol a representative: difference == 0.
  struct Equality {
    Expr difference;
    std::set<std::string> sides;  ///< symbols that stood alone on a side: preferably replaced
    std::string subject;
  };
  struct Divisibility {
    Expr divisor, value;
  };
  struct LowerBound {
    Expr value;
    std::int64_t bound;
  };
  struct Interval {
    std::int64_t low, high;
  };
  class Knowledge;  ///< the reasoning

  void learn_zero(Equality equality);
  void learn_divides(const Expr& divisor, const Expr& value, const std::string& subject);
  void learn_at_least(const Expr& value, std::int64_t bound, const std::string& subject);
  void solve();
  void replace(const std::string& symbol, const Expr& by, const std::string& subject);

  std::vector<Check> checks_;
  /// What follows is in terms of symbols that have no representative.
  std::map<std::string, Expr> representatives_;
  std::vector<Equality> equalities_;
  std::vector<Divisibility> divisibilities_;
  std::vector<LowerBound> lower_bounds_;  ///< of sums and products
  std::map<Expr, Interval> intervals_;    ///< of single symbols and function applications
};

}  // namespace burin

template <>
struct std::hash<burin::Expr> {
  std::size_t operator()(const burin::Expr& e) const { return e.hash(); }
};
