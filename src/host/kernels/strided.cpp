#include "host/kernels/strided.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "graph/interpreter_ops.h"
#include "host/kernels/parallel.h"

namespace burin::host {
namespace {

template <typename T>
void copy_run(const T* from, std::int64_t from_step, T* to, std::int64_t to_step,
              std::int64_t count) {
  if (to_step == 1 && from_step == 1) {
    std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
  } else if (to_step == 1 && from_step == 0) {
    std::fill_n(to, count, *from);
  } else {
    for (std::int64_t i = 0; i < count; ++i) to[i * to_step] = from[i * from_step];
  }
}

/// The two axes of a copy whose source is dense along one and whose target is dense along the
/// other.
struct TransposedAxes {
  std::size_t dense_source, dense_target;
};

std::optional<TransposedAxes> transposed_axes(const StridedCopy& copy) {
  std::optional<std::size_t> source, target;
  for (std::size_t d = 0; d < copy.dims.size(); ++d) {
    if (copy.dims[d] <= 1) continue;
    if (copy.from[d] == 1) source = d;
    if (copy.to[d] == 1 && copy.from[d] != 0) target = d;
  }
  if (!source || !target || *source == *target) return std::nullopt;
  return TransposedAxes{*source, *target};
}

/// to[r][c] = from[c][r], where rows of both are dense.
template <typename T>
inline void transpose_block(const T* from, std::int64_t from_step, T* to, std::int64_t to_step,
                            std::int64_t rows, std::int64_t columns) {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c) to[r * to_step + c] = from[c * from_step + r];
}

/// The same for 4 x 4 elements of four bytes, in registers.
inline void transpose_4x4(const std::uint32_t* from, std::int64_t from_step, std::uint32_t* to,
                          std::int64_t to_step) {
  using Vector = std::uint32_t __attribute__((vector_size(16)));
  Vector in[4];
  for (int i = 0; i < 4; ++i) std::memcpy(&in[i], from + i * from_step, sizeof(Vector));
  const Vector low01 = __builtin_shufflevector(in[0], in[1], 0, 4, 1, 5);
  const Vector low23 = __builtin_shufflevector(in[2], in[3], 0, 4, 1, 5);
  const Vector high01 = __builtin_shufflevector(in[0], in[1], 2, 6, 3, 7);
  const Vector high23 = __builtin_shufflevector(in[2], in[3], 2, 6, 3, 7);
  const Vector out[4] = {__builtin_shufflevector(low01, low23, 0, 1, 4, 5),
                         __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
                         __builtin_shufflevector(high01, high23, 0, 1, 4, 5),
                         __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
  for (int i = 0; i < 4; ++i) std::memcpy(to + i * to_step, &out[i], sizeof(Vector));
}

inline void transpose_block(const std::uint32_t* from, std::int64_t from_step, std::uint32_t* to,
                            std::int64_t to_step, std::int64_t rows, std::int64_t columns) {
  const std::int64_t whole_rows = rows & ~std::int64_t{3},
                     whole_columns = columns & ~std::int64_t{3};
  for (std::int64_t r = 0; r < whole_rows; r += 4)
    for (std::int64_t c = 0; c < whole_columns; c += 4)
      transpose_4x4(from + c * from_step + r, from_step, to + r * to_step + c, to_step);
  transpose_block<std::uint32_t>(from + whole_columns * from_step, from_step, to + whole_columns,
                                 to_step, whole_rows, columns - whole_columns);
  transpose_block<std::uint32_t>(from + whole_rows, from_step, to + whole_rows * to_step, to_step,
                                 rows - whole_rows, columns);
}

/// The side of a block whose rows are cache lines.
template <typename T>
inline constexpr std::int64_t kBlock = 64 / sizeof(T);

/// to[r][c] = from[c][r] for a block, through a buffer, so that each cache line is read or written
/// once, in one piece: rows that are a power of 2 apart fight for the same few places of the cache.
template <typename T>
inline void transpose_through_buffer(const T* from, std::int64_t from_step, T* to,
                                     std::int64_t to_step, std::int64_t rows,
                                     std::int64_t columns) {
  alignas(64) T buffer[kBlock<T> * kBlock<T>];
  for (std::int64_t c = 0; c < columns; ++c)
    std::memcpy(buffer + c * kBlock<T>, from + c * from_step,
                static_cast<std::size_t>(rows) * sizeof(T));
  transpose_block(buffer, kBlock<T>, to, to_step, rows, columns);
}

template <typename T>
void copy_matrix(const StridedCopy& copy, TransposedAxes axes, const T* from, T* to) {
  constexpr std::int64_t kSide = kBlock<T>;
  const std::int64_t rows = copy.dims[axes.dense_source], to_step = copy.to[axes.dense_source];
  const std::int64_t columns = copy.dims[axes.dense_target],
                     from_step = copy.from[axes.dense_target];
  for (std::int64_t r = 0; r < rows; r += kSide)
    for (std::int64_t c = 0; c < columns; c += kSide) {
      const T* source = from + c * from_step + r;
      T* target = to + r * to_step + c;
      if (rows - r >= kSide && columns - c >= kSide) {  // with constants, the loops are unrolled
        transpose_through_buffer(source, from_step, target, to_step, kSide, kSide);
      } else {
        transpose_through_buffer(source, from_step, target, to_step, std::min(kSide, rows - r),
                                 std::min(kSide, columns - c));
      }
    }
}

template <typename T>
void copy_part(const StridedCopy& copy, const T* from, T* to) {
  if (const auto axes = transposed_axes(copy)) {
    Dims others = copy.dims;
    others[axes->dense_source] = others[axes->dense_target] = 1;
    interpreter::for_each_run<2>(others, {copy.from, copy.to},
                                 [&](const auto& starts, std::int64_t count, const auto& steps) {
                                   for (std::int64_t i = 0; i < count; ++i)
                                     copy_matrix(copy, *axes, from + starts[0] + i * steps[0],
                                                 to + starts[1] + i * steps[1]);
                                 });
    return;
  }
  interpreter::for_each_run<2>(copy.dims, {copy.from, copy.to},
                               [&](const auto& starts, std::int64_t count, const auto& steps) {
                                 copy_run(from + starts[0], steps[0], to + starts[1], steps[1],
                                          count);
                               });
}

}  // namespace

void copy_strided(const StridedCopy& copy, std::size_t element_bytes, const void* from, void* to) {
  const std::int64_t count = interpreter::product(copy.dims);
  if (count == 0) return;
  with_element_size(element_bytes, [&]<typename T>() {
    const T* source = static_cast<const T*>(from) + copy.from_offset;
    T* target = static_cast<T*>(to) + copy.to_offset;
    if (copy.dims.empty()) {
      *target = *source;
      return;
    }
    const std::size_t axis = axis_to_split(copy.dims);
    const auto bytes = count * static_cast<std::int64_t>(sizeof(T));
    parallel_ranges(copy.dims[axis], bytes, [&](std::int64_t first, std::int64_t last) {
      StridedCopy part = copy;
      part.dims[axis] = last - first;
      copy_part(part, source + first * copy.from[axis], target + first * copy.to[axis]);
    });
  });
}

}  // namespace burin::host
