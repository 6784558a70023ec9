#pragma once

#include <cstdint>
#include <string>

#include "codegen/vcode.h"
#include "linear/analysis.h"
#include "linear/linear_ir.h"

namespace burin::codegen {

/// The tile that expressions are emitted for: rows of one loop, vectors of the lane loop.
struct Tile {
  std::string row_variable;
  std::int64_t rows = 1;
  std::string lane_variable;
  std::int64_t vectors = 1;
  VReg mask = kNoReg;   ///< of the last vector of a partial version
  VReg count = kNoReg;  ///< lanes that are on in it

  Tile with_whole_vectors() const {
    Tile whole = *this;
    whole.mask = whole.count = kNoReg;
    return whole;
  }
};

/// What is known of an expression for all elements of a tile.
struct Step {
  const linear::Expression* expression = nullptr;
  bool rows = false, lanes = false;  ///< whether it is computed for each of the tile's rows, of its vectors
  bool early = false;                ///< computed of tiles alike before they are transposed (EarlyTiles)
  // Of loads, stores and prefetches:
  linear::AccessMode mode{};
  bool transposed = false;           ///< the tile goes through a transpose in registers (TransposedTiles)
  bool paired = false;               ///< it takes turns with another one (ElementPairs)
  VReg base = kNoReg;
  std::int64_t displacement = 0;     ///< bytes from there to the tile's first element
  Expr row_stride, lane_stride;      ///< bytes
};

}  // namespace burin::codegen
