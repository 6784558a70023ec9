// Printing and parsing of Expr, and the names of its functions.

#include <array>
#include <charconv>
#include <string>

#include "burin/error.h"
#include "support/expr_node.h"

namespace burin {

namespace {

using Node = Expr::Node;
using Function = Expr::Function;

struct FunctionInfo {
  std::string_view name;
  std::size_t arity;
};

/// Indexed by Expr::Function.
constexpr std::array<FunctionInfo, 9> kFunctions = {{
    {"floor_div", 2},
    {"mod", 2},
    {"min", 2},
    {"max", 2},
    {"less", 2},
    {"less_equal", 2},
    {"equal", 2},
    {"select", 3},
    {"broadcast", 2},
}};

// ---- printing
// -------------------------------------------------------------------------------------

void print(const Expr& e, std::string& out);

void print(const Node::Atom& atom, std::string& out) {
  if (atom.is_symbol()) {
    out += atom.name;
    return;
  }
  out += name_of(atom.function);
  for (std::size_t i = 0; i < atom.arguments.size(); ++i) {
    out += i == 0 ? "(" : ", ";
    print(atom.arguments[i], out);
  }
  out += ')';
}

void print(const Node::Term& term, bool first, std::string& out) {
  const bool negative = term.coefficient < 0;
  if (!first) {
    out += negative ? " - " : " + ";
  } else if (negative) {
    out += '-';
  }
  // Without its sign as an unsigned number: the lowest value has no positive counterpart.
  const auto bits = static_cast<std::uint64_t>(term.coefficient);
  const std::uint64_t magnitude = negative ? 0 - bits : bits;
  bool needs_star = magnitude != 1 || term.factors.empty();
  if (needs_star) out += std::to_string(magnitude);
  for (const Node::Factor& factor : term.factors) {
    for (int i = 0; i < factor.power; ++i) {
      if (needs_star) out += '*';
      needs_star = true;
      print(factor.atom, out);
    }
  }
}

/// `T - S` reads better than `-S + T`.
std::size_t first_to_print(const std::vector<Node::Term>& terms) {
  for (std::size_t i = 0; i < terms.size(); ++i)
    if (terms[i].coefficient > 0 && !terms[i].factors.empty()) return i;
  return 0;
}

void print(const Expr& e, std::string& out) {
  const auto& terms = e.node().terms;
  if (terms.empty()) {
    out += '0';
    return;
  }
  const std::size_t first = first_to_print(terms);
  print(terms[first], true, out);
  for (std::size_t i = 0; i < terms.size(); ++i)
    if (i != first) print(terms[i], false, out);
}

// ---- parsing
// --------------------------------------------------------------------------------------

/// A recursive-descent parser:
///
///   sum     := product (('+' | '-') product)*
///   product := factor ('*' factor)*
///   factor  := '-'* (integer | symbol | function '(' sum (',' sum)* ')' | '(' sum ')')
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Expr parse() {
    try {
      Expr result = sum();
      if (position_ < text_.size()) fail("expected an operator or the end");
      return result;
    } catch (const Error& error) {
      if (failed_) throw;
      fail(error.what());  // of the arithmetic, which knows no column
    }
  }

 private:
  /// As deep as what to_string() prints can be, and some parentheses that a person adds.
  static constexpr std::uint32_t kMaxNesting = 2 * Node::kMaxDepth;

  [[noreturn]] void fail(const std::string& reason) {
    failed_ = true;
    constexpr std::size_t kMaxShown = 80;
    const std::string shown = text_.size() <= kMaxShown
                                  ? std::string(text_)
                                  : std::string(text_.substr(0, kMaxShown)) + "...";
    throw Error("expression '" + shown + "', column " + std::to_string(position_ + 1) + ": " +
                reason);
  }

  void skip_space() {
    while (position_ < text_.size() &&
           std::string_view(" \t\r\n").find(text_[position_]) != std::string_view::npos)
      ++position_;
  }

  bool next_is(char c) {
    skip_space();
    return position_ < text_.size() && text_[position_] == c;
  }

  bool accept(char c) {
    if (!next_is(c)) return false;
    ++position_;
    return true;
  }

  void expect(char c) {
    if (!accept(c)) fail(std::string("expected '") + c + "'");
  }

  /// The terms of all summands are merged at once: a sum of n of them takes n log n steps.
  Expr sum() {
    if (++nesting_ > kMaxNesting) fail("nested too deeply");
    std::vector<Node::Term> terms;
    bool negative = false;
    do {
      const Expr summand = product(negative);
      terms.insert(terms.end(), summand.node().terms.begin(), summand.node().terms.end());
      negative = next_is('-');
    } while (accept('+') || accept('-'));
    --nesting_;
    return Node::make(std::move(terms));
  }

  Expr product(bool negative) {
    Expr result = factor(negative);
    while (accept('*')) result *= factor(false);
    return result;
  }

  Expr factor(bool negative) {
    while (accept('-')) negative = !negative;
    skip_space();
    if (position_ == text_.size()) fail("expected an operand, found the end");
    const char c = text_[position_];
    if (c >= '0' && c <= '9') return integer(negative);
    const Expr result = operand(c);
    return negative ? 0 - result : result;
  }

  Expr operand(char c) {
    if (starts_identifier(c)) return symbol_or_function();
    if (!accept('(')) fail(std::string("expected an operand, found '") + c + "'");
    Expr result = sum();
    expect(')');
    return result;
  }

  /// With its sign: the magnitude of the lowest value is no 64-bit integer.
  Expr integer(bool negative) {
    std::string digits = negative ? "-" : "";
    std::size_t end = position_;
    while (end < text_.size() && text_[end] >= '0' && text_[end] <= '9') digits += text_[end++];
    std::int64_t value = 0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), value).ec != std::errc())
      fail("the integer does not fit in 64 bits");
    position_ = end;
    return value;
  }

  Expr symbol_or_function() {
    const std::size_t start = position_;
    while (position_ < text_.size() && continues_identifier(text_[position_])) ++position_;
    const std::string_view name = text_.substr(start, position_ - start);
    if (!accept('(')) return Expr::symbol(name);
    const std::optional<Function> function = function_of(name);
    if (!function && name != "ceil_div") {
      position_ = start;
      fail("unknown function '" + std::string(name) + "'");
    }
    std::vector<Expr> arguments = {sum()};
    while (accept(',')) arguments.push_back(sum());
    expect(')');
    if (function) return Expr::apply(*function, arguments);
    if (arguments.size() != 2) fail("ceil_div takes 2 arguments");
    return ceil_div(arguments[0], arguments[1]);
  }

  std::string_view text_;
  std::size_t position_ = 0;
  std::uint32_t nesting_ = 0;
  bool failed_ = false;
};

}  // namespace

std::string_view name_of(Function function) {
  return kFunctions.at(static_cast<std::size_t>(function)).name;
}

std::size_t arity(Function function) {
  return kFunctions.at(static_cast<std::size_t>(function)).arity;
}

std::optional<Function> function_of(std::string_view name) {
  for (std::size_t i = 0; i < kFunctions.size(); ++i)
    if (kFunctions[i].name == name) return static_cast<Function>(i);
  return std::nullopt;
}

std::string Expr::to_string() const {
  std::string out;
  print(*this, out);
  return out;
}

Expr Expr::parse(std::string_view text) { return Parser(text).parse(); }

}  // namespace burin
