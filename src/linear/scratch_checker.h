#pragma once

#include "linear/linear_ir.h"

namespace burin::linear {

/// Proves, without a line of the allocation pass, that its plan is right: no store hits bytes of
/// another memory whose contents a later load (of this iteration, or of one to come) still needs,
/// and none is read before it is written. Ranges are compared for a set of symbol values. Throws
/// burin::Error that names both memories.
void check_scratch(const LinearIR& ir);

}  // namespace burin::linear
