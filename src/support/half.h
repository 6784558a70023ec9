// The 16-bit floating-point formats, in software: exact when widened, rounded to nearest even when
// narrowed. For constants, conversions outside of kernels and the reference interpreter.

#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace burin {

namespace detail {

template <int kExponentBits, int kMantissaBits>
std::uint16_t narrow_float(double value) {
  constexpr int bias = (1 << (kExponentBits - 1)) - 1;
  constexpr int least_exponent = 1 - bias;
  constexpr std::uint64_t infinity = ((1ULL << kExponentBits) - 1) << kMantissaBits;

  const auto bits = std::bit_cast<std::uint64_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 63 << 15);
  const int exponent = static_cast<int>(bits >> 52 & 0x7ff) - 1023;
  if (std::isnan(value))
    return static_cast<std::uint16_t>(sign | infinity | 1ULL << (kMantissaBits - 1));
  if (std::isinf(value)) return static_cast<std::uint16_t>(sign | infinity);
  if (exponent == -1023) return sign;  // zero, or far below the least value

  const std::uint64_t significand = (1ULL << 52) | (bits & ((1ULL << 52) - 1));
  const int below = exponent < least_exponent ? least_exponent - exponent : 0;
  const int shift = 52 - kMantissaBits + below;
  if (shift > 54) return sign;
  std::uint64_t result = significand >> shift;
  const std::uint64_t rest = significand & ((1ULL << shift) - 1);
  const std::uint64_t half = 1ULL << (shift - 1);
  if (rest > half || (rest == half && (result & 1) != 0)) ++result;
  // A carry out of the mantissa runs into the exponent, which is what it should do.
  if (below == 0) result += static_cast<std::uint64_t>(exponent - least_exponent) << kMantissaBits;
  return static_cast<std::uint16_t>(sign | (result < infinity ? result : infinity));
}

template <int kExponentBits, int kMantissaBits>
float widen_float(std::uint16_t bits) {
  constexpr int bias = (1 << (kExponentBits - 1)) - 1;
  constexpr int greatest = (1 << kExponentBits) - 1;
  const int exponent = bits >> kMantissaBits & greatest;
  const int mantissa = bits & ((1 << kMantissaBits) - 1);
  float magnitude = 0;
  if (exponent == greatest) {
    magnitude = mantissa != 0 ? std::numeric_limits<float>::quiet_NaN()
                              : std::numeric_limits<float>::infinity();
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(mantissa), 1 - bias - kMantissaBits);
  } else {
    magnitude = std::ldexp(static_cast<float>(mantissa | 1 << kMantissaBits),
                           exponent - bias - kMantissaBits);
  }
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

}  // namespace detail

inline std::uint16_t to_f16(double value) { return detail::narrow_float<5, 10>(value); }
inline std::uint16_t to_bf16(double value) { return detail::narrow_float<8, 7>(value); }
inline float from_f16(std::uint16_t bits) { return detail::widen_float<5, 10>(bits); }
inline float from_bf16(std::uint16_t bits) { return detail::widen_float<8, 7>(bits); }

}  // namespace burin
