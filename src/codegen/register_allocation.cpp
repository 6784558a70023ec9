// Register allocation: linear scan over live intervals; what does not fit lives in the frame.
//
// A round hands out registers in the order in which intervals (live_intervals.h) begin. Where none
// is free, one of the intervals alive there is spilled: of those whose innermost use is in the least
// deep loop, the one that costs least for each crowded position it leaves (crowded: where more
// intervals overlap than there are registers). So a value that lives across a hot loop without being
// used in it leaves its register to those that are. If anything was spilled, the program is
// rewritten, its intervals move along, and the next round begins:
//
//     v7 = mul v1, v2        ->   v20 = mul v1, v2
//                                 spill_store v20, slot 0
//     ...                         ...
//     v9 = add v8, v7        ->   v21 = spill_load slot 0
//                                 v9 = add v8, v21
//     v10 = mul v9, v7            v10 = mul v9, v21
//
// The slot has the value from each write on; a new register serves as a copy for references that
// are close to each other, up to the next label. Where that is too much, a later round takes the
// copy back and gives each reference a register of its own, which is never spilled again. So the
// rounds come to an end, and a few do.
//
// A register that one imm64, constant or iota defines gets no slot: the definition goes, and each
// use has the value as an operand, or made anew just before.
//
// Intervals have no holes, hence the registers suffice exactly where no more intervals overlap
// than there are registers, whichever free register is picked. The pick only saves instructions: a
// destination takes the register of a dying source where the machine's instruction would need a
// move otherwise (a move whose two sides share a register is not emitted), else the lowest.

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "burin/error.h"
#include "codegen/live_intervals.h"
#include "codegen/vcode.h"

namespace burin::codegen {
namespace {

constexpr std::uint8_t kUnassigned = 0xff;
constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
constexpr int kMaxRounds = 100;
/// A copy of a spilled value is kept for the next reference, if it is at most so far away.
constexpr std::uint32_t kReach = 8;

/// The register files of a target: where masks have none of their own, they are vectors.
class RegisterFiles {
 public:
  static constexpr std::size_t kCount = 3;

  explicit RegisterFiles(const TargetInfo& target)
      : sizes_{target.general_registers, target.vector_registers, target.mask_registers},
        mask_file_(target.mask_registers > 0 ? 2 : 1) {
    for (const int size : sizes_)
      if (size < 0 || size >= kUnassigned)
        throw Error(fmt::format("target {}: {} registers in a class", target.name, size));
  }

  std::size_t of(RegClass c) const {
    switch (c) {
      case RegClass::general: return 0;
      case RegClass::vector: return 1;
      case RegClass::mask: return mask_file_;
      case RegClass::none: break;
    }
    throw Error("vcode: a register without a class");
  }
  std::size_t size(std::size_t file) const { return static_cast<std::size_t>(sizes_[file]); }

 private:
  std::array<int, kCount> sizes_;
  std::size_t mask_file_;
};

bool is_rematerializable(VOp op) {
  return op == VOp::imm64 || op == VOp::constant || op == VOp::iota;
}

/// How many of the first sources a two-address machine may compute the destination into.
std::size_t sources_to_overwrite(VOp op) {
  switch (op) {
    case VOp::mov:
    case VOp::mov64:
    case VOp::sub64:
    case VOp::shl64: return 1;
    case VOp::add64:
    case VOp::mul64:
    case VOp::min64:
    case VOp::max64: return 2;
    case VOp::fma:
    case VOp::fnma: return 3;
    default: return 0;
  }
}

class Allocator {
 public:
  Allocator(Program program, const TargetInfo& target)
      : files_(target), originals_(static_cast<VReg>(program.registers.size())) {
    result_.program = std::move(program);
    traits_.resize(originals_);
    find_constants();
  }

  Allocation run() {
    intervals_ = live_intervals(result_.program);
    for (int round = 0; round < kMaxRounds; ++round) {
      find_crowds();
      scan();
      if (spilled_.empty()) return std::move(result_);
      assign_slots();
      rewrite();
    }
    throw Error(fmt::format("register allocation: no fit in {} rounds", kMaxRounds));
  }

 private:
  struct Definition {
    bool is_constant = false;
    VOp op = VOp::imm64;
    std::int64_t imm = 0;
  };
  /// What is known of a register besides its interval.
  struct Traits {
    Definition constant;         ///< its only definition, where that is a constant
    std::uint32_t slot = kNone;  ///< where it lives once it is spilled
    bool spilled = false;        ///< in this round
    bool pinned = false;         ///< made for one instruction
  };

  Program& program() { return result_.program; }
  std::size_t file_of(VReg r) const { return files_.of(result_.program.registers[r]); }

