#pragma once

#include <string>

#include "codegen/machine_code.h"
#include "codegen/vcode.h"
#include "target/target_info.h"

namespace burin::codegen::x64 {

/// The program as it was emitted, a line an instruction: offset in the code, the operation with
/// physical registers, the Linear IR expression where it changes. Fits beside a disassembly:
///
///     ; %7 = exp2 %6
///     0048  zmm3 = fraction zmm1
///     004f  zmm4 = fma zmm4, zmm3, zmm9
std::string annotate(const Allocation& allocation, const MachineCode& code,
                     const TargetInfo& target);

}  // namespace burin::codegen::x64
