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

/// The lowest and the highest number of an integer precision, those of u64 as far as they fit i64.
constexpr std::int64_t lowest_of(Precision precision) {
  switch (precision) {
    case Precision::i32: return std::numeric_limits<std::int32_t>::min();
    case Precision::i16: return std::numeric_limits<std::int16_t>::min();
    case Precision::i8: return std::numeric_limits<std::int8_t>::min();
    case Precision::i64: return std::numeric_limits<std::int64_t>::min();
    default: return 0;
  }
}

constexpr std::int64_t highest_of(Precision precision) {
  switch (precision) {
    case Precision::i32: return std::numeric_limits<std::int32_t>::max();
    case Precision::i16: return std::numeric_limits<std::int16_t>::max();
    case Precision::i8: return std::numeric_limits<std::int8_t>::max();
    case Precision::u32: return std::numeric_limits<std::uint32_t>::max();
    case Precision::u16: return std::numeric_limits<std::uint16_t>::max();
    case Precision::u8: return std::numeric_limits<std::uint8_t>::max();
    case Precision::boolean: return 1;
    default: return std::numeric_limits<std::int64_t>::max();
  }
}

}  // namespace burin
