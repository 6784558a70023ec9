// Movements: contents stay, places change. Most are one strided_copy(); changes of shape copy
// nothing.

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "graph/interpreter_ops.h"
#include "graph/shape_math.h"

namespace burin::interpreter {

PlainTensor strided_copy(const PlainTensor& x, const Dims& dims, const Dims& strides,
                         std::int64_t offset) {
  if (dims == x.dims() && offset == 0 && strides == row_major_strides(dims)) return x;
  return with_type_of(x, [&]<typename T>() -> PlainTensor {
    const T* data = x.data<T>() + offset;
    std::vector<T> result(static_cast<std::size_t>(product(dims)));
    T* out = result.data();
    for_each_run<1>(dims, {strides}, [&](const auto& start, std::int64_t count, const auto& step) {
      const T* from = data + start[0];
      if (step[0] == 1) {
        std::copy_n(from, count, out);
      } else {
        for (std::int64_t i = 0; i < count; ++i) out[i] = from[i * step[0]];
      }
      out += count;
    });
    return {dims, std::move(result)};
  });
}

View view_of(const PlainTensor& x) { return {x.dims(), row_major_strides(x.dims())}; }

View permuted(const View& view, std::span<const std::int64_t> perm) {
  View result;
  std::vector<bool> seen(view.dims.size(), false);
  for (const std::int64_t axis : perm) {
    const auto d = static_cast<std::size_t>(resolve_axis(axis, std::ssize(view.dims)));
    seen[d] = true;
    result.dims.push_back(view.dims[d]);
    result.strides.push_back(view.strides[d]);
  }
  if (perm.size() != seen.size() || std::find(seen.begin(), seen.end(), false) != seen.end())
    fail(fmt::format("{} is no permutation of the axes of {}",
                     to_string(Dims(perm.begin(), perm.end())), to_string(view.dims)));
  return result;
}

PlainTensor transpose(const PlainTensor& x, std::span<const std::int64_t> perm) {
  const View view = permuted(view_of(x), perm);
  return strided_copy(x, view.dims, view.strides);
}

namespace {

std::size_t index_of(std::int64_t axis, std::int64_t rank) {
  return static_cast<std::size_t>(resolve_axis(axis, rank));
}

Results transpose_op(const Node& node, const Graph&, Inputs in) {
  std::vector<std::int64_t> perm = node.ints_attribute("perm");
  if (!node.has_attribute("perm")) {  // ONNX: the axes in reverse
    perm.resize(in[0]->dims().size());
    std::iota(perm.rbegin(), perm.rend(), 0);
  }
  return {transpose(*in[0], perm)};
}

// --- Only the dimensions change
// ---------------------------------------------------------------------------

Results reshape(const Node& node, const Graph&, Inputs in) {
  const PlainTensor& x = *in[0];
  Dims dims = integers(*in[1], "shape");
  const Dims given = dims;
  const bool copies = node.int_attribute("allowzero", 0) == 0;
  std::int64_t known = 1;
  std::size_t inferred = dims.size();
  for (std::size_t d = 0; d < dims.size(); ++d) {
    if (dims[d] == 0 && copies) {
      if (d >= x.dims().size())
        fail(fmt::format("shape {}: no dimension {} in {}", to_string(given), d,
                         to_string(x.dims())));
      dims[d] = x.dims()[d];
    }
    if (dims[d] == -1 && inferred == dims.size()) {
      inferred = d;
    } else if (dims[d] < 0) {
      fail(fmt::format("shape {}: dimension {} is negative", to_string(given), d));
    } else {
      known *= dims[d];
    }
  }
  if (inferred < dims.size()) {
    if (known == 0 || x.size() % known != 0)
      fail(fmt::format("shape {}: the {} elements of {} do not divide by {}", to_string(given),
                       x.size(), to_string(x.dims()), known));
    dims[inferred] = x.size() / known;
  }
  if (product(dims) != x.size())
    fail(fmt::format("shape {} has {} elements, the input {} has {}", to_string(given),
                     product(dims), to_string(x.dims()), x.size()));
  return {x.reshaped(std::move(dims))};
}

Results squeeze(const Node& node, const Graph&, Inputs in) {
  const PlainTensor& x = *in[0];
  std::vector<bool> dropped(x.dims().size(), false);
  if (node.has_attribute("axes")) {
    for (const std::int64_t axis : node.ints_attribute("axes")) {
      const std::size_t d = index_of(axis, x.rank());
      if (x.dims()[d] != 1)
        fail(fmt::format("dimension {} of {} is not 1", d, to_string(x.dims())));
      dropped[d] = true;
    }
  } else {
    for (std::size_t d = 0; d < dropped.size(); ++d) dropped[d] = x.dims()[d] == 1;
  }
  Dims dims;
  for (std::size_t d = 0; d < dropped.size(); ++d)
    if (!dropped[d]) dims.push_back(x.dims()[d]);
  return {x.reshaped(std::move(dims))};
}

Results unsqueeze(const Node& node, const Graph&, Inputs in) {
  const PlainTensor& x = *in[0];
  const std::vector<std::int64_t> axes = node.ints_attribute("axes");
  Dims dims(x.dims().size() + axes.size(), -1);
  for (const std::int64_t axis : axes) dims[index_of(axis, std::ssize(dims))] = 1;
  if (std::count(dims.begin(), dims.end(), 1) != std::ssize(axes))
    fail("the axes name one axis twice");
  auto next = x.dims().begin();
  for (std::int64_t& dim : dims)
    if (dim < 0) dim = *next++;
  return {x.reshaped(std::move(dims))};
}

Results flatten(const Node& node, const Graph&, Inputs in) {
  const PlainTensor& x = *in[0];
  std::int64_t axis = node.int_attribute("axis", 1);
  if (axis != x.rank()) axis = resolve_axis(axis, x.rank());
  const std::span<const std::int64_t> dims(x.dims());
  const auto split = static_cast<std::size_t>(axis);
  return {x.reshaped({product(dims.first(split)), product(dims.subspan(split))})};
}

// --- Repetition
// -------------------------------------------------------------------------------------------

Results expand(const Node&, const Graph&, Inputs in) {
  const Dims dims = broadcast_dims(in[0]->dims(), integers(*in[1], "shape"));
  element_count(dims, "shape");
  return {strided_copy(*in[0], dims, broadcast_strides(in[0]->dims(), dims))};
}

/// Each element of `axis` is repeated `times` times in place.
Results repeat(const Node& node, const Graph&, Inputs in) {
  const PlainTensor& x = *in[0];
  const std::size_t axis = index_of(node.int_attribute("axis", 0), x.rank());
  const std::int64_t times = node.int_attribute("times", 1);
  if (times < 0) fail(fmt::format("times is negative: {}", times));
  Dims result = x.dims(), dims = x.dims(), strides = row_major_strides(x.dims());
  result[axis] *= times;
  dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(axis) + 1, times);
  strides.insert(strides.begin() + static_cast<std::ptrdiff_t>(axis) + 1, 0);
  return {strided_copy(x, dims, strides).reshaped(result)};
}

Results tile(const Node&, const Graph&, Inputs in) {
  const PlainTensor& x = *in[0];
  const std::vector<std::int64_t> times = integers(*in[1], "repeats");
  if (times.size() != x.dims().size())
    fail(fmt::format("repeats: expected {} elements, given {}", x.dims().size(), times.size()));
  const Dims dense = row_major_strides(x.dims());
  Dims result, dims, strides;
  for (std::size_t d = 0; d < times.size(); ++d) {
    if (times[d] < 0) fail(fmt::format("repeats: element {} is negative", d));
    result.push_back(times[d] * x.dims()[d]);
    dims.insert(dims.end(), {times[d], x.dims()[d]});
    strides.insert(strides.end(), {0, dense[d]});
  }
  return {strided_copy(x, dims, strides).reshaped(result)};
}

// --- Putting together, taking apart
// -----------------------------------------------------------------------

Results concat(const Node& node, const Graph&, Inputs in) {
  const PlainTensor& first = *in[0];
  const std::size_t axis = index_of(node.int_attribute("axis", 0), first.rank());
  Dims dims = first.dims();
  dims[axis] = 0;
  for (const PlainTensor* part : in) {
    if (part == nullptr) fail("an input is missing");
    Dims like = part->dims();
    if (like.size() == dims.size()) like[axis] = first.dims()[axis];
    if (like != first.dims())
      fail(fmt::format("inputs differ outside of axis {}: {} and {}", axis, to_string(first.dims()),
                       to_string(part->dims())));
    dims[axis] += part->dims()[axis];
  }
  return {with_type_of(first, [&]<typename T>() -> PlainTensor {
    std::vector<T> result;
    result.reserve(static_cast<std::size_t>(product(dims)));
    const std::int64_t outer = product(std::span(dims).first(axis));
    for (std::int64_t o = 0; o < outer; ++o) {
      for (const PlainTensor* part : in) {
        const std::int64_t count = product(std::span(part->dims()).subspan(axis));
        const T* from = part->data<T>() + o * count;
        result.insert(result.end(), from, from + count);
      }
    }
    return {dims, std::move(result)};
  })};
}

Results split(const Node& node, const Graph&, Inputs in) {
  const PlainTensor& x = *in[0];
  const std::size_t axis = index_of(node.int_attribute("axis", 0), x.rank());
  const std::int64_t whole = x.dims()[axis];
  const std::int64_t parts = std::ssize(node.outputs);
  std::vector<std::int64_t> sizes;
  if (has(in, 1)) {
    sizes = integers(*in[1], "sizes");
  } else {  // equal parts, the last one may be smaller
    const std::int64_t size = (whole + parts - 1) / parts;
    for (std::int64_t i = 0; i < parts; ++i)
      sizes.push_back(std::clamp<std::int64_t>(whole - i * size, 0, size));
  }
  const bool negative =
      std::any_of(sizes.begin(), sizes.end(), [](std::int64_t size) { return size < 0; });
  if (std::ssize(sizes) != parts || negative ||
      std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0}) != whole)
    fail(fmt::format("sizes: expected {} parts that sum to {}, given {}", parts, whole,
                     to_string(Dims(sizes))));
  const Dims strides = row_major_strides(x.dims());
  Results results;
  std::int64_t start = 0;
  for (const std::int64_t size : sizes) {
    Dims dims = x.dims();
    dims[axis] = size;
    results.push_back(strided_copy(x, dims, strides, start * strides[axis]));
    start += size;
  }
  return results;
}

