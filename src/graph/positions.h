#pragma once

#include "burin/graph.h"

namespace burin {

/// The positions 0, 1, ..., length - 1 along a dimension (counted from the front), as a tensor of
/// `rank` dimensions of which the others are 1:
///
///     %0 = range 0, S, 1
///     %1 = unsqueeze %0, axes=[1]          : i64[S, 1]
ValueId add_positions(Graph& graph, const Expr& length, std::size_t dimension, std::size_t rank);

/// Compares the positions along the last dimension with those along the one before it: bool[..,
/// rows, columns], the dimensions in front of them 1. With less_equal it is the lower triangle:
///
///     column <op> row + diagonal
///
/// `diagonal`: integers that broadcast; kNone: 0.
ValueId add_comparison_of_positions(Graph& graph, OpKind op, const Expr& rows, const Expr& columns,
                                    ValueId diagonal = kNone, std::size_t rank = 2);

}  // namespace burin
