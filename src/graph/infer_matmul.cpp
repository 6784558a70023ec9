// Matrix products.

#include <algorithm>

#include "graph/infer_context.h"

namespace burin {
namespace {

/// [.., M, K] x [.., K, N] = [.., M, N] for operands of at least two dimensions.
Shape multiply(InferContext& context, const Shape& a, const Shape& b) {
  context.unify(
      a.back(), b[b.size() - 2],
      fmt::format("the inner dimensions of {} and {}", context.describe(0), context.describe(1)));
  Shape result = context.broadcast(Shape(a.begin(), a.end() - 2), Shape(b.begin(), b.end() - 2));
  result.push_back(a[a.size() - 2]);
  result.push_back(b.back());
  return result;
}

/// The shape after a transpose given by an attribute; none if it is absent.
Shape permuted(InferContext& context, std::string_view key, const Shape& shape) {
  if (!context.node().has_attribute(key)) return shape;
  Shape result;
  for (const std::int64_t axis : context.permutation(key, static_cast<std::int64_t>(shape.size())))
    result.push_back(shape[static_cast<std::size_t>(axis)]);
  return result;
}

}  // namespace

void infer_matmul(InferContext& context) {
  context.require_same_precision(0, 1);
  context.require_rank(0, 1, 64);
  context.require_rank(1, 1, 64);
  Shape a = context.shape(0);
  Shape b = context.shape(1);
  const bool row = a.size() == 1;
  const bool column = b.size() == 1;
  if (row) a.insert(a.begin(), 1);
  if (column) b.emplace_back(1);
  Shape result = multiply(context, a, b);
  if (column) result.pop_back();
  if (row) result.erase(result.end() - (column ? 1 : 2));
  context.set(context.in(0).precision, std::move(result));
}

void infer_gemm(InferContext& context) {
  context.require_same_precision(0, 1);
  context.require_rank(0, 2, 2);
  context.require_rank(1, 2, 2);
  Shape a = context.shape(0);
  Shape b = context.shape(1);
  if (context.flag("transA", false)) std::swap(a[0], a[1]);
  if (context.flag("transB", false)) std::swap(b[0], b[1]);
  Shape result = multiply(context, a, b);
  if (context.has(2)) {
    context.require_same_precision(0, 2);
    context.require_rank(2, 0, 2);
    const Shape& c = context.shape(2);
    const std::size_t offset = result.size() - c.size();
    for (std::size_t i = 0; i < c.size(); ++i)
      if (c[i].is_constant() && c[i] != Expr(1))
        context.unify(result[offset + i], c[i],
                      fmt::format("dimension {} of {}", i, context.describe(2)));
    context.broadcast(result, c);
  }
  context.set(context.in(0).precision, std::move(result));
}

/// transpose(transpose(a, perm_a) x transpose(b, perm_b), perm_out). The attribute `to` names the
/// precision of the result where it is not that of the operands (f32 from bf16, i32 from i8).
void infer_brgemm(InferContext& context) {
  const auto is_byte = [&](std::size_t input) {
    const Precision precision = context.in(input).precision;
    return precision == Precision::i8 || precision == Precision::u8;
  };
  if (!is_byte(0) || !is_byte(1)) context.require_same_precision(0, 1);
  context.require_rank(0, 2, 64);
  context.require_rank(1, 2, 64);
  const Shape product = multiply(context, permuted(context, "perm_a", context.shape(0)),
                                 permuted(context, "perm_b", context.shape(1)));
  const std::string to = context.node().string_attribute("to", to_string(context.in(0).precision));
  context.set(precision_from_string(to), permuted(context, "perm_out", product));
}

}  // namespace burin
