#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "burin/compile.h"
#include "codegen/machine_code.h"
#include "runtime/item_steps.h"
#include "runtime/shape_binding.h"
#include "support/tape.h"

namespace burin::runtime {

inline constexpr std::size_t kOutputAlignment = 64;

/// What compile() makes: code, the parameter tape, and where each number of a call comes from.
struct Kernel {
  struct Phase {
    std::unique_ptr<codegen::MachineCode> code;
    std::size_t level = 0;  ///< in how many of the variant's rounds it lies
    Tape::Slot items = 0;   ///< of work in a unit of the innermost of these rounds; at level 0: in all
    std::unique_ptr<const ItemSteps> steps;  ///< where an executor computes products: all of the phase, instead of `code`
  };
  /// See linear::LinearIR.
  struct Round {
    Tape::Slot units, size;
  };
  /// The same function as code that is best for some shapes.
  struct Variant {
    std::vector<Phase> phases;  ///< by level
    std::vector<Round> rounds;  ///< outermost first
    std::vector<Tensor> constants;
    /// Of one that needs outputs aligned to kOutputAlignment: the variant, with the same order of sums, that runs instead if
    /// they are not, in this one's scratch.
    std::optional<std::size_t> unaligned;
    Expr worker_bytes, call_bytes;
    Tape::Slot worker_bytes_slot = 0, call_bytes_slot = 0;
  };
  struct Output {
    std::string name;
    std::vector<Tape::Slot> dimensions;
  };

  std::string name;
  bool flush_denormals = false;  ///< results of its operations that are denormal are 0
  Tape tape{{}};                 ///< its last symbol is the number of workers
  ShapeBinding binding{"", {}};  ///< has the tape's other symbols
  std::vector<Output> outputs;
  std::vector<Variant> variants;
  /// Lengths of sums. If one is more than linear::kMostSummed, or linear::skips_outputs is not 0, the reference interpreter
  /// computes `body`, which is there where that may be.
  std::vector<Tape::Slot> integer_sums;
  std::optional<Tape::Slot> skips_outputs;
  std::shared_ptr<const Graph> body;
  Expr choice = 0;                ///< which one
  Tape::Slot choice_slot = 0;
  Tape::Slot even_slot = 0;       ///< whether all items of work take the same time
  std::vector<std::string> explicit_symbols;
  std::vector<std::pair<std::string, std::string>> schedule;
  std::size_t code_bytes = 0;

  /// An expression of that variant which is chosen.
  Expr chosen(Expr Variant::*member) const {
    Expr e = variants[0].*member;
    for (std::size_t i = 1; i < variants.size(); ++i)
      e = select(equal(choice, static_cast<std::int64_t>(i)), variants[i].*member, e);
    return e;
  }
};

}  // namespace burin::runtime
