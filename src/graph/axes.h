#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "burin/graph.h"

namespace burin {

/// The axes of one iteration space that all values of a Graph share.
///
/// Each dimension of each value is a list of axes, outermost first: none for a dimension of one element, one in the
/// usual case, several where another value has the same dimension split (grouped heads: H is (Hkv, G) as soon as a
/// Repeat makes H out of Hkv). Transposes, Squeeze, Unsqueeze, Repeat and Expand only rearrange the lists: they are
/// views, and cost nothing.
///
///     %k: f32[B,Hkv,S,D]                       [b] [hkv] [s] [d]
///     %r = repeat %k, axis=1, times=4          [b] [hkv g] [s] [d]
///     %o = add %r, %q : f32[B,H,S,D]           [b] [hkv g] [s] [d]
using AxisId = std::uint32_t;
struct Axis {
  std::string name;  ///< a hint: that of the dimension's symbol, or a letter
  Expr extent;
};
struct AxisMap {
  std::vector<Axis> axes;
  std::vector<std::vector<std::vector<AxisId>>> dims;  ///< by ValueId, by dimension
  /// The axis that a reduction or product folds, by NodeId; empty for other nodes.
  std::vector<std::vector<AxisId>> reduced;

  std::vector<AxisId> of(ValueId value) const;  ///< all axes of a value, outermost first
};

/// Finds the axes. Throws burin::Error that says why there is no one iteration space: an operation that moves
/// elements (Reshape, Concat, ...), or operands whose dimensions cannot be the same axis.
AxisMap analyze_axes(const Graph& graph);

}  // namespace burin
