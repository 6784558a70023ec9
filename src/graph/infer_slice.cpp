// Slice, with bounds that are expressions: numpy's clamping, resolved where that can be proved.

#include <algorithm>
#include <limits>

#include "graph/infer_context.h"

namespace burin {
namespace {

/// Bounds beyond this mean "up to the end", whatever the dimension.
constexpr std::int64_t kFar = std::numeric_limits<std::int32_t>::max();

bool is_far(const Expr& bound) {
  const auto constant = bound.as_constant();
  return constant && (*constant >= kFar || *constant <= -kFar);
}

/// A start or end of a slice in forward direction, clamped to [0, size].
Expr clamp_forward(const ShapeMath& math, const Expr& bound, const Expr& size) {
  if (const auto constant = bound.as_constant()) {
    if (*constant >= kFar) return size;
    if (*constant <= -kFar) return 0;
  }
  if (math.at_least(bound, 0)) return math.min(bound, size);
  const Expr from_end = math.max(size + bound, 0);
  if (math.at_least(-1 - bound, 0)) return from_end;
  return math.select(math.less(bound, 0), from_end, math.min(bound, size));
}

/// The same for a slice in backward direction: a start is clamped to [0, size - 1], an end to
/// [-1, size - 1]; the slice is empty where the dimension is.
Expr clamp_backward(const ShapeMath& math, const Expr& bound, const Expr& size, bool is_end) {
  const Expr last = size - Expr(1);
  const Expr lowest = is_end ? -1 : 0;
  if (const auto constant = bound.as_constant()) {
    if (*constant >= kFar || *constant == -1) return last;
    if (*constant <= -kFar) return math.min(lowest, last);
  }
  const auto negative = [&] { return math.min(math.max(size + bound, lowest), last); };
  if (math.at_least(bound, 0)) return math.min(bound, last);
  if (math.at_least(-1 - bound, 0)) return negative();
  return math.select(math.less(bound, 0), negative(), math.min(bound, last));
}

Expr length_forward(const ShapeMath& math, const Expr& start, const Expr& end, const Expr& size,
                    std::int64_t step) {
  const Expr first = clamp_forward(math, start, size);
  const Expr last = clamp_forward(math, end, size);
  if (step == 1 && last == size && !is_far(start)) {
    // The forms without a clamp of the start: size - min(start, size) = max(size - start, 0).
    if (first == burin::min(start, size)) return math.max(size - start, 0);
    if (first == burin::max(size + start, 0)) return math.min(0 - start, size);
  }
  const Expr count = step == 1 ? last - first : ceil_div(last - first, step);
  return math.at_most(first, last) ? count : math.max(count, 0);
}

Expr length_backward(const ShapeMath& math, const Expr& start, const Expr& end, const Expr& size,
                     std::int64_t step) {
  const Expr first = clamp_backward(math, start, size, false);
  const Expr last = clamp_backward(math, end, size, true);
  return math.max(ceil_div(first - last, -step), 0);
}

/// The elements of a sliced list of constant bounds.
std::vector<Expr> slice(const std::vector<Expr>& elements, std::int64_t start, std::int64_t end,
                        std::int64_t step) {
  const auto size = static_cast<std::int64_t>(elements.size());
  std::vector<Expr> result;
  if (size == 0) return result;
  const std::int64_t high = step > 0 ? size : size - 1;
  const auto clamp = [&](std::int64_t bound, std::int64_t low) {
    return std::clamp(bound < 0 ? std::max(bound, -size - 1) + size : bound, low, high);
  };
  const std::int64_t last = clamp(end, step > 0 ? 0 : -1);
  // A step beyond the size takes one element; a smaller one does not overflow.
  const std::int64_t stride = std::clamp(step, -size - 1, size + 1);
  for (std::int64_t i = clamp(start, 0); step > 0 ? i < last : i > last; i += stride)
    result.push_back(elements[static_cast<std::size_t>(i)]);
  return result;
}

}  // namespace

/// Inputs: x, starts, ends, axes (the first ones if absent), steps (1 if absent).
void infer_slice(InferContext& context) {
  const std::int64_t rank = context.rank(0);
  const std::int64_t count = context.integer_count(1);
  for (const std::size_t input : {std::size_t{2}, std::size_t{3}, std::size_t{4}})
    if (context.has(input) && context.integer_count(input) != count)
      context.fail("{} must have {} elements, as the starts have", context.describe(input), count);

  std::vector<std::int64_t> axes;
  if (context.has(3)) {
    axes = context.require_constants(3);
    for (std::int64_t& axis : axes) axis = context.canonical_axis(axis, rank, "axis");
    context.canonical_axes(axes, rank);
  } else {
    if (count > rank) context.fail("{} bounds are given for {} dimensions", count, rank);
    for (std::int64_t i = 0; i < count; ++i) axes.push_back(i);
  }
  const Elements starts = context.integers(1);
  const Elements ends = context.integers(2);
  std::optional<std::vector<std::int64_t>> steps =
      std::vector<std::int64_t>(static_cast<std::size_t>(count), 1);
  if (context.has(4)) steps = context.constants(4);

  Shape result = context.shape(0);
  Elements elements = count == 0 ? context.in(0).elements : std::nullopt;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    Expr& dimension = result[static_cast<std::size_t>(axes[i])];
    if (!starts || !ends || !steps) {
      dimension = context.unknown_dimension(0, rank, axes[i]);
      continue;
    }
    const std::int64_t step = (*steps)[i];
    if (step == 0 || step == std::numeric_limits<std::int64_t>::min())
      context.fail("the step of axis {} must not be {}", axes[i], step);
    const ShapeMath math = context.math();
    const Expr& start = (*starts)[i];
    const Expr& end = (*ends)[i];
    dimension = step > 0 ? length_forward(math, start, end, dimension, std::min(step, kFar))
                         : length_backward(math, start, end, dimension, std::max(step, -kFar));
    if (rank == 1 && context.in(0).elements && start.is_constant() && end.is_constant())
      elements = slice(*context.in(0).elements, *start.as_constant(), *end.as_constant(), step);
  }
  context.set(context.in(0).precision, std::move(result), std::move(elements));
}

}  // namespace burin
