// Operations that move elements and leave them as they are (Reshape and Slice have their own
// files).

#include <algorithm>
#include <functional>

#include "graph/infer_context.h"
#include "support/expr_fold.h"

namespace burin {
namespace {

std::size_t index(std::int64_t axis) { return static_cast<std::size_t>(axis); }

}  // namespace

void infer_transpose(InferContext& context) {
  const std::int64_t rank = context.rank(0);
  if (!context.node().has_attribute("perm")) {
    std::vector<std::int64_t> reversed;
    for (std::int64_t i = rank; i-- > 0;) reversed.push_back(i);
    context.set_attribute("perm", std::move(reversed));
  }
  Shape result;
  for (const std::int64_t axis : context.permutation("perm", rank))
    result.push_back(context.shape(0)[index(axis)]);
  context.set(context.in(0).precision, std::move(result), context.in(0).elements);
}

void infer_squeeze(InferContext& context) {
  const Shape& x = context.shape(0);
  if (!context.node().has_attribute("axes")) {
    std::vector<std::int64_t> ones;
    for (std::size_t i = 0; i < x.size(); ++i)
      if (x[i] == Expr(1)) ones.push_back(static_cast<std::int64_t>(i));
    context.set_attribute("axes", std::move(ones));
  }
  const std::vector<std::int64_t> axes =
      context.canonical_axes(context.node().ints_attribute("axes"), context.rank(0));
  context.set_attribute("axes", axes);
  Shape result;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!std::binary_search(axes.begin(), axes.end(), static_cast<std::int64_t>(i)))
      result.push_back(x[i]);
    else
      context.unify(x[i], 1, fmt::format("dimension {} of {}", i, context.describe(0)));
  }
  context.set(context.in(0).precision, std::move(result), context.in(0).elements);
}

void infer_unsqueeze(InferContext& context) {
  const auto added = static_cast<std::int64_t>(context.node().ints_attribute("axes").size());
  if (added == 0 && !context.node().has_attribute("axes"))
    context.fail("attribute 'axes' is missing");
  const std::vector<std::int64_t> axes =
      context.canonical_axes(context.node().ints_attribute("axes"), context.rank(0) + added);
  context.set_attribute("axes", axes);
  Shape result = context.shape(0);
  for (const std::int64_t axis : axes)  // sorted, so that each is already where it belongs
    result.insert(result.begin() + axis, Expr(1));
  context.set(context.in(0).precision, std::move(result), context.in(0).elements);
}

void infer_flatten(InferContext& context) {
  const std::int64_t rank = context.rank(0);
  std::int64_t axis = context.node().int_attribute("axis", 1);
  if (axis < -rank || axis > rank)  // the rank itself is allowed here
    context.fail("axis {} is out of range for {} dimensions", axis, rank);
  if (axis < 0) axis += rank;
  context.set_attribute("axis", axis);
  const auto middle = context.shape(0).begin() + axis;
  context.set(context.in(0).precision, {product(Shape(context.shape(0).begin(), middle)),
                                        product(Shape(middle, context.shape(0).end()))});
}

void infer_expand(InferContext& context) {
  const Shape& x = context.shape(0);
  const std::int64_t count = context.integer_count(1);
  const std::int64_t rank = std::max(count, context.rank(0));
  const Elements& target = context.integers(1);
  Shape result;
  for (std::int64_t axis = 0; axis < rank; ++axis) {
    const std::int64_t in_x = axis - (rank - context.rank(0));
    const std::int64_t in_target = axis - (rank - count);
    const Expr size = in_x < 0 ? Expr(1) : x[index(in_x)];
    if (in_target < 0) {
      result.push_back(size);
      continue;
    }
    if (!target) {
      // Only a dimension other than 1 is what it stays.
      const bool stays = size.is_constant() ? size != Expr(1) : context.math().at_least(size, 2);
      result.push_back(stays ? size : context.unknown_dimension(0, rank, axis));
      continue;
    }
    const Expr& wanted = (*target)[index(in_target)];
    if (!wanted.is_constant() || *wanted.as_constant() < 0)
      context.assume_at_least(wanted, 0, fmt::format("element {} of the target shape", in_target));
    const auto dimension = context.broadcast(size, wanted);
    if (!dimension)
      context.fail("dimension {} of {} cannot be expanded to {}", in_x, context.describe(0),
                   wanted.to_string());
    result.push_back(*dimension);
  }
  Elements elements = context.in(0).elements;
  if (elements && result.size() == 1 && elements->size() == 1)
    if (const auto size = result[0].as_constant(); size && *size <= kMaxElements)
      elements->resize(index(*size), Expr(elements->front()));
  context.set(context.in(0).precision, std::move(result), std::move(elements));
}

