#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "codegen/vcode.h"

namespace burin::codegen::test {

/// What a run of a program left in memory, or that it did not end in time.
struct Execution {
  bool ended = false;
  int steps = 0;
  std::vector<std::uint32_t> memory;
};

/// Runs vcode, slowly and plainly: over virtual registers, or over the registers and slots of an
/// allocation. Vectors have four lanes; memory wraps around; the kernel's argument is address 0.
/// What was never written holds garbage that depends on its place. An instruction with temporaries
/// fills them, then its destination, with garbage before it reads any source.
class Interpreter {
 public:
  static constexpr std::size_t kLanes = 4;

  explicit Interpreter(const Program& program) : program_(program) {
    places_.resize(program.registers.size());
    fill_with_garbage(1);
  }
  Interpreter(const Allocation& allocation, const TargetInfo& target)
      : program_(allocation.program),
        allocation_(&allocation),
        vectors_at_(static_cast<std::size_t>(target.general_registers)),
        masks_at_(vectors_at_ + static_cast<std::size_t>(target.vector_registers)),
        slots_at_(masks_at_ + static_cast<std::size_t>(target.mask_registers)),
        masks_are_vectors_(target.mask_registers == 0) {
    places_.resize(slots_at_ + allocation.frame_slots);
    fill_with_garbage(2);
  }

  Execution run(std::vector<std::uint32_t> memory, int step_limit = 200000) {
    memory_ = std::move(memory);
    std::vector<std::size_t> labels(program_.label_count, 0);
    for (std::size_t i = 0; i < program_.code.size(); ++i)
      if (program_.code[i].op == VOp::label) labels[program_.code[i].label] = i;
    std::size_t at = 0;
    for (int steps = 0; steps < step_limit; ++steps) {
      if (at >= program_.code.size() || program_.code[at].op == VOp::ret)
        return {true, steps, std::move(memory_)};
      const Instruction& i = program_.code[at++];
      if (i.op == VOp::jump || (i.op == VOp::jump_if && holds(i)))
        at = labels[i.label];
      else if (!info(i.op).control)
        execute(i);
    }
    return {};
  }

 private:
  /// Lane 0 is what a general register has; masks have 0 or 1 in each lane.
  using Value = std::array<std::uint64_t, kLanes>;

  void fill_with_garbage(std::uint64_t seed) {
    for (std::size_t p = 0; p < places_.size(); ++p)
      for (std::size_t l = 0; l < kLanes; ++l) places_[p][l] = garbage(seed + 1000 * p + l);
  }
  static std::uint64_t garbage(std::uint64_t x) { return ((x + 7) * 0x9e3779b97f4a7c15U) >> 20; }

  Value& place(VReg r) {
    if (allocation_ == nullptr) return places_.at(r);
    const std::size_t p = allocation_->physical.at(r);
    switch (program_.registers.at(r)) {
      case RegClass::general: return places_.at(p);
      case RegClass::mask: return places_.at((masks_are_vectors_ ? vectors_at_ : masks_at_) + p);
      default: return places_.at(vectors_at_ + p);
    }
  }
  Value& slot(const Instruction& i) {
    return places_.at(slots_at_ + static_cast<std::size_t>(i.imm));
  }

  std::int64_t general(VReg r) { return static_cast<std::int64_t>(place(r)[0]); }
  std::int64_t general(const Operand& o) {
    return o.kind == Operand::Kind::immediate ? o.value : general(o.reg);
  }
  std::int64_t address(const Memory& m) {
    std::uint64_t a = m.base == kNoReg ? 0 : place(m.base)[0];
    if (m.index != kNoReg) a += place(m.index)[0] * m.scale;
    return static_cast<std::int64_t>(a + static_cast<std::uint64_t>(std::int64_t{m.displacement}));
  }
  std::uint32_t& word(std::int64_t byte) {
    return memory_[(static_cast<std::uint64_t>(byte) / 4) % memory_.size()];
  }
  bool on(const Instruction& i, std::size_t lane) {
    if (i.mask != kNoReg) return (place(i.mask)[lane] & 1) != 0;
    return i.count == kNoReg || static_cast<std::int64_t>(lane) < general(i.count);
  }
  bool in_quad(const Instruction& i, std::size_t lane) {
    const bool is_read = i.count == kNoReg || static_cast<std::int64_t>(lane / 4 * 4) < general(i.count);
    const bool is_masked = i.mask != kNoReg && (place(i.mask)[lane % 4] & 1) == 0;
    return is_read && !is_masked && static_cast<std::int64_t>(lane % 4) < i.imm;
  }
  Value vector(const Instruction& i, std::size_t n) {
    const Operand& o = i.src[n];
    Value v{};
    for (std::size_t l = 0; l < kLanes; ++l) {
      switch (o.kind) {
        case Operand::Kind::reg: v[l] = place(o.reg)[l]; break;
        case Operand::Kind::constant: v[l] = static_cast<std::uint32_t>(o.value); break;
        case Operand::Kind::memory: v[l] = word(address(i.mem) + 4 * std::int64_t(l)); break;
        case Operand::Kind::memory_splat: v[l] = word(address(i.mem)); break;
        default: break;
      }
    }
    return v;
  }

