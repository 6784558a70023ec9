#pragma once

#include <cstdint>
#include <string>

#include "codegen/addresses.h"
#include "codegen/tile.h"
#include "codegen/vcode_builder.h"
#include "linear/linear_ir.h"
#include "target/target_info.h"

namespace burin::codegen {

/// How much the index of an expression grows with the variable.
Expr step_of(const linear::Expression& e, const std::string& variable);

/// An instruction that goes to memory there; its registers are up to the caller.
Instruction access(VOp op, const Memory& mem);

/// Where the elements of a tile lie in memory, and what reads or writes one of them.
class TileAccess {
 public:
  TileAccess(VBuilder& b, Prologue& prologue, const linear::LinearIR& ir, const TargetInfo& target)
      : b_(b), prologue_(prologue), ir_(ir), target_(target) {}

  std::int64_t element_bytes(linear::MemoryId m) const;
  bool is_boolean(const linear::Expression& e) const;
  /// A worker's scratch is padded to whole vectors. (In what workers share, others' elements follow.)
  bool is_padded(linear::MemoryId m) const;

  /// A mask of so many lanes.
  VReg first_lanes(VReg count);

  /// base + row * row stride, where the stride may be known at run time only: then an odd multiple of it in a register,
  /// scaled by a power of two.
  Memory row_address(VReg base, std::int64_t displacement, std::int64_t row, const Expr& stride_bytes);

  /// Of what lies across memory: where this vector's first lane is, up to the displacement.
  VReg start_of_vector(const Step& s, std::int64_t vector);

  /// The access of one element of the tile, as what its lanes make of it.
  Instruction element(const Step& s, const Tile& t, std::int64_t row, std::int64_t vector, VOp splat, VOp whole,
                      VOp lane_by_lane);

 private:
  void predicate(Instruction& i, const Tile& t, linear::MemoryId memory) const;
  Instruction strided(const Step& s, const Tile& t, std::int64_t row, std::int64_t vector, VOp op);

  VBuilder& b_;
  Prologue& prologue_;
  const linear::LinearIR& ir_;
  const TargetInfo& target_;
};

}  // namespace burin::codegen
