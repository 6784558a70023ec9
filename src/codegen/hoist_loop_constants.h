#pragma once

#include "codegen/vcode.h"

namespace burin::codegen {

/// Constants of an innermost loop, and vectors that it loads from fixed addresses (tables), go into
/// registers in front of it, each once. What finds no register there the allocator makes anew in
/// the loop, as an operand where it can.
void hoist_loop_constants(Program& program);

}  // namespace burin::codegen
