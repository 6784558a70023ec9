#pragma once

#include "burin/graph.h"
#include "burin/tokenize.h"

namespace burin {

/// Carves every product of an activation with a constant weight, together with the element-wise operations that follow
/// it and need nothing but its result, tensors of the same shape, numbers and one number a column:
///
///     %1 = matmul %x, W          : f32[B,S,3072]
///     %2 = add %1, %bias         : f32[B,S,3072]
///     %3 = gelu %2               : f32[B,S,3072]
///
/// The body sees the rows of all batches as one dimension: %x as f32[B*S,768]. It holds the weight, so that the compiler
/// can lay it out as the kernel reads it.
void carve_products(Graph& graph, TokenizeReport& report);

}  // namespace burin
