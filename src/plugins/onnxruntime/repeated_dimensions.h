#pragma once

#include <vector>

#include "burin/graph.h"

namespace burin::ort {

/// For each value of a graph the dimensions along which its elements repeat:
///
///     %1 = expand %mask, [B, 1, S, S]     (%mask: f32[B, 1, 1, S])     dimension 2
///     %2 = mul %1, lowest                                              dimension 2
///
/// What reads such a value need not be told apart from one that reads one element of that dimension
/// again and again. Empty for a value without any.
std::vector<std::vector<bool>> repeated_dimensions(const Graph& graph);

}  // namespace burin::ort
