#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "burin/graph.h"
#include "runtime/shape_binding.h"
#include "support/tape.h"

namespace burin::host {

using SymbolValues = std::map<std::string, std::int64_t>;

/// The dimensions of the values of a graph as numbers, once its inputs have shapes: one tape for all of them.
class GraphShapes {
 public:
  /// `values`: those that are asked for. `graph` outlives this object. Throws burin::Error where a dimension depends on
  /// more than the shapes of the inputs.
  GraphShapes(const Graph& graph, const std::vector<ValueId>& values);

  /// Throws burin::Error that names the tensor that does not fit.
  void bind(const std::vector<Tensor>& inputs);

  const Dims& dims(ValueId id) const { return dims_[id]; }
  std::size_t bytes(ValueId id) const;
  /// Integers that inference knows and no node computes; no data for other values.
  const Tensor& known(ValueId id) const { return known_[id]; }
  /// Changes with bind(); the reference stays.
  const SymbolValues& symbols() const { return symbols_; }

 private:
  void declare(ValueId id);
  void check_is_determined(ValueId id, const Expr& e) const;
  void evaluate();
  void evaluate_alone(ValueId id) const;
  void evaluate_known(ValueId id);

  const Graph& graph_;
  std::set<std::string> determined_;  ///< symbols that the shapes of the inputs determine
  std::vector<ValueId> values_;
  runtime::ShapeBinding binding_;
  Tape tape_;
  std::vector<std::vector<Tape::Slot>> dimension_slots_;  ///< by value
  std::vector<std::vector<Tape::Slot>> element_slots_;    ///< by value
  std::vector<std::int64_t> registers_, binding_registers_;
  std::vector<Dims> dims_;
  std::vector<Tensor> known_;
  SymbolValues symbols_;
};

}  // namespace burin::host
