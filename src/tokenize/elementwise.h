#pragma once

#include "burin/graph.h"
#include "burin/tokenize.h"

namespace burin {

/// Carves connected, convex groups of element-wise operations, reductions and normalisations over
/// the last axis.
///
/// All members of a group share one iteration space, a shape F: a member's result has the shape F,
/// or F with a last dimension of 1 (one number a row, made by a reduction). What a member reads
/// from outside broadcasts to F, and its last dimension is F's, or the constant 1: a last dimension
/// that is 1 only at some calls would make a vector load a splat, and back.
///
///     %1 = add %x, %bias                     : f32[B,S,768]
///     %2 = add %1, %residual                 : f32[B,S,768]
///     %3 = layer_norm %2, %scale, %shift     : f32[B,S,768]
///
/// is one group, with the outputs %3 and, if it has other readers, %2.
void carve_elementwise(Graph& graph, TokenizeReport& report);

}  // namespace burin
