// Index operations and shape arithmetic.

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "graph/interpreter_ops.h"
#include "graph/shape_math.h"

namespace burin::interpreter {

namespace {

/// An index into an axis of `size`; a negative one counts from the end.
std::int64_t resolve_index(std::int64_t index, std::int64_t size, std::size_t axis) {
  if (index < -size || index >= size)
    fail(fmt::format("index {} is not in axis {}, which has {} elements", index, axis, size));
  return index < 0 ? index + size : index;
}

std::vector<std::int64_t> resolved(std::vector<std::int64_t> indices, std::int64_t size,
                                   std::size_t axis) {
  for (std::int64_t& index : indices) index = resolve_index(index, size, axis);
  return indices;
}

/// Rows of a table of model weights, as it lies in the model: only these are converted.
PlainTensor gather_source(const Tensor& table, const Dims& result_dims,
                          const std::vector<std::int64_t>& indices, std::int64_t inner) {
  Tensor result = Tensor::zeros(table.precision(), result_dims);
  const auto bytes = static_cast<std::size_t>(inner) * size_of(table.precision());
  std::byte* out = result.mutable_data();
  for (const std::int64_t index : indices)
    out = std::copy_n(table.data() + static_cast<std::size_t>(index) * bytes, bytes, out);
  return PlainTensor(result);
}

Results gather(const Node& node, const Graph&, Inputs in) {
  const PlainTensor& x = *in[0];
  const std::int64_t resolved_axis = resolve_axis(node.int_attribute("axis", 0), x.rank());
  const auto axis = static_cast<std::size_t>(resolved_axis);
  const std::span<const std::int64_t> all(x.dims());
  const std::int64_t outer = product(all.first(axis)), size = all[axis],
                     inner = product(all.subspan(axis + 1));
  const std::vector<std::int64_t> indices = resolved(integers(*in[1], "indices"), size, axis);
  Dims dims(x.dims().begin(), x.dims().begin() + resolved_axis);
  dims.insert(dims.end(), in[1]->dims().begin(), in[1]->dims().end());
  dims.insert(dims.end(), x.dims().begin() + resolved_axis + 1, x.dims().end());
  if (x.source() != nullptr && outer == 1 && std::ssize(indices) < size)
    return {gather_source(*x.source(), dims, indices, inner)};
  return {with_type_of(x, [&]<typename T>() -> PlainTensor {
    std::vector<T> result;
    result.reserve(static_cast<std::size_t>(outer * inner) * indices.size());
    for (std::int64_t o = 0; o < outer; ++o) {
      for (const std::int64_t index : indices) {
        const T* from = x.data<T>() + (o * size + index) * inner;
        result.insert(result.end(), from, from + inner);
      }
    }
    return {dims, std::move(result)};
  })};
}

/// out[i][j] = x[indices[i][j]][j], for axis 0.
Results gather_elements(const Node& node, const Graph&, Inputs in) {
  const PlainTensor &x = *in[0], &indices = *in[1];
  const auto axis = static_cast<std::size_t>(resolve_axis(node.int_attribute("axis", 0), x.rank()));
  bool fits = x.rank() == indices.rank();
  for (std::size_t d = 0; fits && d < x.dims().size(); ++d)
    fits = d == axis || indices.dims()[d] <= x.dims()[d];
  if (!fits)
    fail(fmt::format("indices {} do not fit the input {}", to_string(indices.dims()),
                     to_string(x.dims())));
  Dims strides = row_major_strides(x.dims());
  const std::int64_t step = std::exchange(strides[axis], 0);
  std::vector<std::int64_t> offsets = all_offsets(indices.dims(), strides);
  const std::vector<std::int64_t> along =
      resolved(integers(indices, "indices"), x.dims()[axis], axis);
  return {with_type_of(x, [&]<typename T>() -> PlainTensor {
    std::vector<T> result(offsets.size());
    for (std::size_t i = 0; i < result.size(); ++i)
      result[i] = x.data<T>()[offsets[i] + along[i] * step];
    return {indices.dims(), std::move(result)};
  })};
}

/// What the rows of an index tensor of GatherND and ScatterND point at: slices of `inner` elements.
struct Slices {
  std::vector<std::int64_t> starts;
  std::int64_t inner;
  Dims inner_dims;
};

Slices slices_of(const PlainTensor& x, const PlainTensor& indices, std::int64_t batch_dims) {
  if (indices.rank() < 1 || batch_dims < 0 || batch_dims >= indices.rank() ||
      batch_dims >= x.rank())
    fail(fmt::format("indices {} do not fit the input {}", to_string(indices.dims()),
                     to_string(x.dims())));
  const auto batched = static_cast<std::size_t>(batch_dims);
  const auto depth = static_cast<std::size_t>(indices.dims().back());
  if (!std::equal(x.dims().begin(), x.dims().begin() + batch_dims, indices.dims().begin()) ||
      batched + depth > x.dims().size())
    fail(fmt::format("indices {} do not fit the input {}", to_string(indices.dims()),
                     to_string(x.dims())));
  const std::span<const std::int64_t> all(x.dims());
  const Dims strides = row_major_strides(x.dims());
  Slices slices;
  slices.inner_dims.assign(x.dims().begin() + static_cast<std::ptrdiff_t>(batched + depth),
                           x.dims().end());
  slices.inner = product(slices.inner_dims);
  const std::int64_t batches = product(all.first(batched));
  const std::int64_t rows = product(std::span(indices.dims()).first(indices.dims().size() - 1));
  const std::int64_t batch_size = product(all.subspan(batched));
  const std::vector<std::int64_t> list = integers(indices, "indices");
  for (std::int64_t row = 0; row < rows; ++row) {
    std::int64_t start = row / (rows / batches) * batch_size;
    for (std::size_t d = 0; d < depth; ++d) {
      const std::int64_t index = list[static_cast<std::size_t>(row) * depth + d];
      start += resolve_index(index, x.dims()[batched + d], batched + d) * strides[batched + d];
    }
    slices.starts.push_back(start);
  }
  return slices;
}

Results gather_nd(const Node& node, const Graph&, Inputs in) {
  const PlainTensor &x = *in[0], &indices = *in[1];
  const Slices slices = slices_of(x, indices, node.int_attribute("batch_dims", 0));
  Dims dims(indices.dims().begin(), indices.dims().end() - 1);
  dims.insert(dims.end(), slices.inner_dims.begin(), slices.inner_dims.end());
  return {with_type_of(x, [&]<typename T>() -> PlainTensor {
    std::vector<T> result;
    result.reserve(slices.starts.size() * static_cast<std::size_t>(slices.inner));
    for (const std::int64_t start : slices.starts)
      result.insert(result.end(), x.data<T>() + start, x.data<T>() + start + slices.inner);
    return {dims, std::move(result)};
  })};
}

template <typename T>
T scattered(const std::string& reduction, T old, T update) {
  const bool either_nan = is_nan(old) || is_nan(update);
  if (reduction == "none") return update;
  if (reduction == "min") return either_nan ? old + update : std::min(old, update);
  if (reduction == "max") return either_nan ? old + update : std::max(old, update);
  if constexpr (std::is_same_v<T, double>) {
    if (reduction == "add") return old + update;
    if (reduction == "mul") return old * update;
  } else {
    if (reduction == "add") return wrap_add(old, update);
    if (reduction == "mul") return wrap_mul(old, update);
  }
  fail(fmt::format("attribute reduction: expected none, add, mul, min or max, given '{}'",
                   reduction));
}

Results scatter_nd(const Node& node, const Graph&, Inputs in) {
  const PlainTensor &x = *in[0], &indices = *in[1], &updates = *in[2];
  const std::string reduction = node.string_attribute("reduction", "none");
  const Slices slices = slices_of(x, indices, 0);
  Dims expected(indices.dims().begin(), indices.dims().end() - 1);
  expected.insert(expected.end(), slices.inner_dims.begin(), slices.inner_dims.end());
  if (updates.dims() != expected)
    fail(fmt::format("updates: expected {}, given {}", to_string(expected),
                     to_string(updates.dims())));
  return {with_type_of(x, [&]<typename T>() -> PlainTensor {
    std::vector<T> result(x.data<T>(), x.data<T>() + x.size());
    const T* update = updates.data<T>();
    for (const std::int64_t start : slices.starts)
      for (T* to = result.data() + start; to != result.data() + start + slices.inner; ++to)
        *to = scattered(reduction, *to, *update++);
    return {x.dims(), std::move(result)};
  })};
}

Results cum_sum(const Node& node, const Graph&, Inputs in) {
  const PlainTensor& x = *in[0];
  const auto axis =
      static_cast<std::size_t>(resolve_axis(scalar_integer(*in[1], "axis"), x.rank()));
  const bool exclusive = node.int_attribute("exclusive", 0) != 0,
             reverse = node.int_attribute("reverse", 0) != 0;
  Dims lines = x.dims();
  const std::int64_t count = std::exchange(lines[axis], 1);
  const Dims strides = row_major_strides(x.dims());
  const std::int64_t step = reverse ? -strides[axis] : strides[axis];
  return {with_type_of(x, [&]<typename T>() -> PlainTensor {
    std::vector<T> result(static_cast<std::size_t>(x.size()));
    if (result.empty()) return {x.dims(), std::move(result)};
    for (std::int64_t at : all_offsets(lines, strides)) {
      if (reverse) at += (count - 1) * strides[axis];
      T sum{0};
      for (std::int64_t i = 0; i < count; ++i, at += step) {
        const T before = sum;
        if constexpr (std::is_same_v<T, double>) {
          sum += x.data<T>()[at];
        } else {
          sum = wrap_add(sum, x.data<T>()[at]);
        }
        result[static_cast<std::size_t>(at)] = exclusive ? before : sum;
      }
    }
    return {x.dims(), std::move(result)};
  })};
}

// --- Shape arithmetic
// -------------------------------------------------------------------------------------

Results shape(const Node& node, const Graph&, Inputs in) {
  const PlainTensor& x = *in[0];
  const auto place = [&](std::int64_t at) {
    return std::clamp<std::int64_t>(at < 0 ? at + x.rank() : at, 0, x.rank());
  };
  const std::int64_t start = place(node.int_attribute("start", 0));
  const std::int64_t end = std::max(start, place(node.int_attribute("end", x.rank())));
  std::vector<std::int64_t> dims(x.dims().begin() + start, x.dims().begin() + end);
  return {PlainTensor({end - start}, std::move(dims))};
}

Results size(const Node&, const Graph&, Inputs in) {
  return {PlainTensor(Dims{}, std::vector<std::int64_t>{in[0]->size()})};
}

Results constant_of_shape(const Node& node, const Graph&, Inputs in) {
  const Dims dims = integers(*in[0], "shape");
  const auto count = static_cast<std::size_t>(element_count(dims, "shape"));
  const auto value = node.attributes.find("value");
  if (value == node.attributes.end()) return {PlainTensor(dims, std::vector<double>(count, 0.0))};
  const Tensor* tensor = std::get_if<Tensor>(&value->second);
  if (tensor == nullptr || tensor->size() != 1)
    fail("attribute value: expected a tensor of one element");
  const PlainTensor element(*tensor);
  return {with_type_of(element, [&]<typename T>() {
    return PlainTensor(dims, std::vector<T>(count, *element.data<T>()));
  })};
}

Results range(const Node&, const Graph&, Inputs in) {
  for (const std::size_t i : {0, 1, 2}) {
    scalar_number(*in[i], "start, limit and delta");
    if (in[i]->is_float() != in[0]->is_float())
      fail("start, limit and delta must hold the same kind of elements");
    if (in[2]->number(0) == 0) fail("delta is 0");
  }
  if (in[0]->is_float()) {
    const double start = in[0]->number(0), limit = in[1]->number(0), delta = in[2]->number(0);
    const double steps = std::ceil((limit - start) / delta);
    const std::int64_t count = element_count({steps > 0 ? to_integer(steps) : 0}, "the range");
    std::vector<double> values;
    for (std::int64_t i = 0; i < count; ++i)
      values.push_back(start + static_cast<double>(i) * delta);
    return {PlainTensor({count}, std::move(values))};
  }
  const std::int64_t start = *in[0]->data<std::int64_t>(), limit = *in[1]->data<std::int64_t>(),
                     delta = *in[2]->data<std::int64_t>();
  std::vector<std::int64_t> values;
  std::int64_t value = start;
  while (delta > 0 ? value < limit : value > limit) {
    values.push_back(value);
    if (__builtin_add_overflow(value, delta, &value)) break;
  }
  const std::int64_t count = std::ssize(values);
  return {PlainTensor({count}, std::move(values))};
}

}  // namespace

void add_index(NodeTable& table) {
  using enum OpKind;
  table[Gather] = gather;
  table[GatherElements] = gather_elements;
  table[GatherND] = gather_nd;
  table[ScatterND] = scatter_nd;
  table[CumSum] = cum_sum;
  table[Shape] = shape;
  table[Size] = size;
  table[ConstantOfShape] = constant_of_shape;
  table[Range] = range;
}

}  // namespace burin::interpreter
