#pragma once

#include "burin/graph.h"

namespace burin {

/// Whether groups take the element-wise operation or reduction of elements of that type (of which attributes and known
/// operands may still leave some out, see elementwise.cpp). docs/operators.md is printed from it.
bool is_carved_of(OpKind op, Precision precision);

}  // namespace burin
