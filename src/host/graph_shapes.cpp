#include "host/graph_shapes.h"

#include <fmt/format.h>

#include <algorithm>

#include "burin/error.h"
#include "graph/canonicalize.h"
#include "support/checked.h"

namespace burin::host {

GraphShapes::GraphShapes(const Graph& graph, const std::vector<ValueId>& values)
    : graph_(graph),
      determined_(bound_symbols(graph)),
      values_(values),
      binding_(graph.name, graph.symbols()),
      tape_(graph.symbols()),
      dimension_slots_(graph.value_count()),
      element_slots_(graph.value_count()),
      dims_(graph.value_count()),
      known_(graph.value_count()) {
  for (const ValueId id : graph.inputs) binding_.add_input(graph.value(id).name, graph.value(id).shape);
  for (const Facts::Check& fact : graph.facts.checks())
    if (uses_only({fact.left, fact.right}, determined_)) binding_.add_fact(fact);
  for (const ValueId id : values_) declare(id);
  registers_.resize(tape_.register_count());
  binding_registers_.resize(binding_.register_count());
}

void GraphShapes::declare(ValueId id) {
  const Value& value = graph_.value(id);
  for (const Expr& e : value.shape) {
    check_is_determined(id, e);
    dimension_slots_[id].push_back(tape_.add(e));
  }
  if (value.producer != kNone || value.constant || !value.elements) return;
  for (const Expr& e : *value.elements) {
    check_is_determined(id, e);
    element_slots_[id].push_back(tape_.add(e));
  }
}

void GraphShapes::check_is_determined(ValueId id, const Expr& e) const {
  if (!uses_only({e}, determined_))
    throw Error(fmt::format("value '{}': {} does not follow from the shapes of the model's inputs", graph_.value(id).name,
                            e.to_string()));
}

void GraphShapes::bind(const std::vector<Tensor>& inputs) {
  std::vector<TensorDesc> descs;
  for (const Tensor& t : inputs) descs.push_back({t.dims(), {}});
  // What bound_symbols() leaves out is in nobody's shape; zero will do.
  SymbolValues open;
  for (const std::string& symbol : binding_.explicit_symbols()) open[symbol] = 0;
  binding_.bind(descs, open, binding_registers_);
  std::copy_n(binding_registers_.begin(), binding_.symbol_count(), registers_.begin());
  for (std::size_t i = 0; i < binding_.symbol_count(); ++i) symbols_[tape_.symbols()[i]] = registers_[i];
  evaluate();
  for (const ValueId id : values_) {
    dims_[id].clear();
    for (const Tape::Slot slot : dimension_slots_[id]) dims_[id].push_back(registers_[slot]);
    element_count(dims_[id], graph_.value(id).name);
    if (!element_slots_[id].empty()) evaluate_known(id);
  }
}

void GraphShapes::evaluate() {
  try {
    tape_.evaluate(registers_);
  } catch (const Error&) {
    for (const ValueId id : values_) evaluate_alone(id);
    throw;
  }
}

/// Names the value where one of its dimensions has none, such as two lengths that cannot be broadcast.
void GraphShapes::evaluate_alone(ValueId id) const {
  try {
    for (const Expr& e : graph_.value(id).shape) e.evaluate(symbols_);
  } catch (const Error& error) {
    throw Error(fmt::format("value '{}': {}", graph_.value(id).name, error.what()));
  }
}

void GraphShapes::evaluate_known(ValueId id) {
  Tensor tensor = Tensor::zeros(graph_.value(id).precision, dims_[id]);
  for (std::size_t i = 0; i < element_slots_[id].size(); ++i)
    tensor.set_int(static_cast<std::int64_t>(i), registers_[element_slots_[id][i]]);
  known_[id] = std::move(tensor);
}

std::size_t GraphShapes::bytes(ValueId id) const {
  const Value& value = graph_.value(id);
  const std::int64_t elements = element_count(dims_[id], value.name);
  return static_cast<std::size_t>(checked_mul(elements, static_cast<std::int64_t>(size_of(value.precision)), value.name));
}

}  // namespace burin::host
