#pragma once

#include <string>

#include "linear/linear_ir.h"

namespace burin::linear {

/// One line of print(ir): "%x = add %a, %b". For messages and annotations; what is broken is printed, too.
std::string to_string(const Expression& e, const LinearIR& ir);

}  // namespace burin::linear
