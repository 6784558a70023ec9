#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "target/target_info.h"

/// The inner loops of element-wise operations.
///
/// An operation is a function of elements, a template argument. row_function() makes loops of it
/// for every way in which the operands may move, compiled for each instruction set, and gives the
/// one for this machine.
namespace burin::host {

/// Numbers that the attributes of a node say.
struct Constants {
  float a = 0, b = 0;
};

/// `count` neighbouring elements of the output, and where the operands move along.
struct Row {
  std::int64_t count;
  std::array<const void*, 3> in;
  std::array<std::int64_t, 3> steps;
  void* out;
  Constants constants;
};
using RowFunction = void (*)(const Row& row);

namespace row_detail {

template <typename T>
struct Dense {
  const T* p;
  T operator[](std::int64_t i) const { return p[i]; }
};
template <typename T>
struct Same {
  T value;
  T operator[](std::int64_t) const { return value; }
};
template <typename T>
struct Strided {
  const T* p;
  std::int64_t step;
  T operator[](std::int64_t i) const { return p[i * step]; }
};

/// A function may take the constants in front of its elements.
template <auto F, typename... T>
inline auto apply(const Constants& constants, T... x) {
  if constexpr (std::is_invocable_v<decltype(F), const Constants&, T...>) {
    return F(constants, x...);
  } else {
    return F(x...);
  }
}

enum class Loop { vector, scalar };

/// The output may be one of the inputs, element by element: that is no dependence from one step to
/// another.
template <Loop kLoop, auto F, typename Out, typename... Operands>
inline void loop(std::int64_t count, Constants constants, Out* out, Operands... in) {
  if constexpr (kLoop == Loop::vector) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i)
      out[i] = static_cast<Out>(apply<F>(constants, in[i]...));
  } else {
    for (std::int64_t i = 0; i < count; ++i)
      out[i] = static_cast<Out>(apply<F>(constants, in[i]...));
  }
}

/// All operands are dense or stand still: a loop for each combination. In, Rest: the types of those
/// to come.
template <Loop kLoop, auto F, typename Out, typename In, typename... Rest, typename... Operands>
inline void next_operand(const Row& row, Operands... done) {
  constexpr std::size_t kNext = sizeof...(Operands);
  const auto* p = static_cast<const In*>(row.in[kNext]);
  const auto go_on = [&](auto operand) {
    if constexpr (sizeof...(Rest) == 0) {
      loop<kLoop, F>(row.count, row.constants, static_cast<Out*>(row.out), done..., operand);
    } else {
      next_operand<kLoop, F, Out, Rest...>(row, done..., operand);
    }
  };
  if (row.steps[kNext] == 0) {
    go_on(Same<In>{*p});
  } else {
    go_on(Dense<In>{p});
  }
}

template <auto F, typename Out, typename... In, std::size_t... kIndex>
inline void strided(const Row& row, std::index_sequence<kIndex...>) {
  loop<Loop::scalar, F>(row.count, row.constants, static_cast<Out*>(row.out),
                        Strided<In>{static_cast<const In*>(row.in[kIndex]), row.steps[kIndex]}...);
}

template <Loop kLoop, auto F, typename Out, typename... In>
inline void any_row(const Row& row) {
  bool simple = true;
  for (std::size_t i = 0; i < sizeof...(In); ++i) simple = simple && (row.steps[i] | 1) == 1;
  if (simple) {
    next_operand<kLoop, F, Out, In...>(row);
  } else {
    strided<F, Out, In...>(row, std::index_sequence_for<In...>());
  }
}

template <Loop kLoop, auto F, typename Out, typename... In>
void row_anywhere(const Row& row) {
  any_row<kLoop, F, Out, In...>(row);
}

#if BURIN_HAS_X64
template <auto F, typename Out, typename... In>
[[gnu::target("avx2,fma"), gnu::flatten]] void row_avx2(const Row& row) {
  any_row<Loop::vector, F, Out, In...>(row);
}
template <auto F, typename Out, typename... In>
[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"), gnu::flatten]] void row_avx512(
    const Row& row) {
  any_row<Loop::vector, F, Out, In...>(row);
}
#endif

inline Isa host_isa() {
  static const Isa isa = host_target().isa;
  return isa;
}

}  // namespace row_detail

/// The loops of F, which can be computed for many elements at once.
template <auto F, typename Out, typename... In>
RowFunction row_function() {
#if BURIN_HAS_X64
  if (row_detail::host_isa() == Isa::avx512) return row_detail::row_avx512<F, Out, In...>;
  if (row_detail::host_isa() == Isa::avx2) return row_detail::row_avx2<F, Out, In...>;
#endif
  return row_detail::row_anywhere<row_detail::Loop::vector, F, Out, In...>;
}

/// The loops of F, which calls what has no vector form, or throws.
template <auto F, typename Out, typename... In>
RowFunction scalar_row_function() {
  return row_detail::row_anywhere<row_detail::Loop::scalar, F, Out, In...>;
}

}  // namespace burin::host
