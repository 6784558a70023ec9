#pragma once

#include <cstdint>
#include <vector>

#include "codegen/vcode.h"

namespace burin::codegen {

/// The span of the program in which a virtual register may hold a value that is still wanted.
///
/// Instruction i has two positions: 2i, where it reads, and 2i + 1, where it writes. An interval
/// covers every position at which the register is live, through back-edges, holes included; so two
/// registers with disjoint intervals can share a physical one:
///
///     0:  v1 = load [g0]              v1: [1, 7)   written at 0, last read at 3
///     1:  v2 = load [g0 + 64]         v2: [3, 5)
///     2:  v3 = add v1, v2             v3: [5, 7)   may take the register of v2, which dies here
///     3:  v4 = mul v1, v3             v4: [7, ..)  may take the register of v1 or v3
///
/// Temporaries are written while sources are still being read, and an instruction that has some
/// may write its destination early: both begin at 2i there, and share with no source.
struct LiveInterval {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;    ///< one past the last position; begin where there is no reference
  std::uint32_t depth = 0;  ///< loop depth of the innermost reference
  float cost = 0;           ///< of living in memory: sum over reads and writes of 10^loop depth

  bool empty() const { return begin == end; }
  std::uint32_t length() const { return end - begin; }

  /// Takes in the positions [from, to).
  void cover(std::uint32_t from, std::uint32_t to);
  /// Takes in a reference of the instruction with this index, so deep in loops.
  void refer(const Instruction& instruction, std::uint32_t index, std::uint32_t in_loops, bool read, bool write);
};

struct LiveIntervals {
  std::vector<LiveInterval> of;        ///< by virtual register
  std::vector<std::uint32_t> in_loops;  ///< by instruction: in how many loops it is
};

/// Throws burin::Error for a jump to no label.
LiveIntervals live_intervals(const Program& program);

}  // namespace burin::codegen
