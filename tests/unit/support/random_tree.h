#pragma once

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "burin/expr.h"

namespace burin::test {

/// A seed that is new at each run, or that of the environment variable BURIN_SEED. Prints it.
inline std::uint64_t seed_for(const char* test) {
  const char* given = std::getenv("BURIN_SEED");
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << test << ": BURIN_SEED=" << seed << std::endl;
  return seed;
}

using Values = std::map<std::string, std::int64_t>;

/// An expression as it was written, before any canonical form. It evaluates without help of the
/// code under test.
struct Tree {
  enum class Kind : std::uint8_t { constant, symbol, add, sub, mul, ceil_div, function };
  Kind kind{};
  std::int64_t value = 0;
  std::string name;
  Expr::Function function{};
  std::vector<Tree> children;

  /// Throws std::overflow_error, or std::domain_error for a division by zero and for dimensions
  /// that do not broadcast.
  std::int64_t evaluate(const Values& values) const;
  Expr build() const;
};

namespace detail {

template <typename Operation>
std::int64_t checked(const Operation& operation) {
  std::int64_t result = 0;
  if (operation(&result)) throw std::overflow_error("overflow");
  return result;
}

inline std::int64_t add(std::int64_t a, std::int64_t b) {
  return checked([&](std::int64_t* r) { return __builtin_add_overflow(a, b, r); });
}

inline std::int64_t sub(std::int64_t a, std::int64_t b) {
  return checked([&](std::int64_t* r) { return __builtin_sub_overflow(a, b, r); });
}

inline std::int64_t mul(std::int64_t a, std::int64_t b) {
  return checked([&](std::int64_t* r) { return __builtin_mul_overflow(a, b, r); });
}

__extension__ using Wide = __int128;

/// From the definition: the largest q with q*b <= a for a positive b, with q*b >= a for a negative
/// one.
inline std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  if (b == 0) throw std::domain_error("division by zero");
  Wide q = static_cast<Wide>(a) / b;
  while (b > 0 ? q * b > a : q * b < a) --q;
  if (q > std::numeric_limits<std::int64_t>::max()) throw std::overflow_error("overflow");
  return static_cast<std::int64_t>(q);
}

inline std::int64_t mod(std::int64_t a, std::int64_t b) {
  if (b == -1) return 0;  // its quotient may overflow
  return static_cast<std::int64_t>(a - static_cast<Wide>(floor_div(a, b)) * b);
}

inline std::int64_t broadcast(std::int64_t a, std::int64_t b) {
  if (a != b && a != 1 && b != 1) throw std::domain_error("broadcast");
  return a == 1 ? b : a;
}

inline std::int64_t apply(Expr::Function function, const std::vector<std::int64_t>& v) {
  switch (function) {
    case Expr::Function::floor_div: return floor_div(v[0], v[1]);
    case Expr::Function::mod: return mod(v[0], v[1]);
    case Expr::Function::min: return v[0] < v[1] ? v[0] : v[1];
    case Expr::Function::max: return v[0] > v[1] ? v[0] : v[1];
    case Expr::Function::less: return v[0] < v[1] ? 1 : 0;
    case Expr::Function::less_equal: return v[0] <= v[1] ? 1 : 0;
    case Expr::Function::equal: return v[0] == v[1] ? 1 : 0;
    case Expr::Function::select: return v[0] != 0 ? v[1] : v[2];
    case Expr::Function::broadcast: return broadcast(v[0], v[1]);
  }
  throw std::logic_error("unknown function");
}

}  // namespace detail

inline std::int64_t Tree::evaluate(const Values& values) const {
  std::vector<std::int64_t> v;
  v.reserve(children.size());
  for (const Tree& child : children) v.push_back(child.evaluate(values));
  switch (kind) {
    case Kind::constant: return value;
    case Kind::symbol: return values.at(name);
    case Kind::add: return detail::add(v[0], v[1]);
    case Kind::sub: return detail::sub(v[0], v[1]);
    case Kind::mul: return detail::mul(v[0], v[1]);
    case Kind::ceil_div: return detail::floor_div(detail::sub(detail::add(v[0], v[1]), 1), v[1]);
    case Kind::function: return detail::apply(function, v);
  }
  throw std::logic_error("unknown kind");
}

inline Expr Tree::build() const {
  std::vector<Expr> e;
  e.reserve(children.size());
  for (const Tree& child : children) e.push_back(child.build());
  switch (kind) {
    case Kind::constant: return value;
    case Kind::symbol: return Expr::symbol(name);
    case Kind::add: return e[0] + e[1];
    case Kind::sub: return e[0] - e[1];
    case Kind::mul: return e[0] * e[1];
    case Kind::ceil_div: return ceil_div(e[0], e[1]);
    case Kind::function: return Expr::apply(function, e);
  }
  throw std::logic_error("unknown kind");
}

