// Operations that read or write by index, and those that make tensors out of shapes.

#include <algorithm>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include "graph/interpreter_ops.h"
#include "graph/shape_math.h"
#include "host/kernels/parallel.h"
#include "host/kernels/plain_kernel.h"
#include "host/kernels/strided.h"

namespace burin::host {
namespace {

using interpreter::fail;
using interpreter::product;

std::size_t axis_of(const Node& node, const Dims& dims) {
  return static_cast<std::size_t>(
      interpreter::resolve_axis(node.int_attribute("axis", 0), std::ssize(dims)));
}

/// An index into an axis of `size`; a negative one counts from the end. `position`: of the index in
/// its tensor.
std::int64_t resolve_index(std::int64_t index, std::int64_t size, std::size_t axis,
                           std::size_t position) {
  if (index < -size || index >= size)
    fail(fmt::format("index {} at position {} is not in axis {}, which has {} elements", index,
                     position, axis, size));
  return index < 0 ? index + size : index;
}

void resolve_all(std::vector<std::int64_t>& indices, std::int64_t size, std::size_t axis) {
  for (std::size_t i = 0; i < indices.size(); ++i)
    indices[i] = resolve_index(indices[i], size, axis, i);
}

/// Rows of `row` elements that lie at `starts` in `from`, one after the other.
template <typename T>
void copy_rows(const T* from, const std::vector<std::int64_t>& starts, std::int64_t row, T* to) {
  const auto bytes = static_cast<std::int64_t>(sizeof(T)) * row * std::ssize(starts);
  parallel_ranges(std::ssize(starts), bytes, [&](std::int64_t first, std::int64_t last) {
    const std::int64_t* start = starts.data();
    if (row == 1) {
      for (std::int64_t i = first; i < last; ++i) to[i] = from[start[i]];
    } else {
      for (std::int64_t i = first; i < last; ++i)
        std::memcpy(to + i * row, from + start[i], static_cast<std::size_t>(row) * sizeof(T));
    }
  });
}

// ---------------------------------------------------------------------------------------------------------
// Gather and scatter

class Gather final : public PlainKernel {
 public:
  using PlainKernel::PlainKernel;

 private:
  void compute(const KernelArguments& arguments) override {
    const std::span<const std::int64_t> dims(input_dims(0));
    const std::size_t axis = axis_of(node(), input_dims(0));
    const std::int64_t outer = product(dims.first(axis)), size = dims[axis],
                       row = product(dims.subspan(axis + 1));
    std::vector<std::int64_t> starts = integers(arguments, 1);
    resolve_all(starts, size, axis);
    if (product(output_dims()) == 0) return;
    for (std::int64_t& start : starts) start *= row;
    with_element_size(size_of(input_precision(0)), [&]<typename T>() {
      const T* from = static_cast<const T*>(arguments.inputs[0]);
      T* to = static_cast<T*>(arguments.outputs[0]);
      for (std::int64_t o = 0; o < outer; ++o)
        copy_rows(from + o * size * row, starts, row, to + o * row * std::ssize(starts));
    });
  }
};

/// out[i][j] = x[indices[i][j]][j], for axis 0.
class GatherElements final : public PlainKernel {
 public:
  using PlainKernel::PlainKernel;

 private:
  void plan() override {
    const Dims &x = input_dims(0), &indices = input_dims(1);
    axis_ = axis_of(node(), x);
    bool fits = x.size() == indices.size();
    for (std::size_t d = 0; fits && d < x.size(); ++d) fits = d == axis_ || indices[d] <= x[d];
    if (!fits)
      fail(fmt::format("indices {} do not fit the input {}", to_string(indices), to_string(x)));
    strides_ = row_major_strides(x);
    step_ = std::exchange(strides_[axis_], 0);
  }

  void compute(const KernelArguments& arguments) override {
    std::vector<std::int64_t> starts = integers(arguments, 1);
    resolve_all(starts, input_dims(0)[axis_], axis_);
    std::int64_t* next = starts.data();
    interpreter::for_each_run<1>(input_dims(1), {strides_},
                                 [&](const auto& start, std::int64_t count, const auto& steps) {
                                   for (std::int64_t i = 0; i < count; ++i, ++next)
                                     *next = *next * step_ + start[0] + i * steps[0];
                                 });
    with_element_size(size_of(input_precision(0)), [&]<typename T>() {
      copy_rows(static_cast<const T*>(arguments.inputs[0]), starts, 1,
                static_cast<T*>(arguments.outputs[0]));
    });
  }

