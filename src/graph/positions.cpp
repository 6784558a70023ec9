#include "graph/positions.h"

#include "graph/canonicalize.h"

namespace burin {

ValueId add_positions(Graph& graph, const Expr& length, std::size_t dimension, std::size_t rank) {
  const auto integer = [&](const Expr& e) {
    return add_known_integers(graph, "", Precision::i64, {e}, true);
  };
  const ValueId range = graph.add_op(OpKind::Range, "", {integer(0), integer(length), integer(1)});
  std::vector<std::int64_t> axes;
  for (std::size_t d = 0; d < rank; ++d)
    if (d != dimension) axes.push_back(static_cast<std::int64_t>(d));
  return axes.empty() ? range : graph.add_op(OpKind::Unsqueeze, "", {range}, {{"axes", axes}});
}

ValueId add_comparison_of_positions(Graph& graph, OpKind op, const Expr& rows, const Expr& columns,
                                    ValueId diagonal, std::size_t rank) {
  ValueId row = add_positions(graph, rows, rank - 2, rank);
  const ValueId column = add_positions(graph, columns, rank - 1, rank);
  if (diagonal != kNone) row = graph.add_op(OpKind::Add, "", {row, diagonal});
  return graph.add_op(op, "", {column, row});
}

}  // namespace burin
