#pragma once

#include <cstdint>

#include "codegen/addresses.h"
#include "codegen/tile.h"
#include "codegen/tile_values.h"
#include "target/target_info.h"

namespace burin::codegen {

/// Index expressions as values: an integer for each element of a tile.
class IndexValues {
 public:
  IndexValues(VBuilder& b, IndexArithmetic& index, TileValues& values, const TargetInfo& target)
      : b_(b), index_(index), values_(values), target_(target) {}

  /// As f32.
  void emit_float(const linear::Expression& e, const Tile& t, std::int64_t row, std::int64_t vector);
  /// As i32.
  void emit_word(const linear::Expression& e, const Tile& t, std::int64_t row, std::int64_t vector);

 private:
  VReg along_lanes(VReg x, const Expr& step);

  VBuilder& b_;
  IndexArithmetic& index_;
  TileValues& values_;
  const TargetInfo& target_;
};

}  // namespace burin::codegen
