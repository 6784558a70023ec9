#pragma once

#include <cstdint>
#include <map>

#include "codegen/addresses.h"
#include "codegen/expression_emitter.h"
#include "codegen/tile.h"
#include "codegen/tile_values.h"
#include "target/target_info.h"

namespace burin::codegen {

/// Folds of segments of a vector's lanes: each lane takes in those behind it, twice as many at each step, as far as its
/// segment goes.
class SegmentFolds {
 public:
  SegmentFolds(VBuilder& b, Prologue& prologue, TileValues& values, ElementwiseEmitter& elementwise, const TargetInfo& target)
      : b_(b), prologue_(prologue), values_(values), elementwise_(elementwise), target_(target) {}

  /// In front of all items of work.
  void prepare(const linear::Loop& phase);

  /// For all rows of the tile.
  void emit(const linear::Expression& e, const Tile& t);

 private:
  struct Tables {
    VReg length;                             ///< in lanes
    VReg first;                              ///< where each lane's segment begins
    std::map<std::int64_t, VReg> ahead;      ///< by how many: the lanes that far ahead, or the last of the segment
    std::map<std::int64_t, VReg> has_ahead;  ///< the same: which lanes have one
  };
  Tables tables_of(const Expr& length);
  /// Longer rows are not packed.
  std::int64_t longest() const { return target_.lanes() / 2; }
  VReg with_lanes_ahead(linear::Op op, VReg x, const Tables& tables, std::int64_t ahead);

  VBuilder& b_;
  Prologue& prologue_;
  TileValues& values_;
  ElementwiseEmitter& elementwise_;
  const TargetInfo& target_;
  std::map<Expr, Tables> tables_;  ///< by length
};

}  // namespace burin::codegen
