// Convolution, pooling, resizing: windows that slide over any number of spatial axes.

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "graph/interpreter_ops.h"

namespace burin::interpreter {

namespace {

// ---------------------------------------------------------------------------------------------------------
// Windows

/// How a window moves along one spatial axis.
struct WindowAxis {
  std::int64_t input, kernel, stride, dilation, pad_begin, pad_end, output;

  /// Where tap k of the window at `o` reads; outside of [0, input) is padding.
  std::int64_t at(std::int64_t o, std::int64_t k) const {
    return o * stride - pad_begin + k * dilation;
  }
};

/// One list an axis of the attribute, or `fallback` for all.
std::vector<std::int64_t> per_axis(const Node& node, std::string_view key, std::size_t count,
                                   std::int64_t fallback) {
  std::vector<std::int64_t> list = node.ints_attribute(key);
  if (list.empty()) return std::vector<std::int64_t>(count, fallback);
  if (list.size() != count)
    fail(fmt::format("attribute {}: expected {} numbers, given {}", key, count, list.size()));
  return list;
}

/// `dims` is [N, C, spatial...].
std::vector<WindowAxis> windows(const Node& node, const Dims& dims,
                                const std::vector<std::int64_t>& kernel) {
  const std::size_t count = kernel.size();
  if (dims.size() != count + 2)
    fail(fmt::format("a kernel of {} axes needs an input of rank {}, given {}", count, count + 2,
                     to_string(dims)));
  const std::vector<std::int64_t> strides = per_axis(node, "strides", count, 1),
                                  dilations = per_axis(node, "dilations", count, 1),
                                  pads = per_axis(node, "pads", 2 * count, 0);
  const std::string auto_pad = node.string_attribute("auto_pad", "NOTSET");
  const bool ceil_mode = node.int_attribute("ceil_mode", 0) != 0;
  std::vector<WindowAxis> axes;
  for (std::size_t d = 0; d < count; ++d) {
    WindowAxis axis{dims[d + 2], kernel[d], strides[d], dilations[d], pads[d], pads[d + count], 0};
    if (axis.kernel < 1 || axis.stride < 1 || axis.dilation < 1)
      fail(fmt::format("kernel {}, stride {} and dilation {} must be positive", axis.kernel,
                       axis.stride, axis.dilation));
    const std::int64_t extent = (axis.kernel - 1) * axis.dilation + 1;
    if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
      axis.output = (axis.input + axis.stride - 1) / axis.stride;
      const std::int64_t pad =
          std::max<std::int64_t>((axis.output - 1) * axis.stride + extent - axis.input, 0);
      axis.pad_begin = auto_pad == "SAME_UPPER" ? pad / 2 : pad - pad / 2;
      axis.pad_end = pad - axis.pad_begin;
    } else if (auto_pad == "NOTSET" || auto_pad == "VALID") {
      if (auto_pad == "VALID") axis.pad_begin = axis.pad_end = 0;
      const std::int64_t room = axis.input + axis.pad_begin + axis.pad_end - extent;
      if (room < 0)
        fail(fmt::format("the kernel spans {} elements of spatial axis {}, which has {}", extent, d,
                         room + extent));
      axis.output = (ceil_mode ? room + axis.stride - 1 : room) / axis.stride + 1;
      // No window starts in the padding behind the input.
      if (ceil_mode && (axis.output - 1) * axis.stride >= axis.input + axis.pad_begin)
        --axis.output;
    } else {
      fail(fmt::format("attribute auto_pad: given '{}'", auto_pad));
    }
    axes.push_back(axis);
  }
  return axes;
}

/// For each tap of the kernel, in row-major order: f(tap, the offsets along each axis that it
/// reads).
template <typename F>
void for_each_tap(const std::vector<WindowAxis>& axes, const F& f) {
  std::vector<std::vector<Offsets>> tables(axes.size());  // [axis][tap along it]
  std::int64_t stride = 1;
  for (std::size_t d = axes.size(); d-- > 0;) {
    for (std::int64_t k = 0; k < axes[d].kernel; ++k) {
      Offsets offsets;
      for (std::int64_t o = 0; o < axes[d].output; ++o) {
        const std::int64_t at = axes[d].at(o, k);
        offsets.push_back(at >= 0 && at < axes[d].input ? at * stride : -1);
      }
      tables[d].push_back(std::move(offsets));
    }
    stride *= axes[d].input;
  }
  std::vector<const Offsets*> chosen(axes.size());
  std::int64_t tap = 0;
  const auto choose = [&](const auto& self, std::size_t d) -> void {
    if (d == axes.size()) return f(tap++, std::span<const Offsets* const>(chosen));
    for (const Offsets& offsets : tables[d]) {
      chosen[d] = &offsets;
      self(self, d + 1);
    }
  };
  choose(choose, 0);
}

Dims with_spatial(std::int64_t n, std::int64_t c, const std::vector<WindowAxis>& axes) {
  Dims dims{n, c};
  for (const WindowAxis& axis : axes) dims.push_back(axis.output);
  return dims;
}

std::int64_t spatial_size(const Dims& dims) { return product(std::span(dims).subspan(2)); }

// ---------------------------------------------------------------------------------------------------------
// Convolution

/// For each item and group: the windows as the columns of a matrix, then a matrix product.
Results conv(const Node& node, const Graph&, Inputs in) {
  const PlainTensor &x = *in[0], &w = *in[1];
  const std::int64_t groups = node.int_attribute("group", 1);
  if (x.rank() < 3 || w.rank() != x.rank())
    fail(fmt::format("expected an input and weights of the same rank, 3 or more, given {} and {}",
                     to_string(x.dims()), to_string(w.dims())));
  const std::int64_t items = x.dims()[0], channels = x.dims()[1], maps = w.dims()[0],
                     depth = w.dims()[1];
  if (groups < 1 || channels != depth * groups || maps % groups != 0)
    fail(fmt::format("{} groups: weights {} do not fit the input {}", groups, to_string(w.dims()),
                     to_string(x.dims())));
  const std::vector<std::int64_t> kernel(w.dims().begin() + 2, w.dims().end());
  const std::vector<std::int64_t> stated = node.ints_attribute("kernel_shape");
  if (!stated.empty() && stated != kernel)
    fail(fmt::format("attribute kernel_shape: expected {}, given {}", to_string(Dims(kernel)),
                     to_string(Dims(stated))));
  if (has(in, 2) && in[2]->dims() != Dims{maps})
    fail(fmt::format("bias: expected [{}], given {}", maps, to_string(in[2]->dims())));

  const std::vector<WindowAxis> axes = windows(node, x.dims(), kernel);
  const Dims dims = with_spatial(items, maps, axes);
  const std::int64_t points = spatial_size(dims), plane = spatial_size(x.dims()),
                     taps = product(kernel);
  const std::int64_t group_maps = maps / groups, rows = depth * taps;
  std::vector<double> result(static_cast<std::size_t>(product(dims)));
  std::vector<double> columns(static_cast<std::size_t>(rows * points));
  for (std::int64_t i = 0; i < items * groups; ++i) {
    const std::int64_t group = i % groups;
    const double* from = x.data<double>() + i * depth * plane;
    for_each_tap(axes, [&](std::int64_t tap, std::span<const Offsets* const> offsets) {
      for (std::int64_t c = 0; c < depth; ++c) {
        double* to = columns.data() + (c * taps + tap) * points;
        for_each_combination(offsets,
                             [&](std::int64_t at) { *to++ = at < 0 ? 0.0 : from[c * plane + at]; });
      }
    });
    double* to = result.data() + i * group_maps * points;
    multiply<double, double>(group_maps, points, rows,
                             {w.data<double>() + group * group_maps * rows, rows, 1},
                             {columns.data(), points, 1}, to);
    if (!has(in, 2)) continue;
    for (std::int64_t m = 0; m < group_maps; ++m) {
      const double bias = in[2]->data<double>()[group * group_maps + m];
      for (std::int64_t p = 0; p < points; ++p) to[m * points + p] += bias;
    }
  }
  return {PlainTensor(dims, std::move(result))};
}

// ---------------------------------------------------------------------------------------------------------
// Pooling

/// f(window, place, value) for the elements of a plane in each window: tap by tap, for all windows
/// at once.
template <typename T, typename F>
void slide(const std::vector<WindowAxis>& axes, const T* plane, const F& f) {
  for_each_tap(axes, [&](std::int64_t, std::span<const Offsets* const> offsets) {
    std::size_t window = 0;
    for_each_combination(offsets, [&](std::int64_t at) {
      if (at >= 0) f(window, at, plane[at]);
      ++window;
    });
  });
}

/// Gives the largest elements, and where in the input they are.
Results max_pool(const Node& node, const Graph&, Inputs in) {
  const PlainTensor& x = *in[0];
  if (node.int_attribute("storage_order", 0) != 0)
    fail("storage_order other than 0 is not supported");
  const std::vector<WindowAxis> axes = windows(node, x.dims(), node.ints_attribute("kernel_shape"));
  const Dims dims = with_spatial(x.dims()[0], x.dims()[1], axes);
  const std::int64_t points = spatial_size(dims), plane = spatial_size(x.dims()),
                     planes = x.dims()[0] * x.dims()[1];
  std::vector<std::int64_t> places(static_cast<std::size_t>(product(dims)), -1);
  PlainTensor largest = with_type_of(x, [&]<typename T>() -> PlainTensor {
    const T lowest = std::is_same_v<T, double> ? -std::numeric_limits<T>::infinity()
                                               : std::numeric_limits<T>::lowest();
    std::vector<T> result(places.size(), lowest);
    for (std::int64_t p = 0; p < planes; ++p) {
      slide(axes, x.data<T>() + p * plane, [&](std::size_t window, std::int64_t at, T value) {
        const std::size_t i = static_cast<std::size_t>(p * points) + window;
        if (places[i] >= 0 && !(value > result[i]) && !is_nan(value)) return;  // NaN wins
        result[i] = value;
        places[i] = p * plane + at;
      });
    }
    return {dims, std::move(result)};
  });
  return {std::move(largest), PlainTensor(dims, std::move(places))};
}

Results average_pool(const Node& node, const Graph&, Inputs in) {
  const PlainTensor& x = *in[0];
  const bool include_pad = node.int_attribute("count_include_pad", 0) != 0;
  const std::vector<WindowAxis> axes = windows(node, x.dims(), node.ints_attribute("kernel_shape"));
  const Dims dims = with_spatial(x.dims()[0], x.dims()[1], axes);
  const std::int64_t points = spatial_size(dims), plane = spatial_size(x.dims()),
                     planes = x.dims()[0] * x.dims()[1];

  // How many elements a window has is a product of one count an axis.
  std::vector<std::int64_t> counts(1, 1);
  for (const WindowAxis& axis : axes) {
    std::vector<std::int64_t> next;
    for (const std::int64_t outer : counts) {
      for (std::int64_t o = 0; o < axis.output; ++o) {
        std::int64_t inside = 0;
        for (std::int64_t k = 0; k < axis.kernel; ++k) {
          const std::int64_t at = axis.at(o, k);
          inside += static_cast<std::int64_t>(include_pad ? at < axis.input + axis.pad_end
                                                          : at >= 0 && at < axis.input);
        }
        next.push_back(outer * inside);
      }
    }
    counts = std::move(next);
  }
  std::vector<double> result(static_cast<std::size_t>(product(dims)), 0.0);
  for (std::int64_t p = 0; p < planes; ++p) {
    double* sums = result.data() + p * points;
    slide(axes, x.data<double>() + p * plane,
          [&](std::size_t window, std::int64_t, double value) { sums[window] += value; });
    for (std::int64_t i = 0; i < points; ++i)
      sums[i] /= static_cast<double>(counts[static_cast<std::size_t>(i)]);
  }
  return {PlainTensor(dims, std::move(result))};
}

Results global_average_pool(const Node&, const Graph&, Inputs in) {
  const PlainTensor& x = *in[0];
  if (x.rank() < 2)
    fail(fmt::format("expected an input [N, C, ...], given {}", to_string(x.dims())));
  const std::int64_t plane = spatial_size(x.dims());
  Dims dims = x.dims();
  std::fill(dims.begin() + 2, dims.end(), 1);
  std::vector<double> result;
  const double* from = x.data<double>();
  for (std::int64_t p = 0; p < product(dims); ++p) {
    double sum = 0;
    for (std::int64_t i = 0; i < plane; ++i) sum += *from++;
    result.push_back(sum / static_cast<double>(plane));
  }
  return {PlainTensor(dims, std::move(result))};
}

// ---------------------------------------------------------------------------------------------------------
// Resizing, one axis after the other

/// An output element along an axis is a weighted sum of these input elements.
struct Tap {
  std::int64_t index;
  double weight;
};
using Taps = std::vector<Tap>;

struct ResizeRules {
  std::string mode, coordinates, nearest;
  double cubic_a;
  bool exclude_outside;
};

double input_coordinate(const ResizeRules& rules, std::int64_t o, std::int64_t input,
                        std::int64_t output, double scale) {
  const auto x = static_cast<double>(o);
  const auto in = static_cast<double>(input), out = static_cast<double>(output);
  if (rules.coordinates == "half_pixel") return (x + 0.5) / scale - 0.5;
  if (rules.coordinates == "pytorch_half_pixel") return output > 1 ? (x + 0.5) / scale - 0.5 : 0.0;
  if (rules.coordinates == "asymmetric") return x / scale;
  if (rules.coordinates == "align_corners") return output == 1 ? 0.0 : x * (in - 1) / (out - 1);
  if (rules.coordinates == "half_pixel_symmetric") {
    const double adjustment = out / (scale * in);
    return in / 2 * (1 - adjustment) + (x + 0.5) / scale - 0.5;
  }
  fail(fmt::format("coordinate_transformation_mode '{}' is not supported", rules.coordinates));
}

double nearest_index(const ResizeRules& rules, double x) {
  if (rules.nearest == "round_prefer_floor") return std::ceil(x - 0.5);
  if (rules.nearest == "round_prefer_ceil") return std::floor(x + 0.5);
  if (rules.nearest == "floor") return std::floor(x);
  if (rules.nearest == "ceil") return std::ceil(x);
  fail(fmt::format("attribute nearest_mode: given '{}'", rules.nearest));
}

Taps taps_at(const ResizeRules& rules, double x, std::int64_t input) {
  const auto tap = [&](double index, double weight) {
    return Tap{std::clamp<std::int64_t>(to_integer(index), 0, input - 1), weight};
  };
  if (rules.mode == "nearest") return {tap(nearest_index(rules, x), 1.0)};
  const double base = std::floor(x), t = x - base;
  if (rules.mode == "linear") return {tap(base, 1 - t), tap(base + 1, t)};
  if (rules.mode != "cubic")
    fail(fmt::format("attribute mode: expected nearest, linear or cubic, given '{}'", rules.mode));
  const double a = rules.cubic_a;
  const auto near = [&](double s) { return ((a + 2) * s - (a + 3)) * s * s + 1; };  // s in [0, 1]
  const auto far = [&](double s) {
    return ((a * s - 5 * a) * s + 8 * a) * s - 4 * a;
  };  // s in [1, 2]
  std::array<double, 4> weights{far(t + 1), near(t), near(1 - t), far(2 - t)};
  if (rules.exclude_outside) {
    double sum = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const double at = base - 1 + static_cast<double>(i);
      if (at < 0 || at >= static_cast<double>(input)) weights[i] = 0;
      sum += weights[i];
    }
    for (double& weight : weights) weight /= sum;
  }
  return {tap(base - 1, weights[0]), tap(base, weights[1]), tap(base + 1, weights[2]),
          tap(base + 2, weights[3])};
}

