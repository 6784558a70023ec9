#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "burin/compile.h"
#include "codegen/machine_code.h"
#include "linear/linear_ir.h"
#include "support/tape.h"

namespace burin::runtime {

/// What compile() makes: code, the parameter tape, and where each number of a call comes from.
struct Kernel {
  struct Phase {
    std::unique_ptr<codegen::MachineCode> code;
    Tape::Slot work;  ///< size of the parallel domain
  };
  struct Dimension {
    Expr extent;
    Tape::Slot slot;        ///< what the symbols say it is: of inputs on the check tape, of outputs on the tape
    bool defines = false;   ///< the first lone occurrence of a symbol: binding sets it
    Tape::Slot stride = 0;  ///< the symbol register of its stride; not for the innermost
  };
  struct Port {
    std::string name;
    Precision precision{};
    std::vector<Dimension> dimensions;
  };
  struct Check {
    Facts::Check fact;
    Tape::Slot left, right;
  };

  std::string name;
  Tape tape{{}};
  /// What is checked before the tape runs, so that an error names a tensor and not an operation: the dimensions of the
  /// inputs and the facts. It has the same symbols.
  Tape check_tape{{}};
  std::vector<Port> inputs, outputs;
  std::vector<Tensor> constants;
  std::vector<Phase> phases;
  std::vector<Check> checks;
  std::vector<std::pair<std::string, Tape::Slot>> explicit_slots;
  std::vector<std::string> explicit_symbols;
  Expr worker_bytes;
  Tape::Slot worker_bytes_slot = 0;
  std::vector<std::pair<std::string, std::string>> schedule;
  std::size_t code_bytes = 0;
};

}  // namespace burin::runtime
