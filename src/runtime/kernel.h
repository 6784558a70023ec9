#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "burin/compile.h"
#include "codegen/machine_code.h"
#include "runtime/item_steps.h"
#include "runtime/shape_binding.h"
#include "support/tape.h"

namespace burin::runtime {

/// What compile() makes: code, the parameter tape, and where each number of a call comes from.
struct Kernel {
  struct Phase {
    std::unique_ptr<codegen::MachineCode> code;
    Tape::Slot work;  ///< size of the parallel domain
    std::unique_ptr<const ItemSteps> steps;  ///< where an executor computes products: all of the phase, instead of `code`
  };
  struct Output {
    std::string name;
    std::vector<Tape::Slot> dimensions;
  };

  std::string name;
  Tape tape{{}};
  ShapeBinding binding{"", {}};  ///< has the same symbols as the tape
  std::vector<Output> outputs;
  std::vector<Tensor> constants;
  std::vector<Phase> phases;
  std::vector<std::string> explicit_symbols;
  Expr worker_bytes;
  Tape::Slot worker_bytes_slot = 0;
  std::vector<std::pair<std::string, std::string>> schedule;
  std::size_t code_bytes = 0;
};

}  // namespace burin::runtime
