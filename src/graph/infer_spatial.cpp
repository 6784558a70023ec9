// Convolutions, poolings and resizing: operations on [N, C, spatial dimensions...].

#include <algorithm>
#include <cmath>

#include "graph/infer_context.h"
#include "support/expr_fold.h"

namespace burin {
namespace {

/// The attributes that say how a window slides, one entry for each spatial dimension.
struct Window {
  std::vector<std::int64_t> kernel, strides, dilations, pads_begin, pads_end;
  bool same = false;  ///< padded so that each output has ceil(size / stride) elements
};

/// A list attribute with `count` entries, each at least `least`; `fallback` everywhere if absent.
std::vector<std::int64_t> list(const InferContext& context, std::string_view key, std::size_t count,
                               std::int64_t fallback, std::int64_t least) {
  // Larger ones can only come from a broken file, and would overflow.
  constexpr std::int64_t most = std::int64_t{1} << 31;
  std::vector<std::int64_t> values = context.node().ints_attribute(key);
  if (values.empty()) values.assign(count, fallback);
  if (values.size() != count)
    context.fail("attribute '{}' must have {} values, not {}", key, count, values.size());
  for (const std::int64_t value : values)
    if (value < least || value > most)
      context.fail("attribute '{}' has the value {}, which is out of range", key, value);
  return values;
}

Window window_of(const InferContext& context, std::vector<std::int64_t> kernel) {
  const std::size_t count = kernel.size();
  Window window;
  window.kernel = std::move(kernel);
  window.strides = list(context, "strides", count, 1, 1);
  window.dilations = list(context, "dilations", count, 1, 1);
  const std::vector<std::int64_t> pads = list(context, "pads", 2 * count, 0, 0);
  const auto middle = pads.begin() + static_cast<std::ptrdiff_t>(count);
  window.pads_begin.assign(pads.begin(), middle);
  window.pads_end.assign(middle, pads.end());
  const std::string mode = context.node().string_attribute("auto_pad", "NOTSET");
  window.same = mode == "SAME_UPPER" || mode == "SAME_LOWER";
  if (mode == "VALID") {
    window.pads_begin.assign(count, 0);
    window.pads_end.assign(count, 0);
  } else if (!window.same && mode != "NOTSET") {
    context.fail("attribute 'auto_pad' must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, not '{}'",
                 mode);
  }
  return window;
}

/// How often the window fits into spatial dimension `i`.
Expr slide(const InferContext& context, const Window& window, std::size_t i, const Expr& size,
           bool round_up) {
  const Expr stride = window.strides[i];
  if (window.same) return ceil_div(size, stride);
  const Expr padded = size + Expr(window.pads_begin[i]) + Expr(window.pads_end[i]);
  const Expr reach = Expr(window.dilations[i]) * Expr(window.kernel[i] - 1) + Expr(1);
  const Expr free = padded - reach;
  if (const auto constant = free.as_constant(); constant && *constant < 0)
    context.fail("the window of {} does not fit into spatial dimension {}, {} with its padding",
                 reach.to_string(), i, padded.to_string());
  if (!round_up) return floor_div(free, stride) + Expr(1);
  const Expr count = ceil_div(free, stride) + Expr(1);
  // A last window that would start in the padding behind the data is left out.
  const Expr start = (count - Expr(1)) * stride;
  return count - context.math().less_equal(size + Expr(window.pads_begin[i]), start);
}

std::vector<std::int64_t> constant_dimensions(const InferContext& context, const Shape& shape) {
  std::vector<std::int64_t> result;
  for (const Expr& dimension : shape) {
    const auto constant = dimension.as_constant();
    if (!constant || *constant < 1)
      context.fail("the kernel's size must be known and positive, not {}", dimension.to_string());
    result.push_back(*constant);
  }
  return result;
}

/// floor(size * scale) for a scale from the model, which is a float.
Expr scaled(InferContext& context, const Expr& size, float scale, std::int64_t axis) {
  if (!(scale > 0) || !std::isfinite(scale))
    context.fail("the scale of dimension {} is {}; it must be positive", axis, scale);
  if (const auto constant = size.as_constant()) {
    const float result = std::floor(static_cast<float>(*constant) * scale);
    if (!(result < 0x1p62F))
      context.fail("the scale of dimension {}, {}, is too large", axis, scale);
    return Expr(static_cast<std::int64_t>(result));
  }
  // A ratio of small integers, as scales are in practice.
  for (std::int64_t denominator = 1; denominator <= 64; ++denominator) {
    const float numerator = scale * static_cast<float>(denominator);
    if (numerator < 0x1p31F && numerator == std::floor(numerator) && numerator >= 1)
      return floor_div(size * Expr(static_cast<std::int64_t>(numerator)), denominator);
  }
  return context.unknown_dimension(0, context.rank(0), axis);
}

}  // namespace

void infer_conv(InferContext& context) {
  context.require_float(0);
  context.require_same_precision(0, 1);
  context.require_rank(0, 3, 64);
  context.require_rank(1, context.rank(0), context.rank(0));
  const Shape& x = context.shape(0);
  const Shape& weights = context.shape(1);
  const std::vector<std::int64_t> kernel =
      constant_dimensions(context, Shape(weights.begin() + 2, weights.end()));
  if (const auto given = context.node().ints_attribute("kernel_shape");
      !given.empty() && given != kernel)
    context.fail("attribute 'kernel_shape' {} is not the kernel of {}", to_string(given),
                 context.describe(1));
  const std::int64_t groups = context.node().int_attribute("group", 1);
  if (groups < 1) context.fail("attribute 'group' must be positive, not {}", groups);
  context.unify(x[1], weights[1] * Expr(groups),
                fmt::format("the channels of {} and {} in {} groups", context.describe(0),
                            context.describe(1), groups));
  if (const auto outputs = weights[0].as_constant(); outputs && *outputs % groups != 0)
    context.fail("{} output channels cannot be divided into {} groups", *outputs, groups);
  if (context.has(2)) {
    context.require_same_precision(0, 2);
    context.require_rank(2, 1, 1);
    context.unify(weights[0], context.shape(2)[0],
                  fmt::format("the output channels and {}", context.describe(2)));
  }
  const Window window = window_of(context, kernel);
  Shape result = {x[0], weights[0]};
  for (std::size_t i = 0; i < kernel.size(); ++i)
    result.push_back(slide(context, window, i, x[i + 2], false));
  context.set(context.in(0).precision, std::move(result));
}

void infer_pool(InferContext& context) {
  context.require_rank(0, 3, 64);
  if (context.op() == OpKind::AveragePool) context.require_float(0);
  const Shape& x = context.shape(0);
  const std::size_t count = x.size() - 2;
  if (!context.node().has_attribute("kernel_shape"))
    context.fail("attribute 'kernel_shape' is missing");
  const Window window = window_of(context, list(context, "kernel_shape", count, 1, 1));
  const bool round_up = context.flag("ceil_mode", false);
  Shape result = {x[0], x[1]};
  for (std::size_t i = 0; i < count; ++i)
    result.push_back(slide(context, window, i, x[i + 2], round_up));
  if (context.op() == OpKind::MaxPool) context.set(Precision::i64, result, std::nullopt, 1);
  context.set(context.in(0).precision, std::move(result));
}

void infer_global_pool(InferContext& context) {
  context.require_float(0);
  context.require_rank(0, 3, 64);
  Shape result = context.shape(0);
  std::fill(result.begin() + 2, result.end(), Expr(1));
  context.set(context.in(0).precision, std::move(result));
}

/// Inputs: x, region of interest, scales, sizes; scales and sizes are alternatives.
void infer_resize(InferContext& context) {
  Shape result = context.shape(0);
  const std::int64_t rank = context.rank(0);
  if (const std::string policy =
          context.node().string_attribute("keep_aspect_ratio_policy", "stretch");
      policy != "stretch")
    context.fail("attribute 'keep_aspect_ratio_policy' '{}' is not supported", policy);

  std::vector<std::int64_t> axes = context.node().ints_attribute("axes");
  if (axes.empty())
    for (std::int64_t i = 0; i < rank; ++i) axes.push_back(i);
  for (std::int64_t& axis : axes) axis = context.canonical_axis(axis, rank, "axis");

  const auto is_given = [&](std::size_t input) {
    return context.has(input) && context.shape(input) != Shape{Expr(0)};
  };
  const auto require_count = [&](std::size_t input) {
    context.require_rank(input, 1, 1);
    if (const auto count = context.shape(input)[0].as_constant();
        count != static_cast<std::int64_t>(axes.size()))
      context.fail("{} must have {} elements", context.describe(input), axes.size());
  };
  if (is_given(3)) {
    require_count(3);
    const Elements& sizes = context.integers(3);
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const auto axis = static_cast<std::size_t>(axes[i]);
      result[axis] = sizes ? (*sizes)[i] : context.unknown_dimension(0, rank, axes[i]);
      context.assume_at_least(result[axis], 0, fmt::format("size of dimension {}", axis));
    }
  } else if (is_given(2)) {
    require_count(2);
    context.require_float(2);
    const auto& scales = context.in(2).constant;
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const auto axis = static_cast<std::size_t>(axes[i]);
      if (scales)
        result[axis] =
            scaled(context, result[axis],
                   static_cast<float>(scales->at(static_cast<std::int64_t>(i))), axes[i]);
      else
        result[axis] = context.unknown_dimension(0, rank, axes[i]);
    }
  } else {
    context.fail("neither scales nor sizes are given");
  }
  context.set(context.in(0).precision, std::move(result));
}

void infer_depth_to_space(InferContext& context) {
  context.require_rank(0, 4, 4);
  const std::int64_t block = context.node().int_attribute("blocksize", 0);
  if (block < 1 || block > (1 << 15))
    context.fail("attribute 'blocksize' must be positive, not {}", block);
  const Shape& x = context.shape(0);
  const std::int64_t area = block * block;
  auto channels = exact_quotient(x[1], area);
  if (!channels) {
    if (x[1].is_constant())
      context.fail("{} channels cannot be divided by the block's {}", x[1].to_string(), area);
    context.assume_divides(area, x[1], "the block and the channels");
    channels = floor_div(x[1], area);
  }
  context.set(context.in(0).precision, {x[0], *channels, x[2] * Expr(block), x[3] * Expr(block)});
}

}  // namespace burin