/// The elements of an optional list of axes; all axes from the first one if it is absent.
std::vector<std::size_t> axes_input(Inputs in, std::size_t input, std::size_t count,
                                    std::int64_t rank) {
  std::vector<std::size_t> axes(count);
  if (has(in, input)) {
    const std::vector<std::int64_t> given = integers(*in[input], "axes");
    if (given.size() != count)
      fail(fmt::format("axes: expected {} elements, given {}", count, given.size()));
    std::transform(given.begin(), given.end(), axes.begin(),
                   [&](std::int64_t axis) { return index_of(axis, rank); });
  } else {
    if (std::cmp_greater(count, rank))
      fail(fmt::format("more axes than the rank {}: {}", rank, count));
    std::iota(axes.begin(), axes.end(), std::size_t{0});
  }
  return axes;
}

Results slice(const Node&, const Graph&, Inputs in) {
  const PlainTensor& x = *in[0];
  const std::vector<std::int64_t> starts = integers(*in[1], "starts"),
                                  ends = integers(*in[2], "ends");
  if (starts.size() != ends.size())
    fail(fmt::format("{} starts, but {} ends", starts.size(), ends.size()));
  const std::vector<std::size_t> axes = axes_input(in, 3, starts.size(), x.rank());
  std::vector<std::int64_t> steps(starts.size(), 1);
  if (has(in, 4)) steps = integers(*in[4], "steps");
  if (steps.size() != starts.size())
    fail(fmt::format("{} starts, but {} steps", starts.size(), steps.size()));

  Dims dims = x.dims(), strides = row_major_strides(x.dims());
  const Dims dense = strides;
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::int64_t size = x.dims()[axes[i]], step = steps[i];
    if (step == 0) fail("a step of 0");
    if (step == std::numeric_limits<std::int64_t>::min()) fail("a step that is too large");
    const auto place = [&](std::int64_t at, std::int64_t low, std::int64_t high) {
      return std::clamp(at < 0 ? at + size : at, low, high);
    };
    // Going down, `end` may be one before the first element.
    const std::int64_t start = step > 0 ? place(starts[i], 0, size)
                                        : place(starts[i], 0, std::max<std::int64_t>(size - 1, 0));
    const std::int64_t end = step > 0 ? place(ends[i], 0, size) : place(ends[i], -1, size - 1);
    const std::int64_t distance = step > 0 ? end - start : start - end;
    const std::int64_t stride = std::abs(step);
    dims[axes[i]] = size == 0 || distance <= 0 ? 0 : (distance - 1) / stride + 1;
    strides[axes[i]] = dims[axes[i]] > 1 ? dense[axes[i]] * step : dense[axes[i]];
    if (dims[axes[i]] > 0) offset += start * dense[axes[i]];
  }
  if (product(dims) == 0) offset = 0;
  return {strided_copy(x, dims, strides, offset)};
}

