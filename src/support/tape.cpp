#include "support/tape.h"

#include <algorithm>
#include <array>

#include "burin/error.h"
#include "support/checked.h"
#include "support/expr_node.h"
#include "support/integer_function.h"

namespace burin {

namespace {

/// Indexed by Tape::Code.
constexpr std::array<std::string_view, 12> kNames = {
    "constant", "add",  "mul",        "floor_div", "mod",    "min",
    "max",      "less", "less_equal", "equal",     "select", "broadcast",
};

}  // namespace

/// Writes an expression as instructions, in the order in which Expr::evaluate computes.
class Tape::Builder {
 public:
  explicit Builder(Tape& tape) : tape_(tape) {}

  Slot lower(const Expr& e) {
    if (const auto found = tape_.known_.find(e); found != tape_.known_.end()) return found->second;
    const Slot slot = lower_terms(e);
    tape_.known_.emplace(e, slot);
    return slot;
  }

 private:
  Slot lower_terms(const Expr& e) {
    const auto& terms = e.node().terms;
    if (terms.empty()) return constant(0);
    Slot sum = lower(terms[0]);
    for (std::size_t i = 1; i < terms.size(); ++i)
      sum = tape_.emit({Code::add, sum, lower(terms[i])});
    return sum;
  }

  /// The coefficient comes last: S*T and 4*S*T then share S*T.
  Slot lower(const Expr::Node::Term& term) {
    std::optional<Slot> product;
    for (const Expr::Node::Factor& factor : term.factors) {
      const Slot value = lower(factor.atom);
      for (int i = 0; i < factor.power; ++i)
        product = product ? tape_.emit({Code::mul, *product, value}) : value;
    }
    if (!product) return constant(term.coefficient);
    if (term.coefficient == 1) return *product;
    return tape_.emit({Code::mul, *product, constant(term.coefficient)});
  }

  Slot lower(const Expr::Node::Atom& atom) {
    if (atom.is_symbol()) return symbol(atom.name);
    std::array<Slot, 3> slots{};
    for (std::size_t i = 0; i < atom.arguments.size(); ++i) slots[i] = lower(atom.arguments[i]);
    return tape_.emit({code_of(atom.function), slots[0], slots[1], slots[2]});
  }

  Slot symbol(const std::string& name) const {
    const auto found = tape_.known_.find(Expr::symbol(name));
    if (found == tape_.known_.end())
      throw Error("parameter tape: symbol '" + name + "' is not one of the kernel's symbols");
    return found->second;
  }

  Slot constant(std::int64_t value) { return tape_.emit({Code::constant, 0, 0, 0, value}); }

  static Code code_of(Expr::Function function) {
    switch (function) {
      case Expr::Function::floor_div: return Code::floor_div;
      case Expr::Function::mod: return Code::mod;
      case Expr::Function::min: return Code::min;
      case Expr::Function::max: return Code::max;
      case Expr::Function::less: return Code::less;
      case Expr::Function::less_equal: return Code::less_equal;
      case Expr::Function::equal: return Code::equal;
      case Expr::Function::select: return Code::select;
      case Expr::Function::broadcast: return Code::broadcast;
    }
    throw Error("parameter tape: unknown function");
  }

  Tape& tape_;
};

Tape::Tape(std::vector<std::string> symbols) : symbols_(std::move(symbols)) {
  for (std::size_t i = 0; i < symbols_.size(); ++i) {
    const bool is_new = known_.emplace(Expr::symbol(symbols_[i]), static_cast<Slot>(i)).second;
    if (!is_new) throw Error("parameter tape: symbol '" + symbols_[i] + "' is given twice");
  }
}

Tape::Slot Tape::add(const Expr& e) { return Builder(*this).lower(e); }

void Tape::define(const std::string& symbol, const Expr& e) {
  const Slot slot = add(e);
  if (known_.emplace(Expr::symbol(symbol), slot).first->second != slot)
    throw Error("parameter tape: symbol '" + symbol + "' is defined in two ways");
}

Tape::Slot Tape::emit(Instruction instruction) {
  if (is_commutative(instruction.code) && instruction.b < instruction.a)
    std::swap(instruction.a, instruction.b);
  const auto next = static_cast<Slot>(register_count());
  const auto [entry, is_new] = instruction_index_.emplace(spell(instruction), next);
  if (is_new) instructions_.push_back(instruction);
  return entry->second;
}

bool Tape::is_commutative(Code code) {
  switch (code) {
    case Code::add:
    case Code::mul:
    case Code::min:
    case Code::max:
    case Code::equal:
    case Code::broadcast: return true;
    default: return false;
  }
}

std::string Tape::spell(const Instruction& instruction) {
  std::string text(kNames.at(static_cast<std::size_t>(instruction.code)));
  if (instruction.code == Code::constant) return text + " " + std::to_string(instruction.value);
  text += " %" + std::to_string(instruction.a) + ", %" + std::to_string(instruction.b);
  if (instruction.code == Code::select) text += ", %" + std::to_string(instruction.c);
  return text;
}

std::size_t Tape::register_count() const { return symbols_.size() + instructions_.size(); }

void Tape::evaluate(std::span<std::int64_t> registers) const {
  if (registers.size() != register_count()) {
    throw Error("parameter tape: " + std::to_string(registers.size()) + " registers given, " +
                std::to_string(register_count()) + " needed");
  }
  // Each instruction reads registers before its own only: emit() appends.
  const std::int64_t* const r = registers.data();
  std::int64_t* out = registers.data() + symbols_.size();
  for (const Instruction& i : instructions_) {
    std::int64_t value = 0;
    switch (i.code) {
      case Code::constant: value = i.value; break;
      case Code::add: value = checked_add(r[i.a], r[i.b], integer::kSubject); break;
      case Code::mul: value = checked_mul(r[i.a], r[i.b], integer::kSubject); break;
      case Code::floor_div: value = integer::floor_div(r[i.a], r[i.b]); break;
      case Code::mod: value = integer::mod(r[i.a], r[i.b]); break;
      case Code::min: value = std::min(r[i.a], r[i.b]); break;
      case Code::max: value = std::max(r[i.a], r[i.b]); break;
      case Code::less: value = static_cast<std::int64_t>(r[i.a] < r[i.b]); break;
      case Code::less_equal: value = static_cast<std::int64_t>(r[i.a] <= r[i.b]); break;
      case Code::equal: value = static_cast<std::int64_t>(r[i.a] == r[i.b]); break;
      case Code::select: value = r[i.a] != 0 ? r[i.b] : r[i.c]; break;
      case Code::broadcast: value = integer::broadcast(r[i.a], r[i.b]); break;
    }
    *out++ = value;
  }
}

std::string Tape::to_string() const {
  std::string text;
  const auto append = [&text](std::size_t slot, const std::string& what) {
    text += "%" + std::to_string(slot) + " = " + what + "\n";
  };
  for (std::size_t i = 0; i < symbols_.size(); ++i) append(i, "symbol " + symbols_[i]);
  for (std::size_t i = 0; i < instructions_.size(); ++i)
    append(symbols_.size() + i, spell(instructions_[i]));
  return text;
}

}  // namespace burin
