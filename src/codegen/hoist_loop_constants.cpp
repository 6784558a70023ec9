// Straight-line code has its constants beside their uses, once for each vector of a tile:
//
//     L2:                                 v9 = constant 0.5
//       v3 = load [g1]                    L2:
//       v4 = constant 0.5                   v3 = load [g1]
//       v5 = mul v3, v4              ->     v5 = mul v3, v9
//       v6 = load [g1 + 64]                 v6 = load [g1 + 64]
//       v7 = mul v6, 0.5                    v7 = mul v6, v9
//       ...                                 ...
//       jump_if g2 > 0, L2                  jump_if g2 > 0, L2
//
// In a loop each of them costs a slot of the load unit, which does no more than one vector a cycle.

#include "codegen/hoist_loop_constants.h"

#include <limits>
#include <map>
#include <set>
#include <tuple>

#include "codegen/vcode_builder.h"

namespace burin::codegen {
namespace {

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

class Hoisting {
 public:
  explicit Hoisting(Program& program)
      : program_(program),
        writes_(program.registers.size(), 0),
        replaced_(program.registers.size(), kNoReg) {
    for (Instruction& i : program.code)
      for_each_register(i, [&](VReg r, bool, bool write) { writes_[r] += int{write}; });
    find_innermost_loops();
  }

  void run() {
    std::vector<Instruction> old;
    old.swap(program_.code);
    program_.code.reserve(old.size());
    std::uint32_t end = 0;  // of the loop that `at` is in
    for (std::uint32_t at = 0; at < old.size(); ++at) {
      if (loop_end_[at] != kNone) {
        end = loop_end_[at];
        available_.clear();
        hoist(old, at, end);
      }
      if (at < end && is_hoisted(old[at])) continue;
      rename(old[at]);
      program_.code.push_back(old[at]);
    }
  }

 private:
  /// What a register that is defined in front of a loop holds.
  using Key = std::tuple<VOp, std::int64_t, VReg, std::int32_t>;

  /// Loops from a label that only their own last jump goes to, with no loop inside.
  void find_innermost_loops() {
    const auto size = static_cast<std::uint32_t>(program_.code.size());
    std::vector<std::uint32_t> label_at(program_.label_count, kNone);
    std::vector<std::uint32_t> jumps(program_.label_count, 0);
    for (std::uint32_t i = 0; i < size; ++i) {
      const Instruction& instruction = program_.code[i];
      if (instruction.op == VOp::label) label_at[instruction.label] = i;
      if (is_jump(instruction)) ++jumps[instruction.label];
    }
    loop_end_.assign(size, kNone);
    std::uint32_t last_begin = kNone;
    for (std::uint32_t i = 0; i < size; ++i) {
      const Instruction& instruction = program_.code[i];
      if (!is_jump(instruction) || label_at[instruction.label] > i) continue;
      const std::uint32_t begin = label_at[instruction.label];
      // A loop that began behind this one's begin has ended inside of it.
      const bool innermost = last_begin == kNone || last_begin < begin;
      if (innermost && jumps[instruction.label] == 1) loop_end_[begin] = i + 1;
      if (innermost) last_begin = begin;
    }
  }
  static bool is_jump(const Instruction& i) { return i.op == VOp::jump || i.op == VOp::jump_if; }

  void hoist(std::vector<Instruction>& code, std::uint32_t begin, std::uint32_t end) {
    for (std::uint32_t at = begin; at < end; ++at) {
      Instruction& i = code[at];
      rename(i);
      if (is_invariant(i)) {
        replaced_[i.dst] = definition(i);
        continue;
      }
      for (Operand& o : i.src)
        if (o.kind == Operand::Kind::constant) o = reg(definition(constant_of(o, i.origin)));
    }
  }

  /// Whether it gives the same in each iteration, and may as well run where the loop does not.
  bool is_invariant(const Instruction& i) const {
    if (i.dst == kNoReg || writes_[i.dst] != 1) return false;
    switch (i.op) {
      case VOp::constant:
      case VOp::imm64: return true;
      case VOp::load: return i.mask == kNoReg && i.mem.index == kNoReg && is_fixed(i.mem.base);
      default: return false;
    }
  }
  bool is_fixed(VReg address) const { return fixed_.count(address) != 0; }

  /// The register in front of the loop that holds the instruction's result.
  VReg definition(Instruction i) {
    const Key key{i.op, i.imm, i.mem.base, i.mem.displacement};
    const auto [found, is_new] = available_.try_emplace(key, kNoReg);
    if (!is_new) return found->second;
    const RegClass c = info(i.op).dst;
    i.dst = found->second = VBuilder(program_).make(c);
    if (i.op == VOp::imm64) fixed_.insert(i.dst);
    program_.code.push_back(i);
    return i.dst;
  }
  static Instruction constant_of(const Operand& o, std::uint32_t origin) {
    Instruction i;
    i.op = VOp::constant;
    i.imm = o.value;
    i.origin = origin;
    return i;
  }

  bool is_hoisted(const Instruction& i) const {
    return i.dst != kNoReg && i.dst < replaced_.size() && replaced_[i.dst] != kNoReg;
  }

  void rename(Instruction& i) const {
    for_each_register(i, [&](VReg& r, bool, bool write) {
      if (!write && r < replaced_.size() && replaced_[r] != kNoReg) r = replaced_[r];
    });
  }

  Program& program_;
  std::vector<int> writes_;
  std::vector<VReg> replaced_;  ///< by register: that of the same value in front of the loop
  std::vector<std::uint32_t> loop_end_;  ///< by position of an innermost loop's label
  std::map<Key, VReg> available_;        ///< in front of the current loop
  std::set<VReg> fixed_;  ///< registers that hold addresses known when the code is made
};

}  // namespace

void hoist_loop_constants(Program& program) { Hoisting(program).run(); }

}  // namespace burin::codegen
