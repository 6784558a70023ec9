// The checker of register allocations. It shares no code with the allocator: it finds blocks, joins
// and operands by itself, and believes nothing of an allocation but what it can follow.
//
// First the two programs are aligned. The allocated one must be the original, instruction by
// instruction, in all but the names of registers, save that
//   - spill_load, spill_store, imm64, constant and iota may have been put in anywhere, and
//   - a definition of a *constant register* may be missing. That is a register of the original
//     which one instruction alone writes, an imm64, constant or iota; a source that reads one may
//     also have become an operand with its value.
// Then the allocated program is executed symbolically until nothing changes any more.
//
// The lattice. A location is a physical register or a frame slot. A state maps
//   - every location to the set of those original registers whose current value it surely holds;
//   - the program to the set U of the original registers that no path to here has written: for
//     these any location will do, since nobody has said what they hold.
// The order is inclusion, the join of two states is the intersection, where a register in U counts
// as being in every set of that state:
//     U = U1 & U2          set(l) = (set1(l) | U1) & (set2(l) | U2) - U
// States only ever shrink, so that a fixpoint is reached. At the entry U has all registers
// (but those whose definition is missing: nothing would take them out of it).
//
// Transfer, for an instruction `x = op a, b` of the original that became `p = op q, r`:
//   - reads: set(q) must have a, set(r) must have b (and set(p) must have x, where x is also read);
//     a register that is in U where it is read is an error of the original;
//   - scratch registers: their sets become empty;
//   - write: x goes out of all sets and out of U (what other locations hold of it is stale), and
//     set(p) = {x}. A move x = y gives set(p) = set(q) + {x} instead. A constant register never
//     becomes stale: set(p) = {all constant registers with this value}.
// spill_load p, s: set(p) = set(s), but only registers of p's class; spill_store s, p:
// set(s) = set(p). A constant that was put in: {all constant registers with this value}.
//
// The contract with the emitters is checked too: every location exists; scratch registers differ
// from each other, from the sources and from the destination; the destination of an instruction
// with scratch registers differs from the sources (unless the original names them the same).

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "burin/error.h"
#include "codegen/vcode.h"

namespace burin::codegen {
namespace {

constexpr std::uint32_t kInserted = std::numeric_limits<std::uint32_t>::max();

using Location = std::uint32_t;
using RegisterSet = std::vector<VReg>;  ///< ascending, as are all sets here

bool contains(const RegisterSet& set, VReg r) {
  return std::binary_search(set.begin(), set.end(), r);
}
void insert(RegisterSet& set, VReg r) {
  const auto at = std::lower_bound(set.begin(), set.end(), r);
  if (at == set.end() || *at != r) set.insert(at, r);
}
void erase(RegisterSet& set, VReg r) {
  const auto at = std::lower_bound(set.begin(), set.end(), r);
  if (at != set.end() && *at == r) set.erase(at);
}

bool makes_constant(VOp op) { return op == VOp::imm64 || op == VOp::constant || op == VOp::iota; }

/// The registers that an instruction reads, other than through its destination.
using Reads = std::array<VReg, 8>;
Reads reads_of(const Instruction& i) {
  Reads r;
  for (std::size_t s = 0; s < 3; ++s)
    r[s] = i.src[s].kind == Operand::Kind::reg ? i.src[s].reg : kNoReg;
  r[3] = i.mem.base;
  r[4] = i.mem.index;
  r[5] = i.mask;
  r[6] = i.count;
  r[7] = i.stride;
  return r;
}

struct State {
  bool reached = false;
  std::vector<std::uint8_t> unwritten;  ///< U, by original register
  std::vector<RegisterSet> holds;       ///< by location
};

class Checker {
 public:
  Checker(const Program& original, const Allocation& allocation, const TargetInfo& target)
      : original_(original),
        allocation_(allocation),
        program_(allocation.program),
        vectors_at_(static_cast<Location>(target.general_registers)),
        masks_at_(vectors_at_ + static_cast<Location>(target.vector_registers)),
        slots_at_(masks_at_ + static_cast<Location>(target.mask_registers)),
        locations_(slots_at_ + allocation.frame_slots),
        masks_are_vectors_(target.mask_registers == 0) {}

  void run() {
    if (allocation_.physical.size() != program_.registers.size())
      throw Error("register allocation check: not every register has an entry in `physical`");
    find_constants();
    align();
    for (at_ = 0; at_ < program_.code.size(); ++at_) check_shape();
    find_blocks();
    solve();
  }

