#include "codegen/addresses.h"

#include <fmt/format.h>

#include <limits>

#include "burin/error.h"
#include "codegen/machine_code.h"
#include "linear/analysis.h"
#include "support/expr_node.h"

namespace burin::codegen {

static_assert(offsetof(KernelArguments, parameters) == 0 && offsetof(KernelArguments, pointers) == 8 &&
              offsetof(KernelArguments, worker_scratch) == 16 && offsetof(KernelArguments, call_scratch) == 24 &&
              offsetof(KernelArguments, begin) == 32 && offsetof(KernelArguments, end) == 40);

namespace {
constexpr std::int64_t kWordBytes = 8;
}  // namespace

bool fits_immediate(std::int64_t value) {
  return value >= std::numeric_limits<std::int32_t>::min() && value <= std::numeric_limits<std::int32_t>::max();
}

std::pair<Expr, std::int64_t> split_constant(const Expr& e) {
  for (const Expr::Node::Term& t : e.node().terms)
    if (t.factors.empty()) return {e - t.coefficient, t.coefficient};
  return {e, 0};
}

Prologue::Prologue(VBuilder& b, const linear::LinearIR& ir, Tape& tape) : b_(b), ir_(ir), tape_(tape) {
  arguments_ = b.general();
  Instruction i;
  i.op = VOp::arguments;
  i.dst = arguments_;
  code_.push_back(i);
}

VReg Prologue::load(VReg base, std::int64_t displacement) {
  Instruction i;
  i.op = VOp::load64;
  i.dst = b_.general();
  i.mem = {base, kNoReg, 1, static_cast<std::int32_t>(displacement)};
  code_.push_back(i);
  return i.dst;
}

VReg Prologue::field(Field f) {
  auto [it, fresh] = fields_.try_emplace(f, kNoReg);
  if (fresh) it->second = load(arguments_, f);
  return it->second;
}

VReg Prologue::parameter(const Expr& e) {
  auto [it, fresh] = parameters_.try_emplace(e, kNoReg);
  if (!fresh) return it->second;
  if (auto c = e.as_constant()) {
    Instruction i;
    i.op = VOp::imm64;
    i.dst = b_.general();
    i.imm = *c;
    code_.push_back(i);
    return parameters_[e] = i.dst;
  }
  const VReg block = field(kParameters);
  return parameters_[e] = load(block, static_cast<std::int64_t>(tape_.add(e)) * kWordBytes);
}

VReg Prologue::compute(VOp op, Operand a, Operand b) {
  Instruction i;
  i.op = op;
  i.src = {a, b, {}};
  i.dst = b_.general();
  code_.push_back(i);
  return i.dst;
}

/// other + used * (own - other), without a branch.
VReg Prologue::alternative(VReg own, const linear::Memory& m) {
  const VReg other = base(m.otherwise);
  const VReg distance = compute(VOp::sub64, reg(own), reg(other));
  const VReg chosen = compute(VOp::mul64, reg(distance), parameter_operand(m.used));
  return compute(VOp::add64, reg(chosen), reg(other));
}

Operand Prologue::parameter_operand(const Expr& e) {
  if (auto c = e.as_constant(); c && fits_immediate(*c)) return immediate(*c);
  return reg(parameter(e));
}

VReg Prologue::base(linear::MemoryId memory) {
  auto [it, fresh] = bases_.try_emplace(memory, kNoReg);
  if (!fresh) return it->second;
  const linear::Memory& m = ir_.memory[memory];
  using Kind = linear::Memory::Kind;
  if (m.kind == Kind::worker || m.kind == Kind::call) {
    const VReg scratch = field(m.kind == Kind::worker ? kWorkerScratch : kCallScratch);
    if (!m.offset) throw Error(fmt::format("memory {}: no offset", m.name));
    const VReg own = *m.offset == Expr(0) ? scratch : compute(VOp::add64, reg(scratch), parameter_operand(*m.offset));
    return bases_[memory] = m.otherwise == linear::kNone ? own : alternative(own, m);
  }
  std::size_t position = m.index;
  if (m.kind != Kind::input) position += ir_.inputs.size();
  if (m.kind == Kind::constant) position += ir_.outputs.size();
  const VReg pointers = field(kPointers);
  return bases_[memory] = load(pointers, static_cast<std::int64_t>(position) * kWordBytes);
}

void Prologue::finish() {
  auto& code = b_.program().code;
  code.insert(code.begin(), code_.begin(), code_.end());
}

VReg IndexArithmetic::variable(const std::string& name) const {
  auto it = variables_.find(name);
  if (it == variables_.end()) throw Error(fmt::format("loop variable {} has no register", name));
  return it->second;
}

Operand IndexArithmetic::operand(const Expr& e) {
  if (auto c = e.as_constant(); c && fits_immediate(*c)) return immediate(*c);
  return reg(evaluate(e));
}

VReg IndexArithmetic::evaluate(const Expr& e) {
  if (!linear::uses_loop_variable(e)) return prologue_.parameter(e);
  if (auto name = e.as_symbol()) return variable(*name);
  // Each term: what depends on symbols alone comes from the parameter block, times the factors with loop variables.
  VReg sum = kNoReg;
  Expr rest = 0;
  const Expr::Node& node = e.node();
  for (std::size_t t = 0; t < node.terms.size(); ++t) {
    Expr invariant = node.terms[t].coefficient;
    VReg product = kNoReg;
    for (std::size_t f = 0; f < node.terms[t].factors.size(); ++f) {
      const Expr::Node::Factor& factor = node.terms[t].factors[f];
      Expr::Node::Term alone{1, {factor}};
      const Expr value = Expr::Node::make({alone});
      if (!linear::uses_loop_variable(value)) {
        invariant *= value;
        continue;
      }
      for (int p = 0; p < factor.power; ++p) {
        const VReg a = atom(node, t, f);
        product = product == kNoReg ? a : b_.op(VOp::mul64, {reg(product), reg(a)});
      }
    }
    if (product == kNoReg) {
      rest += invariant;
      continue;
    }
    if (!(invariant == Expr(1))) product = b_.op(VOp::mul64, {reg(product), prologue_.parameter_operand(invariant)});
    sum = sum == kNoReg ? product : b_.op(VOp::add64, {reg(sum), reg(product)});
  }
  if (!(rest == Expr(0))) sum = b_.op(VOp::add64, {reg(sum), prologue_.parameter_operand(rest)});
  return sum;
}

VReg IndexArithmetic::atom(const Expr::Node& node, std::size_t term, std::size_t factor) {
  const Expr::Node::Atom& a = node.terms[term].factors[factor].atom;
  if (a.is_symbol()) return variable(a.name);
  switch (a.function) {
    case Expr::Function::min: return b_.op(VOp::min64, {reg(evaluate(a.arguments[0])), operand(a.arguments[1])});
    case Expr::Function::max: return b_.op(VOp::max64, {reg(evaluate(a.arguments[0])), operand(a.arguments[1])});
    case Expr::Function::floor_div:
    case Expr::Function::mod: {
      const VReg dividend = evaluate(a.arguments[0]), divisor = evaluate(a.arguments[1]);
      const VReg quotient = b_.divide(dividend, divisor);
      if (a.function == Expr::Function::floor_div) return quotient;
      const VReg product = b_.op(VOp::mul64, {reg(quotient), reg(divisor)});
      return b_.op(VOp::sub64, {reg(dividend), reg(product)});
    }
    default:
      throw Error(fmt::format("no index arithmetic for {}", Expr::Node::make({{1, {node.terms[term].factors[factor]}}}).to_string()));
  }
}

}  // namespace burin::codegen
