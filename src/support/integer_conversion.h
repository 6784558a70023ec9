#pragma once

#include <concepts>
#include <cstdint>
#include <limits>

#include "burin/type.h"

namespace burin {

/// Truncated towards zero, as CPUs and ONNX Runtime on them do: the lowest number for what does not fit, and for NaN.
template <std::signed_integral T>
constexpr T truncate_to(double x) {
  constexpr double kLimit = -static_cast<double>(std::numeric_limits<T>::min());
  return -kLimit - 1 < x && x < kLimit ? static_cast<T>(x) : std::numeric_limits<T>::min();
}

/// The value that `x` has after it was stored in the integer precision and read back.
constexpr std::int64_t wrap_to(Precision precision, std::int64_t x) {
  switch (precision) {
    case Precision::i32: return static_cast<std::int32_t>(x);
    case Precision::i16: return static_cast<std::int16_t>(x);
    case Precision::i8: return static_cast<std::int8_t>(x);
    case Precision::u32: return static_cast<std::uint32_t>(x);
    case Precision::u16: return static_cast<std::uint16_t>(x);
    case Precision::u8: return static_cast<std::uint8_t>(x);
    case Precision::boolean: return static_cast<std::int64_t>(x != 0);
    default: return x;
  }
}

}  // namespace burin
