// From allocated vcode to machine code, for AVX-512 and for AVX2 with FMA: one small function an
// operation. Most of the text is common: vec() gives a zmm or a ymm register, and Xbyak encodes
// either. Where masks are involved the two differ (k registers against vectors of lanes).
//
// A kernel is void(const KernelArguments*) in the System V convention. rbp is a frame pointer, so
// that perf can unwind; rsp is aligned where there are spill slots; constants lie behind the code
// and are addressed relative to rip, so the code can run wherever it is copied.
//
// A destination may be the register of any source: every operation reads all that it needs before
// it writes, or picks another form. Only operations with temps, and those whose only vector operand
// is the destination, are composed freely.

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <deque>
#include <limits>
#include <map>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <xbyak/xbyak.h>

#include "burin/error.h"
#include "codegen/machine_code.h"
#include "codegen/x64/division.h"
#include "codegen/x64/executable_memory.h"
#include "codegen/x64/registers.h"

namespace burin::codegen {
namespace x64 {
namespace {

using Xbyak::Address;
using Xbyak::Opmask;
using Xbyak::Reg32;
using Xbyak::Reg64;
using Xbyak::RegExp;
using Xbyak::Xmm;
using Xbyak::Ymm;
using Xbyak::Zmm;

/// Constants behind the code; equal ones are stored once.
class ConstantPool {
 public:
  using Words = std::vector<std::uint32_t>;

  const Xbyak::Label& label(const Words& words) {
    const auto [found, is_new] = index_.try_emplace(words, entries_.size());
    if (is_new) entries_.push_back({words, {}});
    return entries_[found->second].label;
  }

  /// The largest first, so that each is aligned to its size.
  void emit(Xbyak::CodeGenerator& to) {
    std::vector<Entry*> order;
    for (Entry& e : entries_) order.push_back(&e);
    std::stable_sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) {
      return a->words.size() > b->words.size();
    });
    if (!order.empty()) to.align(64);
    for (Entry* e : order) {
      to.L(e->label);
      for (const std::uint32_t word : e->words) to.dd(word);
    }
  }

 private:
  struct Entry {
    Words words;
    Xbyak::Label label;
  };
  std::map<Words, std::size_t> index_;
  std::deque<Entry> entries_;  // addresses of labels must stay
};

/// A vector operand that may lie in memory.
struct Source {
  bool in_register;
  Ymm reg;
  Address memory;
  const Xbyak::Operand& operand() const {
    return in_register ? static_cast<const Xbyak::Operand&>(reg) : memory;
  }
  bool is(const Ymm& other) const { return in_register && reg.getIdx() == other.getIdx(); }
};

class Assembler : public Xbyak::CodeGenerator {
 public:
  Assembler(const Allocation& allocation, const TargetInfo& target)
      : CodeGenerator(4096, Xbyak::AutoGrow),
        allocation_(allocation),
        program_(allocation.program),
        wide_(target.isa == Isa::avx512),
        lanes_(static_cast<int>(target.lanes())),
        vector_bytes_(static_cast<int>(target.vector_bytes)),
        labels_(program_.label_count) {
    setDefaultJmpNEAR(true);
    find_frame();
  }

  /// Emits the whole kernel and returns the offset of each instruction.
  std::vector<std::uint32_t> emit() {
    if (program_.code.empty() || !ends(program_.code.back()))
      throw Error("the kernel's last instruction is neither ret nor jump");
    std::vector<std::uint32_t> offsets;
    offsets.reserve(program_.code.size());
    enter();
    for (const Instruction& i : program_.code) {
      offsets.push_back(static_cast<std::uint32_t>(getSize()));
      emit(i);
    }
    pool_.emit(*this);
    ready(PROTECT_RW);  // resolves the labels; this buffer never becomes executable
    return offsets;
  }

 private:
  using Kind = Operand::Kind;

  static bool ends(const Instruction& i) { return i.op == VOp::ret || i.op == VOp::jump; }

  // ---------------------------------------------------------------------------------------------
  // Frame

  void find_frame() {
    std::array<bool, kGeneralRegisters.size()> used{};
    bool needs_scratch_slot = false;
    for (Instruction i : program_.code) {
      for_each_register(i, [&](VReg& r, bool, bool) {
        if (program_.registers[r] == RegClass::general) used.at(allocation_.physical[r]) = true;
      });
      needs_scratch_slot |= borrows(i);
    }
    for (std::size_t r = 0; r < used.size(); ++r)
      if (used[r] && kGeneralRegisters[r].callee_saved)
        saved_.emplace_back(kGeneralRegisters[r].code);
    frame_slots_ = static_cast<int>(allocation_.frame_slots) + (needs_scratch_slot ? 1 : 0);
  }

  void enter() {
    push(rbp);
    mov(rbp, rsp);
    for (const Reg64& r : saved_) push(r);
    if (frame_slots_ > 0) {
      sub(rsp, frame_slots_ * vector_bytes_);
      and_(rsp, -vector_bytes_);
    }
  }

  void leave() {
    vzeroupper();
    if (frame_slots_ > 0) lea(rsp, ptr[rbp - 8 * static_cast<int>(saved_.size())]);
    for (auto r = saved_.rbegin(); r != saved_.rend(); ++r) pop(*r);
    pop(rbp);
    CodeGenerator::ret();
  }

  Address slot(std::int64_t index) { return ptr[rsp + static_cast<int>(index) * vector_bytes_]; }

  /// Whether an operation needs one more vector register than it was given.
  bool borrows(const Instruction& i) const {
    if (i.op == VOp::store_bool) return i.temp_count == 0;
    const bool is_fma = i.op == VOp::fma || i.op == VOp::fnma;
    return is_fma && i.src[1].kind != Kind::reg && i.src[2].kind != Kind::reg &&
           index(i.dst) == index(i.src[0].reg);
  }

