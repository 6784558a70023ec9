#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "burin/compile.h"
#include "plugins/onnxruntime/part.h"
#include "runtime/shape_binding.h"
#include "support/tape.h"

namespace burin::ort {

/// What a call of a part makes of the dimensions of its sources. Immutable; shared between threads.
class CallShapes {
 public:
  /// Throws burin::Error where the sources do not tell all that is asked for.
  CallShapes(const Part& part, const CompiledSubgraph& compiled);

  /// The sources that a call reads, as indices into Part::sources: the operands, and others that a symbol comes from.
  const std::vector<std::size_t>& sources() const { return sources_; }

  /// What bind() works on, so that it allocates as little as may be. One for each concurrent call.
  struct State {
    std::vector<std::int64_t> binding_registers, registers;
    std::map<std::string, std::int64_t> symbols;  ///< what the kernel asks for by name
    std::vector<Dims> views;                      ///< by operand; empty: the source's own dimensions
    std::vector<Dims> results;
  };
  State state() const;
  /// `sources`: in the order of sources(), repeated dimensions as 1. Throws burin::Error that names the tensor.
  void bind(std::span<const TensorDesc> sources, State& state) const;

 private:
  using Slots = std::vector<Tape::Slot>;

  Slots slots_of(const Shape& shape);
  static void evaluate(const Slots& slots, const std::vector<std::int64_t>& registers, Dims& dims);

  std::vector<std::size_t> sources_;
  Tape tape_;
  runtime::ShapeBinding binding_;
  std::vector<Slots> views_, results_;
  std::vector<std::pair<std::string, Tape::Slot>> symbols_;
};

}  // namespace burin::ort