  void find_constants() {
    std::vector<std::uint8_t> written(originals_, 0);
    for (Instruction& i : program().code) {
      for_each_register(i, [&](VReg r, bool, bool write) {
        if (!write) return;
        const bool only = written[r] == 0 && is_rematerializable(i.op);
        traits_[r].constant = only ? Definition{true, i.op, i.imm} : Definition{};
        written[r] = 1;
      });
    }
  }

  // ---- One round: who gets which register, and who none ---------------------------------------

  /// By file and position: how many positions before it have too many intervals.
  void find_crowds() {
    const std::size_t positions = 2 * program().code.size() + 1;
    for (std::vector<std::int32_t>& c : crowds_) c.assign(positions + 1, 0);
    for (VReg r = 0; r < intervals_.of.size(); ++r) {
      if (intervals_.of[r].empty()) continue;
      std::vector<std::int32_t>& c = crowds_[file_of(r)];
      ++c[intervals_.of[r].begin];
      --c[intervals_.of[r].end];
    }
    for (std::size_t f = 0; f < RegisterFiles::kCount; ++f) {
      const auto registers = static_cast<std::int32_t>(files_.size(f));
      std::int32_t alive = 0;
      std::int32_t crowded = 0;
      for (std::int32_t& c : crowds_[f]) {
        alive += c;
        c = crowded;
        crowded += int{alive > registers};
      }
    }
  }

  /// Registers in the order in which their intervals begin.
  std::vector<VReg> by_begin() const {
    const std::size_t positions = 2 * result_.program.code.size() + 1;
    std::vector<std::uint32_t> first(positions + 1, 0);
    for (const LiveInterval& i : intervals_.of)
      if (!i.empty()) ++first[i.begin + 1];
    for (std::size_t p = 1; p < first.size(); ++p) first[p] += first[p - 1];
    std::vector<VReg> order(first.back());
    for (VReg r = 0; r < intervals_.of.size(); ++r)
      if (!intervals_.of[r].empty()) order[first[intervals_.of[r].begin]++] = r;
    return order;
  }

  /// By register: a dying source whose register would suit it, or kNoReg.
  std::vector<VReg> find_hints() {
    std::vector<VReg> hints(intervals_.of.size(), kNoReg);
    for (std::uint32_t at = 0; at < program().code.size(); ++at) {
      const Instruction& i = program().code[at];
      if (i.dst == kNoReg || intervals_.of[i.dst].begin != 2 * at + 1) continue;
      for (std::size_t n = 0; n < sources_to_overwrite(i.op); ++n) {
        const Operand& s = i.src[n];
        if (s.kind != Operand::Kind::reg || intervals_.of[s.reg].end != 2 * at + 1) continue;
        if (file_of(s.reg) != file_of(i.dst)) continue;
        hints[i.dst] = s.reg;
        break;
      }
    }
    return hints;
  }

  /// Spilling it would free no register anywhere: made for one instruction, or written and read in
  /// neighbouring ones.
  bool must_stay(VReg r) const { return traits_[r].pinned || intervals_.of[r].length() <= 2; }

  /// Whether to spill `a` rather than `b` at this position.
  bool cheaper(VReg a, VReg b, std::uint32_t position) const {
    const LiveInterval& x = intervals_.of[a];
    const LiveInterval& y = intervals_.of[b];
    if (x.depth != y.depth) return x.depth < y.depth;
    const float wx = weight(a, position);
    const float wy = weight(b, position);
    return wx != wy ? wx < wy : x.end > y.end;
  }
  float weight(VReg r, std::uint32_t position) const {
    const std::vector<std::int32_t>& crowds = crowds_[file_of(r)];
    const std::int32_t relieved = crowds[intervals_.of[r].end] - crowds[position];
    // A constant needs no store, and often no register either.
    const float cost =
        traits_[r].constant.is_constant ? intervals_.of[r].cost / 2 : intervals_.of[r].cost;
    return cost / static_cast<float>(std::max(relieved, 1));
  }

