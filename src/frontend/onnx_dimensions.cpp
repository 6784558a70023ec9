#include "frontend/onnx_dimensions.h"

#include <algorithm>
#include <array>
#include <optional>

#include "burin/error.h"

namespace burin::frontend {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// A narrower rule than Expr's: question marks belong to the symbols that Burin makes up, dots look
/// like numbers, and a symbol should not be called like a function.
bool is_identifier(const std::string& name) {
  static const std::set<std::string, std::less<>> functions = {
      "floor_div", "ceil_div",   "mod",   "min",    "max",
      "less",      "less_equal", "equal", "select", "broadcast"};
  return !name.empty() && is_letter(name.front()) && !functions.contains(name) &&
         std::all_of(name.begin(), name.end(), [](char c) { return is_letter(c) || is_digit(c); });
}

std::string identifier_like(const std::string& name) {
  std::string result;
  for (const char c : name) result += is_letter(c) || is_digit(c) ? c : '_';
  if (!is_letter(result.front())) result.insert(result.begin(), '_');
  return is_identifier(result) ? result : result + "_";
}

/// `name` as an expression over `symbols`, if it is one.
std::optional<Expr> as_expression(const std::string& name, const std::set<std::string>& symbols) {
  constexpr std::size_t kMaxLength = 256;
  if (name.size() > kMaxLength) return std::nullopt;
  try {
    Expr expression = Expr::parse(name);
    const std::set<std::string> used = expression.symbols();
    const bool known = std::includes(symbols.begin(), symbols.end(), used.begin(), used.end());
    if (known && !used.empty()) return expression;
  } catch (const Error&) {
  }
  return std::nullopt;
}

}  // namespace

DimensionNames::DimensionNames(const std::vector<OnnxInput>& inputs) {
  std::set<std::string> others;
  for (const OnnxInput& input : inputs) {
    for (const OnnxDim& dim : input.dims) {
      const auto* name = std::get_if<std::string>(&dim);
      if (name == nullptr) continue;
      if (is_identifier(*name)) {
        used_.insert(*name);
        expressions_[*name] = Expr::symbol(*name);
      } else {
        others.insert(*name);
      }
    }
  }
  const std::set<std::string> plain = used_;
  for (const std::string& name : others) {
    if (const auto expression = as_expression(name, plain)) {
      expressions_[name] = *expression;
      continue;
    }
    const std::string symbol = unused(identifier_like(name));
    expressions_[name] = Expr::symbol(symbol);
    otherwise_[symbol] = name;
  }
}

std::string DimensionNames::unused(const std::string& symbol) {
  std::string result = symbol;
  for (int i = 2; !used_.insert(result).second; ++i) result = symbol + "_" + std::to_string(i);
  return result;
}

Expr DimensionNames::expression(const OnnxDim& dim) {
  if (const auto* number = std::get_if<std::int64_t>(&dim)) return *number;
  if (const auto* name = std::get_if<std::string>(&dim)) return expressions_.at(*name);
  return Expr::symbol(unused("dim"));
}

}  // namespace burin::frontend
