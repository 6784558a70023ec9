#pragma once

#include "graph/axes.h"

namespace burin::linear {

/// Whether an output has elements and the loops that would write them none. Such is a dimension that is one element at a call,
/// of which other operands have no element:
///
///     %0 = relu %x        %x: f32[P], P = 1
///     %1 = add %0, %y     %y: f32[N], N = 0
///     return %0, %1       one loop, over N
Expr skips_outputs(const Graph& body, const AxisMap& axes);

}  // namespace burin::linear