  /// Runs `f` with a vector register that is no operand; its value waits in the frame meanwhile.
  template <typename F>
  void with_borrowed(Instruction i, F&& f) {
    std::array<bool, 32> used{};
    for_each_register(i, [&](VReg& r, bool, bool) {
      const bool in_vector =
          class_of(r) == RegClass::vector || (class_of(r) == RegClass::mask && !wide_);
      if (in_vector) used.at(static_cast<std::size_t>(index(r))) = true;
    });
    const auto free = std::find(used.begin(), used.end(), false) - used.begin();
    const Ymm scratch = full(static_cast<int>(free));
    const Address home = slot(allocation_.frame_slots);
    vmovaps(home, scratch);
    f(scratch);
    vmovaps(scratch, home);
  }

  // ---------------------------------------------------------------------------------------------
  // Operands

  [[noreturn]] void fail(const Instruction& i, const std::string& why) const {
    throw Error(fmt::format("cannot emit '{}': {}", print(program_, i), why));
  }

  int index(VReg r) const { return allocation_.physical.at(r); }
  RegClass class_of(VReg r) const { return program_.registers.at(r); }

  Reg64 gpr(VReg r) const {
    return Reg64(kGeneralRegisters.at(static_cast<std::size_t>(index(r))).code);
  }
  /// A full vector register. (All state of a Zmm is in its base classes.)
  Ymm full(int index) const { return wide_ ? Ymm(Zmm(index)) : Ymm(index); }
  Ymm vec(VReg r) const { return full(index(r)); }
  Ymm vec(const Operand& o) const { return vec(o.reg); }
  Xmm low(VReg r) const { return Xmm(index(r)); }
  Opmask k(VReg r) const { return Opmask(mask_register(index(r))); }

  Reg64 general_temp(const Instruction& i) const { return gpr(temp(i, RegClass::general)); }
  VReg temp(const Instruction& i, RegClass wanted, int nth = 0) const {
    for (std::size_t t = 0; t < i.temp_count; ++t)
      if (class_of(i.temps[t]) == wanted && nth-- == 0) return i.temps[t];
    fail(i, "it lacks a temporary register");
  }

  int imm32(const Instruction& i, std::int64_t value) const {
    if (value < std::numeric_limits<std::int32_t>::min() ||
        value > std::numeric_limits<std::int32_t>::max())
      fail(i, "the immediate does not fit in 32 bits");
    return static_cast<int>(value);
  }

  RegExp address(const Instruction& i, int offset = 0) const {
    const Memory& m = i.mem;
    if (m.base == kNoReg && m.index == kNoReg) fail(i, "the address has no register");
    const std::int64_t displacement = imm32(i, std::int64_t{m.displacement} + offset);
    RegExp e = m.base == kNoReg ? RegExp() : RegExp(gpr(m.base));
    if (m.index != kNoReg) e = e + RegExp(gpr(m.index), m.scale);
    return e + static_cast<std::size_t>(displacement);
  }

  /// A constant of 32 bits as an operand of a vector operation.
  Address splat(std::uint32_t bits) {
    if (wide_) return ptr_b[rip + pool_.label({bits})];
    return ptr[rip + pool_.label(ConstantPool::Words(static_cast<std::size_t>(lanes_), bits))];
  }
  /// A constant of 32 bits as the operand of a broadcast.
  Address scalar(std::uint32_t bits) { return ptr[rip + pool_.label({bits})]; }
  Address lane_numbers() {
    ConstantPool::Words words;
    for (int n = 0; n < lanes_; ++n) words.push_back(static_cast<std::uint32_t>(n));
    return ptr[rip + pool_.label(words)];
  }

  Source source(const Instruction& i, std::size_t n) {
    const Operand& o = i.src[n];
    switch (o.kind) {
      case Kind::reg: return {true, vec(o), ptr[rsp]};
      case Kind::constant: return {false, full(0), splat(static_cast<std::uint32_t>(o.value))};
      case Kind::memory: return {false, full(0), ptr[address(i)]};
      case Kind::memory_splat: {
        if (wide_) return {false, full(0), ptr_b[address(i)]};
        // AVX2 has no such operand. The destination can take it, if nothing is read from there.
        for (const Operand& other : i.src)
          if (other.kind == Kind::reg && index(other.reg) == index(i.dst))
            fail(i, "the target has no broadcast operands, and the destination is a source");
        if (info(i.op).inout) fail(i, "the target has no broadcast operands");
        vbroadcastss(vec(i.dst), ptr[address(i)]);
        return {true, vec(i.dst), ptr[rsp]};
      }
      case Kind::none:
      case Kind::immediate: break;
    }
    fail(i, "a source operand is missing");
  }

  // ---------------------------------------------------------------------------------------------
  // General registers

  void copy(const Reg64& to, const Reg64& from) {
    if (to.getIdx() != from.getIdx()) mov(to, from);
  }
  void load_immediate(const Reg64& dst, std::int64_t value) {
    if (value == 0)
      xor_(dst.cvt32(), dst.cvt32());
    else
      mov(dst, static_cast<std::uint64_t>(value));
  }

  void add64(const Instruction& i) {
    const Reg64 dst = gpr(i.dst), a = gpr(i.src[0].reg);
    if (i.src[1].kind == Kind::immediate) {
      const int b = imm32(i, i.src[1].value);
      if (dst != a)
        lea(dst, ptr[a + b]);
      else if (b != 0)
        add(dst, b);
      return;
    }
    const Reg64 b = gpr(i.src[1].reg);
    if (dst == a)
      add(dst, b);
    else if (dst == b)
      add(dst, a);
    else
      lea(dst, ptr[a + b]);
  }

  void sub64(const Instruction& i) {
    const Reg64 dst = gpr(i.dst), a = gpr(i.src[0].reg);
    if (i.src[1].kind == Kind::immediate) {
      copy(dst, a);
      sub(dst, imm32(i, i.src[1].value));
      return;
    }
    const Reg64 b = gpr(i.src[1].reg);
    if (dst == b && dst != a) {
      neg(dst);
      add(dst, a);
    } else {
      copy(dst, a);
      sub(dst, b);
    }
  }

  void mul64(const Instruction& i) {
    const Reg64 dst = gpr(i.dst), a = gpr(i.src[0].reg);
    if (i.src[1].kind == Kind::immediate) {
      const int b = imm32(i, i.src[1].value);
      if (b > 0 && (b & (b - 1)) == 0) {
        copy(dst, a);
        if (b > 1) shl(dst, std::countr_zero(static_cast<unsigned>(b)));
      } else {
        imul(dst, a, b);
      }
      return;
    }
    const Reg64 b = gpr(i.src[1].reg);
    if (dst == b) {
      imul(dst, a);
    } else {
      copy(dst, a);
      imul(dst, b);
    }
  }

