#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "burin/graph.h"

namespace burin {

/// How much movement a group takes in: it is tried with all of it first.
enum class Movement : std::uint8_t {
  none,
  equal_pieces,
  any_pieces,  ///< pieces of different sizes, too: one size is computed with, what has another passes through
  transposes   ///< and Transposes that move the last axis, in a group that folds nothing
};

/// Movement that an element-wise group takes in, because its loads and stores do it for nothing (graph/pieces.h):
///
/// - the Slices or the Split that take a last dimension apart in equal pieces, or in elements that take turns (RoPE,
///   GeGLU, SwiGLU);
/// - the Concat that puts such pieces together, also of elements that are stacked on a new last axis, with the Unsqueezes
///   in front and the Reshape behind;
/// - Transposes: strides of a load or a store where they leave the last axis where it is; otherwise tiles that are
///   transposed between memory and registers;
/// - Reshapes in front of and behind a normalisation that name groups of channels (GroupNorm as exporters write it).
/// `users`: graph.users().
bool is_movement_of_group(const Graph& graph, const Node& node, const std::vector<std::vector<NodeId>>& users, Movement movement);

/// A Transpose after which another axis is the last one.
bool moves_last_axis(const Node& node);

/// Why the body of a group is no one loop over shared axes whose innermost one lies in the lanes; nothing if it is.
std::optional<std::string> why_not_one_space(Graph body);

}  // namespace burin