  std::size_t axis_ = 0;
  Dims strides_;  ///< of the input, 0 along the axis
  std::int64_t step_ = 1;
};

/// Rows that a tensor of index tuples points at.
class TupleKernel : public PlainKernel {
 public:
  using PlainKernel::PlainKernel;

 protected:
  void plan() final {
    const Dims &x = input_dims(0), &indices = input_dims(1);
    batch_dims_ = static_cast<std::size_t>(node().int_attribute("batch_dims", 0));
    const std::size_t rank = x.size();
    if (indices.empty() || batch_dims_ >= indices.size() ||
        batch_dims_ + static_cast<std::size_t>(indices.back()) > rank ||
        !std::equal(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(batch_dims_),
                    indices.begin()))
      fail(fmt::format("indices {} do not fit the input {}", to_string(indices), to_string(x)));
    length_ = static_cast<std::size_t>(indices.back());
    row_ = product(std::span(x).subspan(batch_dims_ + length_));
  }

  std::int64_t row() const { return row_; }

  /// Where the rows start; all indices are in range.
  std::vector<std::int64_t> starts(const KernelArguments& arguments) const {
    const Dims& x = input_dims(0);
    const Dims strides = row_major_strides(x);
    const std::vector<std::int64_t> tuples = integers(arguments, 1);
    const std::int64_t count = product(std::span(input_dims(1)).first(input_dims(1).size() - 1));
    const std::int64_t batches = product(std::span(x).first(batch_dims_));
    const std::int64_t batch_size = product(std::span(x).subspan(batch_dims_));
    std::vector<std::int64_t> result(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < result.size(); ++i) {
      std::int64_t start = static_cast<std::int64_t>(i) / (count / batches) * batch_size;
      for (std::size_t k = 0; k < length_; ++k) {
        const std::size_t d = batch_dims_ + k, position = i * length_ + k;
        start += resolve_index(tuples[position], x[d], d, position) * strides[d];
      }
      result[i] = start;
    }
    return result;
  }

 private:
  std::size_t batch_dims_ = 0, length_ = 0;
  std::int64_t row_ = 1;
};

class GatherNd final : public TupleKernel {
 public:
  using TupleKernel::TupleKernel;

 private:
  void compute(const KernelArguments& arguments) override {
    const std::vector<std::int64_t> rows = starts(arguments);
    if (product(output_dims()) == 0) return;
    with_element_size(size_of(input_precision(0)), [&]<typename T>() {
      copy_rows(static_cast<const T*>(arguments.inputs[0]), rows, row(),
                static_cast<T*>(arguments.outputs[0]));
    });
  }
};

/// Without a reduction: the last update of a row wins.
class ScatterNd final : public TupleKernel {
 public:
  using TupleKernel::TupleKernel;

  bool works_in_place(std::size_t input) const override { return input == 0; }

