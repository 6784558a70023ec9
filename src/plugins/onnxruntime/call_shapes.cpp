#include "plugins/onnxruntime/call_shapes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "burin/error.h"
#include "graph/canonicalize.h"

namespace burin::ort {
namespace {

using Names = std::set<std::string>;

void add_symbols(const Shape& shape, Names& symbols) {
  for (const Expr& e : shape) symbols.merge(e.symbols());
}

/// Symbols that the caller of the kernel must know.
Names needed_symbols(const Part& part, const CompiledSubgraph& compiled) {
  Names needed(compiled.explicit_symbols().begin(), compiled.explicit_symbols().end());
  for (const PartOperand& operand : part.operands)
    if (operand.view) add_symbols(*operand.view, needed);
  for (const PartResult& result : part.results) add_symbols(result.shape, needed);
  return needed;
}

/// Takes the source's symbols from those that are open; whether there were any.
bool determine(const PartSource& source, Names& open) {
  bool any = false;
  for (const Expr& e : source.shape)
    if (const auto symbol = e.as_symbol()) any = open.erase(*symbol) > 0 || any;
  return any;
}

std::vector<std::size_t> needed_sources(const Part& part, const CompiledSubgraph& compiled) {
  std::set<std::size_t> needed;
  for (const PartOperand& operand : part.operands)
    if (!operand.constant) needed.insert(operand.source);
  Names open = needed_symbols(part, compiled);
  for (const std::size_t i : needed) {
    determine(part.sources[i], open);
    // Dimensions that are expressions are checked: their symbols are asked for, too.
    for (const Expr& e : part.sources[i].shape)
      if (!e.as_symbol()) open.merge(e.symbols());
  }
  for (const std::size_t i : needed) determine(part.sources[i], open);
  for (std::size_t i = 0; i < part.sources.size() && !open.empty(); ++i)
    if (!needed.contains(i) && determine(part.sources[i], open)) needed.insert(i);
  if (!open.empty()) throw Error(fmt::format("what it reads does not tell {}", fmt::join(open, ", ")));
  return {needed.begin(), needed.end()};
}

/// All symbols that occur in what is bound or asked for.
std::vector<std::string> symbols_of(const Part& part, const CompiledSubgraph& compiled,
                                    const std::vector<std::size_t>& sources) {
  Names symbols = needed_symbols(part, compiled);
  for (const std::size_t i : sources) add_symbols(part.sources[i].shape, symbols);
  return {symbols.begin(), symbols.end()};
}

}  // namespace

CallShapes::CallShapes(const Part& part, const CompiledSubgraph& compiled)
    : sources_(needed_sources(part, compiled)),
      tape_(symbols_of(part, compiled, sources_)),
      binding_("fused node", tape_.symbols()) {
  const std::vector<std::string>& all = tape_.symbols();
  for (const std::size_t i : sources_) binding_.add_input(part.sources[i].name, part.sources[i].shape);
  if (!binding_.explicit_symbols().empty())
    throw Error(fmt::format("what it reads does not tell {}", fmt::join(binding_.explicit_symbols(), ", ")));
  const Names known(all.begin(), all.end());
  for (const Facts::Check& fact : part.facts.checks())
    if (uses_only({fact.left, fact.right}, known)) binding_.add_fact(fact);
  for (const PartOperand& operand : part.operands) views_.push_back(operand.view ? slots_of(*operand.view) : Slots{});
  for (const PartResult& result : part.results) results_.push_back(slots_of(result.shape));
  for (const std::string& symbol : compiled.explicit_symbols())
    symbols_.emplace_back(symbol, tape_.add(Expr::symbol(symbol)));
}

CallShapes::Slots CallShapes::slots_of(const Shape& shape) {
  Slots slots;
  for (const Expr& e : shape) slots.push_back(tape_.add(e));
  return slots;
}

CallShapes::State CallShapes::state() const {
  State state;
  state.binding_registers.resize(binding_.register_count());
  state.registers.resize(tape_.register_count());
  state.views.resize(views_.size());
  state.results.resize(results_.size());
  return state;
}

void CallShapes::bind(std::span<const TensorDesc> sources, State& state) const {
  binding_.bind(sources, {}, state.binding_registers);
  std::copy_n(state.binding_registers.begin(), binding_.symbol_count(), state.registers.begin());
  tape_.evaluate(state.registers);
  for (std::size_t i = 0; i < views_.size(); ++i) evaluate(views_[i], state.registers, state.views[i]);
  for (std::size_t i = 0; i < results_.size(); ++i) evaluate(results_[i], state.registers, state.results[i]);
  for (const auto& [symbol, slot] : symbols_) state.symbols[symbol] = state.registers[slot];
}

void CallShapes::evaluate(const Slots& slots, const std::vector<std::int64_t>& registers, Dims& dims) {
  dims.clear();
  for (const Tape::Slot slot : slots) dims.push_back(registers[slot]);
}

}  // namespace burin::ort
