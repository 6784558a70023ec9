// Element-wise operations, with the arithmetic of shape computations on their known elements.

#include <algorithm>
#include <functional>
#include <limits>

#include "graph/infer_context.h"
#include "support/expr_fold.h"

namespace burin {
namespace {

/// Nothing also where it wraps in 64 bits: such integers are no shapes.
using Element = std::optional<Expr>;

/// Applies `function` to each element; nothing is known unless all results are.
Elements map(const Elements& a, const std::function<Element(const Expr&)>& function) {
  if (!a) return std::nullopt;
  std::vector<Expr> result;
  for (const Expr& x : *a) {
    const Element element = unless_too_large([&] { return function(x); });
    if (!element) return std::nullopt;
    result.push_back(*element);
  }
  return result;
}

/// The number of elements of the inputs, broadcast; 0 where they are not known.
std::size_t broadcast_size(const InferContext& context) {
  std::size_t size = 1;
  for (std::size_t i = 0; i < context.input_count(); ++i) {
    const Elements& elements = context.in(i).elements;
    if (!elements || elements->empty()) return 0;
    if (size != 1 && elements->size() != 1 && elements->size() != size) return 0;
    size = std::max(size, elements->size());
  }
  return size;
}

const Expr& element(const InferContext& context, std::size_t input, std::size_t index) {
  const std::vector<Expr>& elements = *context.in(input).elements;
  return elements[elements.size() == 1 ? 0 : index];
}

Elements map2(const InferContext& context,
              const std::function<Element(const Expr&, const Expr&)>& function) {
  const std::size_t size = broadcast_size(context);
  if (size == 0) return std::nullopt;
  std::vector<Expr> result;
  for (std::size_t i = 0; i < size; ++i) {
    const Element each = unless_too_large([&] { return function(element(context, 0, i), element(context, 1, i)); });
    if (!each) return std::nullopt;
    result.push_back(*each);
  }
  return result;
}

Element unary_element(const InferContext& context, const Expr& x) {
  const ShapeMath math = context.math();
  const auto constant = x.as_constant();
  switch (context.op()) {
    case OpKind::Neg: return 0 - x;
    case OpKind::Square: return x * x;
    case OpKind::Abs: return math.max(x, 0 - x);
    case OpKind::Relu: return math.max(x, 0);
    case OpKind::Sign:
      if (constant) return Expr(*constant > 0 ? 1 : *constant < 0 ? -1 : 0);
      return math.at_least(x, 1) ? Element(1) : std::nullopt;
    default: return std::nullopt;
  }
}

/// Integer division rounds towards zero, floor_div towards minus infinity.
Element divide(const ShapeMath& math, const Expr& a, const Expr& b) {
  const auto left = a.as_constant();
  const auto right = b.as_constant();
  if (right == 0) return std::nullopt;
  if (left && right) {
    if (*left == std::numeric_limits<std::int64_t>::min() && *right == -1) return std::nullopt;
    return Expr(*left / *right);
  }
  if (const auto exact = exact_quotient(a, b)) return exact;
  if (!math.at_least(b, 0)) return std::nullopt;
  if (math.at_least(a, 0)) return floor_div(a, b);
  const Expr negative = 0 - floor_div(0 - a, b);
  if (math.at_least(0 - a, 0)) return negative;
  return math.select(math.less(a, 0), negative, floor_div(a, b));
}

Element remainder(const ShapeMath& math, const Expr& a, const Expr& b, bool truncating) {
  if (b == Expr(0)) return std::nullopt;
  const bool signs_agree = math.at_least(a, 0) && math.at_least(b, 0);
  if (truncating && !signs_agree) return std::nullopt;
  return mod(a, b);
}

Element arithmetic_element(const InferContext& context, const Expr& a, const Expr& b) {
  const ShapeMath math = context.math();
  switch (context.op()) {
    case OpKind::Add: return a + b;
    case OpKind::Sub: return a - b;
    case OpKind::Mul: return a * b;
    case OpKind::Div: return divide(math, a, b);
    case OpKind::Mod: return remainder(math, a, b, context.flag("fmod", false));
    case OpKind::Min: return math.min(a, b);
    case OpKind::Max: return math.max(a, b);
    default: return std::nullopt;
  }
}

Element compare_element(const InferContext& context, const Expr& a, const Expr& b) {
  const ShapeMath math = context.math();
  switch (context.op()) {
    case OpKind::Equal: return math.equal_to(a, b);
    case OpKind::Less: return math.less(a, b);
    case OpKind::LessOrEqual: return math.less_equal(a, b);
    case OpKind::Greater: return math.less(b, a);
    case OpKind::GreaterOrEqual: return math.less_equal(b, a);
    default: return std::nullopt;
  }
}

/// Of two truth values, which are 0 or 1.
Element logical_element(const InferContext& context, const Expr& a, const Expr& b) {
  switch (context.op()) {
    case OpKind::And: return a * b;
    case OpKind::Or: return a + b - a * b;
    case OpKind::Xor: return a + b - 2 * a * b;
    default: return std::nullopt;
  }
}

Element cast_element(const InferContext& context, const Expr& x, Precision from, Precision to) {
  if (from == to) return x;
  if (to == Precision::boolean) return 1 - context.math().equal_to(x, 0);
  const auto constant = x.as_constant();
  const auto fits = [&](std::int64_t low, std::int64_t high) {
    return constant && low <= *constant && *constant <= high;
  };
  switch (to) {
    case Precision::i64: return x;
    // A dimension fits; a constant that does not would wrap.
    case Precision::i32:
      if (!constant ||
          fits(std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()))
        return x;
      return std::nullopt;
    case Precision::i16: return fits(-32768, 32767) ? Element(x) : std::nullopt;
    case Precision::i8: return fits(-128, 127) ? Element(x) : std::nullopt;
    case Precision::u16: return fits(0, 65535) ? Element(x) : std::nullopt;
    case Precision::u8: return fits(0, 255) ? Element(x) : std::nullopt;
    default: return std::nullopt;
  }
}

Shape broadcast_inputs(InferContext& context) {
  Shape shape = context.shape(0);
  for (std::size_t i = 1; i < context.input_count(); ++i)
    shape = context.broadcast(shape, context.shape(i));
  return shape;
}

void require_not_boolean(const InferContext& context, std::size_t input) {
  if (context.in(input).precision == Precision::boolean)
    context.fail("{} must be of a numeric type", context.describe(input));
}

}  // namespace

void infer_same(InferContext& context) {
  const Value& x = context.in(0);
  context.set(x.precision, x.shape, x.elements);
}

void infer_float_unary(InferContext& context) {
  context.require_float(0);
  infer_same(context);
}

void infer_numeric_unary(InferContext& context) {
  require_not_boolean(context, 0);
  const Value& x = context.in(0);
  context.set(x.precision, x.shape,
              map(x.elements, [&](const Expr& e) { return unary_element(context, e); }));
}

void infer_not(InferContext& context) {
  context.require_boolean(0);
  const Value& x = context.in(0);
  context.set(Precision::boolean, x.shape, map(x.elements, [](const Expr& e) { return 1 - e; }));
}

void infer_float_test(InferContext& context) {
  context.require_float(0);
  context.set(Precision::boolean, context.shape(0));
}

void infer_cast(InferContext& context) {
  const Value& x = context.in(0);
  if (!context.node().has_attribute("to")) context.fail("attribute 'to' is missing");
  const Precision to = precision_from_string(context.node().string_attribute("to", ""));
  context.set(to, x.shape, map(x.elements, [&](const Expr& e) {
                return cast_element(context, e, x.precision, to);
              }));
}

void infer_arithmetic(InferContext& context) {
  context.require_same_precision(0, 1);
  require_not_boolean(context, 0);
  context.set(context.in(0).precision, broadcast_inputs(context),
              map2(context, [&](const Expr& a, const Expr& b) {
                return arithmetic_element(context, a, b);
              }));
}

void infer_pow(InferContext& context) {
  require_not_boolean(context, 0);
  require_not_boolean(context, 1);
  const auto power = [](const Expr& base, const Expr& exponent) -> Element {
    const auto times = exponent.as_constant();
    if (!times || *times < 0 || *times > 8) return std::nullopt;
    Expr result = 1;
    for (std::int64_t i = 0; i < *times; ++i) result *= base;
    return result;
  };
  context.set(context.in(0).precision, broadcast_inputs(context), map2(context, power));
}

void infer_prelu(InferContext& context) {
  context.require_same_precision(0, 1);
  require_not_boolean(context, 0);
  if (context.rank(1) > context.rank(0))
    context.fail("{} must not have more dimensions than {}", context.describe(1),
                 context.describe(0));
  for (std::int64_t i = 1; i <= context.rank(1); ++i) {
    const Expr& slope = *(context.shape(1).end() - i);
    const Expr& x = *(context.shape(0).end() - i);
    if (slope != Expr(1) && x == Expr(1) && slope.is_constant())
      context.fail("{} cannot be broadcast to {}", context.describe(1), context.describe(0));
  }
  broadcast_inputs(context);
  context.set(context.in(0).precision, context.shape(0));
}

void infer_logical(InferContext& context) {
  context.require_boolean(0);
  context.require_boolean(1);
  context.set(
      Precision::boolean, broadcast_inputs(context),
      map2(context, [&](const Expr& a, const Expr& b) { return logical_element(context, a, b); }));
}

void infer_compare(InferContext& context) {
  context.require_same_precision(0, 1);
  if (context.op() != OpKind::Equal) require_not_boolean(context, 0);
  context.set(
      Precision::boolean, broadcast_inputs(context),
      map2(context, [&](const Expr& a, const Expr& b) { return compare_element(context, a, b); }));
}

void infer_where(InferContext& context) {
  context.require_boolean(0);
  context.require_same_precision(1, 2);
  Elements elements;
  if (const std::size_t size = broadcast_size(context); size != 0) {
    elements.emplace();
    for (std::size_t i = 0; i < size && elements; ++i) {
      const Element chosen = unless_too_large([&] {
        return Element(context.math().select(element(context, 0, i), element(context, 1, i), element(context, 2, i)));
      });
      if (chosen)
        elements->push_back(*chosen);
      else
        elements.reset();
    }
  }
  context.set(context.in(1).precision, broadcast_inputs(context), std::move(elements));
}

void infer_clip(InferContext& context) {
  require_not_boolean(context, 0);
  Elements elements = context.in(0).elements;
  for (const std::size_t bound : {std::size_t{1}, std::size_t{2}}) {
    if (!context.has(bound)) continue;
    context.require_scalar(bound);
    context.require_same_precision(0, bound);
    const Elements& limit = context.in(bound).elements;
    if (!limit || limit->size() != 1) {
      elements.reset();
      continue;
    }
    const ShapeMath math = context.math();
    elements = map(elements, [&](const Expr& e) -> Element {
      return bound == 1 ? math.max(e, limit->front()) : math.min(e, limit->front());
    });
  }
  context.set(context.in(0).precision, context.shape(0), std::move(elements));
}

}  // namespace burin
