#pragma once

#include <optional>
#include <vector>

#include "graph/axes.h"

namespace burin {

/// Elements of a row from which on it makes no difference that the next one is another row.
inline constexpr std::int64_t kLongRow = 512;

/// The loop over the lane axis, and those that are merged with it.
///
/// Axes that lie one inside of the other in all values are one longer axis as soon as the tensors of a call are dense
/// there. Then the loop over the inner one, whose elements lie in the lanes, runs over both, and that over the outer one
/// makes one iteration; what is computed is the same, by the same code:
///
///     %x: f32[B,C,H,W]  mean over H and W      dense = (in0.s2 == W)
///                                              _H: select(dense, 1, H) iterations
///                                              _W: select(dense, H*W, W)
///
/// So rows of 7 or of 3 elements do not leave most lanes empty.
///
/// What is read may also lack the outer axis and lie in the inner ones alone: it is repeated for each row. A position along the
/// lanes, which run over many rows then, is one modulo the elements of a row there (linear/passes/repeat_operands.cpp copies what
/// is read several times, side by side). Only where rows are short and many does that pay:
///
///     add %x: f32[M,N], %b: f32[N]             dense = (in0.s0 == N), N is small, M is not
///                                              %b is read at mod(_N, N): a period
struct MergedAxes {
  /// Of values that have the lanes, but not this axis, in which these lie.
  struct Period {
    AxisId outer = 0;
    Expr elements;
  };
  std::vector<Expr> trips;      ///< by AxisId: iterations of its loop
  std::vector<Period> periods;  ///< innermost first
};

/// `repeats`: whether what is read may lack axes.
MergedAxes merge_axes(const Graph& body, const AxisMap& axes, AxisId lanes, bool repeats);

MergedAxes separate_axes(const AxisMap& axes);

/// When all that is read and written has rows of whole `elements`, one behind the other, or neither axis; nothing if something
/// else is.
std::optional<Expr> when_rows_are_dense(const Graph& body, const AxisMap& axes, AxisId rows, AxisId elements);

/// Symbols for the strides of an input, save for the innermost, which is 1.
std::vector<Expr> input_strides(std::size_t input, const Shape& shape);
std::vector<Expr> dense_strides(const Shape& shape);

}  // namespace burin