  static float f32(std::uint64_t x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x)); }
  static std::uint64_t bits(float x) { return std::bit_cast<std::uint32_t>(x); }

  template <typename T>
  static bool compare(Cond c, T a, T b) {
    switch (c) {
      case Cond::lt: return a < b;
      case Cond::le: return a <= b;
      case Cond::gt: return a > b;
      case Cond::ge: return a >= b;
      case Cond::eq: return a == b;
      case Cond::ne: return a != b;
      case Cond::unord: return a != a || b != b;
    }
    return false;
  }
  bool holds(const Instruction& i) { return compare(i.cond, general(i.src[0]), general(i.src[1])); }

  void execute(const Instruction& i) {
    const Value result = i.temp_count == 0 ? evaluate(i) : evaluate_with_temporaries(i);
    if (i.dst != kNoReg) place(i.dst) = result;
  }

  Value evaluate_with_temporaries(const Instruction& i) {
    const bool free = i.dst != kNoReg && !reads(i, i.dst);
    for (std::size_t t = 0; t < i.temp_count; ++t) place(i.temps[t]).fill(garbage(t));
    if (free) place(i.dst).fill(garbage(5));
    return evaluate(i);
  }
  static bool reads(const Instruction& i, VReg r) {
    return std::any_of(i.src.begin(), i.src.end(), [r](const Operand& o) {
      return o.kind == Operand::Kind::reg && o.reg == r;
    });
  }

  Value evaluate(const Instruction& i) {
    const auto number = [](std::int64_t x) { return Value{static_cast<std::uint64_t>(x)}; };
    const auto unsigned_of = [&](std::size_t n) {
      return static_cast<std::uint64_t>(general(i.src[n]));
    };
    Value r{};
    switch (i.op) {
      case VOp::arguments: return r;
      case VOp::imm64: return number(i.imm);
      case VOp::mov64: return number(general(i.src[0]));
      case VOp::add64: r[0] = unsigned_of(0) + unsigned_of(1); return r;
      case VOp::sub64: r[0] = unsigned_of(0) - unsigned_of(1); return r;
      case VOp::mul64: r[0] = unsigned_of(0) * unsigned_of(1); return r;
      case VOp::min64: return number(std::min(general(i.src[0]), general(i.src[1])));
      case VOp::max64: return number(std::max(general(i.src[0]), general(i.src[1])));
      case VOp::shl64: r[0] = unsigned_of(0) << (unsigned_of(1) % 64); return r;
      case VOp::div64: {
        const std::int64_t a = general(i.src[0]);
        const std::int64_t b = general(i.src[1]);
        return number(a < 0 || b <= 0 ? 0 : a / b);
      }
      case VOp::lea64: return number(address(i.mem));
      case VOp::load64: {
        const std::int64_t a = address(i.mem);
        r[0] = word(a) | std::uint64_t{word(a + 4)} << 32;
        return r;
      }
      case VOp::store64: {
        const std::int64_t a = address(i.mem);
        const std::uint64_t x = unsigned_of(0);
        word(a) = static_cast<std::uint32_t>(x);
        word(a + 4) = static_cast<std::uint32_t>(x >> 32);
        return r;
      }
      case VOp::mask_first:
        for (std::size_t l = 0; l < kLanes; ++l)
          r[l] = static_cast<std::int64_t>(l) < general(i.src[0]) ? 1 : 0;
        return r;
      case VOp::mask_any:
        r[0] = std::any_of(place(i.src[0].reg).begin(), place(i.src[0].reg).end(), [](std::uint64_t x) { return x != 0; }) ? 1 : 0;
        return r;
      case VOp::prefetch: return r;
      case VOp::spill_load: return slot(i);
      case VOp::spill_store: return slot(i) = place(i.src[0].reg);
      default: break;
    }
    const std::int64_t stride = i.stride == kNoReg ? 4 : general(i.stride);
    const auto lane_address = [&](std::size_t l) {
      return static_cast<std::int64_t>(static_cast<std::uint64_t>(address(i.mem)) +
                                       l * static_cast<std::uint64_t>(stride));
    };
    const auto quad_address = [&](std::size_t l) { return lane_address(l / 4) + 4 * static_cast<std::int64_t>(l % 4); };
    switch (i.op) {
      case VOp::load:
      case VOp::load_strided:
        for (std::size_t l = 0; l < kLanes; ++l)
          if (on(i, l)) r[l] = word(lane_address(l));
        return r;
      case VOp::load_quads:
        for (std::size_t l = 0; l < kLanes; ++l)
          if (in_quad(i, l)) r[l] = word(quad_address(l));
        return r;
      case VOp::store_quads: {
        const Value v = vector(i, 0);
        for (std::size_t l = 0; l < kLanes; ++l)
          if (in_quad(i, l)) word(quad_address(l)) = static_cast<std::uint32_t>(v[l]);
        return r;
      }
      case VOp::load_splat: r.fill(word(address(i.mem))); return r;
      case VOp::store:
      case VOp::store_strided: {
        const Value v = vector(i, 0);
        for (std::size_t l = 0; l < kLanes; ++l)
          if (on(i, l)) word(lane_address(l)) = static_cast<std::uint32_t>(v[l]);
        return r;
      }
      default: break;
    }
    const Value a = vector(i, 0);
    const Value b = vector(i, 1);
    const Value c = vector(i, 2);
    const Value old = info(i.op).inout ? place(i.dst) : Value{};
    for (std::size_t l = 0; l < kLanes; ++l) r[l] = lane(i, l, a[l], b[l], c[l], old[l]);
    return r;
  }

  std::uint64_t lane(const Instruction& i, std::size_t l, std::uint64_t a, std::uint64_t b,
                     std::uint64_t c, std::uint64_t old) {
    const float x = f32(a);
    const float y = f32(b);
    const float z = f32(c);
    const auto a32 = static_cast<std::uint32_t>(a);
    const auto b32 = static_cast<std::uint32_t>(b);
    switch (i.op) {
      case VOp::cmp: return compare(i.cond, x, y) ? 1 : 0;
      case VOp::mov: return a;
      case VOp::constant: return static_cast<std::uint32_t>(i.imm);
      case VOp::iota: return l;
      case VOp::splat64: return static_cast<std::uint32_t>(place(i.src[0].reg)[0]);
      case VOp::add: return bits(x + y);
      case VOp::sub: return bits(x - y);
      case VOp::mul: return bits(x * y);
      case VOp::div: return bits(x / y);
      case VOp::min: return x < y ? a : b;
      case VOp::max: return x > y ? a : b;
      case VOp::sqrt: return bits(std::sqrt(x));
      case VOp::fma: return bits(std::fma(x, y, z));
      case VOp::fnma: return bits(std::fma(-x, y, z));
      case VOp::fma_acc: return bits(std::fma(x, y, f32(old)));
      case VOp::blend: return (a & 1) != 0 ? b : c;
      case VOp::and_bits: return a32 & b32;
      case VOp::or_bits: return a32 | b32;
      case VOp::xor_bits: return a32 ^ b32;
      case VOp::add_i32: return a32 + b32;
      case VOp::sub_i32: return a32 - b32;
      case VOp::equal_i32: return a32 == b32 ? 1 : 0;
      case VOp::greater_i32: return static_cast<std::int32_t>(a32) > static_cast<std::int32_t>(b32) ? 1 : 0;
      case VOp::mul_i32: return a32 * b32;
      case VOp::shl_i32: return a32 << (i.imm & 31);
      case VOp::shr_i32: return a32 >> (i.imm & 31);
      default:
        throw std::logic_error("the test's interpreter does not know " +
                               std::string(info(i.op).name));
    }
  }

  const Program& program_;
  const Allocation* allocation_ = nullptr;
  std::size_t vectors_at_ = 0, masks_at_ = 0, slots_at_ = 0;
  bool masks_are_vectors_ = false;
  std::vector<Value> places_;
  std::vector<std::uint32_t> memory_;
};

}  // namespace burin::codegen::test