void infer_repeat(InferContext& context) {
  context.require_rank(0, 1, 64);
  const std::int64_t axis = context.axis("axis", -1, context.rank(0));
  const std::int64_t times = context.node().int_attribute("times", 0);
  if (times < 1) context.fail("attribute 'times' must be positive, not {}", times);
  Shape result = context.shape(0);
  result[index(axis)] *= Expr(times);
  Elements elements;
  if (const Elements& x = context.in(0).elements; x && times <= kMaxElements) {
    elements.emplace();
    for (const Expr& element : *x) elements->insert(elements->end(), index(times), element);
  }
  context.set(context.in(0).precision, std::move(result), std::move(elements));
}

namespace {

/// The elements of all inputs, one after the other. Where only some are known, the others become
/// symbols, so that a shape of which one dimension depends on data is still a shape.
Elements concatenated_elements(InferContext& context) {
  if (is_float(context.in(0).precision) || context.rank(0) != 1) return std::nullopt;
  bool any = false;
  std::int64_t count = 0;
  for (std::size_t i = 0; i < context.input_count(); ++i) {
    const auto size = context.shape(i)[0].as_constant();
    if (!size || *size > kMaxElements) return std::nullopt;
    count += *size;
    if (count > kMaxElements) return std::nullopt;
    any = any || (context.in(i).elements && *size > 0);
  }
  if (!any) return std::nullopt;
  std::vector<Expr> result;
  for (std::size_t i = 0; i < context.input_count(); ++i) {
    const Elements& elements = context.in(i).elements;
    for (std::int64_t e = 0; e < *context.shape(i)[0].as_constant(); ++e)
      result.push_back(elements ? (*elements)[index(e)]
                                : context.unknown_integer(0, index(count), result.size()));
  }
  return result;
}

}  // namespace

void infer_concat(InferContext& context) {
  context.require_rank(0, 1, 64);
  const std::int64_t rank = context.rank(0);
  if (!context.node().has_attribute("axis")) context.fail("attribute 'axis' is missing");
  const std::int64_t axis = context.axis("axis", 0, rank);
  Shape result = context.shape(0);
  for (std::size_t i = 1; i < context.input_count(); ++i) {
    context.require_same_precision(0, i);
    context.require_rank(i, rank, rank);
    for (std::int64_t d = 0; d < rank; ++d) {
      const Expr& next = context.shape(i)[index(d)];
      Expr& sum = result[index(d)];
      sum = d == axis ? sum + next
                      : context.unify(sum, next,
                                      fmt::format("dimension {} of {}", d, context.describe(i)));
    }
  }
  context.set(context.in(0).precision, std::move(result), concatenated_elements(context));
}

namespace {

/// The size of each part along the axis.
std::vector<Expr> split_sizes(InferContext& context, const Expr& whole, std::int64_t axis) {
  const auto parts = static_cast<std::int64_t>(context.output_count());
  std::vector<Expr> sizes;
  if (!context.has(1)) {
    // The last part is smaller where the dimension cannot be divided evenly.
    const bool even = context.facts().proves_divides(parts, whole);
    const auto exact = exact_quotient(whole, parts);
    const Expr part = exact ? *exact : even ? floor_div(whole, parts) : ceil_div(whole, parts);
    const Expr last = exact || even ? part : whole - Expr(parts - 1) * part;
    // A part of one of two is never more than the whole.
    if (parts > 2) context.assume_at_least(last, 0, "the size of the last part");
    sizes.assign(index(parts - 1), part);
    sizes.push_back(last);
    return sizes;
  }
  if (context.integer_count(1) != parts)
    context.fail("{} must have {} elements, one for each output", context.describe(1), parts);
  const Elements& given = context.integers(1);
  if (!given) {
    const std::int64_t rank = context.rank(0);
    for (std::int64_t i = 0; i < parts; ++i)
      sizes.push_back(context.unknown_dimension(index(i), rank, axis));
  } else {
    sizes = *given;
    for (std::size_t i = 0; i < sizes.size(); ++i)
      context.assume_at_least(sizes[i], 0, fmt::format("size of part {}", i));
  }
  Expr sum = 0;
  for (const Expr& size : sizes) sum += size;
  context.unify(
      whole, sum,
      fmt::format("dimension {} of {} and the sum of the parts", axis, context.describe(0)));
  return sizes;
}

}  // namespace