struct TreeOptions {
  int depth = 4;
  std::vector<std::string> symbols = {"B", "S", "T", "q"};
  /// Symbols for the operands of broadcast: their values are 1 or `dimension`.
  std::vector<std::string> dimensions = {"n", "m"};
  std::int64_t dimension = 6;
  std::int64_t lowest = -3, highest = 12;  ///< of the values of the symbols
  bool extreme = false;  ///< constants and values also near the ends of the 64-bit range
};

class TreeGenerator {
 public:
  TreeGenerator(std::mt19937_64& random, TreeOptions options)
      : random_(random), options_(std::move(options)) {}

  Tree tree() { return tree(options_.depth); }

  Values values() {
    Values result;
    for (const std::string& symbol : options_.symbols)
      result[symbol] = options_.extreme ? extreme() : between(options_.lowest, options_.highest);
    for (const std::string& symbol : options_.dimensions)
      result[symbol] = one_in(2) ? 1 : options_.dimension;
    return result;
  }

  std::int64_t between(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }
  bool one_in(std::int64_t n) { return between(1, n) == 1; }

 private:
  using Kind = Tree::Kind;

  std::int64_t extreme() {
    constexpr auto kLowest = std::numeric_limits<std::int64_t>::min();
    constexpr auto kHighest = std::numeric_limits<std::int64_t>::max();
    switch (between(0, 3)) {
      case 0: return between(kLowest, kLowest + 2);
      case 1: return between(kHighest - 2, kHighest);
      case 2: return between(kLowest, kHighest);
      default: return between(-3, 3);
    }
  }

  std::int64_t constant() {
    if (options_.extreme && one_in(2)) return extreme();
    return one_in(3) ? between(0, 3) * 4 : between(-9, 9);
  }

  Tree constant_leaf(std::int64_t value) { return {Kind::constant, value, {}, {}, {}}; }

  Tree symbol_leaf(const std::vector<std::string>& names) {
    const auto i = between(0, static_cast<std::int64_t>(names.size()) - 1);
    return {Kind::symbol, 0, names[static_cast<std::size_t>(i)], {}, {}};
  }

  Tree leaf() { return one_in(3) ? constant_leaf(constant()) : symbol_leaf(options_.symbols); }

  Tree tree(int depth) {
    if (depth == 0 || one_in(8)) return leaf();
    switch (between(0, 7)) {
      case 0:
      case 1: return {Kind::add, 0, {}, {}, {tree(depth - 1), tree(depth - 1)}};
      case 2: return {Kind::sub, 0, {}, {}, {tree(depth - 1), tree(depth - 1)}};
      case 3: return {Kind::mul, 0, {}, {}, {tree(depth - 1), leaf()}};
      case 4: return {Kind::mul, 0, {}, {}, {tree(depth - 1), tree(depth - 1)}};
      default: return function(depth);
    }
  }

  Tree function(int depth) {
    using Function = Expr::Function;
    const auto choice = static_cast<Function>(between(0, 8));
    switch (choice) {
      case Function::floor_div:
      case Function::mod: return division(choice, depth);
      case Function::select:
        return {Kind::function, 0, {}, choice, {tree(depth - 1), tree(depth - 1), tree(depth - 1)}};
      case Function::broadcast: return dimension(depth);
      default: return {Kind::function, 0, {}, choice, {tree(depth - 1), tree(depth - 1)}};
    }
  }

  /// Divisors are constants mostly, and now and then what the numerator is a multiple of.
  Tree division(Expr::Function function, int depth) {
    Tree a = tree(depth - 1);
    Tree b = one_in(3) ? tree(depth - 1) : constant_leaf(one_in(8) ? constant() : between(1, 12));
    if (one_in(4)) a = {Kind::mul, 0, {}, {}, {a, b}};
    if (one_in(4)) a = {Kind::add, 0, {}, {}, {a, leaf()}};
    if (one_in(4)) return {Kind::ceil_div, 0, {}, {}, {a, b}};
    return {Kind::function, 0, {}, function, {a, b}};
  }

  Tree dimension(int depth) {
    if (depth == 0 || one_in(3)) {
      if (one_in(8)) return constant_leaf(between(0, 7));
      return one_in(4) ? constant_leaf(one_in(2) ? 1 : options_.dimension)
                       : symbol_leaf(options_.dimensions);
    }
    return {Kind::function,
            0,
            {},
            Expr::Function::broadcast,
            {dimension(depth - 1), dimension(depth - 1)}};
  }

  std::mt19937_64& random_;
  TreeOptions options_;
};

}  // namespace burin::test
