#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

namespace burin::test {

/// The distance between neighbouring f32 numbers where `x` lies (that of the denormals below
/// 2^-126).
inline double ulp_of(long double x) {
  int exponent = 0;
  std::frexp(x, &exponent);
  return std::ldexp(1.0, std::max(exponent, -125) - 24);
}

/// How far `got` is from the exact value, in units of ulp_of(exact). NaN for NaN, and infinity for
/// what rounds to infinity, count as 0; any other disagreement of that kind as infinitely far.
inline double ulp_error(float got, long double exact) {
  constexpr double kWrong = std::numeric_limits<double>::infinity();
  if (std::isnan(got) || std::isnan(exact))
    return std::isnan(got) && std::isnan(exact) ? 0 : kWrong;
  const auto rounded = static_cast<float>(exact);
  if (std::isinf(got) || std::isinf(rounded)) {
    if (got == rounded) return 0;
    // The largest number beside a value that just overflows, or the reverse, is a small error.
    const long double limit = 0x1p128L;
    if (std::isinf(exact) || std::signbit(got) != std::signbit(exact)) return kWrong;
    const long double finite = std::isinf(got) ? std::copysign(limit, exact) : got;
    return static_cast<double>(std::abs(finite - exact) / 0x1p104L);
  }
  return static_cast<double>(std::abs(static_cast<long double>(got) - exact)) / ulp_of(exact);
}

}  // namespace burin::test