 private:
  void compute(const KernelArguments& arguments) override {
    const std::vector<std::int64_t> rows = starts(arguments);
    const std::size_t element_bytes = size_of(input_precision(0));
    const auto all_bytes = static_cast<std::size_t>(bytes_of_output());
    if (all_bytes == 0) return;
    auto* to = static_cast<std::byte*>(arguments.outputs[0]);
    if (to != arguments.inputs[0]) std::memcpy(to, arguments.inputs[0], all_bytes);
    const auto* from = static_cast<const std::byte*>(arguments.inputs[2]);
    const std::size_t row_bytes = static_cast<std::size_t>(row()) * element_bytes;
    if (row_bytes == 0) return;
    for (const std::int64_t start : rows) {
      std::memcpy(to + static_cast<std::size_t>(start) * element_bytes, from, row_bytes);
      from += row_bytes;
    }
  }
};

// ---------------------------------------------------------------------------------------------------------
// Along an axis

/// A tensor as [outer, size, inner] around an axis.
struct AroundAxis {
  std::int64_t outer, size, inner;
  AroundAxis(const Dims& dims, std::size_t axis)
      : outer(product(std::span(dims).first(axis))),
        size(dims[axis]),
        inner(product(std::span(dims).subspan(axis + 1))) {}
};

/// Calls f.operator()<T>() with the type of the elements; false for a type that the kernels here do
/// not have.
template <typename F>
bool with_number(Precision precision, const F& f) {
  switch (precision) {
    case Precision::f32: f.template operator()<float>(); return true;
    case Precision::i64: f.template operator()<std::int64_t>(); return true;
    case Precision::i32: f.template operator()<std::int32_t>(); return true;
    default: return false;
  }
}

bool has_number(const Graph& graph, ValueId id) {
  return with_number(graph.value(id).precision, []<typename T>() {});
}

/// Floats are summed in double precision, as by the interpreter; integers wrap.
inline double plus(double sum, float x) { return sum + static_cast<double>(x); }
inline std::int64_t plus(std::int64_t sum, std::int64_t x) { return interpreter::wrap_add(sum, x); }

class CumSum final : public PlainKernel {
 public:
  using PlainKernel::PlainKernel;

  bool works_in_place(std::size_t input) const override { return input == 0; }

 private:
  void compute(const KernelArguments& arguments) override {
    const std::vector<std::int64_t> given = integers(arguments, 1);
    if (given.size() != 1) fail(fmt::format("axis must have one element, given {}", given.size()));
    const auto axis =
        static_cast<std::size_t>(interpreter::resolve_axis(given[0], std::ssize(input_dims(0))));
    with_number(input_precision(0), [&]<typename T>() {
      sum_along(AroundAxis(input_dims(0), axis), static_cast<const T*>(arguments.inputs[0]),
                static_cast<T*>(arguments.outputs[0]));
    });
  }

  template <typename T>
  void sum_along(const AroundAxis& shape, const T* from, T* to) const {
    using Sum = std::conditional_t<std::is_same_v<T, float>, double, std::int64_t>;
    const bool exclusive = node().int_attribute("exclusive", 0) != 0;
    const bool reverse = node().int_attribute("reverse", 0) != 0;
    const std::int64_t step = reverse ? -shape.inner : shape.inner;
    if (shape.size == 0) return;
    for (std::int64_t o = 0; o < shape.outer; ++o) {
      const std::int64_t begin = (o * shape.size + (reverse ? shape.size - 1 : 0)) * shape.inner;
      for (std::int64_t i = 0; i < shape.inner; ++i) {
        Sum sum{0};
        for (std::int64_t k = 0, at = begin + i; k < shape.size; ++k, at += step) {
          const Sum before = std::exchange(sum, plus(sum, from[at]));
          to[at] = static_cast<T>(exclusive ? before : sum);
        }
      }
    }
  }
};

class ArgMax final : public PlainKernel {
 public:
  using PlainKernel::PlainKernel;

 private:
  void compute(const KernelArguments& arguments) override {
    const AroundAxis shape(input_dims(0), axis_of(node(), input_dims(0)));
    if (shape.outer * shape.inner == 0) return;
    if (shape.size == 0) fail("the place of the largest of no elements");
    const bool last = node().int_attribute("select_last_index", 0) != 0;
    with_number(input_precision(0), [&]<typename T>() {
      const T* from = static_cast<const T*>(arguments.inputs[0]);
      auto* to = static_cast<std::int64_t*>(arguments.outputs[0]);
      for (std::int64_t o = 0; o < shape.outer; ++o)
        for (std::int64_t i = 0; i < shape.inner; ++i)
          *to++ = place_of_largest(from + o * shape.size * shape.inner + i, shape.size, shape.inner,
                                   last);
    });
  }

  /// NaN counts as larger than any number.
  template <typename T>
  static std::int64_t place_of_largest(const T* x, std::int64_t size, std::int64_t step,
                                       bool last) {
    std::int64_t best = 0;
    T value = x[0];
    for (std::int64_t k = 1; k < size; ++k) {
      const T candidate = x[k * step];
      const bool is_nan = candidate != candidate, value_is_nan = value != value;
      const bool larger = candidate > value || (is_nan && !value_is_nan);
      const bool alike = candidate == value || (is_nan && value_is_nan);
      if (!larger && !(last && alike)) continue;
      best = k;
      value = candidate;
    }
    return best;
  }
};

// ---------------------------------------------------------------------------------------------------------
// Out of shapes

class ShapeOf final : public PlainKernel {
 public:
  using PlainKernel::PlainKernel;

