#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "burin/graph.h"
#include "graph/interpreter.h"
#include "support/integer_conversion.h"

/// What the files of the interpreter share: one file a category of operations.
namespace burin::interpreter {

/// The inputs of a node; nullptr where an optional one is absent.
using Inputs = std::span<const PlainTensor* const>;
using Results = std::vector<PlainTensor>;
using NodeFunction = Results (*)(const Node& node, const Graph& graph, Inputs inputs);

#define BURIN_OP(name, text, category, min_inputs, max_inputs) +1
inline constexpr std::size_t kOpCount = 0
#include "burin/ops.def"
    ;

/// The function of each operation, by OpKind.
class NodeTable {
 public:
  NodeFunction& operator[](OpKind op) { return functions_[static_cast<std::size_t>(op)]; }
  NodeFunction operator[](OpKind op) const { return functions_[static_cast<std::size_t>(op)]; }

 private:
  std::array<NodeFunction, kOpCount> functions_{};
};

void add_elementwise(NodeTable& table);
void add_reduce(NodeTable& table);
void add_normalize(NodeTable& table);
void add_matmul(NodeTable& table);
void add_spatial(NodeTable& table);
void add_movement(NodeTable& table);
void add_index(NodeTable& table);  ///< index and shape arithmetic

/// Throws burin::Error; evaluate_node puts the name of the node in front.
[[noreturn]] void fail(const std::string& message);

inline bool has(Inputs inputs, std::size_t i) { return i < inputs.size() && inputs[i] != nullptr; }
/// The input as a list of integers, whatever its rank. `what` is for the message if it holds
/// floats.
std::vector<std::int64_t> integers(const PlainTensor& tensor, std::string_view what);
/// The only element of a tensor. Throws if there are more or none.
std::int64_t scalar_integer(const PlainTensor& tensor, std::string_view what);
double scalar_number(const PlainTensor& tensor, std::string_view what);
/// Counts a negative axis from the end; throws if it is not in [-rank, rank).
std::int64_t resolve_axis(std::int64_t axis, std::int64_t rank);

std::int64_t product(std::span<const std::int64_t> dims);
/// numpy's rule. Throws if the dimensions do not broadcast.
Dims broadcast_dims(const Dims& a, const Dims& b);
/// The strides of a tensor that is read under the dimensions `to`: 0 where it is repeated.
Dims broadcast_strides(const Dims& dims, const Dims& to);

/// Calls f.operator()<double>() or f.operator()<std::int64_t>(), by what the tensor holds.
template <typename F>
auto with_type_of(const PlainTensor& tensor, const F& f) {
  return tensor.is_float() ? f.template operator()<double>()
                           : f.template operator()<std::int64_t>();
}

/// The loops over a space of `dims` in which N operands move with strides of their own. Adjacent
/// dimensions are merged where all operands permit; the innermost one that is left is handed out as
/// a run: f(offsets, count, steps).
template <std::size_t N, typename F>
void for_each_run(const Dims& dims, const std::array<Dims, N>& strides, const F& f) {
  struct Axis {
    std::int64_t size;
    std::array<std::int64_t, N> steps;
  };
  std::vector<Axis> axes;  // innermost first
  for (std::size_t d = dims.size(); d-- > 0;) {
    if (dims[d] == 0) return;
    if (dims[d] == 1) continue;
    Axis axis{dims[d], {}};
    for (std::size_t i = 0; i < N; ++i) axis.steps[i] = strides[i][d];
    bool merges = !axes.empty();
    for (std::size_t i = 0; merges && i < N; ++i)
      merges = axis.steps[i] == axes.back().steps[i] * axes.back().size;
    if (merges) {
      axes.back().size *= axis.size;
    } else {
      axes.push_back(axis);
    }
  }
  if (axes.empty()) axes.push_back({1, {}});
  std::array<std::int64_t, N> offsets{};
  std::vector<std::int64_t> index(axes.size(), 0);
  while (true) {
    f(offsets, axes[0].size, axes[0].steps);
    std::size_t d = 1;
    for (; d < axes.size(); ++d) {
      for (std::size_t i = 0; i < N; ++i) offsets[i] += axes[d].steps[i];
      if (++index[d] < axes[d].size) break;
      for (std::size_t i = 0; i < N; ++i) offsets[i] -= axes[d].steps[i] * axes[d].size;
      index[d] = 0;
    }
    if (d >= axes.size()) return;
  }
}

/// The offsets of all points of a strided space, in row-major order.
std::vector<std::int64_t> all_offsets(const Dims& dims, const Dims& strides);

/// How the elements of a tensor are read, where that is not row-major order.
struct View {
  Dims dims, strides;
};
View view_of(const PlainTensor& x);
/// Throws if `perm` is no permutation of the axes.
View permuted(const View& view, std::span<const std::int64_t> perm);

/// The tensor of `dims` whose element at index i is x[offset + dot(i, strides)]: what most
/// movements are.
PlainTensor strided_copy(const PlainTensor& x, const Dims& dims, const Dims& strides,
                         std::int64_t offset = 0);
PlainTensor transpose(const PlainTensor& x, std::span<const std::int64_t> perm);

/// Offsets along one axis; -1 where there is no element (padding).
using Offsets = std::vector<std::int64_t>;

/// For all combinations of one offset an axis, in row-major order: f(their sum), or f(-1) if one of
/// them is -1.
template <typename F>
void for_each_combination(std::span<const Offsets* const> axes, const F& f, std::int64_t at = 0) {
  if (axes.empty()) return f(at);
  if (axes.size() == 1) {
    for (const std::int64_t offset : *axes[0]) f(at < 0 || offset < 0 ? -1 : at + offset);
  } else {
    for (const std::int64_t offset : *axes[0])
      for_each_combination(axes.subspan(1), f, at < 0 || offset < 0 ? -1 : at + offset);
  }
}

/// x * scale + bias with numpy broadcasting to the dimensions of x; bias may be absent.
PlainTensor scale_and_shift(const PlainTensor& x, const PlainTensor& scale,
                            const PlainTensor* bias);

/// A matrix somewhere in memory: element (row, column) is data[row * row_stride + column *
/// column_stride].
template <typename T>
struct Matrix {
  const T* data;
  std::int64_t row_stride, column_stride;
};
/// c = a * b, where c is dense m x n. Sums run over k in ascending order. Instances: double by
/// double, double by float, i64 by i64 (wraps).
template <typename T, typename B>
void multiply(std::int64_t m, std::int64_t n, std::int64_t k, Matrix<T> a, Matrix<B> b, T* c);

/// False for integers.
template <typename T>
bool is_nan(T x) {
  return std::is_same_v<T, double> && std::isnan(static_cast<double>(x));
}

/// Two's complement arithmetic without undefined behaviour.
inline std::int64_t wrap_add(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}
inline std::int64_t wrap_sub(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}
inline std::int64_t wrap_mul(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
}
/// Truncates towards zero; saturates, NaN gives 0.
std::int64_t to_integer(double x);
/// A Cast of a float to an integer: i32 and i64 as the machine gives it (truncate_to), others saturate in 64 bits and wrap.
std::int64_t cast_to_integer(Precision precision, double x);

}  // namespace burin::interpreter
