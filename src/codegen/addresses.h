#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "codegen/vcode_builder.h"
#include "linear/linear_ir.h"
#include "support/tape.h"

namespace burin::codegen {

/// What the whole kernel reads once, in front of everything: parameters of the tape, base pointers.
///
/// The instructions are collected apart and put in front when the program is complete. A register that is not worth
/// keeping is spilled by the allocator, which costs the same as reading the parameter block again.
class Prologue {
 public:
  Prologue(VBuilder& b, const linear::LinearIR& ir, Tape& tape);

  /// An expression over shape symbols: from the parameter block, or an immediate.
  VReg parameter(const Expr& e);
  Operand parameter_operand(const Expr& e);
  VReg base(linear::MemoryId memory);
  VReg work_begin() { return field(kBegin); }
  VReg work_end() { return field(kEnd); }
  VReg worker_scratch() { return field(kWorkerScratch); }

  /// Puts the collected instructions in front of the program's code.
  void finish();

 private:
  enum Field : std::int32_t { kParameters = 0, kPointers = 8, kWorkerScratch = 16, kCallScratch = 24, kBegin = 32, kEnd = 40 };
  VReg field(Field f);
  VReg load(VReg base, std::int64_t displacement);
  VReg compute(VOp op, Operand a, Operand b);
  VReg alternative(VReg own, const linear::Memory& m);

  VBuilder& b_;
  const linear::LinearIR& ir_;
  Tape& tape_;
  std::vector<Instruction> code_;
  VReg arguments_;
  std::map<std::int32_t, VReg> fields_;
  std::map<Expr, VReg> parameters_;
  std::map<linear::MemoryId, VReg> bases_;
};

/// Evaluates expressions that also depend on loop variables, in general registers.
class IndexArithmetic {
 public:
  IndexArithmetic(VBuilder& b, Prologue& prologue) : b_(b), prologue_(prologue) {}

  void set_variable(const std::string& name, VReg value) { variables_[name] = value; }
  VReg variable(const std::string& name) const;
  VReg evaluate(const Expr& e);
  /// The same as an operand: an immediate where it is a constant that fits.
  Operand operand(const Expr& e);

 private:
  VReg atom(const Expr::Node& node, std::size_t term, std::size_t factor);

  VBuilder& b_;
  Prologue& prologue_;
  std::map<std::string, VReg> variables_;
};

/// Splits an expression into what depends on anything at run time and a constant.
std::pair<Expr, std::int64_t> split_constant(const Expr& e);

/// True where the number fits the immediates and displacements of instructions.
bool fits_immediate(std::int64_t value);

}  // namespace burin::codegen
