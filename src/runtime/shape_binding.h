#pragma once

#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "burin/compile.h"
#include "burin/expr.h"
#include "support/tape.h"

namespace burin::runtime {

/// Where the symbols of a signature get their values at call time, and what must hold for them: the dimensions of the
/// inputs and the facts. All of it is checked before anything else is evaluated, so that an error names a tensor and not
/// an operation. Immutable once it is built; bind() may run in any number of threads.
class ShapeBinding {
 public:
  /// `subject`: what errors call the whole.
  ShapeBinding(std::string subject, std::vector<std::string> symbols);

  /// `strides`: in elements, the innermost left out of account; each that is a symbol is set at call time. Empty: the
  /// input is dense.
  void add_input(std::string name, Shape shape, const std::vector<Expr>& strides = {});
  void add_fact(const Facts::Check& fact);

  std::size_t input_count() const { return inputs_.size(); }
  const std::string& input_name(std::size_t i) const { return inputs_[i].name; }
  /// Symbols that neither a dimension nor a stride sets: the caller gives them.
  std::vector<std::string> explicit_symbols() const;
  std::size_t register_count() const { return tape_.register_count(); }
  std::size_t symbol_count() const { return tape_.symbols().size(); }

  /// The first symbol_count() registers are the symbols' values then. Throws burin::Error that names the tensor, the
  /// dimension, the expected and the given value.
  void bind(std::span<const TensorDesc> inputs, const std::map<std::string, std::int64_t>& symbols,
            std::span<std::int64_t> registers) const;

 private:
  struct Dimension {
    Expr extent;
    Tape::Slot slot = 0;     ///< what the symbols say it is
    bool defines = false;    ///< the first lone occurrence of a symbol: binding sets it
    bool has_stride = false;
    Tape::Slot stride = 0;   ///< the symbol of its stride
  };
  struct Input {
    std::string name;
    std::vector<Dimension> dimensions;
  };
  struct Fact {
    Facts::Check check;
    Tape::Slot left, right;
  };

  Tape::Slot define(const std::string& symbol, bool& fresh);
  void set_dimensions(const Input& input, const TensorDesc& desc, std::span<std::int64_t> registers) const;
  static void set_strides(const Input& input, const TensorDesc& desc, std::span<std::int64_t> registers);
  void set_explicit(const std::map<std::string, std::int64_t>& symbols, std::span<std::int64_t> registers) const;
  void check_dimensions(std::span<const TensorDesc> inputs, std::span<const std::int64_t> registers) const;
  void check_facts(std::span<const std::int64_t> registers) const;

  std::string subject_;
  Tape tape_;
  std::vector<Input> inputs_;
  std::vector<Fact> facts_;
  std::vector<bool> defined_;  ///< by symbol
};

}  // namespace burin::runtime