 private:
  // ---- Errors ------------------------------------------------------------------------------

  [[noreturn]] void fail(const std::string& what) const {
    const bool inside = at_ < program_.code.size();
    throw Error(fmt::format("register allocation check: instruction {}{}: {}", at_,
                            inside ? " (" + print(program_, program_.code[at_]) + ")" : "", what));
  }
  std::string describe(Location l) const {
    if (l < vectors_at_) return fmt::format("general register {}", l);
    if (l < masks_at_) return fmt::format("vector register {}", l - vectors_at_);
    if (l < slots_at_) return fmt::format("mask register {}", l - masks_at_);
    return fmt::format("slot {}", l - slots_at_);
  }
  /// Of a register of the original, as print() has it.
  std::string name(VReg r) const {
    return fmt::format("{}{}", "?gvm"[static_cast<std::size_t>(original_.registers[r])], r);
  }
  std::string describe(const RegisterSet& set) const {
    std::string text;
    for (const VReg r : set) text += (text.empty() ? "" : ", ") + name(r);
    return text.empty() ? "nothing known" : text;
  }

  // ---- Locations ---------------------------------------------------------------------------

  /// Where a register of the allocated program lives.
  Location location(VReg r) const {
    if (r >= program_.registers.size()) fail(fmt::format("no register {}", r));
    const Location p = allocation_.physical[r];
    switch (program_.registers[r]) {
      case RegClass::general: return within(p, 0, vectors_at_, r);
      case RegClass::mask:
        if (!masks_are_vectors_) return within(p, masks_at_, slots_at_, r);
        [[fallthrough]];
      case RegClass::vector: return within(p, vectors_at_, masks_at_, r);
      case RegClass::none: break;
    }
    fail(fmt::format("register {} has no class", r));
  }
  Location within(Location p, Location begin, Location end, VReg r) const {
    if (p >= end - begin) fail(fmt::format("register {} lives in {}, of {}", r, p, end - begin));
    return begin + p;
  }
  Location slot(std::int64_t n) const {
    if (n < 0 || n >= std::int64_t{allocation_.frame_slots})
      fail(fmt::format("slot {} of a frame of {}", n, allocation_.frame_slots));
    return slots_at_ + static_cast<Location>(n);
  }

  // ---- Alignment ---------------------------------------------------------------------------

  struct Constant {
    VOp op;
    std::int64_t value;
    bool operator==(const Constant&) const = default;
  };
  /// Of `constant` only 32 bits count.
  static Constant constant_of(VOp op, std::int64_t value) {
    return {op, op == VOp::constant ? static_cast<std::int32_t>(value) : value};
  }

  void find_constants() {
    std::vector<std::uint32_t> writes(original_.registers.size(), 0);
    std::vector<const Instruction*> writer(original_.registers.size(), nullptr);
    const auto write = [&](VReg r, const Instruction& i) {
      if (r >= writes.size()) throw Error(fmt::format("vcode: no register {}", r));
      ++writes[r];
      writer[r] = &i;
    };
    for (const Instruction& i : original_.code) {
      for (std::size_t t = 0; t < i.temp_count; ++t) write(i.temps[t], i);
      if (i.dst != kNoReg) write(i.dst, i);
    }
    constant_.assign(writes.size(), -1);
    for (VReg r = 0; r < writes.size(); ++r) {
      if (writes[r] != 1 || !makes_constant(writer[r]->op) || writer[r]->dst != r) continue;
      const Constant c = constant_of(writer[r]->op, writer[r]->imm);
      auto at = std::find(constants_.begin(), constants_.end(), c);
      if (at == constants_.end()) {
        at = constants_.insert(at, c);
        holders_.emplace_back();
      }
      constant_[r] = static_cast<int>(at - constants_.begin());
      holders_[static_cast<std::size_t>(constant_[r])].push_back(r);
    }
  }

  bool is_constant(VReg r) const { return r < constant_.size() && constant_[r] >= 0; }

  /// The constant registers that have the value which the instruction makes.
  RegisterSet holders(const Instruction& i) const {
    const auto at = std::find(constants_.begin(), constants_.end(), constant_of(i.op, i.imm));
    if (at == constants_.end()) return {};
    return holders_[static_cast<std::size_t>(at - constants_.begin())];
  }

