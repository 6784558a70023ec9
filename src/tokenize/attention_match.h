#pragma once

#include <optional>
#include <string>
#include <vector>

#include "burin/graph.h"
#include "tokenize/axis_view.h"
#include "tokenize/carve.h"

namespace burin {

/// A value that enters an attention, with the nodes between a source and it that the body can
/// absorb: views and products with one element. They may have other uses too: the body gets copies
/// of its own.
struct AttentionOperand {
  ValueId value = kNone;
  std::vector<NodeId> chain;  ///< from the source to the value
};

/// An attention found around a Softmax.
struct AttentionMatch {
  NodeId softmax = kNone, query_key = kNone, probability_value = kNone;
  AttentionOperand query, key, value;
  std::vector<NodeId> middle;  ///< all between the two MatMuls, in order, the Softmax included
  std::vector<NodeId> behind;  ///< views and products with one element that alone read the result
};

/// A MatMul of two values that both are computed by the model (not a projection by a weight).
bool is_activation_matmul(const Graph& graph, NodeId node);
/// The Softmax stands between two such MatMuls, whatever else is on the way.
bool is_between_matmuls(const Graph& graph, NodeId softmax);
/// Throws Refusal.
AttentionMatch match_attention(const Graph& graph, NodeId softmax);

bool is_f32_or_bool(const Value& value);
/// A movement that only renames, permutes or repeats axes.
bool is_view(OpKind op);
/// Multiplies or divides one tensor by one element: the index of the tensor's input.
std::optional<std::size_t> scaled_input(const Graph& graph, const Node& node);

}  // namespace burin
