#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "codegen/addresses.h"
#include "codegen/expression_emitter.h"
#include "codegen/tile.h"
#include "codegen/tile_access.h"
#include "codegen/tile_values.h"
#include "target/target_info.h"

namespace burin::codegen {

/// Tiles whose lanes lie apart in memory and whose rows lie side by side: they go through a transpose in registers. Square
/// ones have as many rows as lanes, and each lane's rows are a vector in memory; those of two to four rows are read and
/// written as four vectors (quads), of which block b of vector g has the rows of lane 4 * b + g.
class TransposedTiles {
 public:
  TransposedTiles(VBuilder& b, Prologue& prologue, TileAccess& access, TileValues& values, ElementwiseEmitter& elementwise,
                  const TargetInfo& target)
      : b_(b), prologue_(prologue), access_(access), values_(values), elementwise_(elementwise), target_(target) {}

  /// Whether the tile has a number of rows that can be transposed.
  bool can_hold(const Tile& t) const;

  void load(const Step& s, const Tile& t, std::int64_t vector);
  void store(const Step& s, const Tile& t, std::int64_t vector);
  void prefetch(const Step& s, const Tile& t, std::int64_t vector);

  class Reader;
  /// Of a reader.
  std::int64_t vectors_in_memory(const Tile& t) const;
  /// The value's registers from vectors as they lie in memory.
  void transpose_into(linear::ValueId v, std::vector<VReg> tile, const Tile& t, std::int64_t vector);

 private:
  /// Goes from lane to lane of a tile in memory.
  class LaneCursor {
   public:
    LaneCursor(const TransposedTiles& tiles, const Step& s, const Tile& t, std::int64_t vector);
    Memory next();

   private:
    VBuilder& b_;
    Prologue& prologue_;
    TileAccess& access_;
    const Step& s_;
    VReg group_;                           ///< where the lanes start whose addresses are computed from one pointer
    VReg last_ = kNoReg, bytes_ = kNoReg;  ///< where not all lanes are on: the last that is, and the stride
    std::int64_t lane_ = 0;                ///< the next one
  };

  bool is_square(const Tile& t) const { return t.rows == target_.lanes(); }
  std::vector<VReg> transpose(std::vector<VReg> tile, const Tile& t);
  void store_square(const Step& s, const Tile& t, std::int64_t vector, const std::vector<VReg>& tile);
  void store_quads(const Step& s, const Tile& t, std::int64_t vector, const std::vector<VReg>& tile);
  VReg mask_of_quads(const Step& s, const Tile& t);
  Instruction quads(const Step& s, const Tile& t, std::int64_t vector, std::int64_t first_lane, VOp op);

  VBuilder& b_;
  Prologue& prologue_;
  TileAccess& access_;
  TileValues& values_;
  ElementwiseEmitter& elementwise_;
  const TargetInfo& target_;
};

/// Loads the vectors of a tile in memory, one after the other.
class TransposedTiles::Reader {
 public:
  Reader(TransposedTiles& tiles, const Step& s, const Tile& t, std::int64_t vector);
  VReg next();

 private:
  Instruction next_quads(VOp op);

  TransposedTiles& tiles_;
  const Step& s_;
  const Tile& t_;
  std::int64_t vector_;
  std::optional<LaneCursor> lanes_;  ///< of a square one
  std::int64_t quad_ = 0;            ///< of others: the next one
  VReg mask_ = kNoReg;               ///< of others
};

}  // namespace burin::codegen
