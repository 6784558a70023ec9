#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "burin/expr.h"

namespace burin {

/// The canonical form of an Expr: a sum of terms, sorted, without zero coefficients.
///
/// Terms are in graded lexicographic order, the highest degree first: the leading term is the
/// first, the constant one the last. Symbols come before functions, symbols by name.
struct Expr::Node {
  /// A symbol (arguments empty, name set) or a function applied to expressions.
  struct Atom {
    std::string name;
    Function function{};
    std::vector<Expr> arguments;
    bool is_symbol() const { return arguments.empty(); }
  };
  struct Factor {
    Atom atom;
    int power = 1;
  };
  struct Term {
    std::int64_t coefficient = 0;
    std::vector<Factor> factors;  ///< sorted; empty for the constant term
  };
  std::vector<Term> terms;  ///< sorted; empty for zero
  std::size_t hash = 0;
  std::uint32_t size = 1;   ///< terms and factors, with those inside of atoms, each time they occur
  std::uint32_t depth = 0;  ///< how deep functions are nested

  /// Larger expressions are an error: they would come from a broken or hostile model, and would
  /// make compilation slow or overflow the stack.
  static constexpr std::uint32_t kMaxSize = 1U << 14;
  static constexpr std::uint32_t kMaxDepth = 128;

  static Expr make(std::vector<Term> terms);       ///< sorts, merges like terms, drops zeros
  static Expr of_sorted(std::vector<Term> terms);  ///< the same, for terms in canonical form
  static Expr of_atom(Atom atom);
  /// A function of arguments that no rule simplifies; everyone else wants Expr::apply.
  static Expr of_function(Function function, std::vector<Expr> arguments);

  /// The atom, if the expression is one atom and nothing else.
  static const Atom* lone_atom(const Expr& e);
  /// The same for an application of `function`.
  static const Atom* lone_function(const Expr& e, Function function);
  /// The term without factors, or 0.
  static std::int64_t constant_part(const Expr& e);

  /// Orders: negative if a comes first, 0 if equal. That of factors is a monomial order.
  static int compare(const Atom& a, const Atom& b);
  static int compare(const std::vector<Factor>& a, const std::vector<Factor>& b);
  static int compare(const Expr& a, const Expr& b);

  static std::vector<Factor> multiply(const std::vector<Factor>& a, const std::vector<Factor>& b);
  /// a / b, if every factor of b is in a.
  static std::optional<std::vector<Factor>> divide(const std::vector<Factor>& a,
                                                   const std::vector<Factor>& b);

  /// Puts `replace(atom)`, if that is something, in place of each atom, at this level only.
  static Expr map_atoms(const Expr& e, const std::function<std::optional<Expr>(const Atom&)>& replace);
};

std::string_view name_of(Expr::Function function);
std::size_t arity(Expr::Function function);
std::optional<Expr::Function> function_of(std::string_view name);

/// The characters of symbol names, whatever the locale.
inline bool starts_identifier(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '?';
}
inline bool continues_identifier(char c) {
  return starts_identifier(c) || (c >= '0' && c <= '9') || c == '.';
}

}  // namespace burin
