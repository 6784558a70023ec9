#include "graph/infer_context.h"

#include <algorithm>

#include "burin/error.h"
#include "support/integer_conversion.h"

namespace burin {
namespace {

/// No model needs more; bounds the work that a broken file can ask for.
constexpr std::int64_t kMaxRank = 64;

/// Keeps a symbol that an earlier inference of the same node made.
std::optional<Expr> reuse(const Expr& previous, std::string_view prefix) {
  const auto symbol = previous.as_symbol();
  if (symbol && symbol->compare(0, prefix.size(), prefix) == 0) return previous;
  return std::nullopt;
}

/// A number that wraps in the precision is not what the expression says. (A dimension fits.)
bool holds(Precision precision, const Expr& e) {
  const auto number = e.as_constant();
  return !number || wrap_to(precision, *number) == *number;
}

}  // namespace

InferContext::InferContext(Graph& graph, NodeId id)
    : graph_(graph), id_(id), results_(graph.node(id).outputs.size()) {}

bool InferContext::has(std::size_t input) const {
  return input < input_count() && node().inputs[input] != kNone;
}

std::string InferContext::describe(std::size_t input) const {
  const Value& value = in(input);
  const std::string name = value.name.empty() ? "" : fmt::format("'{}' ", value.name);
  return fmt::format("input {} {}{}{}", input, name, to_string(value.precision),
                     to_string(value.shape));
}

void InferContext::require_float(std::size_t input) const {
  if (!is_float(in(input).precision)) fail("{} must be of a floating-point type", describe(input));
}

void InferContext::require_integer(std::size_t input) const {
  const Precision precision = in(input).precision;
  if (is_float(precision) || precision == Precision::boolean)
    fail("{} must be of an integer type", describe(input));
}

void InferContext::require_boolean(std::size_t input) const {
  if (in(input).precision != Precision::boolean) fail("{} must be bool", describe(input));
}

void InferContext::require_same_precision(std::size_t a, std::size_t b) const {
  if (in(a).precision != in(b).precision)
    fail("the types of {} and {} must be the same", describe(a), describe(b));
}

void InferContext::require_rank(std::size_t input, std::int64_t least, std::int64_t most) const {
  if (rank(input) >= least && rank(input) <= most) return;
  if (least == most)
    fail("{} must have {} dimensions, not {}", describe(input), least, rank(input));
  if (most >= kMaxRank)
    fail("{} must have at least {} dimensions, not {}", describe(input), least, rank(input));
  fail("{} must have {} to {} dimensions, not {}", describe(input), least, most, rank(input));
}

void InferContext::require_scalar(std::size_t input) const {
  const auto may_be_one = [](const Expr& dimension) {
    return !dimension.is_constant() || dimension == Expr(1);
  };
  const Shape& dimensions = shape(input);
  if (rank(input) > 1 || !std::all_of(dimensions.begin(), dimensions.end(), may_be_one))
    fail("{} must be a scalar", describe(input));
}

const Elements& InferContext::integers(std::size_t input) const {
  require_integer(input);
  require_rank(input, 0, 1);
  return in(input).elements;
}

std::int64_t InferContext::integer_count(std::size_t input) const {
  require_integer(input);
  require_rank(input, 1, 1);
  const auto count = shape(input)[0].as_constant();
  if (!count) fail("the number of elements of {} must be known", describe(input));
  if (*count > kMaxRank) fail("{} must not have more than {} elements", describe(input), kMaxRank);
  return *count;
}

std::optional<std::vector<std::int64_t>> InferContext::constants(std::size_t input) const {
  const Elements& elements = integers(input);
  if (!elements) return std::nullopt;
  std::vector<std::int64_t> result;
  for (const Expr& element : *elements) {
    const auto constant = element.as_constant();
    if (!constant) return std::nullopt;
    result.push_back(*constant);
  }
  return result;
}

std::vector<std::int64_t> InferContext::require_constants(std::size_t input) const {
  auto result = constants(input);
  if (!result) fail("{} must be a constant", describe(input));
  return *std::move(result);
}

std::int64_t InferContext::canonical_axis(std::int64_t axis, std::int64_t rank,
                                          std::string_view what) const {
  if (axis < -rank || axis >= rank)
    fail("{} {} is out of range for {} dimensions", what, axis, rank);
  return axis < 0 ? axis + rank : axis;
}

std::vector<std::int64_t> InferContext::canonical_axes(std::vector<std::int64_t> axes,
                                                       std::int64_t rank) const {
  for (std::int64_t& axis : axes) axis = canonical_axis(axis, rank, "axis");
  std::sort(axes.begin(), axes.end());
  const auto twice = std::adjacent_find(axes.begin(), axes.end());
  if (twice != axes.end()) fail("axis {} is given twice", *twice);
  return axes;
}

std::int64_t InferContext::axis(std::string_view key, std::int64_t fallback, std::int64_t rank) {
  const std::int64_t result = canonical_axis(node().int_attribute(key, fallback), rank, key);
  set_attribute(key, result);
  return result;
}

std::vector<std::int64_t> InferContext::axes(std::int64_t rank, bool all) {
  std::vector<std::int64_t> result = node().ints_attribute("axes");
  if (result.empty()) {
    if (!all) fail("attribute 'axes' is missing");
    for (std::int64_t i = 0; i < rank; ++i) result.push_back(i);
  }
  result = canonical_axes(std::move(result), rank);
  set_attribute("axes", result);
  return result;
}

std::vector<std::int64_t> InferContext::permutation(std::string_view key, std::int64_t rank) {
  const std::vector<std::int64_t> result = node().ints_attribute(key);
  std::vector<std::int64_t> sorted = result;
  std::sort(sorted.begin(), sorted.end());
  bool good = static_cast<std::int64_t>(result.size()) == rank;
  for (std::int64_t i = 0; good && i < rank; ++i) good = sorted[static_cast<std::size_t>(i)] == i;
  if (!good)
    fail("attribute '{}' {} is not a permutation of {} axes", key, to_string(result), rank);
  return result;
}

void InferContext::set_attribute(std::string_view key, Attribute value) {
  graph_.node(id_).attributes.insert_or_assign(std::string(key), std::move(value));
}

bool InferContext::flag(std::string_view key, bool fallback) const {
  const std::int64_t value = node().int_attribute(key, fallback ? 1 : 0);
  if (value != 0 && value != 1) fail("attribute '{}' must be 0 or 1, not {}", key, value);
  return value == 1;
}

std::optional<Expr> InferContext::broadcast(const Expr& a, const Expr& b) {
  if (!math().equal(a, b))
    for (const auto& [whole, cut] : {std::pair(a, b), std::pair(b, a)})
      if (assume_unclamped(cut, whole)) return whole;
  return math().broadcast(a, b);
}

bool InferContext::assume_unclamped(const Expr& cut, const Expr& whole) {
  const auto unclamped = unclamp(cut);
  if (!unclamped || !math().equal(unclamped->value, whole)) return false;
  const std::string words =
      fmt::format("{}: what is cut to {} is long enough", subject(), whole.to_string());
  Facts facts = graph_.facts;
  try {
    for (const Expr& e : unclamped->non_negative) facts.assume_at_least(e, 0, words);
  } catch (const Error&) {
    return false;  // it can never be so
  }
  graph_.facts = std::move(facts);
  return true;
}

Shape InferContext::broadcast(const Shape& a, const Shape& b) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  const std::size_t offset = longer.size() - shorter.size();
  Shape result = longer;
  for (std::size_t i = 0; i < shorter.size(); ++i) {
    const Expr& left = a.size() >= b.size() ? longer[offset + i] : shorter[i];
    const Expr& right = a.size() >= b.size() ? shorter[i] : longer[offset + i];
    const auto dimension = broadcast(left, right);
    if (!dimension)
      fail("the shapes {} and {} cannot be broadcast: {} is not {}", to_string(a), to_string(b),
           left.to_string(), right.to_string());
    result[offset + i] = *dimension;
  }
  return result;
}

