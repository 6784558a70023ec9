#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "codegen/addresses.h"
#include "codegen/expression_emitter.h"
#include "codegen/tile.h"
#include "codegen/tile_access.h"
#include "codegen/tile_values.h"
#include "target/target_info.h"

namespace burin::codegen {

/// Two accesses that take turns (linear/pairs.h): whole vectors of memory, of which each has every second element.
class ElementPairs {
 public:
  ElementPairs(VBuilder& b, Prologue& prologue, TileAccess& access, TileValues& values, ElementwiseEmitter& elementwise,
               const TargetInfo& target)
      : b_(b), prologue_(prologue), access_(access), values_(values), elementwise_(elementwise), target_(target) {}

  /// In front of a lane loop.
  void prepare(const linear::Loop& loop);

  /// Finds those of a segment of straight-line code, whose steps become `paired`: the block's expressions from `begin` on.
  void find(const linear::Block& block, std::size_t begin, std::vector<Step>& steps, const Tile& tile);

  /// Of a paired step. Both are emitted with the first of two loads, with the second of two stores.
  void emit(const Step& s, const Tile& t, std::int64_t row, std::int64_t vector);

 private:
  struct Pair {
    const Step *even, *odd;
    bool is_done_here;
  };

  /// What permutations of pairs need; the same in a whole kernel.
  struct Tables {
    VReg evens = kNoReg, odds = kNoReg;           ///< where a vector's elements at even and odd places lie
    VReg first = kNoReg, second = kNoReg;         ///< from which lane each pair of the first and the second vector comes
    VReg low_half = kNoReg, even_lanes = kNoReg;  ///< masks, where a permutation sees one vector only
  };

  Tables tables();
  VReg lane_numbers(std::int64_t left, std::int64_t right, std::int64_t plus);
  void load(const Pair& pair, const Tile& t, std::int64_t row, std::int64_t vector);
  void store(const Pair& pair, const Tile& t, std::int64_t row, std::int64_t vector);
  Instruction half_of_pair(VOp op, const Step& even, const Tile& t, std::int64_t row, std::int64_t vector, std::int64_t half);
  VReg lookup_both(VReg table, VReg first, VReg second);
  VReg alternating(VReg from, VReg even, VReg odd);

  VBuilder& b_;
  Prologue& prologue_;
  TileAccess& access_;
  TileValues& values_;
  ElementwiseEmitter& elementwise_;
  const TargetInfo& target_;
  Tables tables_;                                    ///< of the lane loop, if it holds pairs
  std::map<const linear::Expression*, Pair> pairs_;  ///< of the segment that is being emitted
};

}  // namespace burin::codegen