/// Where element i of a padded axis comes from; -1: from nowhere, it is the constant.
std::int64_t padding_source(std::int64_t i, std::int64_t size, const std::string& mode) {
  if (i >= 0 && i < size) return i;
  if (mode == "constant") return -1;
  if (size == 0) fail(fmt::format("there is nothing to pad with in mode {}", mode));
  if (mode == "edge") return std::clamp<std::int64_t>(i, 0, size - 1);
  if (mode == "wrap") return ((i % size) + size) % size;
  if (mode == "reflect") {
    if (size == 1) return 0;
    const std::int64_t period = 2 * (size - 1);
    const std::int64_t at = ((i % period) + period) % period;
    return at < size ? at : period - at;
  }
  fail(fmt::format("attribute mode: expected constant, edge, reflect or wrap, given '{}'", mode));
}

Results pad(const Node& node, const Graph&, Inputs in) {
  const std::string mode = node.string_attribute("mode", "constant");
  const std::vector<std::int64_t> pads = integers(*in[1], "pads");
  if (pads.size() % 2 != 0)
    fail(fmt::format("pads: expected an even number, given {}", pads.size()));
  const std::vector<std::size_t> axes = axes_input(in, 3, pads.size() / 2, in[0]->rank());

  // What is taken away goes first, so that the rest is what the padding sees.
  Dims dims = in[0]->dims();
  const Dims strides = row_major_strides(dims);
  std::vector<std::int64_t> before(dims.size(), 0), after(dims.size(), 0);
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::size_t d = axes[i];
    const std::int64_t crop_before = std::max<std::int64_t>(-pads[i], 0);
    const std::int64_t crop_after = std::max<std::int64_t>(-pads[i + axes.size()], 0);
    before[d] = std::max<std::int64_t>(pads[i], 0);
    after[d] = std::max<std::int64_t>(pads[i + axes.size()], 0);
    if (crop_before + crop_after > dims[d])
      fail(fmt::format("pads: {} and {} take away more than dimension {} of {} has", pads[i],
                       pads[i + axes.size()], d, to_string(in[0]->dims())));
    dims[d] -= crop_before + crop_after;
    offset += crop_before * strides[d];
  }
  if (product(dims) == 0) offset = 0;
  const PlainTensor x = strided_copy(*in[0], dims, strides, offset);

  const Dims dense = row_major_strides(dims);
  std::vector<Offsets> offsets(dims.size());
  std::vector<const Offsets*> all;
  Dims result_dims = dims;
  for (std::size_t d = 0; d < dims.size(); ++d) {
    result_dims[d] += before[d] + after[d];
    for (std::int64_t i = 0; i < result_dims[d]; ++i) {
      const std::int64_t source = padding_source(i - before[d], dims[d], mode);
      offsets[d].push_back(source < 0 ? -1 : source * dense[d]);
    }
    all.push_back(&offsets[d]);
  }
  return {with_type_of(x, [&]<typename T>() -> PlainTensor {
    T fill{0};
    if (has(in, 2)) {
      scalar_number(*in[2], "constant_value");
      fill = *in[2]->data<T>();
    }
    const T* data = x.data<T>();
    std::vector<T> result;
    result.reserve(static_cast<std::size_t>(product(result_dims)));
    for_each_combination(all, [&](std::int64_t at) { result.push_back(at < 0 ? fill : data[at]); });
    return {result_dims, std::move(result)};
  })};
}