Expr InferContext::unify(const Expr& a, const Expr& b, std::string_view subject) {
  if (a == b) return a;
  const Expr left = facts().simplify(a);
  const Expr right = facts().simplify(b);
  if (math().different(left, right))
    fail("{}: {} is not {}", subject, a.to_string(), b.to_string());
  if (!math().equal(left, right))
    graph_.facts.assume_equal(left, right, fmt::format("{}: {}", this->subject(), subject));
  if (right.is_constant()) return right;
  return left.is_constant() ? left : facts().simplify(left);
}

void InferContext::assume_divides(const Expr& divisor, const Expr& value,
                                  std::string_view subject) {
  if (facts().proves_divides(divisor, value)) return;
  graph_.facts.assume_divides(divisor, value, fmt::format("{}: {}", this->subject(), subject));
}

void InferContext::assume_at_least(const Expr& value, std::int64_t bound,
                                   std::string_view subject) {
  if (math().at_least(value, bound)) return;
  if (math().at_least(bound - 1 - value, 0))
    fail("{}: {} must be at least {}", subject, value.to_string(), bound);
  graph_.facts.assume_at_least(value, bound, fmt::format("{}: {}", this->subject(), subject));
}

Expr InferContext::unknown_dimension(std::size_t output, std::int64_t rank, std::int64_t axis) {
  const Shape& previous = graph_.value(node().outputs[output]).shape;
  if (static_cast<std::int64_t>(previous.size()) == rank)
    if (const auto same = reuse(previous[static_cast<std::size_t>(axis)], kUnknownDimension))
      return *same;
  return graph_.fresh_symbol(kUnknownDimension);
}

