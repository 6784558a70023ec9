#pragma once

#include <optional>

#include "burin/graph.h"

/// What the passes on attention scores share.
namespace burin::dataflow {

/// A value that is another one times (or divided by) a value of one element.
struct Scaled {
  ValueId value;
  ValueId factor;
  bool divides;  ///< by the factor
};
std::optional<Scaled> as_scaled(const Graph& graph, ValueId value);

/// x * factor. If x is a product with one element already, and nobody else reads it, the factors
/// are multiplied with each other instead; constants at once.
ValueId scale(Graph& graph, ValueId x, ValueId factor);
/// a * b for values of one element, at once if both are constants.
ValueId multiply_factors(Graph& graph, ValueId a, ValueId b);

/// Element-wise operations lead from the Brgemm's result to a ReduceMax: it makes the scores of a
/// softmax.
bool makes_scores(const Graph& graph, const Node& brgemm);

}  // namespace burin::dataflow
