#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

#include "burin/expr.h"

/// What Expr::Function means on 64-bit integers: the one definition that constant folding,
/// Expr::evaluate and the tape share.
namespace burin::integer {

/// How the error messages of an evaluation start.
inline constexpr std::string_view kSubject = "integer expression";

[[noreturn, gnu::cold]] void fail_division_by_zero(Expr::Function function, std::int64_t a);
[[noreturn, gnu::cold]] void fail_division_overflow(std::int64_t a, std::int64_t b);
[[noreturn, gnu::cold]] void fail_broadcast(std::int64_t a, std::int64_t b);

/// Whether both values are in [0, 2^32): then a 32-bit division does, which costs a fraction of a
/// 64-bit one on many CPUs.
inline bool fit_unsigned_32(std::int64_t a, std::int64_t b) {
  return ((static_cast<std::uint64_t>(a) | static_cast<std::uint64_t>(b)) >> 32) == 0;
}

inline std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  if (b == 0) fail_division_by_zero(Expr::Function::floor_div, a);
  if (fit_unsigned_32(a, b)) return static_cast<std::uint32_t>(a) / static_cast<std::uint32_t>(b);
  if (b == -1 && a == std::numeric_limits<std::int64_t>::min()) fail_division_overflow(a, b);
  const std::int64_t quotient = a / b;
  const bool inexact = a % b != 0;
  return quotient - static_cast<std::int64_t>(inexact && (a < 0) != (b < 0));
}

inline std::int64_t mod(std::int64_t a, std::int64_t b) {
  if (b == 0) fail_division_by_zero(Expr::Function::mod, a);
  if (fit_unsigned_32(a, b)) return static_cast<std::uint32_t>(a) % static_cast<std::uint32_t>(b);
  if (b == -1) return 0;  // the CPU's division would overflow for the lowest a
  const std::int64_t remainder = a % b;
  return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder;
}

inline std::int64_t broadcast(std::int64_t a, std::int64_t b) {
  if (a == b || b == 1) return a;
  if (a == 1) return b;
  fail_broadcast(a, b);
}

/// Applies the function to its arguments (arity(function) of them).
std::int64_t apply(Expr::Function function, const std::int64_t* arguments);

}  // namespace burin::integer
