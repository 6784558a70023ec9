#pragma once

#include <optional>
#include <string>
#include <vector>

#include "burin/graph.h"
#include "tokenize/axis_view.h"
#include "tokenize/carve.h"

namespace burin {

/// A value that enters an attention, with the nodes between a source and it that the body may
/// absorb: views, repetitions, and element-wise operations that read nothing else of the same size.
/// They may have other uses too: the body gets copies of its own.
struct AttentionOperand {
  ValueId value = kNone;
  std::vector<NodeId> chain;  ///< from the source to the value
};

/// An attention found around a Softmax.
struct AttentionMatch {
  NodeId query_key = kNone, probability_value = kNone;
  AttentionOperand left, right;  ///< of the first MatMul: queries and keys, in either order
  AttentionOperand value;
  std::vector<NodeId> middle;    ///< all on the way from one MatMul to the other, in order
  std::vector<ValueId> results;  ///< scores and values of the middle that are read elsewhere, too
  /// Behind the result, step by step: a view, or element-wise operations after which one value
  /// alone is read by others.
  std::vector<std::vector<NodeId>> behind;
};

/// A MatMul of two values that the model computes, one of which may also be learned (such as the
/// queries of a pooling); not a projection by a weight.
bool is_activation_matmul(const Graph& graph, NodeId node);
/// A Softmax, or the sum of exponentials in one that is spelled out without a maximum, between two
/// such MatMuls, whatever else is on the way.
bool is_attention_softmax(const Graph& graph, NodeId node);
/// MatMuls that may make the scores, the nearest one first. Throws Refusal if there are none.
std::vector<NodeId> find_query_keys(const Graph& graph, NodeId softmax);
/// Throws Refusal.
AttentionMatch match_attention(const Graph& graph, NodeId softmax, NodeId query_key);

bool is_f32_or_bool(const Value& value);
/// A movement that only renames, permutes or repeats axes.
bool is_view(OpKind op);
/// Multiplies or divides one tensor by one element: the index of the tensor's input.
std::optional<std::size_t> scaled_input(const Graph& graph, const Node& node);
/// The input through which a chain of element-wise operations goes: the one that has the result's
/// shape, if others have fewer elements.
std::optional<std::size_t> chain_input(const Graph& graph, const Node& node);
/// Some path of the graph leads from one node to the other's value.
bool depends_on(const Graph& graph, ValueId value, NodeId node);

}  // namespace burin
