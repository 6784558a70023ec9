#pragma once

#include <concepts>
#include <string>
#include <string_view>

#include "support/arithmetic_error.h"

namespace burin {

namespace detail {

/// Apart from the arithmetic, so that the fast path stays small.
template <std::integral T>
[[noreturn, gnu::cold, gnu::noinline]] void fail_overflow(std::string_view subject, T a,
                                                          const char* operation, T b) {
  throw ArithmeticError(std::string(subject) + ": " + std::to_string(a) + operation + std::to_string(b) +
              " overflows " + std::to_string(8 * sizeof(T)) + " bits");
}

}  // namespace detail

/// a + b; throws burin::Error that starts with `subject` where the sum does not fit.
template <std::integral T>
inline T checked_add(T a, T b, std::string_view subject) {
  T result;
  if (__builtin_add_overflow(a, b, &result)) detail::fail_overflow(subject, a, " + ", b);
  return result;
}

/// a - b; throws burin::Error that starts with `subject` where the difference does not fit.
template <std::integral T>
inline T checked_sub(T a, T b, std::string_view subject) {
  T result;
  if (__builtin_sub_overflow(a, b, &result)) detail::fail_overflow(subject, a, " - ", b);
  return result;
}

/// a * b; throws burin::Error that starts with `subject` where the product does not fit.
template <std::integral T>
inline T checked_mul(T a, T b, std::string_view subject) {
  T result;
  if (__builtin_mul_overflow(a, b, &result)) detail::fail_overflow(subject, a, " * ", b);
  return result;
}

}  // namespace burin
