#pragma once

#include <optional>
#include <vector>

#include "burin/graph.h"

namespace burin {

/// A mask over queries and keys that is computed from their positions, as a tree of element-wise
/// operations:
///
///     %k = range 0, T, 1                      where
///     %q = range 0, S, 1                        less_equal
///     %u = unsqueeze %q, axes=[1]                 leaf %k
///     %c = less_equal %k, %u          ->          leaf %q, views=[unsqueeze]
///     %m = where %c, 0, lowest                  leaf 0
///                                               leaf lowest
///
/// Leaves are positions, numbers, constant triangles (what a static model has instead of
/// positions), and what has an element for each key or for each query but not for both (a mask of
/// padding).
struct PositionMask {
  /// A constant matrix: `seen` for the keys up to query + offset, `hidden` for those behind.
  struct Triangle {
    std::int64_t offset;
    double seen, hidden;
  };

  ValueId value = kNone;             ///< of a leaf: the source
  std::vector<NodeId> views;         ///< of a leaf: from the source on
  std::optional<Triangle> triangle;  ///< of a leaf
  NodeId node = kNone;               ///< of an operation
  std::vector<PositionMask> operands;

  bool is_leaf() const { return node == kNone; }
};

/// Nothing where the value has other leaves, or no position among them.
std::optional<PositionMask> match_position_mask(const Graph& graph, ValueId value);

}  // namespace burin
