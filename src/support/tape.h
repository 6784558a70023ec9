#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "burin/expr.h"

namespace burin {

/// The parameter tape: all run-time expressions of a kernel as one flat program over 64-bit
/// integers.
///
/// Registers [0, symbols) hold the symbols, the following ones constants and results; common parts
/// are computed once. Built once (not thread-safe), then evaluated any number of times from any
/// thread.
class Tape {
 public:
  using Slot = std::uint32_t;

  explicit Tape(std::vector<std::string> symbols);

  /// The register that holds `e` after evaluate(). Throws burin::Error for a symbol not given to
  /// the constructor.
  Slot add(const Expr& e);

  /// From now on the symbol stands for `e`. Throws burin::Error where it stands for something else already.
  void define(const std::string& symbol, const Expr& e);

  const std::vector<std::string>& symbols() const { return symbols_; }
  std::size_t register_count() const;

  /// `registers` has register_count() elements, the first symbols().size() of them set by the
  /// caller. Allocates nothing. Throws burin::Error on overflow, division by zero, dimensions that
  /// do not broadcast.
  void evaluate(std::span<std::int64_t> registers) const;

  std::string to_string() const;

 private:
  enum class Code : std::uint8_t {
    constant,
    add,
    mul,
    floor_div,
    mod,
    min,
    max,
    less,
    less_equal,
    equal,
    select,
    broadcast
  };
  struct Instruction {
    Code code;
    Slot a = 0, b = 0, c = 0;
    std::int64_t value = 0;  ///< of a constant
  };
  class Builder;

  /// Appends the instruction, or finds the register that has its value already.
  Slot emit(Instruction instruction);
  static bool is_commutative(Code code);
  static std::string spell(const Instruction& instruction);

  std::vector<std::string> symbols_;
  std::vector<Instruction> instructions_;  ///< the i-th writes register symbols_.size() + i
  std::unordered_map<Expr, Slot> known_;
  std::unordered_map<std::string, Slot> instruction_index_;  ///< by spelling: common sub-results
};

}  // namespace burin
