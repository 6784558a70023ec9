// RotaryEmbedding, as https://onnx.ai/onnx/operators/onnx__RotaryEmbedding.html states it, and its
// older sister of com.microsoft.

#include "frontend/rotary.h"

#include "burin/error.h"
#include "frontend/operators.h"
#include "graph/canonicalize.h"

namespace burin::frontend {
namespace {

using Axes = std::vector<std::int64_t>;

/// Elements [begin, end) of the last dimension.
ValueId cut(NodeImporter& n, ValueId x, const Expr& begin, const Expr& end) {
  return n.slice(x, n.rank(x) - 1, begin, end);
}

ValueId join(NodeImporter& n, std::vector<ValueId> parts) {
  const std::int64_t axis = n.rank(parts[0]) - 1;
  return n.apply(OpKind::Concat, std::move(parts), {{"axis", axis}});
}

/// (a, b) -> (-b, a) for the two halves of the last dimension.
ValueId turn_halves(NodeImporter& n, ValueId x) {
  const Expr size = n.last_dim(x), half = floor_div(size, 2);
  const ValueId behind = cut(n, x, half, size), front = cut(n, x, 0, half);
  return join(n, {n.apply(OpKind::Neg, {behind}), front});
}

ValueId turn_neighbours(NodeImporter& n, ValueId x) {
  const Shape shape = n.value(x).shape;
  Shape pairs = shape;
  pairs.back() = floor_div(shape.back(), 2);
  pairs.push_back(2);
  return n.reshape(turn_halves(n, n.reshape(x, pairs)), shape);
}

/// An element for each pair -> one for each element.
ValueId for_both(NodeImporter& n, ValueId x, bool interleaved) {
  if (!interleaved) return join(n, {x, x});
  Shape shape = n.value(x).shape;
  const ValueId column = n.apply(OpKind::Unsqueeze, {x}, {{"axes", Axes{n.rank(x)}}});
  shape.back() *= 2;
  return n.reshape(join(n, {column, column}), shape);
}

}  // namespace

ValueId rotate_pairs(NodeImporter& n, ValueId x, ValueId cos, ValueId sin, bool interleaved,
                     const Expr& size) {
  const Expr whole = n.last_dim(x);
  const ValueId moving = size == whole ? x : cut(n, x, 0, size);
  const ValueId turned = interleaved ? turn_neighbours(n, moving) : turn_halves(n, moving);
  const ValueId result =
      n.apply(OpKind::Add, {n.apply(OpKind::Mul, {moving, for_both(n, cos, interleaved)}),
                            n.apply(OpKind::Mul, {turned, for_both(n, sin, interleaved)})});
  return size == whole ? result : join(n, {result, cut(n, x, size, whole)});
}

ValueId rows_at(NodeImporter& n, ValueId cache, ValueId positions) {
  return n.apply(OpKind::Gather, {cache, positions}, {{"axis", std::int64_t{0}}});
}

namespace {

/// Rotates [B, S, heads * D] or [B, heads, S, D]; cos and sin are [B or 1, S, R].
void finish_rotation(NodeImporter& n, ValueId cos, ValueId sin, std::int64_t heads,
                     const Expr& size) {
  const ValueId x = n.input(0);
  const bool interleaved = n.int_attribute("interleaved", 0) != 0;
  const auto each_head = [&](ValueId angles, std::int64_t axis) {
    return n.apply(OpKind::Unsqueeze, {angles}, {{"axes", Axes{axis}}});
  };
  if (n.rank(x) == 4) {
    const ValueId result =
        rotate_pairs(n, x, each_head(cos, 1), each_head(sin, 1), interleaved, size);
    return n.finish(result);
  }
  if (n.rank(x) != 3) throw Error("the input must have 3 or 4 dimensions");
  if (heads <= 0) throw Error("attribute 'num_heads' is missing");
  const Shape shape = n.value(x).shape;
  const ValueId split = n.reshape(x, {shape[0], shape[1], Expr(heads), floor_div(shape[2], heads)});
  const ValueId result =
      rotate_pairs(n, split, each_head(cos, 2), each_head(sin, 2), interleaved, size);
  n.finish(n.reshape(result, shape));
}

/// How many elements of a head rotate; both caches have half as many columns.
Expr rotated_size(NodeImporter& n, ValueId cos, ValueId sin) {
  const std::int64_t stated = n.int_attribute("rotary_embedding_dim", 0);
  const Expr size = stated != 0 ? Expr(stated) : n.last_dim(cos) * 2;
  for (const ValueId cache : {cos, sin})
    n.assume_dim(cache, static_cast<std::size_t>(n.rank(cache) - 1), floor_div(size, 2));
  return size;
}

void convert_rotary_embedding(NodeImporter& n) {
  ValueId cos = n.input(1), sin = n.input(2);
  const Expr size = rotated_size(n, cos, sin);
  if (n.has_input(3)) {
    cos = rows_at(n, cos, n.input(3));
    sin = rows_at(n, sin, n.input(3));
  }
  finish_rotation(n, cos, sin, n.int_attribute("num_heads", 0), size);
}

/// Operands: x, position_ids, cos_cache, sin_cache. One position alone is that of the first token.
void convert_contrib_rotary_embedding(NodeImporter& n) {
  n.ignore_attribute("is_packed_batching");  // for the layout of a kernel
  if (n.float_attribute("scale", 1) != 1) throw Error("a scale is not supported");
  const ValueId x = n.input(0), cos = n.input(2), sin = n.input(3);
  const Expr size = rotated_size(n, cos, sin);
  ValueId positions = n.input(1);
  if (n.rank(positions) == 1) {
    const Expr length = n.dim(x, n.rank(x) == 4 ? 2 : 1);
    const auto integer = [&](const Expr& e) {
      return add_known_integers(n.graph(), "", Precision::i64, {e}, true);
    };
    const ValueId range = n.apply(OpKind::Range, {integer(0), integer(length), integer(1)});
    const ValueId row = n.apply(OpKind::Unsqueeze, {range}, {{"axes", Axes{0}}});
    positions = n.apply(OpKind::Add, {row, n.cast(positions, Precision::i64)});
  }
  std::int64_t heads = n.int_attribute("num_heads", 0);
  if (heads == 0 && n.rank(x) == 3) {
    const auto count = floor_div(n.dim(x, 2), size).as_constant();
    if (!count) throw Error("without 'num_heads' the size of the caches must be known");
    heads = *count;
  }
  finish_rotation(n, rows_at(n, cos, positions), rows_at(n, sin, positions), heads, size);
}

}  // namespace

std::vector<Operator> rotary_operators() {
  return {
      {{"", "RotaryEmbedding"}, convert_rotary_embedding},
      {{"com.microsoft", "RotaryEmbedding", {}, "scale"}, convert_contrib_rotary_embedding},
  };
}

}  // namespace burin::frontend
