#pragma once

#include <vector>

#include "graph/axes.h"

namespace burin::linear {

/// Sums of i64s are made of sums of their bytes, each in a word: of so many bytes no word overflows.
inline constexpr std::int64_t kMostSummed = std::int64_t{1} << 24;

/// Of each sum of i64s (a ReduceSum of them, a ReduceMean of integers) that has words as operands: how many it sums.
/// Those that are known to be no more than kMostSummed are left out; throws burin::Error of one that is known to be more.
std::vector<Expr> lengths_of_integer_sums(const Graph& body, const AxisMap& axes);

/// The number of elements that the reduction folds into one.
Expr folded_elements(const AxisMap& axes, NodeId reduction);

}  // namespace burin::linear