  void align() {
    source_.assign(program_.code.size(), kInserted);
    std::uint32_t next = 0;
    const auto may_be_missing = [&] {
      return next < original_.code.size() && makes_constant(original_.code[next].op) &&
             is_constant(original_.code[next].dst);
    };
    for (at_ = 0; at_ < program_.code.size(); ++at_) {
      const Instruction& i = program_.code[at_];
      if (i.op == VOp::spill_load || i.op == VOp::spill_store) continue;
      // A missing definition goes by the name of the register: another one may have its value.
      while (may_be_missing() &&
             (i.op != original_.code[next].op || i.dst != original_.code[next].dst))
        missing_.push_back(original_.code[next++].dst);
      const bool last = next == original_.code.size();
      if (makes_constant(i.op)) {
        const bool same = !last && original_.code[next].op == i.op &&
                          constant_of(i.op, original_.code[next].imm) == constant_of(i.op, i.imm);
        if (!same) continue;
      }
      if (last) fail("beyond the end of the original program");
      source_[at_] = next++;
    }
    while (may_be_missing()) ++next;
    if (next != original_.code.size())
      fail("missing at the end: " + print(original_, original_.code[next]));
  }

  void check_shape() {
    const Instruction& a = program_.code[at_];
    if (source_[at_] == kInserted) return check_inserted(a);
    const Instruction& o = original_.code[source_[at_]];
    const auto require = [&](bool condition) {
      if (!condition) fail("differs from the original's " + print(original_, o));
    };
    const auto same_register = [&](VReg mine, VReg its) {
      require((mine == kNoReg) == (its == kNoReg));
      if (mine == kNoReg) return;
      location(mine);
      require(its < original_.registers.size() &&
              program_.registers[mine] == original_.registers[its]);
    };
    require(a.op == o.op && a.cond == o.cond && a.imm == o.imm && a.label == o.label);
    require(a.temp_count == o.temp_count && a.temp_count <= a.temps.size());
    require(a.mem.scale == o.mem.scale && a.mem.displacement == o.mem.displacement);
    const Reads mine = reads_of(a);
    const Reads its = reads_of(o);
    for (std::size_t n = 0; n < mine.size(); ++n) {
      if (n < 3) {
        const Operand& x = a.src[n];
        const Operand& y = o.src[n];
        if (x.kind != y.kind) {
          require(is_folded(x, y) && info(a.op).flexible[n]);
          continue;
        }
        require(x.kind == Operand::Kind::reg || x.value == y.value);
      }
      same_register(mine[n], its[n]);
    }
    for (std::size_t t = 0; t < a.temp_count; ++t) same_register(a.temps[t], o.temps[t]);
    same_register(a.dst, o.dst);
    if (a.temp_count != 0) check_temporaries(a, o);
  }

  /// Whether `x` is the value of the constant register that `y` reads.
  bool is_folded(const Operand& x, const Operand& y) const {
    if (y.kind != Operand::Kind::reg || !is_constant(y.reg)) return false;
    const Constant& c = constants_[static_cast<std::size_t>(constant_[y.reg])];
    if (x.kind == Operand::Kind::constant) return c == constant_of(VOp::constant, x.value);
    return x.kind == Operand::Kind::immediate && c == constant_of(VOp::imm64, x.value);
  }

  void check_temporaries(const Instruction& a, const Instruction& o) const {
    const Reads mine = reads_of(a);
    const Reads its = reads_of(o);
    for (std::size_t t = 0; t < a.temp_count; ++t) {
      const Location l = location(a.temps[t]);
      for (const VReg r : mine)
        if (r != kNoReg && location(r) == l) fail("a temporary overwrites a source");
      if (a.dst != kNoReg && location(a.dst) == l) fail("a temporary is the destination");
      for (std::size_t u = 0; u < t; ++u)
        if (location(a.temps[u]) == l) fail("two temporaries are one register");
    }
    if (a.dst == kNoReg) return;
    for (std::size_t n = 0; n < mine.size(); ++n) {
      if (mine[n] == kNoReg || its[n] == o.dst) continue;
      if (location(mine[n]) == location(a.dst))
        fail("the destination overwrites a source while temporaries are in use");
    }
  }