PlainTensor resize_axis(const PlainTensor& x, std::size_t axis, const std::vector<Taps>& taps) {
  Dims dims = x.dims();
  const std::int64_t input = std::exchange(dims[axis], std::ssize(taps));
  const std::int64_t outer = product(std::span(dims).first(axis)),
                     inner = product(std::span(dims).subspan(axis + 1));
  return with_type_of(x, [&]<typename T>() -> PlainTensor {
    std::vector<T> result(static_cast<std::size_t>(product(dims)), T{0});
    T* to = result.data();
    for (std::int64_t o = 0; o < outer; ++o) {
      for (const Taps& sum : taps) {
        for (const Tap& tap : sum) {
          const T* from = x.data<T>() + (o * input + tap.index) * inner;
          if (sum.size() == 1) {
            std::copy_n(from, inner, to);
          } else if constexpr (std::is_same_v<T, double>) {
            for (std::int64_t i = 0; i < inner; ++i) to[i] += tap.weight * from[i];
          } else {
            fail("integers can only be resized in mode nearest");
          }
        }
        to += inner;
      }
    }
    return {dims, std::move(result)};
  });
}

/// Inputs: x, roi (of a mode that is not supported), scales, sizes.
Results resize(const Node& node, const Graph&, Inputs in) {
  const auto given = [&](std::size_t i) { return has(in, i) && in[i]->size() > 0; };
  if (given(2) == given(3)) fail("expected either scales or sizes");
  if (node.int_attribute("antialias", 0) != 0) fail("antialias is not supported");
  const ResizeRules rules{node.string_attribute("mode", "nearest"),
                          node.string_attribute("coordinate_transformation_mode", "half_pixel"),
                          node.string_attribute("nearest_mode", "round_prefer_floor"),
                          node.float_attribute("cubic_coeff_a", -0.75),
                          node.int_attribute("exclude_outside", 0) != 0};
  if (node.string_attribute("keep_aspect_ratio_policy", "stretch") != "stretch")
    fail("only the keep_aspect_ratio_policy stretch is supported");
  PlainTensor x = *in[0];
  std::vector<std::int64_t> axes = node.ints_attribute("axes");
  if (axes.empty())
    for (std::int64_t axis = 0; axis < x.rank(); ++axis) axes.push_back(axis);
  const PlainTensor& wanted = *in[given(2) ? 2 : 3];
  if (wanted.size() != std::ssize(axes))
    fail(fmt::format("{}: expected {} elements, given {}", given(2) ? "scales" : "sizes",
                     axes.size(), wanted.size()));

  std::vector<double> scales;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    axes[i] = resolve_axis(axes[i], x.rank());
    const auto input = static_cast<double>(x.dims()[static_cast<std::size_t>(axes[i])]);
    const double number = wanted.number(static_cast<std::int64_t>(i));
    if (!(number > 0)) fail(fmt::format("scales and sizes must be positive, given {}", number));
    scales.push_back(given(2) ? number : number / input);
  }
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<std::size_t>(axes[i]);
    const std::int64_t input = x.dims()[axis];
    const double exact = given(3) ? wanted.number(static_cast<std::int64_t>(i))
                                  : static_cast<double>(input) * scales[i];
    const std::int64_t output = to_integer(std::floor(exact));
    if (output == input && scales[i] == 1.0) continue;
    if (input == 0) fail("an empty axis can not be resized");
    std::vector<Taps> taps;
    for (std::int64_t o = 0; o < output; ++o)
      taps.push_back(taps_at(rules, input_coordinate(rules, o, input, output, scales[i]), input));
    x = resize_axis(x, axis, taps);
  }
  return {x};
}

}  // namespace

void add_spatial(NodeTable& table) {
  using enum OpKind;
  table[Conv] = conv;
  table[MaxPool] = max_pool;
  table[AveragePool] = average_pool;
  table[GlobalAveragePool] = global_average_pool;
  table[Resize] = resize;
}

}  // namespace burin::interpreter
