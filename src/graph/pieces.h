#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "burin/graph.h"

namespace burin {

/// Element i of a piece of a dimension is element start + step * i of the dimension.
struct PieceRange {
  std::size_t axis = 0;
  Expr start = 0, length;
  std::int64_t step = 1;
};

/// What a Slice takes, one range for each axis it names. Throws burin::Error where bounds are not known, or steps go
/// backwards.
std::vector<PieceRange> ranges_of_slice(const Graph& graph, const Node& slice);

/// A Slice that takes the range.
ValueId add_slice(Graph& graph, ValueId x, const PieceRange& range);

/// Parts of a dimension become values of their own: Slices (and Splits) move up to the inputs, Concats down to the
/// outputs. In between each piece is computed by itself, from pieces, and no element changes its place. So all of
///
///   rotate_half of RoPE       concat(neg(slice %x, h..2h), slice %x, 0..h) beside %x itself
///   its interleaved form      slices with a step of 2; stacked on a last axis of 2, and reshaped
///   GeGLU, SwiGLU             the two halves of one tensor as gate and value
///
/// become plain loops over the elements of one piece, which read and write memory once:
///
///     %lo = slice %x, 0..32                    %lo = slice %x, 0..32        %hi = slice %x, 32..64
///     %hi = slice %x, 32..64                   %c0 = slice %c, 0..32        %c1 = slice %c, 32..64
///     %r = concat (neg %hi), %lo          ->   %y0 = add (mul %lo, %c0), (neg %hi)
///     %y = add (mul %x, %c), %r                %y1 = add (mul %hi, %c1), %lo
///     return %y                                return concat %y0, %y1
///
/// Behind it Slices read inputs, and each stored_piece() is computed without a Concat. A value that is used as a whole
/// and in pieces is taken apart everywhere; what folds the dimension folds the pieces, and then their results.
///
/// Gives whether anything changed. Throws burin::Error where elements of two different places would meet.
bool separate_pieces(Graph& graph);

/// A value that goes to a part of an output.
struct StoredPiece {
  ValueId value = kNone;
  bool is_whole = true;  ///< of the output; otherwise the range says where it lies
  PieceRange range;
};
/// What an output is put together of: the operands of a Concat, or of several that are stacked on a new last axis and
/// reshaped; or the output as a whole.
std::vector<StoredPiece> stored_pieces(const Graph& graph, ValueId output);
/// Whether the value only puts an output together: nobody computes it.
bool is_put_together(const Graph& graph, ValueId value);

}  // namespace burin