Shape InferContext::unknown_shape(std::size_t output, std::int64_t rank) {
  Shape result;
  for (std::int64_t axis = 0; axis < rank; ++axis)
    result.push_back(unknown_dimension(output, rank, axis));
  return result;
}

Expr InferContext::unknown_integer(std::size_t output, std::size_t count, std::size_t index) {
  const Elements& previous = graph_.value(node().outputs[output]).elements;
  if (previous && previous->size() == count)
    if (const auto same = reuse((*previous)[index], kUnknownInteger)) return *same;
  return graph_.fresh_symbol(kUnknownInteger);
}

void InferContext::set(Precision precision, Shape shape, Elements elements, std::size_t output) {
  if (output >= results_.size()) return;
  if (static_cast<std::int64_t>(shape.size()) > kMaxRank)
    fail("the result has {} dimensions; at most {} are supported", shape.size(), kMaxRank);
  std::int64_t count = 1;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    shape[i] = facts().simplify(shape[i]);
    const auto dimension = shape[i].as_constant();
    if (dimension && *dimension < 0) fail("dimension {} of the result is {}", i, *dimension);
    if (dimension && *dimension != 0 && __builtin_mul_overflow(count, *dimension, &count))
      fail("the result {} has too many elements", to_string(shape));
  }
  if (elements) {
    for (Expr& element : *elements) element = facts().simplify(element);
    const bool fits = !is_float(precision) && shape.size() <= 1 &&
                      static_cast<std::int64_t>(elements->size()) <= kMaxElements &&
                      product(shape) == Expr(static_cast<std::int64_t>(elements->size())) &&
                      std::all_of(elements->begin(), elements->end(), [&](const Expr& e) { return holds(precision, e); });
    if (!fits) elements.reset();
  }
  results_[output] = {precision, std::move(shape), std::move(elements), true};
}

void InferContext::commit() {
  for (std::size_t i = 0; i < results_.size(); ++i)
    if (!results_[i].is_set) fail("it has {} outputs, and is given {}", i, results_.size());
  for (std::size_t i = 0; i < results_.size(); ++i) {
    Value& output = graph_.value(node().outputs[i]);
    output.precision = results_[i].precision;
    output.shape = std::move(results_[i].shape);
    output.elements = std::move(results_[i].elements);
  }
}

std::string InferContext::subject() const {
  const std::string name =
      node().name.empty() ? fmt::format("#{}", id_) : fmt::format("'{}'", node().name);
  return fmt::format("node {} ({})", name, info(op()).name);
}

void InferContext::throw_error(const std::string& what) const {
  throw Error(fmt::format("{}: {}", subject(), what));
}

}  // namespace burin
