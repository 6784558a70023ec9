#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "burin/graph.h"

/// What the passes need to look at and to change a Graph. Nothing here is cached: bodies are small.
namespace burin::dataflow {

/// The node that makes the value, if there is one and it is of this kind; else null. Invalid once a
/// node is added.
const Node* made_by(const Graph& graph, ValueId value, OpKind op);
/// All nodes that read the value, one entry for each input that does.
std::vector<NodeId> users_of(const Graph& graph, ValueId value);
/// Read once (by one input of one node) and no output of the graph.
bool used_once(const Graph& graph, ValueId value);
/// The one node that reads the value; kNone if there are several, none, or it is an output of the
/// graph.
NodeId only_user(const Graph& graph, ValueId value);

/// The number, if the value is a constant of rank 0 of a floating-point type.
std::optional<double> scalar(const Graph& graph, ValueId value);
/// All dimensions are 1 (it may be of any rank, and a constant or not).
bool has_one_element(const Graph& graph, ValueId value);
/// A constant of rank 0.
ValueId add_scalar(Graph& graph, double number, Precision precision = Precision::f32);

/// The operands of a two-input node of the given kind with one scalar() operand, at whichever
/// place.
struct WithScalar {
  ValueId value;
  double number;
};
std::optional<WithScalar> with_scalar(const Graph& graph, const Node& node);

ValueId unary(Graph& graph, OpKind op, ValueId x);
ValueId binary(Graph& graph, OpKind op, ValueId a, ValueId b);
/// A reduction that keeps the axes as 1.
ValueId reduce(Graph& graph, OpKind op, ValueId x, const std::vector<std::int64_t>& axes);
/// The axes of the value from this one (negative: from the end) to the last.
std::vector<std::int64_t> axes_from(const Graph& graph, ValueId x, std::int64_t first);
/// (x - mean) / sqrt(variance + epsilon), both over the axes.
ValueId standardize(Graph& graph, ValueId x, const std::vector<std::int64_t>& axes, double epsilon);
/// A reduction over the last axis alone, keepdims=1.
bool reduces_last(const Graph& graph, const Node& node);
/// Identity permutations give `x` itself.
ValueId transpose(Graph& graph, ValueId x, const std::vector<std::int64_t>& perm);

/// The last dimension is the constant 1, or there is none.
bool is_per_row(const Graph& graph, ValueId value);

/// All uses of `from` read `to` instead. Throws burin::Error if type or shape are not the same.
void replace(Graph& graph, ValueId from, ValueId to);

bool is_identity(const std::vector<std::int64_t>& perm);
std::vector<std::int64_t> identity_perm(std::size_t rank);
/// The permutation of a transpose(first) followed by a transpose(second).
std::vector<std::int64_t> compose(const std::vector<std::int64_t>& first,
                                  const std::vector<std::int64_t>& second);

}  // namespace burin::dataflow
