#pragma once

#include <cstdint>
#include <map>

#include "codegen/addresses.h"
#include "codegen/tile.h"
#include "codegen/tile_access.h"
#include "target/target_info.h"

namespace burin::codegen {

/// Loads whose lanes are one element, or lie side by side, as the shapes of a call say (AccessMode::either).
class EitherLoads {
 public:
  EitherLoads(VBuilder& b, Prologue& prologue, TileAccess& access, const TargetInfo& target)
      : b_(b), prologue_(prologue), access_(access), target_(target) {}

  /// In front of a lane loop.
  void prepare(const linear::Loop& loop);

  /// What is there is read and no more; a permutation spreads it.
  VReg load(const Step& s, const Tile& t, std::int64_t row, std::int64_t vector);

 private:
  /// For a factor of the lane variable that is 0 or 1.
  struct Either {
    VReg factor, lanes, mask;  ///< lanes that are read, where the whole vector is computed
    VReg indices;              ///< 0, 1, 2, ..., or 0, 0, 0, ...: where each lane finds what was read
  };
  Either either_of(const Expr& factor);

  VBuilder& b_;
  Prologue& prologue_;
  TileAccess& access_;
  const TargetInfo& target_;
  std::map<Expr, Either> either_;  ///< of the lane loop that is being emitted
};

}  // namespace burin::codegen