  void min_or_max64(const Instruction& i, bool is_min) {
    const Reg64 dst = gpr(i.dst);
    Reg64 a = gpr(i.src[0].reg);
    const auto replace_if_worse = [&](const Reg64& by) {
      if (is_min)
        cmovg(dst, by);
      else
        cmovl(dst, by);
    };
    if (i.src[1].kind == Kind::immediate) {
      const int b = imm32(i, i.src[1].value);
      if (dst != a) {
        load_immediate(dst, b);
        cmp(dst, a);
        replace_if_worse(a);
      } else {
        Xbyak::Label keep;
        cmp(dst, b);
        if (is_min)
          jle(keep, T_SHORT);
        else
          jge(keep, T_SHORT);
        load_immediate(dst, b);
        L(keep);
      }
      return;
    }
    Reg64 b = gpr(i.src[1].reg);
    if (dst == b) std::swap(a, b);
    copy(dst, a);
    cmp(dst, b);
    replace_if_worse(b);
  }

  void shl64(const Instruction& i) {
    if (i.src[1].kind != Kind::immediate || i.src[1].value < 0 || i.src[1].value > 63)
      fail(i, "the shift count is not an immediate in 0..63");
    copy(gpr(i.dst), gpr(i.src[0].reg));
    if (i.src[1].value != 0) shl(gpr(i.dst), static_cast<int>(i.src[1].value));
  }

  /// As doubles: for 0 <= a < 2^52 the quotient never rounds up to the next integer.
  void div64(const Instruction& i) {
    const Xmm a = low(temp(i, RegClass::vector, 0)), b = low(temp(i, RegClass::vector, 1));
    vxorps(a, a, a);  // the conversion keeps the upper half: wait for nobody
    vxorps(b, b, b);
    vcvtsi2sd(a, a, gpr(i.src[0].reg));
    vcvtsi2sd(b, b, gpr(i.src[1].reg));
    vdivsd(a, a, b);
    vcvttsd2si(gpr(i.dst), a);
  }

  void jump_if(const Instruction& i) {
    const Reg64 a = gpr(i.src[0].reg);
    if (i.src[1].kind != Kind::immediate)
      cmp(a, gpr(i.src[1].reg));
    else if (i.src[1].value == 0)
      test(a, a);
    else
      cmp(a, imm32(i, i.src[1].value));
    const Xbyak::Label& to = target_label(i);
    switch (i.cond) {
      case Cond::lt: return jl(to);
      case Cond::le: return jle(to);
      case Cond::gt: return jg(to);
      case Cond::ge: return jge(to);
      case Cond::eq: return je(to);
      case Cond::ne: return jne(to);
      case Cond::unord: break;
    }
    fail(i, "integers have no such condition");
  }

  Xbyak::Label& target_label(const Instruction& i) {
    if (i.label >= labels_.size()) fail(i, "no such label");
    return labels_[i.label];
  }

  void label(const Instruction& i) {
    if (i.imm > 1) align(static_cast<std::size_t>(i.imm));
    L(target_label(i));
  }

  // ---------------------------------------------------------------------------------------------
  // Masks

  void mask_first(const Instruction& i) {
    const Reg64 count = gpr(i.src[0].reg);
    if (wide_) {
      const Reg32 bits = general_temp(i).cvt32();
      mov(bits, -1);
      bzhi(bits, bits, count.cvt32());
      kmovw(k(i.dst), bits);
    } else {
      const Ymm dst = vec(i.dst);
      vmovd(low(i.dst), count.cvt32());
      vpbroadcastd(dst, low(i.dst));
      vpcmpgtd(dst, dst, lane_numbers());
    }
  }

  void mask_any(const Instruction& i) {
    const Reg32 dst = gpr(i.dst).cvt32();
    if (wide_)
      kmovw(dst, k(i.src[0].reg));
    else
      vmovmskps(dst, vec(i.src[0]));
  }

  /// The predicates that are quiet; "not equal" holds for NaN.
  static std::uint8_t predicate(Cond cond) {
    switch (cond) {
      case Cond::lt: return 0x11;
      case Cond::le: return 0x12;
      case Cond::gt: return 0x1e;
      case Cond::ge: return 0x1d;
      case Cond::eq: return 0x00;
      case Cond::ne: return 0x04;
      case Cond::unord: return 0x03;
    }
    return 0x0b;  // never
  }

  void compare(const Instruction& i) {
    const Source b = source(i, 1);
    if (wide_)
      vcmpps(k(i.dst), vec(i.src[0]), b.operand(), predicate(i.cond));
    else
      vcmpps(vec(i.dst), vec(i.src[0]), b.operand(), predicate(i.cond));
  }

  void blend(const Instruction& i) {
    if (wide_)
      vblendmps(vec(i.dst) | k(i.src[0].reg), vec(i.src[2]), vec(i.src[1]));
    else
      vblendvps(vec(i.dst), vec(i.src[2]), vec(i.src[1]), vec(i.src[0]));
  }

  // ---------------------------------------------------------------------------------------------
  // Moves, loads and stores

  void clear(VReg r) { vxorps(low(r), low(r), low(r)); }  // writes zeros to the whole register

  void move(const Instruction& i) {
    if (i.dst != kNoReg && class_of(i.dst) == RegClass::mask && wide_)
      kmovw(k(i.dst), k(i.src[0].reg));
    else if (index(i.dst) != index(i.src[0].reg))
      vmovaps(vec(i.dst), vec(i.src[0]));
  }

  void constant(const Instruction& i) {
    const auto bits = static_cast<std::uint32_t>(i.imm);
    if (bits == 0)
      clear(i.dst);
    else
      vbroadcastss(vec(i.dst), scalar(bits));
  }

  void splat64(const Instruction& i) {
    const Reg32 value = gpr(i.src[0].reg).cvt32();
    if (wide_) {
      vpbroadcastd(Zmm(index(i.dst)), value);
    } else {
      vmovd(low(i.dst), value);
      vpbroadcastd(vec(i.dst), low(i.dst));
    }
  }

