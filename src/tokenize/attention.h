#pragma once

#include "burin/graph.h"
#include "burin/tokenize.h"

namespace burin {

/// Carves every scaled dot-product attention of the graph:
///
///     Q, K -> MatMul -> {element-wise, Reshape of the batch dimensions} -> Softmax -> {the same}
///     -> MatMul <- V
///
/// with the views (Transpose, Reshape, Unsqueeze, Expand) and scalar factors that stand before Q, K
/// and V and behind the result. In the body, batch dimensions are split as finely as any Reshape on
/// the way splits them, so that no Reshape is left; heads that are repeated for a group of queries
/// enter once (Repeat).
void carve_attentions(Graph& graph, TokenizeReport& report);

}  // namespace burin
