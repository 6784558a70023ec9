#include "linear/skipped_outputs.h"

#include "graph/pieces.h"

namespace burin::linear {

Expr skips_outputs(const Graph& body, const AxisMap& axes) {
  Expr skips = 0;
  for (const ValueId output : body.outputs)
    for (const StoredPiece& piece : stored_pieces(body, output)) {
      const Shape& shape = body.value(piece.value).shape;
      for (std::size_t d = 0; d < shape.size(); ++d) {
        Expr extent = 1;
        for (const AxisId a : axes.dims[piece.value][d]) extent *= axes.axes[a].extent;
        if (axes.dims[piece.value][d].empty() || body.facts.proves_equal(shape[d], extent)) continue;
        skips = max(skips, equal(extent, 0) * (1 - equal(shape[d], 0)));
      }
    }
  return skips;
}

}  // namespace burin::linear
