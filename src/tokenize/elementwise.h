#pragma once

#include "burin/graph.h"
#include "burin/tokenize.h"

namespace burin {

/// Carves connected, convex groups of element-wise operations, reductions and normalisations, and of
/// the movement that such a group does for nothing (pieces_in_group.h).
///
/// All members of a group share one iteration space, a shape F: a member's result has the shape F,
/// or F with 1 in the last dimension or in those that a member folds (one number a row, made by a
/// reduction). What a member reads from outside broadcasts to F. Movement has two shapes; a group
/// that holds some has several, and is tested as a whole (why_not_one_space).
///
///     %1 = add %x, %bias                     : f32[B,S,768]
///     %2 = add %1, %residual                 : f32[B,S,768]
///     %3 = layer_norm %2, %scale, %shift     : f32[B,S,768]
///
/// is one group, with the outputs %3 and, if it has other readers, %2.
void carve_elementwise(Graph& graph, TokenizeReport& report);

}  // namespace burin
