#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "codegen/expression_emitter.h"
#include "codegen/origins.h"
#include "codegen/tile.h"
#include "codegen/tile_values.h"
#include "codegen/transposed_tiles.h"
#include "codegen/value_facts.h"

namespace burin::codegen {

/// What is computed of tiles alike, before they are transposed: x + y needs one transpose instead of two.
class EarlyTiles {
 public:
  EarlyTiles(VBuilder& b, const linear::LinearIR& ir, const ValueFacts& facts, TileValues& values, TransposedTiles& transposed,
             ElementwiseEmitter& elementwise, Origins& origins)
      : b_(b), ir_(ir), facts_(facts), values_(values), transposed_(transposed), elementwise_(elementwise), origins_(origins) {}

  /// Finds them in a segment of straight-line code, of which a tile is emitted: their steps become `early`, and of these the
  /// roots alone `transposed`.
  void find(std::vector<Step>& steps, const Tile& t);

  /// All rows of the value of a root.
  void emit(const Step& root, const Tile& t, std::int64_t vector);

 private:
  std::vector<VReg> whole(linear::ValueId v, const Tile& t, std::int64_t vector);
  /// The next vector of a value; `known`: what is there already.
  VReg next(linear::ValueId v, const Tile& t, std::int64_t vector, std::pair<linear::ValueId, VReg> known = {linear::kNone, kNoReg});

  VBuilder& b_;
  const linear::LinearIR& ir_;
  const ValueFacts& facts_;
  TileValues& values_;
  TransposedTiles& transposed_;
  ElementwiseEmitter& elementwise_;
  Origins& origins_;
  std::map<linear::ValueId, const Step*> early_;  ///< of the segment: what each value comes from
  std::map<linear::ValueId, TransposedTiles::Reader> readers_;  ///< of the tile that is being emitted
};

}  // namespace burin::codegen