  void load(const Instruction& i) {
    const Address from = ptr[address(i)];
    if (i.mask == kNoReg)
      vmovups(vec(i.dst), from);
    else if (wide_)
      vmovups(vec(i.dst) | k(i.mask) | T_z, from);
    else
      vmaskmovps(vec(i.dst), vec(i.mask), from);
  }

  void store(const Instruction& i) {
    const Address to = ptr[address(i)];
    if (i.mask == kNoReg)
      vmovups(to, vec(i.src[0]));
    else if (wide_)
      vmovups(to | k(i.mask), vec(i.src[0]));
    else
      vmaskmovps(to, vec(i.mask), vec(i.src[0]));
  }

  /// Runs `lane(n)` for the lanes n below `count`, which is read anew for each.
  template <typename F>
  void for_lanes_below(const Reg64& count, int lanes, F&& lane) {
    Xbyak::Label done;
    for (int n = 0; n < lanes; ++n) {
      cmp(count, n);
      jle(done);
      lane(n);
    }
    L(done);
  }

  Reg64 count(const Instruction& i) const {
    if (i.count == kNoReg) fail(i, "it needs the count of active lanes");
    return gpr(i.count);
  }

  void load_bool(const Instruction& i) {
    const Ymm dst = vec(i.dst);
    if (i.mask == kNoReg) {
      vpmovzxbd(dst, ptr[address(i)]);
    } else if (wide_) {
      vpmovzxbd(dst | k(i.mask) | T_z, ptr[address(i)]);
    } else {
      const Xmm bytes = low(i.dst);
      clear(i.dst);
      for_lanes_below(count(i), lanes_,
                      [&](int n) { vpinsrb(bytes, bytes, ptr[address(i, n)], n); });
      vpmovzxbd(dst, bytes);
    }
    zero_or_one(dst);
  }

  void load_bool_splat(const Instruction& i) {
    vpbroadcastb(vec(i.dst), ptr[address(i)]);
    zero_or_one(vec(i.dst));
  }

  /// i32 to f32 1, 0 remains 0.
  void zero_or_one(const Ymm& v) {
    vpminud(v, v, splat(1));
    vcvtdq2ps(v, v);
  }