void infer_split(InferContext& context) {
  context.require_rank(0, 1, 64);
  const std::int64_t axis = context.axis("axis", 0, context.rank(0));
  const Expr& whole = context.shape(0)[index(axis)];
  if (const std::int64_t parts = context.node().int_attribute(
          "num_outputs", static_cast<std::int64_t>(context.output_count()));
      parts != static_cast<std::int64_t>(context.output_count()))
    context.fail("attribute 'num_outputs' is {}; there are {} outputs", parts,
                 context.output_count());
  const std::vector<Expr> sizes = split_sizes(context, whole, axis);
  const Elements& elements = context.in(0).elements;
  std::size_t next = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    Shape part = context.shape(0);
    part[index(axis)] = sizes[i];
    Elements part_elements;
    if (const auto size = sizes[i].as_constant();
        elements && size && *size >= 0 && next + index(*size) <= elements->size()) {
      const auto first = elements->begin() + static_cast<std::ptrdiff_t>(next);
      part_elements.emplace(first, first + static_cast<std::ptrdiff_t>(*size));
      next += index(*size);
    }
    context.set(context.in(0).precision, std::move(part), std::move(part_elements), i);
  }
}

/// Inputs: x, how much before and behind each axis, the value, the axes (all if absent).
void infer_pad(InferContext& context) {
  const std::int64_t rank = context.rank(0);
  const std::string mode = context.node().string_attribute("mode", "constant");
  if (mode != "constant" && mode != "reflect" && mode != "edge" && mode != "wrap")
    context.fail("attribute 'mode' must be constant, reflect, edge or wrap, not '{}'", mode);
  if (context.has(2)) {
    context.require_scalar(2);
    context.require_same_precision(0, 2);
  }
  std::vector<std::int64_t> axes;
  if (context.has(3)) {
    axes = context.require_constants(3);
    for (std::int64_t& axis : axes) axis = context.canonical_axis(axis, rank, "axis");
    context.canonical_axes(axes, rank);
  } else {
    for (std::int64_t i = 0; i < rank; ++i) axes.push_back(i);
  }
  context.require_rank(1, 1, 1);
  const Elements& pads = context.integers(1);
  if (const auto count = context.shape(1)[0].as_constant();
      count && *count != static_cast<std::int64_t>(2 * axes.size()))
    context.fail("{} must have {} elements", context.describe(1), 2 * axes.size());
  Shape result = context.shape(0);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    Expr& dimension = result[index(axes[i])];
    if (pads)
      dimension += (*pads)[i] + (*pads)[axes.size() + i];
    else
      dimension = context.unknown_dimension(0, rank, axes[i]);
    context.assume_at_least(dimension, 0, fmt::format("dimension {} of the result", axes[i]));
  }
  context.set(context.in(0).precision, std::move(result));
}

void infer_tile(InferContext& context) {
  const std::int64_t rank = context.rank(0);
  context.require_rank(1, 1, 1);
  const Elements& repeats = context.integers(1);
  context.unify(context.shape(1)[0], rank, fmt::format("the length of {}", context.describe(1)));
  if (!repeats) {
    context.set(context.in(0).precision, context.unknown_shape(0, rank));
    return;
  }
  Shape result = context.shape(0);
  for (std::int64_t i = 0; i < rank; ++i) {
    const Expr& times = (*repeats)[index(i)];
    context.assume_at_least(times, 0, fmt::format("the repetitions of dimension {}", i));
    result[index(i)] *= times;
  }
  Elements elements;
  if (const Elements& x = context.in(0).elements; x && rank == 1)
    if (const auto size = result[0].as_constant(); size && *size <= kMaxElements && !x->empty()) {
      elements.emplace();
      while (static_cast<std::int64_t>(elements->size()) < *size)
        elements->insert(elements->end(), x->begin(), x->end());
    }
  context.set(context.in(0).precision, std::move(result), std::move(elements));
}

void infer_trilu(InferContext& context) {
  context.require_rank(0, 2, 64);
  context.flag("upper", true);
  if (context.has(1)) {
    context.require_integer(1);
    context.require_scalar(1);
  }
  context.set(context.in(0).precision, context.shape(0));
}

}  // namespace burin
