// Matrix products. One routine, multiply(), serves all of them and Conv; transposed operands are
// strides.

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "graph/interpreter_ops.h"

namespace burin::interpreter {

namespace {

/// Integers are multiplied as unsigned numbers, so that they wrap.
template <typename T>
using Arithmetic = std::conditional_t<std::is_same_v<T, std::int64_t>, std::uint64_t, T>;

constexpr std::int64_t kColumns = 4;  // of b at a time
constexpr std::int64_t kRows = 4;     // of a at a time: the sums fit the registers of any CPU

/// kRowCount x kColumns sums over k; `panel` holds k x kColumns elements of b.
template <std::int64_t kRowCount, typename T>
void multiply_tile(std::int64_t k, const T* a, std::int64_t row_stride, std::int64_t column_stride,
                   const Arithmetic<T>* panel, T* c, std::int64_t c_stride, std::int64_t columns) {
  using Number = Arithmetic<T>;
  Number sums[kRowCount][kColumns] = {};
  for (std::int64_t p = 0; p < k; ++p) {
    for (std::int64_t i = 0; i < kRowCount; ++i) {
      const auto factor = static_cast<Number>(a[i * row_stride + p * column_stride]);
      for (std::int64_t j = 0; j < kColumns; ++j) sums[i][j] += factor * panel[p * kColumns + j];
    }
  }
  for (std::int64_t i = 0; i < kRowCount; ++i)
    for (std::int64_t j = 0; j < columns; ++j) c[i * c_stride + j] = static_cast<T>(sums[i][j]);
}

}  // namespace

template <typename T, typename B>
void multiply(std::int64_t m, std::int64_t n, std::int64_t k, Matrix<T> a, Matrix<B> b, T* c) {
  using Number = Arithmetic<T>;
  std::vector<Number> panel(static_cast<std::size_t>(k * kColumns), Number{0});
  for (std::int64_t j = 0; j < n; j += kColumns) {
    const std::int64_t columns = std::min(kColumns, n - j);
    for (std::int64_t p = 0; p < k; ++p) {
      const B* from = b.data + p * b.row_stride + j * b.column_stride;
      Number* to = panel.data() + p * kColumns;
      for (std::int64_t q = 0; q < columns; ++q)
        to[q] = static_cast<Number>(from[q * b.column_stride]);
      for (std::int64_t q = columns; q < kColumns; ++q) to[q] = Number{0};
    }
    std::int64_t i = 0;
    for (; i + kRows <= m; i += kRows)
      multiply_tile<kRows, T>(k, a.data + i * a.row_stride, a.row_stride, a.column_stride,
                              panel.data(), c + i * n + j, n, columns);
    for (; i < m; ++i)
      multiply_tile<1, T>(k, a.data + i * a.row_stride, a.row_stride, a.column_stride, panel.data(),
                          c + i * n + j, n, columns);
  }
}
template void multiply(std::int64_t, std::int64_t, std::int64_t, Matrix<double>, Matrix<double>,
                       double*);
template void multiply(std::int64_t, std::int64_t, std::int64_t, Matrix<double>, Matrix<float>,
                       double*);
template void multiply(std::int64_t, std::int64_t, std::int64_t, Matrix<std::int64_t>,
                       Matrix<std::int64_t>, std::int64_t*);

namespace {

/// The attribute `key` applied to a tensor, if the node has it.
View permuted_by(const Node& node, std::string_view key, const PlainTensor& x) {
  return node.has_attribute(key) ? permuted(view_of(x), node.ints_attribute(key)) : view_of(x);
}

/// MatMul with numpy's rules for stacks of matrices and for vectors.
PlainTensor matmul(const PlainTensor& a, View va, const PlainTensor& b, View vb) {
  if (a.is_float() != b.is_float()) fail("both inputs must hold the same kind of elements");
  if (va.dims.empty() || vb.dims.empty()) fail("a scalar has no matrix product");
  const std::string spelled = fmt::format("{} by {}", to_string(va.dims), to_string(vb.dims));
  const bool row = va.dims.size() == 1, column = vb.dims.size() == 1;
  if (row) {
    va.dims.insert(va.dims.begin(), 1);
    va.strides.insert(va.strides.begin(), 0);
  }
  if (column) {
    vb.dims.push_back(1);
    vb.strides.push_back(0);
  }
  const std::size_t ra = va.dims.size(), rb = vb.dims.size();
  const std::int64_t m = va.dims[ra - 2], k = va.dims[ra - 1], n = vb.dims[rb - 1];
  if (vb.dims[rb - 2] != k)
    fail(fmt::format("inner dimensions of {}: {} against {}", spelled, k, vb.dims[rb - 2]));

  const Dims stack_a(va.dims.begin(), va.dims.end() - 2),
      stack_b(vb.dims.begin(), vb.dims.end() - 2);
  const Dims stack = broadcast_dims(stack_a, stack_b);
  const auto stack_strides = [&](const View& view) {
    Dims strides(stack.size(), 0);
    const std::size_t own = view.dims.size() - 2;
    for (std::size_t d = 0; d < own; ++d)
      strides[stack.size() - own + d] = view.dims[d] == 1 ? 0 : view.strides[d];
    return strides;
  };
  const std::vector<std::int64_t> starts_a = all_offsets(stack, stack_strides(va));
  const std::vector<std::int64_t> starts_b = all_offsets(stack, stack_strides(vb));

  Dims dims = stack;
  if (!row) dims.push_back(m);
  if (!column) dims.push_back(n);
  return with_type_of(a, [&]<typename T>() -> PlainTensor {
    std::vector<T> result(starts_a.size() * static_cast<std::size_t>(m * n));
    const auto run = [&]<typename B>(const B* from) {
      for (std::size_t s = 0; s < starts_a.size(); ++s)
        multiply<T, B>(m, n, k, {a.data<T>() + starts_a[s], va.strides[ra - 2], va.strides[ra - 1]},
                       {from + starts_b[s], vb.strides[rb - 2], vb.strides[rb - 1]},
                       result.data() + static_cast<std::int64_t>(s) * m * n);
    };
    if constexpr (std::is_same_v<T, double>) {
      // Weights are read as they lie in the model: no copy of them in double precision.
      if (b.source() != nullptr && b.source()->precision() == Precision::f32) {
        run(b.source()->template as<float>());
        return {dims, std::move(result)};
      }
    }
    run(b.data<T>());
    return {dims, std::move(result)};
  });
}

Results matmul_op(const Node&, const Graph&, Inputs in) {
  return {matmul(*in[0], view_of(*in[0]), *in[1], view_of(*in[1]))};
}

Results brgemm(const Node& node, const Graph&, Inputs in) {
  const PlainTensor result = matmul(*in[0], permuted_by(node, "perm_a", *in[0]), *in[1],
                                    permuted_by(node, "perm_b", *in[1]));
  const View out = permuted_by(node, "perm_out", result);
  return {strided_copy(result, out.dims, out.strides)};
}

/// alpha * a' * b' + beta * c
Results gemm(const Node& node, const Graph&, Inputs in) {
  View va = view_of(*in[0]), vb = view_of(*in[1]);
  if (va.dims.size() != 2 || vb.dims.size() != 2)
    fail(fmt::format("expected two matrices, given {} and {}", to_string(va.dims),
                     to_string(vb.dims)));
  constexpr std::array<std::int64_t, 2> kSwapped{1, 0};
  if (node.int_attribute("transA", 0) != 0) va = permuted(va, kSwapped);
  if (node.int_attribute("transB", 0) != 0) vb = permuted(vb, kSwapped);
  const double alpha = node.float_attribute("alpha", 1.0), beta = node.float_attribute("beta", 1.0);
  const PlainTensor product_ab = matmul(*in[0], va, *in[1], vb);
  if (has(in, 2) && in[2]->is_float() != product_ab.is_float())
    fail("all inputs must hold the same kind of elements");

  return {with_type_of(product_ab, [&]<typename T>() -> PlainTensor {
    const auto scaled = [](double factor, T x) -> T {
      if constexpr (std::is_same_v<T, double>) return factor * x;
      return factor == 1.0 ? x : static_cast<T>(to_integer(factor * static_cast<double>(x)));
    };
    const T* from = product_ab.data<T>();
    std::vector<T> result(from, from + product_ab.size());
    for (T& x : result) x = scaled(alpha, x);
    if (has(in, 2)) {
      const T* c = in[2]->data<T>();
      T* out = result.data();
      for_each_run<1>(product_ab.dims(), {broadcast_strides(in[2]->dims(), product_ab.dims())},
                      [&](const auto& start, std::int64_t count, const auto& step) {
                        for (std::int64_t i = 0; i < count; ++i) {
                          const T term = scaled(beta, c[start[0] + i * step[0]]);
                          if constexpr (std::is_same_v<T, double>) {
                            out[i] += term;
                          } else {
                            out[i] = wrap_add(out[i], term);
                          }
                        }
                        out += count;
                      });
    }
    return {product_ab.dims(), std::move(result)};
  })};
}

}  // namespace

void add_matmul(NodeTable& table) {
  table[OpKind::MatMul] = matmul_op;
  table[OpKind::Gemm] = gemm;
  table[OpKind::Brgemm] = brgemm;
}

}  // namespace burin::interpreter
