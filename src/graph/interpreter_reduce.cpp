// Reductions: the elements that an output element is made of lie at the same offsets from its first
// one.

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "graph/interpreter_ops.h"
#include "graph/shape_math.h"
#include "support/integer_conversion.h"
#include "support/integer_division.h"

namespace burin::interpreter {

namespace {

/// How the axes of a tensor fall into kept and reduced ones.
struct Parts {
  Dims result;                        ///< with keepdims applied
  std::vector<std::int64_t> starts;   ///< offset of the first element of each result
  std::vector<std::int64_t> reduced;  ///< offsets of the elements, from there
};

Parts partition(const PlainTensor& x, const std::vector<std::int64_t>& axes, bool keepdims) {
  std::vector<bool> is_reduced(x.dims().size(), false);
  for (const std::int64_t axis : axes)
    is_reduced[static_cast<std::size_t>(resolve_axis(axis, x.rank()))] = true;
  const Dims strides = row_major_strides(x.dims());
  Parts parts;
  Dims kept_dims, kept_strides, reduced_dims, reduced_strides;
  for (std::size_t d = 0; d < is_reduced.size(); ++d) {
    (is_reduced[d] ? reduced_dims : kept_dims).push_back(x.dims()[d]);
    (is_reduced[d] ? reduced_strides : kept_strides).push_back(strides[d]);
    if (!is_reduced[d] || keepdims) parts.result.push_back(is_reduced[d] ? 1 : x.dims()[d]);
  }
  parts.starts = all_offsets(kept_dims, kept_strides);
  parts.reduced = all_offsets(reduced_dims, reduced_strides);
  return parts;
}

/// All axes where the node names none.
std::vector<std::int64_t> axes_of(const Node& node, const PlainTensor& x) {
  std::vector<std::int64_t> axes = node.ints_attribute("axes");
  if (axes.empty())
    for (std::int64_t axis = 0; axis < x.rank(); ++axis) axes.push_back(axis);
  return axes;
}

/// Starts from `Reduction::first(precision)`, takes in each element by `step`, ends with `last(value, count)`.
template <typename Reduction>
Results reduce(const Node& node, const Graph& graph, Inputs in) {
  const PlainTensor& x = *in[0];
  const Precision precision = graph.value(node.inputs[0]).precision;
  const Parts parts = partition(x, axes_of(node, x), node.int_attribute("keepdims", 1) != 0);
  return {with_type_of(x, [&]<typename T>() -> PlainTensor {
    const T* data = x.data<T>();
    std::vector<T> results;
    results.reserve(parts.starts.size());
    for (const std::int64_t start : parts.starts) {
      T value = Reduction::template first<T>(precision);
      for (const std::int64_t offset : parts.reduced)
        value = Reduction::step(value, data[start + offset]);
      results.push_back(Reduction::last(value, std::ssize(parts.reduced)));
    }
    return {parts.result, std::move(results)};
  })};
}

/// What a reduction does unless it says otherwise.
struct Plain {
  template <typename T>
  static T first(Precision) {
    return T{0};
  }
  template <typename T>
  static T last(T value, std::int64_t) {
    return value;
  }
};

struct Sum : Plain {
  static double step(double a, double x) { return a + x; }
  static std::int64_t step(std::int64_t a, std::int64_t x) { return wrap_add(a, x); }
};

struct Mean : Sum {
  static double last(double sum, std::int64_t count) { return sum / static_cast<double>(count); }
  static std::int64_t last(std::int64_t sum, std::int64_t count) { return quotient_of(sum, count); }
};

struct Product : Plain {
  template <typename T>
  static T first(Precision) {
    return T{1};
  }
  static double step(double a, double x) { return a * x; }
  static std::int64_t step(std::int64_t a, std::int64_t x) { return wrap_mul(a, x); }
};

struct L2 : Plain {
  static double step(double a, double x) { return a + x * x; }
  static std::int64_t step(std::int64_t a, std::int64_t x) { return wrap_add(a, wrap_mul(x, x)); }
  static double last(double sum, std::int64_t) { return std::sqrt(sum); }
  static std::int64_t last(std::int64_t sum, std::int64_t) {
    return to_integer(std::sqrt(static_cast<double>(sum)));
  }
};

/// Of nothing: the lowest number. NaN wins, as in numpy.
struct Maximum : Plain {
  template <typename T>
  static T first(Precision precision) {
    if constexpr (std::is_same_v<T, double>)
      return -std::numeric_limits<T>::infinity();
    else
      return lowest_of(precision);
  }
  template <typename T>
  static T step(T a, T x) {
    return x > a || is_nan(x) ? x : a;
  }
};

struct Minimum : Plain {
  template <typename T>
  static T first(Precision precision) {
    if constexpr (std::is_same_v<T, double>)
      return std::numeric_limits<T>::infinity();
    else
      return highest_of(precision);
  }
  template <typename T>
  static T step(T a, T x) {
    return x < a || is_nan(x) ? x : a;
  }
};

Results arg_max(const Node& node, const Graph&, Inputs in) {
  const PlainTensor& x = *in[0];
  const bool last = node.int_attribute("select_last_index", 0) != 0;
  const Parts parts =
      partition(x, {node.int_attribute("axis", 0)}, node.int_attribute("keepdims", 1) != 0);
  std::vector<std::int64_t> results;
  results.reserve(parts.starts.size());
  with_type_of(x, [&]<typename T>() {
    const T* data = x.data<T>();
    for (const std::int64_t start : parts.starts) {
      if (parts.reduced.empty()) fail("the place of the largest of no elements");
      std::size_t best = 0;
      T value = data[start];
      for (std::size_t i = 1; i < parts.reduced.size(); ++i) {
        const T candidate = data[start + parts.reduced[i]];
        const bool both_nan = is_nan(candidate) && is_nan(value);
        const bool larger = candidate > value || (is_nan(candidate) && !is_nan(value));
        if (!larger && !(last && (candidate == value || both_nan))) continue;
        best = i;
        value = candidate;
      }
      results.push_back(static_cast<std::int64_t>(best));
    }
  });
  return {PlainTensor(parts.result, std::move(results))};
}

}  // namespace

void add_reduce(NodeTable& table) {
  using enum OpKind;
  table[ReduceSum] = reduce<Sum>;
  table[ReduceMean] = reduce<Mean>;
  table[ReduceProd] = reduce<Product>;
  table[ReduceMax] = reduce<Maximum>;
  table[ReduceMin] = reduce<Minimum>;
  table[ReduceL2] = reduce<L2>;
  table[ArgMax] = arg_max;
}

}  // namespace burin::interpreter
