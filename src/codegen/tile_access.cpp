#include "codegen/tile_access.h"

#include <fmt/format.h>

#include "burin/error.h"

namespace burin::codegen {

using linear::AccessMode;
using linear::Expression;
using linear::MemoryId;

Expr step_of(const Expression& e, const std::string& variable) {
  if (variable.empty()) return 0;
  const auto c = e.index.coefficient(variable);
  if (!c) throw Error(fmt::format("index {} is not linear in {}", e.index.to_string(), variable));
  return *c;
}

Instruction access(VOp op, const Memory& mem) {
  Instruction i;
  i.op = op;
  i.mem = mem;
  return i;
}

std::int64_t TileAccess::element_bytes(MemoryId m) const { return static_cast<std::int64_t>(size_of(ir_.memory[m].precision)); }

bool TileAccess::is_boolean(const Expression& e) const { return ir_.memory[e.memory].precision == Precision::boolean; }

bool TileAccess::is_padded(MemoryId m) const { return ir_.memory[m].kind == linear::Memory::Kind::worker; }

VReg TileAccess::first_lanes(VReg count) {
  Instruction i;
  i.op = VOp::mask_first;
  i.dst = b_.mask();
  i.src = {reg(count), {}, {}};
  i.temps[0] = b_.general();
  i.temp_count = 1;
  b_.append(i);
  return i.dst;
}

Memory TileAccess::row_address(VReg base, std::int64_t displacement, std::int64_t row, const Expr& stride_bytes) {
  constexpr std::int64_t kLargestScale = 8;
  if (auto c = stride_bytes.as_constant(); c && fits_immediate(*c * row + displacement))
    return {base, kNoReg, 1, static_cast<std::int32_t>(displacement + *c * row)};
  if (row == 0) return {base, kNoReg, 1, static_cast<std::int32_t>(displacement)};
  std::int64_t scale = 1;
  while (row % (2 * scale) == 0 && 2 * scale <= kLargestScale) scale *= 2;
  const VReg multiple = prologue_.parameter(stride_bytes * (row / scale));
  return {base, multiple, static_cast<std::uint8_t>(scale), static_cast<std::int32_t>(displacement)};
}

VReg TileAccess::start_of_vector(const Step& s, std::int64_t vector) {
  if (vector == 0) return s.base;
  return b_.op(VOp::add64, {reg(s.base), prologue_.parameter_operand(s.lane_stride * (vector * target_.lanes()))});
}

Instruction TileAccess::element(const Step& s, const Tile& t, std::int64_t row, std::int64_t vector, VOp splat, VOp whole,
                                VOp lane_by_lane) {
  switch (s.mode) {
    case AccessMode::splat: return access(splat, row_address(s.base, s.displacement, row, s.row_stride));
    case AccessMode::vector: {
      const MemoryId memory = s.expression->memory;
      Instruction i = access(whole, row_address(s.base, s.displacement + vector * target_.lanes() * element_bytes(memory), row, s.row_stride));
      predicate(i, t, memory);
      return i;
    }
    case AccessMode::either:
    case AccessMode::across: break;
  }
  return strided(s, t, row, vector, lane_by_lane);
}

void TileAccess::predicate(Instruction& i, const Tile& t, MemoryId memory) const {
  if (t.mask == kNoReg || is_padded(memory)) return;
  i.mask = t.mask;
  i.count = t.count;
}

/// Lane by lane, a stride apart.
Instruction TileAccess::strided(const Step& s, const Tile& t, std::int64_t row, std::int64_t vector, VOp op) {
  Instruction i = access(op, row_address(start_of_vector(s, vector), s.displacement, row, s.row_stride));
  i.stride = prologue_.parameter(s.lane_stride);
  const bool all_lanes = t.count == kNoReg && (op == VOp::load_strided || op == VOp::store_strided);
  i.count = t.count == kNoReg && !all_lanes ? prologue_.parameter(target_.lanes()) : t.count;
  i.temps = {b_.general(), b_.vector()};
  i.temp_count = 2;
  return i;
}

}  // namespace burin::codegen