  /// The lanes of `src` as bytes 0 or 1 in the low part of another register.
  void to_bytes(const Xmm& bytes, const Ymm& src) {
    constexpr std::uint8_t kNotEqual = 0x04;
    if (wide_) {
      vcmpps(k0, src, splat(0), kNotEqual);
      vpmovm2b(bytes, k0);
    } else {
      const Ymm lanes(bytes.getIdx());
      vcmpps(lanes, src, splat(0), kNotEqual);
      vpackssdw(lanes, lanes, lanes);        // in each half: its four lanes as words, twice
      vpacksswb(lanes, lanes, lanes);        // as bytes, four times
      vpermq(lanes, lanes, 0b00'00'10'00);   // the two halves side by side
      vpshufd(bytes, bytes, 0b00'00'10'00);  // in the low eight bytes
    }
    vpabsb(bytes, bytes);
  }

  void store_bool(const Instruction& i) {
    if (borrows(i))
      with_borrowed(i, [&](const Ymm& scratch) { store_bool(i, Xmm(scratch.getIdx())); });
    else
      store_bool(i, low(temp(i, RegClass::vector)));
  }
  void store_bool(const Instruction& i, const Xmm& bytes) {
    to_bytes(bytes, vec(i.src[0]));
    if (wide_ && i.mask == kNoReg)
      vmovdqu8(ptr[address(i)], bytes);
    else if (wide_)
      vmovdqu8(ptr[address(i)] | k(i.mask), bytes);
    else if (i.mask == kNoReg)
      vmovq(ptr[address(i)], bytes);
    else
      for_lanes_below(count(i), lanes_, [&](int n) { vpextrb(ptr[address(i, n)], bytes, n); });
  }

  /// Four lanes at a time in the low part of a register; `at` walks over the elements.
  void load_strided(const Instruction& i) {
    if (i.count == kNoReg) return load_all_strided(i);
    const Reg64 at = general_temp(i), stride = gpr(i.stride), n = count(i);
    const VReg group_reg = temp(i, RegClass::vector);
    Xbyak::Label done;
    clear(i.dst);
    lea(at, ptr[address(i)]);
    for (int first = 0; first < lanes_; first += 4) {
      const Xmm group = low(first == 0 ? i.dst : group_reg);
      Xbyak::Label group_done;
      for (int lane = 0; lane < 4; ++lane) {
        cmp(n, first + lane);
        jle(lane == 0 ? done : group_done);
        if (first + lane > 0) add(at, stride);
        if (lane == 0)
          vmovss(group, ptr[at]);
        else
          vinsertps(group, group, ptr[at], static_cast<std::uint8_t>(lane << 4));
      }
      L(group_done);
      if (first > 0) insert_quarter(i.dst, group, first / 4);
    }
    L(done);
  }

  void store_strided(const Instruction& i) {
    if (i.count == kNoReg) return store_all_strided(i);
    const Reg64 at = general_temp(i), stride = gpr(i.stride), n = count(i);
    const VReg group_reg = temp(i, RegClass::vector), src = i.src[0].reg;
    Xbyak::Label done;
    lea(at, ptr[address(i)]);
    for (int first = 0; first < lanes_; first += 4) {
      for (int lane = 0; lane < 4; ++lane) {
        cmp(n, first + lane);
        jle(done);
        if (first + lane > 0) add(at, stride);
        if (lane == 0 && first > 0) extract_quarter(low(group_reg), src, first / 4);
        const Xmm group = low(first == 0 ? src : group_reg);
        if (lane == 0)
          vmovss(ptr[at], group);
        else
          vextractps(ptr[at], group, static_cast<std::uint8_t>(lane));
      }
    }
    L(done);
  }

  /// Calls `lane(n, address)` for four lanes a stride apart, from `at` on; leaves `at` at the third of them.
  template <typename F>
  void walk_four(const Reg64& at, const Reg64& stride, F&& lane) {
    walk_two(at, stride, 0, lane);
    lea(at, ptr[at + 2 * stride]);
    walk_two(at, stride, 2, lane);
  }
  template <typename F>
  void walk_two(const Reg64& at, const Reg64& stride, int first, F&& lane) {
    lane(first, RegExp(at));
    lane(first + 1, at + stride);
  }

  void load_all_strided(const Instruction& i) {
    const Reg64 at = general_temp(i), stride = gpr(i.stride);
    lea(at, ptr[address(i)]);
    for (int first = 0; first < lanes_; first += 4) {
      const Xmm group = low(first == 0 ? i.dst : temp(i, RegClass::vector));
      if (first > 0) lea(at, ptr[at + 2 * stride]);
      walk_four(at, stride, [&](int lane, const RegExp& element) {
        if (lane == 0)
          vmovss(group, ptr[element]);
        else
          vinsertps(group, group, ptr[element], static_cast<std::uint8_t>(lane << 4));
      });
      if (first > 0) insert_quarter(i.dst, group, first / 4);
    }
  }

  void store_all_strided(const Instruction& i) {
    const Reg64 at = general_temp(i), stride = gpr(i.stride);
    const VReg src = i.src[0].reg;
    lea(at, ptr[address(i)]);
    for (int first = 0; first < lanes_; first += 4) {
      const Xmm group = low(first == 0 ? src : temp(i, RegClass::vector));
      if (first > 0) {
        extract_quarter(group, src, first / 4);
        lea(at, ptr[at + 2 * stride]);
      }
      walk_four(at, stride, [&](int lane, const RegExp& element) {
        if (lane == 0)
          vmovss(ptr[element], group);
        else
          vextractps(ptr[element], group, static_cast<std::uint8_t>(lane));
      });
    }
  }

  /// Calls `lane(n, address)` for the lanes n below the count, an address a stride apart.
  template <typename F>
  void walk_lanes(const Instruction& i, F&& lane) {
    const Reg64 at = general_temp(i), stride = gpr(i.stride);
    lea(at, ptr[address(i)]);
    for_lanes_below(count(i), lanes_, [&](int n) {
      if (n > 0) add(at, stride);
      lane(n, ptr[at]);
    });
  }

  void load_bool_strided(const Instruction& i) {
    const Xmm bytes = low(i.dst);
    clear(i.dst);
    walk_lanes(i, [&](int n, const Address& at) {
      vpinsrb(bytes, bytes, at, static_cast<std::uint8_t>(n));
    });
    vpmovzxbd(vec(i.dst), bytes);
    zero_or_one(vec(i.dst));
  }

  void store_bool_strided(const Instruction& i) {
    const Xmm bytes = low(temp(i, RegClass::vector));
    to_bytes(bytes, vec(i.src[0]));
    walk_lanes(i,
               [&](int n, const Address& at) { vpextrb(at, bytes, static_cast<std::uint8_t>(n)); });
  }

  // Quads: of each block of 128 bits two to four elements, which lie side by side.

  /// Calls `quad(n, address)` for the blocks whose first lane is below the count, or for all.
  template <typename F>
  void walk_quads(const Instruction& i, F&& quad) {
    const Reg64 at = general_temp(i), stride = gpr(i.stride);
    Xbyak::Label done;
    const auto walk = [&](int n, const RegExp& address) {
      if (i.count != kNoReg) {
        cmp(gpr(i.count), 4 * n);
        jle(done);
      }
      quad(n, address);
    };
    lea(at, ptr[address(i)]);
    if (wide_)
      walk_four(at, stride, walk);
    else
      walk_two(at, stride, 0, walk);
    L(done);
  }

  /// AVX-512 masks what is not there; otherwise it is not accessed.
  void load_quads(const Instruction& i) {
    if (i.count != kNoReg) clear(i.dst);
    walk_quads(i, [&](int n, const RegExp& at) {
      if (i.imm == 4 && n > 0) return insert_quarter(i.dst, ptr[at], n);
      const Xmm quad = low(n == 0 ? i.dst : temp(i, RegClass::vector));
      if (i.imm == 4) {
        vmovups(quad, ptr[at]);
      } else if (wide_) {
        vmovups(quad | k(i.mask) | T_z, ptr[at]);
      } else {
        vmovsd(quad, ptr[at]);
        if (i.imm == 3) vinsertps(quad, quad, ptr[at + 8], 2 << 4);
      }
      if (n > 0) insert_quarter(i.dst, quad, n);
    });
  }

  void store_quads(const Instruction& i) {
    const VReg src = i.src[0].reg;
    walk_quads(i, [&](int n, const RegExp& at) {
      if (i.imm == 4 && n > 0) return extract_quarter(ptr[at], src, n);
      const Xmm quad = low(n == 0 ? src : temp(i, RegClass::vector));
      if (n > 0) extract_quarter(quad, src, n);
      if (i.imm == 4) {
        vmovups(ptr[at], quad);
      } else if (wide_) {
        vmovups(ptr[at] | k(i.mask), quad);
      } else {
        vmovlps(ptr[at], quad);
        if (i.imm == 3) vextractps(ptr[at + 8], quad, 2);
      }
    });
  }

  void load_bool_quads(const Instruction& i) {
    const Xmm bytes = low(i.dst);
    clear(i.dst);
    walk_quads(i, [&](int n, const RegExp& at) {
      if (i.imm == 4) return vpinsrd(bytes, bytes, ptr[at], static_cast<std::uint8_t>(n));
      vpinsrw(bytes, bytes, ptr[at], static_cast<std::uint8_t>(2 * n));
      if (i.imm == 3) vpinsrb(bytes, bytes, ptr[at + 2], static_cast<std::uint8_t>(4 * n + 2));
    });
    vpmovzxbd(vec(i.dst), bytes);
    zero_or_one(vec(i.dst));
  }

  void store_bool_quads(const Instruction& i) {
    const Xmm bytes = low(temp(i, RegClass::vector));
    to_bytes(bytes, vec(i.src[0]));
    walk_quads(i, [&](int n, const RegExp& at) {
      if (i.imm == 4) return vpextrd(ptr[at], bytes, static_cast<std::uint8_t>(n));
      vpextrw(ptr[at], bytes, static_cast<std::uint8_t>(2 * n));
      if (i.imm == 3) vpextrb(ptr[at + 2], bytes, static_cast<std::uint8_t>(4 * n + 2));
    });
  }

  void insert_quarter(VReg into, const Xbyak::Operand& quarter, int n) {
    const Ymm v = vec(into);
    if (wide_)
      vinsertf32x4(v, v, quarter, static_cast<std::uint8_t>(n));
    else
      vinsertf128(v, v, quarter, static_cast<std::uint8_t>(n));
  }
  void extract_quarter(const Xbyak::Operand& into, VReg from, int n) {
    if (wide_)
      vextractf32x4(into, Zmm(index(from)), static_cast<std::uint8_t>(n));
    else
      vextractf128(into, vec(from), static_cast<std::uint8_t>(n));
  }

  void spill_load(const Instruction& i) {
    switch (class_of(i.dst)) {
      case RegClass::general: return mov(gpr(i.dst), slot(i.imm));
      case RegClass::mask:
        if (wide_) return kmovw(k(i.dst), slot(i.imm));
        [[fallthrough]];
      case RegClass::vector: return vmovaps(vec(i.dst), slot(i.imm));
      case RegClass::none: break;
    }
    fail(i, "a register without a class");
  }

  void spill_store(const Instruction& i) {
    const VReg src = i.src[0].reg;
    switch (class_of(src)) {
      case RegClass::general: return mov(slot(i.imm), gpr(src));
      case RegClass::mask:
        if (wide_) return kmovw(slot(i.imm), k(src));
        [[fallthrough]];
      case RegClass::vector: return vmovaps(slot(i.imm), vec(src));
      case RegClass::none: break;
    }
    fail(i, "a register without a class");
  }

  // ---------------------------------------------------------------------------------------------
  // Arithmetic

  /// dst = f(src0, src1). Xbyak declares the destination as Xmm or Ymm and the first source as Xmm,
  /// Ymm or Operand.
  template <typename D, typename A>
  void binary(const Instruction& i,
              void (CodeGenerator::*f)(const D&, const A&, const Xbyak::Operand&)) {
    const Source b = source(i, 1);
    (this->*f)(vec(i.dst), vec(i.src[0]), b.operand());
  }

  /// dst = f(src0).
  void unary(const Instruction& i, void (CodeGenerator::*f)(const Xmm&, const Xbyak::Operand&)) {
    (this->*f)(vec(i.dst), vec(i.src[0]));
  }

  using Fma = void (CodeGenerator::*)(const Xmm&, const Xmm&, const Xbyak::Operand&);
  struct FmaForms {
    Fma f132;  ///< x = x * z + y
    Fma f213;  ///< x = y * x + z
    Fma f231;  ///< x = y * z + x
  };
  static constexpr FmaForms kFmadd{&CodeGenerator::vfmadd132ps, &CodeGenerator::vfmadd213ps,
                                   &CodeGenerator::vfmadd231ps};
  static constexpr FmaForms kFnmadd{&CodeGenerator::vfnmadd132ps, &CodeGenerator::vfnmadd213ps,
                                    &CodeGenerator::vfnmadd231ps};

  /// dst = a * b + c with b and c possibly in memory: the destination must be one of the registers,
  /// and memory can only be the last operand of a form.
  void fused(const Instruction& i, const FmaForms& forms) {
    const Ymm dst = vec(i.dst), a = vec(i.src[0]);
    const Source b = source(i, 1), c = source(i, 2);
    if (!c.in_register && b.in_register && dst == a)
      return (this->*forms.f213)(dst, b.reg, c.memory);
    if (!c.in_register && b.is(dst)) return (this->*forms.f213)(dst, a, c.memory);
    if (!c.in_register && dst == a)
      return with_borrowed(i, [&](const Ymm& scratch) {
        load_source(scratch, i, 2, c);
        (this->*forms.f132)(dst, scratch, b.memory);
      });
    if (c.in_register && dst == a && !c.is(dst))
      return (this->*forms.f132)(dst, c.reg, b.operand());
    if (c.in_register && b.is(dst) && !c.is(dst)) return (this->*forms.f213)(dst, a, c.reg);
    if (!c.is(dst)) load_source(dst, i, 2, c);
    (this->*forms.f231)(dst, a, b.operand());
  }

  void load_source(const Ymm& into, const Instruction& i, std::size_t n, const Source& s) {
    if (s.in_register)
      vmovaps(into, s.reg);
    else if (i.src[n].kind == Kind::memory)
      vmovups(into, s.memory);
    else
      vbroadcastss(into, first_element(i, n));
  }

  /// The scalar behind a splat operand.
  Address first_element(const Instruction& i, std::size_t n) {
    const Operand& o = i.src[n];
    return o.kind == Kind::constant ? scalar(static_cast<std::uint32_t>(o.value)) : ptr[address(i)];
  }

  /// Products of the odd and of the even lanes, 64 bits each.
  void mul_high_u32(const Instruction& i) {
    constexpr std::uint8_t kWord = 32;
    const Ymm even = vec(i.dst), odd = vec(temp(i, RegClass::vector)), a = vec(i.src[0]), b = vec(i.src[1]);
    vpsrlq(odd, a, kWord);
    vpsrlq(even, b, kWord);
    vpmuludq(odd, odd, even);
    vpmuludq(even, a, b);
    vpsrlq(even, even, kWord);
    vpsrlq(odd, odd, kWord);
    vpsllq(odd, odd, kWord);
    vorps(even, even, odd);
  }

  // Quotients and remainders.

  template <std::size_t n>
  std::array<Ymm, n> vector_temps(const Instruction& i) const {
    std::array<Ymm, n> temps;
    for (std::size_t t = 0; t < n; ++t) temps[t] = vec(temp(i, RegClass::vector, static_cast<int>(t)));
    return temps;
  }

  void divide(const Instruction& i) {
    Division division(*this, wide_, [this](double x) {
      const auto bits = std::bit_cast<std::uint64_t>(x);
      return ptr[rip + pool_.label({static_cast<std::uint32_t>(bits), static_cast<std::uint32_t>(bits >> 32)})];
    });
    const Ymm dst = vec(i.dst), a = vec(i.src[0]), b = vec(i.src[1]);
    switch (i.op) {
      case VOp::div_i32: return division.of_i32(dst, a, b, vector_temps<2>(i));
      case VOp::div_i64: return division.of_i64(dst, a, b, vector_temps<4>(i));
      default: return division.remainder(dst, a, b, vector_temps<3>(i));
    }
  }

  void fma_acc(const Instruction& i) {
    const Source b = source(i, 1);
    vfmadd231ps(vec(i.dst), vec(i.src[0]), b.operand());
  }

  void round(const Instruction& i) {
    if (i.imm < 0 || i.imm > 3) fail(i, "no such rounding mode");
    const auto mode = static_cast<std::uint8_t>(i.imm | 8);  // 8: no inexact exception
    if (wide_)
      vrndscaleps(vec(i.dst), vec(i.src[0]), mode);
    else
      vroundps(vec(i.dst), vec(i.src[0]), mode);
  }

  void fraction(const Instruction& i) {
    if (!wide_) fail(i, "the target has no such instruction");
    vreduceps(vec(i.dst), vec(i.src[0]), 1 | 8);  // floor, no fraction bits kept
  }

  void scale_exponent(const Instruction& i) {
    if (!wide_) fail(i, "the target has no such instruction");
    vscalefps(vec(i.dst), vec(i.src[0]), vec(i.src[1]));
  }

  void limit_magnitude(const Instruction& i) {
    if (!wide_) fail(i, "the target has no such instruction");
    const Source b = source(i, 1);
    vrangeps(vec(i.dst), vec(i.src[0]), b.operand(), 2);  // the smaller magnitude, the sign of the first
  }

  void shift(const Instruction& i,
             void (CodeGenerator::*f)(const Xmm&, const Xbyak::Operand&, std::uint8_t)) {
    if (i.imm < 0 || i.imm > 31) fail(i, "the shift count is not in 0..31");
    (this->*f)(vec(i.dst), vec(i.src[0]), static_cast<std::uint8_t>(i.imm));
  }

  void shuffle128(const Instruction& i) {
    const auto imm = static_cast<std::uint8_t>(i.imm);
    if (wide_)
      vshuff32x4(vec(i.dst), vec(i.src[0]), vec(i.src[1]), imm);
    else
      vperm2f128(vec(i.dst), vec(i.src[0]), vec(i.src[1]), imm);
  }

  /// (the index register is the instruction's first source)
  void lookup(const Instruction& i) {
    const Source table = source(i, 1);
    vpermps(vec(i.dst), vec(i.src[0]), table.operand());
  }

  void lookup_both(const Instruction& i) {
    temp(i, RegClass::vector);  // it makes that the destination is none of the sources
    vmovaps(vec(i.dst), vec(i.src[0]));
    vpermi2ps(vec(i.dst), vec(i.src[1]), vec(i.src[2]));
  }

  /// The words are put together, which leaves pairs of results in the order 0, 2, 4, 6, 1, 3, 5, 7.
  void i64_to_f32_of_halves(const Instruction& i) {
    const VReg other = temp(i, RegClass::vector);
    const Zmm first(index(i.dst)), second(index(other));
    vpunpckldq(first, vec(i.src[0]), vec(i.src[1]));
    vpunpckhdq(second, vec(i.src[0]), vec(i.src[1]));
    vcvtqq2ps(Ymm(first.getIdx()), first);
    vcvtqq2ps(Ymm(second.getIdx()), second);
    vinsertf64x4(first, first, Ymm(second.getIdx()), 1);
    ConstantPool::Words order;
    for (const std::uint32_t pair : {0, 4, 1, 5, 2, 6, 3, 7}) order.insert(order.end(), {pair, 0});
    vmovups(second, ptr[rip + pool_.label(order)]);
    vpermpd(first, second, first);
  }

  /// The machine converts words side by side, and what has more than one (which is rare) one by one, below the stack.
  void i64_to_f32_one_by_one(const Instruction& i) {
    constexpr int kAllLanes = 0xff, kPairs = 64, kResults = 96;
    const Ymm dst = vec(i.dst), low = vec(i.src[0]), high = vec(i.src[1]);
    const Xmm one = this->low(temp(i, RegClass::vector));
    const Reg32 signs = general_temp(i).cvt32();
    Xbyak::Label done;
    vpsrad(dst, low, 31);
    vpcmpeqd(dst, dst, high);
    vmovmskps(signs, dst);
    vcvtdq2ps(dst, low);
    cmp(signs, kAllLanes);
    je(done);
    vpunpckldq(dst, low, high);
    vmovups(ptr[rsp - kPairs], dst);
    vpunpckhdq(dst, low, high);
    vmovups(ptr[rsp - kPairs + vector_bytes_], dst);
    int pair = 0;
    for (const int lane : {0, 1, 4, 5, 2, 3, 6, 7}) {
      vxorps(one, one, one);
      vcvtsi2ss(one, one, qword[rsp - kPairs + 8 * pair++]);
      vmovss(ptr[rsp - kResults + 4 * lane], one);
    }
    vmovups(dst, ptr[rsp - kResults]);
    L(done);
  }

  void prefetch(const Instruction& i) {
    const Address at = ptr[address(i)];
    if (i.imm == 0)
      prefetcht0(at);
    else
      prefetcht1(at);
  }

  // ---------------------------------------------------------------------------------------------

  void emit(const Instruction& i) {
    using C = CodeGenerator;
    switch (i.op) {
      case VOp::arguments: return copy(gpr(i.dst), rdi);
      case VOp::imm64: return load_immediate(gpr(i.dst), i.imm);
      case VOp::mov64: return copy(gpr(i.dst), gpr(i.src[0].reg));
      case VOp::add64: return add64(i);
      case VOp::sub64: return sub64(i);
      case VOp::mul64: return mul64(i);
      case VOp::min64: return min_or_max64(i, true);
      case VOp::max64: return min_or_max64(i, false);
      case VOp::shl64: return shl64(i);
      case VOp::div64: return div64(i);
      case VOp::lea64: return lea(gpr(i.dst), ptr[address(i)]);
      case VOp::load64: return mov(gpr(i.dst), qword[address(i)]);
      case VOp::store64: return mov(qword[address(i)], gpr(i.src[0].reg));
      case VOp::label: return label(i);
      case VOp::jump: return jmp(target_label(i));
      case VOp::jump_if: return jump_if(i);
      case VOp::ret: return leave();
      case VOp::prefetch: return prefetch(i);
      case VOp::mask_first: return mask_first(i);
      case VOp::equal_i32: return wide_ ? vpcmpeqd(k(i.dst), vec(i.src[0]), source(i, 1).operand()) : binary<Xmm, Xmm>(i, &C::vpcmpeqd);
      case VOp::greater_i32: return wide_ ? vpcmpgtd(k(i.dst), vec(i.src[0]), source(i, 1).operand()) : binary<Xmm, Xmm>(i, &C::vpcmpgtd);
      case VOp::mask_any: return mask_any(i);
      case VOp::cmp: return compare(i);
      case VOp::mov: return move(i);
      case VOp::constant: return constant(i);
      case VOp::iota: return vmovups(vec(i.dst), lane_numbers());
      case VOp::splat64: return splat64(i);
      case VOp::load: return load(i);
      case VOp::load_splat: return vbroadcastss(vec(i.dst), ptr[address(i)]);
      case VOp::store: return store(i);
      case VOp::store_first: return vmovss(dword[address(i)], vec(i.src[0]).cvt128());
      case VOp::store_stream: return vmovntps(ptr[address(i)], vec(i.src[0]));
      case VOp::fence: return sfence();
      case VOp::load_bool: return load_bool(i);
      case VOp::load_bool_splat: return load_bool_splat(i);
      case VOp::store_bool: return store_bool(i);
      case VOp::load_strided: return load_strided(i);
      case VOp::store_strided: return store_strided(i);
      case VOp::load_bool_strided: return load_bool_strided(i);
      case VOp::store_bool_strided: return store_bool_strided(i);
      case VOp::load_quads: return load_quads(i);
      case VOp::store_quads: return store_quads(i);
      case VOp::load_bool_quads: return load_bool_quads(i);
      case VOp::store_bool_quads: return store_bool_quads(i);
      case VOp::spill_load: return spill_load(i);
      case VOp::spill_store: return spill_store(i);
      case VOp::add: return binary(i, &C::vaddps);
      case VOp::sub: return binary(i, &C::vsubps);
      case VOp::mul: return binary(i, &C::vmulps);
      case VOp::div: return binary(i, &C::vdivps);
      case VOp::min: return binary(i, &C::vminps);
      case VOp::max: return binary(i, &C::vmaxps);
      case VOp::sqrt: return unary(i, &C::vsqrtps);
      case VOp::fma: return fused(i, kFmadd);
      case VOp::fnma: return fused(i, kFnmadd);
      case VOp::fma_acc: return fma_acc(i);
      case VOp::fmod:
      case VOp::div_i32:
      case VOp::div_i64: return divide(i);
      case VOp::round: return round(i);
      case VOp::fraction: return fraction(i);
      case VOp::scale_exponent: return scale_exponent(i);
      case VOp::limit_magnitude: return limit_magnitude(i);
      case VOp::blend: return blend(i);
      case VOp::and_bits: return binary(i, &C::vandps);
      case VOp::or_bits: return binary(i, &C::vorps);
      case VOp::xor_bits: return binary(i, &C::vxorps);
      case VOp::add_i32: return binary(i, &C::vpaddd);
      case VOp::sub_i32: return binary(i, &C::vpsubd);
      case VOp::mul_i32: return binary(i, &C::vpmulld);
      case VOp::mul_high_u32: return mul_high_u32(i);
      case VOp::min_i32: return binary(i, &C::vpminsd);
      case VOp::max_i32: return binary(i, &C::vpmaxsd);
      case VOp::shl_i32: return shift(i, &C::vpslld);
      case VOp::shr_i32: return shift(i, &C::vpsrld);
      case VOp::sar_i32: return shift(i, &C::vpsrad);
      case VOp::to_i32: return unary(i, &C::vcvtps2dq);
      case VOp::to_f32: return unary(i, &C::vcvtdq2ps);
      case VOp::i64_to_f32: return wide_ ? i64_to_f32_of_halves(i) : i64_to_f32_one_by_one(i);
      case VOp::unpack_low32: return binary(i, &C::vunpcklps);
      case VOp::unpack_high32: return binary(i, &C::vunpckhps);
      case VOp::unpack_low64: return binary(i, &C::vunpcklpd);
      case VOp::unpack_high64: return binary(i, &C::vunpckhpd);
      case VOp::shuffle_words:
        return vshufps(vec(i.dst), vec(i.src[0]), vec(i.src[1]), static_cast<std::uint8_t>(i.imm));
      case VOp::shuffle128: return shuffle128(i);
      case VOp::permute_in128:
        return vpermilps(vec(i.dst), vec(i.src[0]), static_cast<std::uint8_t>(i.imm));
      case VOp::lookup_both: return lookup_both(i);
      case VOp::lookup16: return lookup(i);
    }
    fail(i, "no such operation");
  }

  const Allocation& allocation_;
  const Program& program_;
  const bool wide_;  ///< AVX-512: zmm and k registers; else AVX2: ymm
  const int lanes_;
  const int vector_bytes_;
  std::vector<Reg64> saved_;
  int frame_slots_ = 0;  ///< those of the allocation, then one for borrowed registers
  std::deque<Xbyak::Label> labels_;
  ConstantPool pool_;
};

}  // namespace
}  // namespace x64

std::unique_ptr<MachineCode> assemble(const Allocation& allocation, const TargetInfo& target,
                                      const std::string& name) {
  if (target.isa != Isa::avx2 && target.isa != Isa::avx512)
    throw Error(fmt::format("kernel '{}': no code generator for the instruction set '{}'", name,
                            to_string(target.isa)));
  try {
    x64::Assembler assembler(allocation, target);
    std::vector<std::uint32_t> offsets = assembler.emit();
    const auto code = std::as_bytes(std::span(assembler.getCode(), assembler.getSize()));
    return x64::make_executable(code, std::move(offsets), name);
  } catch (const Xbyak::Error& e) {
    throw Error(fmt::format("kernel '{}': assembler: {}", name, e.what()));
  }
}

}  // namespace burin::codegen
