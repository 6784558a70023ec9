// Reshape: the target's elements become dimensions; -1 is found by dividing polynomials.

#include <algorithm>

#include "graph/infer_context.h"
#include "support/expr_fold.h"

namespace burin {
namespace {

/// If `quotient` is floor_div(whole, divisor) for some `whole` and `divisor` out of the two lists,
/// they are removed and the division is assumed to be exact: [H] reshaped to [floor_div(H, 7), 7].
bool cancel_division(InferContext& context, Shape& wholes, Shape& parts, std::string_view subject) {
  for (auto quotient = parts.begin(); quotient != parts.end(); ++quotient) {
    for (auto divisor = parts.begin(); divisor != parts.end(); ++divisor) {
      if (divisor == quotient || *divisor == Expr(0)) continue;
      for (auto whole = wholes.begin(); whole != wholes.end(); ++whole) {
        if (whole->is_constant() || floor_div(*whole, *divisor) != *quotient) continue;
        context.assume_divides(*divisor, *whole, subject);
        wholes.erase(whole);
        // The later one first, so that the other iterator stays valid.
        parts.erase(std::max(quotient, divisor));
        parts.erase(std::min(quotient, divisor));
        return true;
      }
    }
  }
  return false;
}

/// Removes what both lists have, so that their products stay equal if they were.
void cancel(InferContext& context, Shape& a, Shape& b, std::string_view subject) {
  const ShapeMath math = context.math();
  for (auto i = a.begin(); i != a.end();) {
    const auto same = std::find_if(b.begin(), b.end(), [&](const Expr& dimension) {
      return math.equal(*i, dimension) && dimension != Expr(0);
    });
    if (same == b.end()) {
      ++i;
    } else {
      b.erase(same);
      i = a.erase(i);
    }
  }
  while (cancel_division(context, a, b, subject) || cancel_division(context, b, a, subject)) {
  }
}

/// The dimension that -1 stands for.
Expr missing_dimension(InferContext& context, Shape from, Shape to) {
  const std::string subject =
      fmt::format("the elements of {} and those of its new shape", context.describe(0));
  if (product(to) == Expr(0)) context.fail("-1 cannot be found beside a dimension of 0");
  cancel(context, from, to, subject);
  const Expr whole = context.facts().simplify(product(from));
  const Expr rest = context.facts().simplify(product(to));
  if (const auto quotient = exact_quotient(whole, rest)) return *quotient;
  if (whole.is_constant() && rest.is_constant())
    context.fail("{} elements cannot be divided by {}", whole.to_string(), rest.to_string());
  const std::int64_t common = common_factor(whole, rest);
  const Expr dividend = *exact_quotient(whole, common);
  const Expr divisor = *exact_quotient(rest, common);
  context.assume_divides(divisor, dividend, subject);
  return floor_div(dividend, divisor);
}

void require_same_count(InferContext& context, Shape from, Shape to) {
  const std::string subject =
      fmt::format("the elements of {} and those of {}", context.describe(0), to_string(to));
  cancel(context, from, to, subject);
  const Expr before = context.facts().simplify(product(from));
  const Expr after = context.facts().simplify(product(to));
  context.unify(before, after, subject);
}

}  // namespace

void infer_reshape(InferContext& context) {
  const Value& x = context.in(0);
  const std::int64_t count = context.integer_count(1);
  const Elements target = context.integers(1);
  if (!target) {
    Shape result = count == 1 ? Shape{product(x.shape)} : context.unknown_shape(0, count);
    context.set(context.in(0).precision, std::move(result));
    return;
  }
  const bool zero_is_zero = context.flag("allowzero", false);
  Shape result;
  Shape given;  // without -1
  std::optional<std::size_t> missing;
  for (std::size_t i = 0; i < target->size(); ++i) {
    const Expr& element = (*target)[i];
    const auto constant = element.as_constant();
    if (constant == -1) {
      if (missing) context.fail("the target shape has more than one -1");
      missing = i;
      result.emplace_back(1);
      continue;
    }
    if (constant && *constant < 0)
      context.fail("element {} of the target shape is {}", i, *constant);
    if (constant == 0 && !zero_is_zero) {
      if (static_cast<std::int64_t>(i) >= context.rank(0))
        context.fail("element {} of the target shape copies a dimension that {} does not have", i,
                     context.describe(0));
      result.push_back(context.shape(0)[i]);
    } else {
      // An unknown integer must not turn out to be one of the special values.
      const auto symbol = element.as_symbol();
      const bool unknown =
          symbol && symbol->compare(0, kUnknownInteger.size(), kUnknownInteger) == 0;
      context.assume_at_least(element, unknown ? 1 : 0,
                              fmt::format("element {} of the target shape", i));
      result.push_back(element);
    }
    given.push_back(result.back());
  }
  if (missing)
    result[*missing] = missing_dimension(context, context.shape(0), given);
  else
    require_same_count(context, context.shape(0), given);
  context.set(context.in(0).precision, std::move(result), context.in(0).elements);
}

}  // namespace burin
