#pragma once

#include <vector>

#include "codegen/vcode.h"
#include "linear/linear_ir.h"
#include "support/tape.h"

namespace burin::codegen {

/// One phase of a kernel over virtual registers.
struct PhaseCode {
  /// A loop that has a round: how many units there are, counted through all loops around it, and how many make a round.
  struct Round {
    Expr units, size;
  };

  Program program;
  std::vector<Round> rounds;  ///< outermost first
  Expr items = 1;             ///< of work in a unit of the innermost round; without rounds: in all
};

/// Linear IR (after all passes) -> vector code, a Program for each phase. Every run-time expression over symbols goes
/// to `tape`; the code reads it from the parameter block. `with_origins`: each instruction says what it comes from
/// (Program::origins), for whom looks at it.
std::vector<PhaseCode> lower_to_vcode(const linear::LinearIR& ir, const TargetInfo& target, Tape& tape, bool with_origins = false);

}  // namespace burin::codegen
