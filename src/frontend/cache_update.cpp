// Caches of keys and values that are written to; TensorScatter, as
// https://onnx.ai/onnx/operators/onnx__TensorScatter.html states it.

#include "frontend/cache_update.h"

#include <fmt/format.h>

#include "burin/error.h"
#include "frontend/operators.h"
#include "graph/positions.h"

namespace burin::frontend {

/// A ScatterND whose indices name all dimensions up to the axis:
///
///     %i = concat batch, head, (first + position), axis=3      : i64[B, H, S, 3]
///     %y = scatter_nd %cache, %i, %update
ValueId write_rows(NodeImporter& n, const CacheUpdate& what) {
  const auto axis = static_cast<std::size_t>(what.axis);
  const std::size_t rank = axis + 2;  // the last dimension is that of the indices
  Shape shape(n.value(what.update).shape.begin(),
              n.value(what.update).shape.begin() + what.axis + 1);
  shape.emplace_back(1);

  std::vector<std::int64_t> behind_batch;
  for (std::size_t d = 1; d < rank; ++d) behind_batch.push_back(static_cast<std::int64_t>(d));
  const ValueId first = n.apply(OpKind::Unsqueeze, {what.first}, {{"axes", behind_batch}});
  ValueId row = n.apply(OpKind::Add, {first, add_positions(n.graph(), shape[axis], axis, rank)});
  if (what.wraps)
    row = n.apply(OpKind::Mod, {row, n.integers("rows", {n.value(what.cache).shape[axis]})});

  const ValueId all = n.integers("indices", shape);
  std::vector<ValueId> parts;
  for (std::size_t d = 0; d < axis; ++d)
    parts.push_back(n.apply(OpKind::Expand, {add_positions(n.graph(), shape[d], d, rank), all}));
  parts.push_back(n.apply(OpKind::Expand, {row, all}));
  const ValueId indices = n.apply(OpKind::Concat, parts, {{"axis", what.axis + 1}});
  return n.apply(OpKind::ScatterND, {what.cache, indices, what.update});
}

namespace {

void convert_tensor_scatter(NodeImporter& n) {
  CacheUpdate what;
  what.cache = n.input(0);
  what.update = n.input(1);
  const std::int64_t rank = n.rank(what.cache);
  what.axis = n.axis_attribute(-2, rank);
  if (what.axis == 0) throw Error("the axis must not be that of the batch");
  if (n.rank(what.update) != rank) throw Error("cache and update must have as many dimensions");
  const std::string mode = n.string_attribute("mode", "linear");
  if (mode != "linear" && mode != "circular")
    throw Error(fmt::format("mode '{}' is unknown", mode));
  what.wraps = mode == "circular";
  what.first = n.has_input(2) ? n.input(2) : n.integers("first", {Expr(0)});
  n.finish(write_rows(n, what));
}

}  // namespace

std::vector<Operator> cache_operators() {
  return {{{"", "TensorScatter"}, convert_tensor_scatter}};
}

}  // namespace burin::frontend