  void scan() {
    spilled_.clear();
    result_.physical.assign(intervals_.of.size(), kUnassigned);
    const std::vector<VReg> hints = find_hints();

    // By file and physical register: its latest owner, and where that one's interval ends.
    std::array<std::vector<VReg>, RegisterFiles::kCount> owners;
    std::array<std::vector<std::uint32_t>, RegisterFiles::kCount> ends;
    for (std::size_t f = 0; f < RegisterFiles::kCount; ++f) {
      owners[f].assign(files_.size(f), kNoReg);
      ends[f].assign(files_.size(f), 0);
    }

    for (const VReg r : by_begin()) {
      const std::size_t file = file_of(r);
      std::vector<VReg>& owner = owners[file];
      std::vector<std::uint32_t>& end = ends[file];
      const std::uint32_t begin = intervals_.of[r].begin;
      const auto is_free = [&](std::size_t p) { return end[p] <= begin; };
      std::size_t pick = owner.size();
      if (const VReg hint = hints[r]; hint != kNoReg && result_.physical[hint] != kUnassigned)
        pick = result_.physical[hint];
      if (pick == owner.size() || !is_free(pick)) {
        pick = 0;
        while (pick < owner.size() && !is_free(pick)) ++pick;
      }
      if (pick == owner.size()) {
        VReg victim = must_stay(r) ? kNoReg : r;
        for (std::size_t p = 0; p < owner.size(); ++p) {
          if (must_stay(owner[p])) continue;
          if (victim != kNoReg && !cheaper(owner[p], victim, begin)) continue;
          victim = owner[p];
          pick = p;
        }
        if (victim == kNoReg) fail(begin / 2);
        result_.physical[victim] = kUnassigned;
        spilled_.push_back(victim);
        if (victim == r) continue;
      }
      owner[pick] = r;
      end[pick] = intervals_.of[r].end;
      result_.physical[r] = static_cast<std::uint8_t>(pick);
    }
  }

  [[noreturn]] void fail(std::uint32_t at) {
    throw Error(fmt::format("register allocation: too few registers at instruction {}: {}", at,
                            print(program(), program().code[at])));
  }

  // ---- Spills ------------------------------------------------------------------------------

  /// Slots for what this round spilled: one for several, if of one class and never alive at once.
  void assign_slots() {
    struct Slot {
      RegClass of;
      std::uint32_t end;
    };
    std::vector<Slot> slots;
    std::sort(spilled_.begin(), spilled_.end(), [this](VReg a, VReg b) {
      return std::pair(intervals_.of[a].begin, a) < std::pair(intervals_.of[b].begin, b);
    });
    for (Traits& t : traits_) t.spilled = false;
    for (const VReg r : spilled_) {
      traits_[r].spilled = true;
      result_.spilled_registers += int{r < originals_};
      const bool needs_slot = !traits_[r].constant.is_constant && traits_[r].slot == kNone;
      if (!needs_slot) continue;
      const RegClass c = program().registers[r];
      auto slot = std::find_if(slots.begin(), slots.end(), [&](const Slot& s) {
        return s.of == c && s.end <= intervals_.of[r].begin;
      });
      if (slot == slots.end()) slot = slots.insert(slots.end(), Slot{c, 0});
      slot->end = intervals_.of[r].end;
      traits_[r].slot = result_.frame_slots + static_cast<std::uint32_t>(slot - slots.begin());
    }
    result_.frame_slots += static_cast<std::uint32_t>(slots.size());
    copies_.assign(traits_.size(), {});
  }

  void rewrite() {
    std::vector<Instruction> old;
    old.swap(program().code);
    std::vector<Instruction>& code = program().code;
    code.reserve(old.size() + old.size() / 2);
    std::vector<std::uint32_t> in_loops, moved_to(old.size());
    in_loops.reserve(code.capacity());
    const auto append = [&](const Instruction& i, std::uint32_t depth) {
      code.push_back(i);
      in_loops.push_back(depth);
    };
    const auto first_fresh = static_cast<VReg>(program().registers.size());
    std::uint32_t block = 0;
    for (std::uint32_t at = 0; at < old.size(); ++at) {
      Instruction& i = old[at];
      const auto begin = moved_to[at] = static_cast<std::uint32_t>(code.size());
      if (is_superseded(i)) continue;
      block += int{i.op == VOp::label};  // what follows a jump not taken is reached in no other way
      fold_constants(i);
      replace_spilled(i, at, block);
      const std::uint32_t depth = intervals_.in_loops[at];
      for (const Replacement& r : replacements_)
        if (r.load) append(reload(r, i.origin), depth);
      moved_to[at] = static_cast<std::uint32_t>(code.size());
      append(i, depth);
      for (const Replacement& r : replacements_)
        if (r.store) append(store(r, i.origin), depth);
      if (!replacements_.empty()) refer_to_fresh(begin, first_fresh, depth);
    }
    move_intervals(moved_to, first_fresh);
    intervals_.in_loops = std::move(in_loops);
  }

  /// What the instructions from this one on say of registers that this round has made.
  void refer_to_fresh(std::uint32_t begin, VReg first_fresh, std::uint32_t depth) {
    for (std::uint32_t at = begin; at < program().code.size(); ++at)
      for_each_register(program().code[at], [&](VReg r, bool read, bool write) {
        if (r >= first_fresh) intervals_.of[r].refer(program().code[at], at, depth, read, write);
      });
  }

