#pragma once

#include <vector>

#include "codegen/vcode.h"
#include "linear/linear_ir.h"
#include "support/tape.h"

namespace burin::codegen {

/// One phase of a kernel over virtual registers.
struct PhaseCode {
  Program program;
  Expr work;  ///< the size of its flattened parallel domain
};

/// Linear IR (after all passes) -> vector code, a Program for each phase. Every run-time expression over symbols goes
/// to `tape`; the code reads it from the parameter block.
std::vector<PhaseCode> lower_to_vcode(const linear::LinearIR& ir, const TargetInfo& target, Tape& tape);

}  // namespace burin::codegen