/// Keeps a triangle of each matrix; the rest becomes zero.
Results trilu(const Node& node, const Graph&, Inputs in) {
  const PlainTensor& x = *in[0];
  if (x.rank() < 2) fail(fmt::format("expected matrices, given {}", to_string(x.dims())));
  const bool upper = node.int_attribute("upper", 1) != 0;
  const std::int64_t diagonal = has(in, 1) ? scalar_integer(*in[1], "k") : 0;
  const std::int64_t rows = x.dims()[x.dims().size() - 2], columns = x.dims().back();
  return {with_type_of(x, [&]<typename T>() -> PlainTensor {
    std::vector<T> result(x.data<T>(), x.data<T>() + x.size());
    for (std::int64_t i = 0; i < x.size(); ++i) {
      const std::int64_t row = i / columns % rows, column = i % columns;
      const std::int64_t above = column - row;
      if (upper ? above < diagonal : above > diagonal) result[static_cast<std::size_t>(i)] = T{0};
    }
    return {x.dims(), std::move(result)};
  })};
}

Results depth_to_space(const Node& node, const Graph&, Inputs in) {
  const PlainTensor& x = *in[0];
  const std::int64_t block = node.int_attribute("blocksize", 1);
  const std::string mode = node.string_attribute("mode", "DCR");
  if (mode != "DCR" && mode != "CRD")
    fail(fmt::format("attribute mode: expected DCR or CRD, given '{}'", mode));
  if (x.rank() != 4 || block < 1 || x.dims()[1] % (block * block) != 0)
    fail(fmt::format("expected [N, C, H, W] with C a multiple of {} squared, given {}", block,
                     to_string(x.dims())));
  const std::int64_t n = x.dims()[0], c = x.dims()[1] / (block * block), h = x.dims()[2],
                     w = x.dims()[3];
  const bool depth_first = mode == "DCR";
  const PlainTensor parts =
      depth_first ? x.reshaped({n, block, block, c, h, w}) : x.reshaped({n, c, block, block, h, w});
  const std::vector<std::int64_t> perm = depth_first ? std::vector<std::int64_t>{0, 3, 4, 1, 5, 2}
                                                     : std::vector<std::int64_t>{0, 1, 4, 2, 5, 3};
  return {transpose(parts, perm).reshaped({n, c, h * block, w * block})};
}

}  // namespace

void add_movement(NodeTable& table) {
  using enum OpKind;
  table[Transpose] = transpose_op;
  table[Reshape] = reshape;
  table[Squeeze] = squeeze;
  table[Unsqueeze] = unsqueeze;
  table[Flatten] = flatten;
  table[Expand] = expand;
  table[Repeat] = repeat;
  table[Tile] = tile;
  table[Concat] = concat;
  table[Split] = split;
  table[Slice] = slice;
  table[Pad] = pad;
  table[Trilu] = trilu;
  table[DepthToSpace] = depth_to_space;
}

}  // namespace burin::interpreter