  /// Spill code moves what was there, and changes nothing else: no interval begins or ends at the edge of a block that gets
  /// instructions there (only labels, before which no code goes, and jumps, behind which none goes, lead to another place).
  void move_intervals(const std::vector<std::uint32_t>& moved_to, VReg first_fresh) {
    const auto moved = [&](std::uint32_t position) { return 2 * moved_to[position / 2] + position % 2; };
    for (VReg r = 0; r < first_fresh; ++r) {
      LiveInterval& i = intervals_.of[r];
      if (traits_[r].spilled)
        i = {};
      else if (!i.empty())
        i.begin = moved(i.begin), i.end = moved(i.end - 1) + 1;
    }
  }

  /// Definitions of constants that are made anew at each use; the loads and stores of a copy that
  /// is taken back.
  bool is_superseded(const Instruction& i) const {
    if (i.op == VOp::spill_store) return traits_[i.src[0].reg].spilled;
    if (i.dst == kNoReg || !traits_[i.dst].spilled) return false;
    return i.op == VOp::spill_load || traits_[i.dst].constant.is_constant;
  }

  /// Puts the value of a spilled constant into operands that can hold it.
  void fold_constants(Instruction& i) const {
    const VOpInfo& op = info(i.op);
    for (std::size_t s = 0; s < i.src.size(); ++s) {
      Operand& o = i.src[s];
      if (o.kind != Operand::Kind::reg || !op.flexible[s] || !traits_[o.reg].spilled) continue;
      const Definition& d = traits_[o.reg].constant;
      if (!d.is_constant) continue;
      if (d.op == VOp::constant) {
        o = {Operand::Kind::constant, kNoReg, d.imm};
      } else if (d.op == VOp::imm64 && d.imm == static_cast<std::int32_t>(d.imm)) {
        o = {Operand::Kind::immediate, kNoReg, d.imm};
      }
    }
  }

  struct Replacement {
    VReg spilled, fresh;
    bool load, store;
  };
  /// The register that has a spilled value, since an instruction of some block.
  struct Copy {
    VReg fresh = kNoReg;
    std::uint32_t block = 0;
    std::uint32_t at = 0;
  };

  /// Gives the spilled registers of an instruction new names; says what each of them needs.
  void replace_spilled(Instruction& i, std::uint32_t at, std::uint32_t block) {
    replacements_.clear();
    for_each_register(i, [&](VReg& r, bool read, bool write) {
      if (r >= copies_.size() || !traits_[r].spilled) return;
      const VReg spilled = r;
      auto same = std::find_if(replacements_.begin(), replacements_.end(),
                               [&](const Replacement& x) { return x.spilled == spilled; });
      if (same == replacements_.end()) {
        Copy& copy = copies_[spilled];
        const bool near = copy.fresh != kNoReg && copy.block == block && at - copy.at <= kReach;
        if (near && spilled < originals_) {
          replacements_.push_back({spilled, copy.fresh, false, false});
          traits_[copy.fresh].pinned = false;
        } else {
          replacements_.push_back({spilled, make_fresh(spilled), read, false});
        }
        same = replacements_.end() - 1;
        copy = {same->fresh, block, at};
      }
      same->store |= write && &r == &i.dst;  // what a temporary holds is of no use to anyone
      r = same->fresh;
    });
  }

  /// A register with the value of a spilled one.
  VReg make_fresh(VReg spilled) {
    const auto fresh = static_cast<VReg>(program().registers.size());
    program().registers.push_back(program().registers[spilled]);
    Traits t;
    t.constant = traits_[spilled].constant;
    t.slot = traits_[spilled].slot;
    t.pinned = true;
    traits_.push_back(t);
    intervals_.of.emplace_back();
    return fresh;
  }

  Instruction reload(const Replacement& r, std::uint32_t origin) const {
    const Definition& constant = traits_[r.spilled].constant;
    Instruction i;
    i.op = constant.is_constant ? constant.op : VOp::spill_load;
    i.imm = constant.is_constant ? constant.imm : std::int64_t{traits_[r.spilled].slot};
    i.dst = r.fresh;
    i.origin = origin;
    return i;
  }

  Instruction store(const Replacement& r, std::uint32_t origin) const {
    Instruction i;
    i.op = VOp::spill_store;
    i.imm = traits_[r.spilled].slot;
    i.src[0] = {Operand::Kind::reg, r.fresh, 0};
    i.origin = origin;
    return i;
  }

  const RegisterFiles files_;
  const VReg originals_;  ///< registers from here on come from spills
  Allocation result_;
  std::vector<Traits> traits_;  ///< by register
  LiveIntervals intervals_;
  // Of the current round:
  std::array<std::vector<std::int32_t>, RegisterFiles::kCount> crowds_;
  std::vector<VReg> spilled_;
  std::vector<Copy> copies_;  ///< by register
  std::vector<Replacement> replacements_;
};

}  // namespace

Allocation allocate_registers(Program program, const TargetInfo& target) {
  return Allocator(std::move(program), target).run();
}

}  // namespace burin::codegen
