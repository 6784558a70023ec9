#include "codegen/tile_values.h"

namespace burin::codegen {

using linear::ValueId;

bool TileValues::spans_rows(ValueId v, const Tile& t) const {
  return t.rows > 1 && facts_.varies[v].count(t.row_variable) != 0;
}

bool TileValues::spans_lanes(ValueId v, const Tile& t) const {
  return !t.lane_variable.empty() && facts_.varies[v].count(t.lane_variable) != 0;
}

VReg& TileValues::slot(ValueId v, std::int64_t row, std::int64_t vector) {
  ValueRegisters& r = values_.at(v);
  return r.registers[static_cast<std::size_t>((r.rows > 1 ? row : 0) * r.vectors + vector % r.vectors)];
}

Element TileValues::element(ValueId v, std::int64_t row, std::int64_t vector) {
  const ValueRegisters& r = values_.at(v);
  if (r.constant) return {kNoReg, r.constant};
  return {slot(v, row, vector), std::nullopt};
}

}  // namespace burin::codegen