  void check_inserted(const Instruction& a) const {
    const bool store = a.op == VOp::spill_store;
    if (a.op == VOp::spill_load || store) slot(a.imm);
    if (store != (a.dst == kNoReg)) fail("no register");
    if (store && a.src[0].kind != Operand::Kind::reg) fail("no register");
    location(store ? a.src[0].reg : a.dst);
    const RegClass made = a.op == VOp::imm64 ? RegClass::general : RegClass::vector;
    if (makes_constant(a.op) && program_.registers[a.dst] != made) fail("wrong class of register");
  }

  // ---- Control flow ------------------------------------------------------------------------

  static bool leaves(VOp op) { return op == VOp::jump || op == VOp::ret; }

  /// A block begins at the first instruction, at each label, and behind each jump.
  void find_blocks() {
    label_block_.assign(program_.label_count, kInserted);
    bool begins = true;
    for (at_ = 0; at_ < program_.code.size(); ++at_) {
      const Instruction& i = program_.code[at_];
      if (begins || i.op == VOp::label) starts_.push_back(at_);
      if (i.op == VOp::label) {
        if (i.label >= label_block_.size() || label_block_[i.label] != kInserted)
          fail("this label is unknown or placed twice");
        label_block_[i.label] = static_cast<std::uint32_t>(starts_.size() - 1);
      }
      begins = leaves(i.op) || i.op == VOp::jump_if;
    }
  }

  void solve() {
    if (starts_.empty()) return;
    entry_.assign(starts_.size(), {});
    changed_.assign(starts_.size(), 0);
    State start;
    start.reached = true;
    start.unwritten.assign(original_.registers.size(), 1);
    for (const VReg r : missing_) start.unwritten[r] = 0;
    start.holds.assign(locations_, {});
    entry_[0] = std::move(start);
    changed_[0] = 1;
    held_in_.resize(original_.registers.size());
    for (bool again = true; again;) {
      again = false;
      for (std::uint32_t b = 0; b < starts_.size(); ++b) {
        if (std::exchange(changed_[b], 0) == 0) continue;
        again = true;
        execute_block(b);
      }
    }
    // The states are final: only now do they tell what may be read.
    checking_ = true;
    for (std::uint32_t b = 0; b < starts_.size(); ++b)
      if (entry_[b].reached) execute_block(b);
  }

  void execute_block(std::uint32_t block) {
    enter(entry_[block]);
    const std::uint32_t end = block + 1 < starts_.size()
                                  ? starts_[block + 1]
                                  : static_cast<std::uint32_t>(program_.code.size());
    for (at_ = starts_[block]; at_ < end; ++at_) execute();
    if (checking_) return;
    at_ = end - 1;
    const Instruction& last = program_.code[at_];
    if (last.op == VOp::jump || last.op == VOp::jump_if) {
      if (last.label >= label_block_.size() || label_block_[last.label] == kInserted)
        fail("this label is not placed");
      flow(label_block_[last.label]);
    }
    if (!leaves(last.op) && block + 1 < starts_.size()) flow(block + 1);
  }

  /// The current state reaches the entry of a block.
  void flow(std::uint32_t block) {
    State& into = entry_[block];
    if (into.reached) {
      if (join(into, state_)) changed_[block] = 1;
    } else {
      into = state_;
      changed_[block] = 1;
    }
  }

  /// Takes from `into` what `from` does not say, too; says whether that was anything.
  bool join(State& into, const State& from) {
    bool changed = false;
    for (std::size_t l = 0; l < into.holds.size(); ++l) {
      const RegisterSet& x = into.holds[l];
      const RegisterSet& y = from.holds[l];
      if (x == y) continue;  // what U adds to both sides stays in U, or is in neither set
      joined_.clear();
      const auto keep = [&](VReg r, bool in_x, bool in_y) {
        if ((in_x || into.unwritten[r] != 0) && (in_y || from.unwritten[r] != 0))
          joined_.push_back(r);
      };
      auto i = x.begin();
      auto j = y.begin();
      while (i != x.end() || j != y.end()) {
        const bool in_x = i != x.end() && (j == y.end() || *i <= *j);
        const bool in_y = j != y.end() && (i == x.end() || *j <= *i);
        keep(in_x ? *i : *j, in_x, in_y);
        i += int{in_x};
        j += int{in_y};
      }
      if (joined_ == x) continue;
      into.holds[l] = joined_;
      changed = true;
    }
    for (std::size_t r = 0; r < into.unwritten.size(); ++r) {
      if (into.unwritten[r] == 0 || from.unwritten[r] != 0) continue;
      into.unwritten[r] = 0;
      changed = true;
    }
    return changed;
  }

