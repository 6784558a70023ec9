#pragma once

#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "burin/graph.h"

namespace burin::frontend {

/// Follows small integer tensors of any rank while a model is imported; inference follows lists
/// only.
///
/// Exporters turn lists into matrices and back: the pads that PyTorch writes go through
///
///     Reshape [-1, 2] -> Slice (the rows in reverse) -> Transpose -> Reshape [-1] -> Pad
///
/// What is behind such a detour is known at once, so that the shapes behind the Pad are too.
class IntegerFollower {
 public:
  /// The inputs of the graph must be there already.
  explicit IntegerFollower(Graph& graph);

  /// What to read in place of `result`, which a node has just been made for: a constant or known
  /// integers; itself, if inference has said all there is to say.
  ValueId follow(ValueId result);

 private:
  using Elements = std::vector<Expr>;

  std::optional<Elements> elements_of(ValueId id) const;
  std::optional<Elements> moved_elements(const Node& node) const;
  bool has_small_integers(const Value& value) const;
  bool all_inputs_constant(const Node& node) const;

  Graph& graph_;
  std::set<std::string> bound_;
  std::unordered_map<ValueId, Elements> matrices_;  ///< of values of rank 2 and more
};

}  // namespace burin::frontend
