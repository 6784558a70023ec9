#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "codegen/expression_emitter.h"
#include "codegen/tile.h"
#include "codegen/value_facts.h"

namespace burin::codegen {

/// The registers of a value: rows x vectors, or one of a dimension that it does not span.
struct ValueRegisters {
  std::int64_t rows = 1, vectors = 1;
  bool lanes = false;  ///< varies over the lanes (otherwise each register is a splat)
  bool inside_lanes = false;  ///< defined inside of the lane loop: lanes that are off are never folded
  bool packed = false;  ///< a lane for each row, in one register
  std::vector<VReg> registers;
  std::optional<float> constant;
};

/// The registers of all values, and which dimensions of a tile each has them for.
class TileValues {
 public:
  explicit TileValues(const ValueFacts& facts) : facts_(facts), values_(facts.varies.size()) {}

  bool spans_rows(linear::ValueId v, const Tile& t) const;
  bool spans_lanes(linear::ValueId v, const Tile& t) const;

  ValueRegisters& operator[](linear::ValueId v) { return values_.at(v); }
  const ValueRegisters& operator[](linear::ValueId v) const { return values_.at(v); }

  /// The register of one element of the tile.
  VReg& slot(linear::ValueId v, std::int64_t row, std::int64_t vector);
  /// The same, or the constant that the value is.
  Element element(linear::ValueId v, std::int64_t row, std::int64_t vector);

 private:
  const ValueFacts& facts_;
  std::vector<ValueRegisters> values_;  ///< by ValueId
};

}  // namespace burin::codegen
