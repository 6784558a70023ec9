#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "burin/graph.h"
#include "burin/tokenize.h"
#include "tokenize/axis_view.h"

namespace burin {

/// Why a candidate is left. Thrown inside of the tokenizer, and caught there.
struct Refusal {
  std::string reason;
};

/// Makes the body of a Subgraph, and puts the Subgraph into the graph around it.
class Carver {
 public:
  Carver(Graph& graph, std::string name);

  Graph& body() { return body_; }

  /// What stands in the body for a value outside: an input, or a copy of a small constant, of known
  /// integers, or of positions.
  ValueId import(ValueId outside);
  /// The value seen through a plain view; dimensions that the view repeats, and nothing else is in,
  /// are 1. A Reshape that splits axes is put outside (where it costs nothing). Refuses what is no
  /// plain view.
  /// `of_its_own`: as an input that stands for nothing else. Queries that are the keys, too, have
  /// other axes in each role.
  ValueId import(ValueId outside, const AxisView& view, bool of_its_own = false);
  /// The value as a matrix: all dimensions but the last one as rows. The Reshape is put outside.
  ValueId import_rows(ValueId outside);
  /// Adds the node to the body, with other inputs.
  ValueId clone(const Node& node, std::vector<ValueId> inputs);

  /// Ends the body with these outputs, and puts the Subgraph node in the place of values outside:
  /// each is {value outside, value of the body}. A result whose shape differs goes through a
  /// Reshape outside. Nodes that are not needed any more are erased.
  NodeId finish(const std::vector<std::pair<ValueId, ValueId>>& results);

 private:
  ValueId import_anew(ValueId outside);
  std::string unused_name(const std::string& name) const;
  ValueId reshape_outside(ValueId value, const Shape& to);
  void keep_facts_in_use();

  Graph& graph_;
  Graph body_;
  std::map<ValueId, ValueId> imported_;
  std::vector<ValueId> inputs_;  ///< outside, in the order of the body's inputs
};

/// Integers that are known as expressions (shape arithmetic that canonicalize() has resolved).
bool is_known_integer(const Graph& graph, ValueId value);
/// A Range of integers between known integers.
bool is_position(const Graph& graph, ValueId value);
/// The same number of dimensions, and each provably equal.
bool same_dimensions(const Shape& a, const Shape& b, const Facts& facts);
/// All dimensions are the constant 1.
bool has_one_element(const Graph& graph, ValueId value);
/// What reports call a node: its name, or else its operation and number.
std::string name_of(const Graph& graph, NodeId node);
/// Those of the nodes that are erased by now, by name.
std::vector<std::string> names_of_erased(const Graph& graph, const std::vector<NodeId>& nodes);

}  // namespace burin
