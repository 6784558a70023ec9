#pragma once

#include <vector>

#include "graph/axes.h"

namespace burin {

/// How many iterations the loop over each axis makes: its extent, save where axes are merged when shapes are bound.
///
/// Axes that lie one inside of the other in all values are one longer axis as soon as the tensors of a call are dense
/// there. Then the loop over the inner one, whose elements lie in the lanes, runs over both, and that over the outer one
/// makes one iteration; what is computed is the same, by the same code:
///
///     %x: f32[B,C,H,W]  mean over H and W      dense = (in0.s2 == W)
///                                              _H: select(dense, 1, H) iterations
///                                              _W: select(dense, H*W, W)
///
/// So rows of 7 or of 3 elements do not leave most lanes empty. `inner`: the axes whose loops take over those around
/// them. (No axis lies around two of them in all values.)
std::vector<Expr> trips_of_axes(const Graph& body, const AxisMap& axes, const std::vector<AxisId>& inner);

/// Symbols for the strides of an input, save for the innermost, which is 1.
std::vector<Expr> input_strides(std::size_t input, const Shape& shape);
std::vector<Expr> dense_strides(const Shape& shape);

}  // namespace burin