 private:
  void compute(const KernelArguments& arguments) override {
    const Dims& dims = input_dims(0);
    const std::int64_t rank = std::ssize(dims);
    const std::int64_t first = node().int_attribute("start", 0);
    const std::int64_t start = std::clamp<std::int64_t>(first < 0 ? first + rank : first, 0, rank);
    std::copy_n(dims.begin() + start, product(output_dims()),
                static_cast<std::int64_t*>(arguments.outputs[0]));
  }
};

class SizeOf final : public PlainKernel {
 public:
  using PlainKernel::PlainKernel;

 private:
  void compute(const KernelArguments& arguments) override {
    *static_cast<std::int64_t*>(arguments.outputs[0]) = product(input_dims(0));
  }
};

class ConstantOfShape final : public PlainKernel {
 public:
  ConstantOfShape(const Graph& graph, const Node& node) : PlainKernel(graph, node) {
    const auto value = node.attributes.find("value");
    if (value != node.attributes.end()) value_ = std::get<Tensor>(value->second);
  }

 private:
  void compute(const KernelArguments& arguments) override {
    with_element_size(size_of(output_precision()), [&]<typename T>() {
      std::fill_n(static_cast<T*>(arguments.outputs[0]), product(output_dims()), *value_.as<T>());
    });
  }

  Tensor value_ = Tensor::scalar(Precision::f32, 0);
};

class Range final : public PlainKernel {
 public:
  using PlainKernel::PlainKernel;

 private:
  void compute(const KernelArguments& arguments) override {
    with_number(output_precision(), [&]<typename T>() {
      const T start = *static_cast<const T*>(arguments.inputs[0]);
      const T delta = *static_cast<const T*>(arguments.inputs[2]);
      T* to = static_cast<T*>(arguments.outputs[0]);
      for (std::int64_t i = 0; i < output_dims()[0]; ++i) to[i] = element(start, delta, i);
    });
  }

  static float element(float start, float delta, std::int64_t i) {
    return static_cast<float>(static_cast<double>(start) +
                              static_cast<double>(i) * static_cast<double>(delta));
  }
  static std::int64_t element(std::int64_t start, std::int64_t delta, std::int64_t i) {
    return interpreter::wrap_add(start, interpreter::wrap_mul(i, delta));
  }
  static std::int32_t element(std::int32_t start, std::int32_t delta, std::int64_t i) {
    return static_cast<std::int32_t>(element(std::int64_t{start}, std::int64_t{delta}, i));
  }
};

}  // namespace

std::unique_ptr<Kernel> make_index_kernel(const Graph& graph, const Node& node) {
  switch (node.op) {
    case OpKind::Gather: return std::make_unique<Gather>(graph, node);
    case OpKind::GatherElements: return std::make_unique<GatherElements>(graph, node);
    case OpKind::GatherND: return std::make_unique<GatherNd>(graph, node);
    case OpKind::Shape: return std::make_unique<ShapeOf>(graph, node);
    case OpKind::Size: return std::make_unique<SizeOf>(graph, node);
    case OpKind::ConstantOfShape: return std::make_unique<ConstantOfShape>(graph, node);
    case OpKind::ScatterND:
      if (node.string_attribute("reduction", "none") != "none") return nullptr;
      return std::make_unique<ScatterNd>(graph, node);
    case OpKind::CumSum:
      if (!has_number(graph, node.inputs[0])) return nullptr;
      return std::make_unique<CumSum>(graph, node);
    case OpKind::ArgMax:
      if (!has_number(graph, node.inputs[0])) return nullptr;
      return std::make_unique<ArgMax>(graph, node);
    case OpKind::Range:
      if (!has_number(graph, node.inputs[0])) return nullptr;
      return std::make_unique<Range>(graph, node);
    default: return nullptr;
  }
}

}  // namespace burin::host