  // ---- Transfer ----------------------------------------------------------------------------

  void enter(const State& entry) {
    state_ = entry;
    for (std::vector<Location>& l : held_in_) l.clear();
    for (Location l = 0; l < state_.holds.size(); ++l)
      for (const VReg r : state_.holds[l]) held_in_[r].push_back(l);
  }

  /// Says what a location holds from now on.
  void set(Location l, RegisterSet set) {
    for (const VReg r : set) held_in_[r].push_back(l);
    state_.holds[l] = std::move(set);
  }

  /// What is held of this register is stale from now on.
  void write(VReg original) {
    state_.unwritten[original] = 0;
    for (const Location l : held_in_[original]) erase(state_.holds[l], original);
    held_in_[original].clear();
  }

  void execute() {
    const Instruction& a = program_.code[at_];
    if (source_[at_] == kInserted) return execute_inserted(a);
    const Instruction& o = original_.code[source_[at_]];
    if (checking_) {
      const Reads mine = reads_of(a);
      const Reads its = reads_of(o);
      for (std::size_t n = 0; n < mine.size(); ++n)
        if (mine[n] != kNoReg) check_read(mine[n], its[n]);
      if (a.dst != kNoReg && info(a.op).inout) check_read(a.dst, o.dst);
    }
    for (std::size_t t = 0; t < a.temp_count; ++t) {
      write(o.temps[t]);
      set(location(a.temps[t]), {});
    }
    if (a.dst != kNoReg) execute_write(a, o);
  }

  void execute_inserted(const Instruction& a) {
    if (a.op == VOp::spill_store) {
      set(slot(a.imm), state_.holds[location(a.src[0].reg)]);
    } else if (a.op == VOp::spill_load) {
      RegisterSet loaded = state_.holds[slot(a.imm)];
      std::erase_if(loaded,
                    [&](VReg r) { return original_.registers[r] != program_.registers[a.dst]; });
      set(location(a.dst), std::move(loaded));
    } else {
      set(location(a.dst), holders(a));
    }
  }

  void execute_write(const Instruction& a, const Instruction& o) {
    if (is_constant(o.dst)) {
      state_.unwritten[o.dst] = 0;
      return set(location(a.dst), holders(o));
    }
    RegisterSet result;
    const bool move = o.op == VOp::mov || o.op == VOp::mov64;
    if (move && a.src[0].kind == Operand::Kind::reg) result = state_.holds[location(a.src[0].reg)];
    write(o.dst);
    insert(result, o.dst);
    set(location(a.dst), std::move(result));
  }

  void check_read(VReg mine, VReg its) const {
    if (state_.unwritten[its] != 0)
      fail(fmt::format("the original reads {} before it is written", name(its)));
    const RegisterSet& set = state_.holds[location(mine)];
    if (!contains(set, its))
      fail(fmt::format("reads {} for the original's {}, but it holds: {}", describe(location(mine)),
                       name(its), describe(set)));
  }

  const Program& original_;
  const Allocation& allocation_;
  const Program& program_;
  const Location vectors_at_, masks_at_, slots_at_, locations_;
  const bool masks_are_vectors_;

  std::vector<Constant> constants_;
  std::vector<RegisterSet> holders_;   ///< by constant: the constant registers that have it
  std::vector<int> constant_;          ///< by original register: its constant, or -1
  std::vector<std::uint32_t> source_;  ///< by instruction: that of the original, or kInserted
  std::vector<VReg> missing_;          ///< constant registers without a definition any more
  std::vector<std::uint32_t> starts_;  ///< by block: its first instruction
  std::vector<std::uint32_t> label_block_;
  std::vector<State> entry_;           ///< by block
  std::vector<std::uint8_t> changed_;  ///< by block: its entry, since it was last executed
  State state_;                        ///< before the current instruction
  /// By original register: all locations that hold it, and some that no longer do.
  std::vector<std::vector<Location>> held_in_;
  RegisterSet joined_;
  bool checking_ = false;
  std::uint32_t at_ = 0;
};

}  // namespace

void check_allocation(const Program& original, const Allocation& allocation,
                      const TargetInfo& target) {
  Checker(original, allocation, target).run();
}

}  // namespace burin::codegen
