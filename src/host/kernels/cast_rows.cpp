// Casts from every type to every other. As in the interpreter, a number is a double or an i64 on
// its way.

#include <type_traits>

#include "graph/interpreter_ops.h"
#include "host/kernels/elementwise_rows.h"
#include "support/half.h"
#include "support/integer_conversion.h"

namespace burin::host {
namespace {

/// How the elements of a precision lie in memory.
template <Precision kPrecision>
struct Stored;
#define BURIN_STORED(precision, type)   \
  template <>                           \
  struct Stored<Precision::precision> { \
    using Type = type;                  \
  };
BURIN_STORED(f32, float)
BURIN_STORED(f64, double)
BURIN_STORED(f16, std::uint16_t)
BURIN_STORED(bf16, std::uint16_t)
BURIN_STORED(i64, std::int64_t)
BURIN_STORED(i32, std::int32_t)
BURIN_STORED(i8, std::int8_t)
BURIN_STORED(u8, std::uint8_t)
BURIN_STORED(boolean, std::uint8_t)
#undef BURIN_STORED

/// Calls f.operator()<precision>().
template <typename F>
RowFunction with_precision(Precision precision, const F& f) {
  switch (precision) {
    case Precision::f32: return f.template operator()<Precision::f32>();
    case Precision::f64: return f.template operator()<Precision::f64>();
    case Precision::f16: return f.template operator()<Precision::f16>();
    case Precision::bf16: return f.template operator()<Precision::bf16>();
    case Precision::i64: return f.template operator()<Precision::i64>();
    case Precision::i32: return f.template operator()<Precision::i32>();
    case Precision::i8: return f.template operator()<Precision::i8>();
    case Precision::u8: return f.template operator()<Precision::u8>();
    case Precision::boolean: return f.template operator()<Precision::boolean>();
    default: return nullptr;
  }
}

/// The number that an element stands for: a double or an i64.
template <Precision kFrom>
inline auto number(typename Stored<kFrom>::Type x) {
  if constexpr (kFrom == Precision::f16) {
    return static_cast<double>(from_f16(x));
  } else if constexpr (kFrom == Precision::bf16) {
    return static_cast<double>(from_bf16(x));
  } else if constexpr (is_float(kFrom)) {
    return static_cast<double>(x);
  } else if constexpr (kFrom == Precision::boolean) {
    return static_cast<std::int64_t>(x != 0);
  } else {
    return static_cast<std::int64_t>(x);
  }
}

template <Precision kTo, typename Number>
inline auto element(Number x) {
  using To = typename Stored<kTo>::Type;
  if constexpr (kTo == Precision::f16) {
    return to_f16(static_cast<double>(x));
  } else if constexpr (kTo == Precision::bf16) {
    return to_bf16(static_cast<double>(x));
  } else if constexpr (is_float(kTo)) {
    return static_cast<To>(x);
  } else if constexpr (kTo == Precision::boolean) {
    return static_cast<To>(x != 0);
  } else if constexpr (std::is_same_v<Number, double> && std::is_signed_v<To> && sizeof(To) >= sizeof(std::int32_t)) {
    return truncate_to<To>(x);
  } else if constexpr (std::is_same_v<Number, double>) {
    const bool fits = -0x1p31 < x && x < 0x1p31;  // nearly always: no call
    return static_cast<To>(fits ? static_cast<std::int64_t>(x) : interpreter::cast_to_integer(kTo, x));
  } else {
    return static_cast<To>(x);
  }
}

constexpr bool is_half(Precision p) { return p == Precision::f16 || p == Precision::bf16; }

}  // namespace

RowFunction cast_row(Precision from, Precision to) {
  return with_precision(from, [&]<Precision kFrom>() {
    return with_precision(to, [&]<Precision kTo>() -> RowFunction {
      using From = typename Stored<kFrom>::Type;
      using To = typename Stored<kTo>::Type;
      constexpr auto cast = [](From x) { return element<kTo>(number<kFrom>(x)); };
      constexpr bool calls = is_half(kFrom) || is_half(kTo) || (is_float(kFrom) && !is_float(kTo));
      if constexpr (calls) {
        return scalar_row_function<cast, To, From>();
      } else {
        return row_function<cast, To, From>();
      }
    });
  });
}

}  // namespace burin::host
