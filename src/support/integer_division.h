#pragma once

#include <concepts>
#include <type_traits>

namespace burin {

// Division of integers as the kernels, the stand-alone operations and the interpreters do it: nothing traps. What does not
// fit wraps (the lowest number divided by -1); a division by zero gives 0 and leaves its dividend as the remainder, as
// AArch64's instructions do, so that a == quotient * b + remainder always.

/// Truncated towards zero.
template <std::signed_integral T>
constexpr T quotient_of(T a, T b) {
  using Unsigned = std::make_unsigned_t<T>;
  if (b == 0) return 0;
  return b == -1 ? static_cast<T>(Unsigned{0} - static_cast<Unsigned>(a)) : static_cast<T>(a / b);
}

/// Has the sign of a.
template <std::signed_integral T>
constexpr T remainder_of(T a, T b) {
  if (b == 0) return a;
  return b == -1 ? T{0} : static_cast<T>(a % b);
}

/// Has the sign of b.
template <std::signed_integral T>
constexpr T modulo_of(T a, T b) {
  const T r = remainder_of(a, b);
  return r != 0 && (r < 0) != (b < 0) ? static_cast<T>(r + b) : r;
}

}  // namespace burin
