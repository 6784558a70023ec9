#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "codegen/vcode_builder.h"

namespace burin::codegen::test {

/// Where a fuzzing test begins; BURIN_SEED overrides it. Each round adds one.
inline std::uint64_t first_seed() {
  const char* const word = std::getenv("BURIN_SEED");
  return word == nullptr ? 1 : std::strtoull(word, nullptr, 10);
}

/// A target of so many registers, for tests that have no real one in mind.
inline TargetInfo target_with(int general, int vectors, int masks) {
  TargetInfo t;
  t.name = "test";
  t.vector_bytes = 16;
  t.general_registers = general;
  t.vector_registers = vectors;
  t.mask_registers = masks;
  return t;
}

/// Random programs that end: loops of few turns, breaks, branches, all classes of registers, values
/// that live long, accumulators, constants. They read only what they wrote, and store all at the
/// end.
class RandomProgram {
 public:
  RandomProgram(std::uint64_t seed, int statements) : random_(seed), left_(statements) {}

  Program make() {
    address_ = b_.op(VOp::arguments, {});
    note(address_, true);
    const int values = number(3, 40);
    for (int n = 0; n < values; ++n) define_something();
    for (int n = 0; n < 3; ++n) define_mask();
    while (left_ > 0) statement(0);
    store_everything();
    Instruction ret;
    ret.op = VOp::ret;
    b_.append(ret);
    return program_;
  }

 private:
  struct Scope {
    std::vector<VReg> general, vectors, masks;
  };

  int number(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  bool chance(int percent) { return number(1, 100) <= percent; }

  void note(VReg r, bool keep = false) {
    keep_.resize(program_.registers.size(), false);
    keep_[r] = keep;
    pool(program_.registers[r]).push_back(r);
  }
  std::vector<VReg>& pool(RegClass c) {
    return c == RegClass::general ? scope_.general
           : c == RegClass::mask  ? scope_.masks
                                  : scope_.vectors;
  }
  VReg any(RegClass c) {
    std::vector<VReg>& p = pool(c);
    // Recent values are favoured a little, so that some die early and others live long.
    const int size = static_cast<int>(p.size());
    const int low = chance(40) ? size - size / 3 - 1 : 0;
    return p[static_cast<std::size_t>(number(low, size - 1))];
  }
  VReg any_general() { return any(RegClass::general); }
  VReg any_vector() { return any(RegClass::vector); }

  /// A new register, or one that has a value already.
  VReg destination(RegClass c) {
    if (chance(35) && !pool(c).empty()) {
      const VReg r = any(c);
      if (r >= keep_.size() || !keep_[r]) return r;
    }
    return b_.make(c);
  }
  void write(Instruction i, RegClass c) {
    i.dst = destination(c);
    b_.append(i);
    add_new(i.dst);
  }
  void add_new(VReg r) {
    for (const VReg old : pool(program_.registers[r]))
      if (old == r) return;
    note(r);
  }

  Memory memory() {
    Memory m;
    m.base = chance(70) ? address_ : any_general();
    if (chance(40)) {
      m.index = any_general();
      m.scale = static_cast<std::uint8_t>(1 << number(0, 3));
    }
    m.displacement = 4 * number(0, 255);
    return m;
  }

  void define_something() {
    Instruction i;
    switch (number(0, 4)) {
      case 0:
        i.op = VOp::imm64;
        i.imm = number(-100, 100);
        if (chance(10)) i.imm = 0x123456789aLL;
        return write(i, RegClass::general);
      case 1:
        i.op = VOp::constant;
        i.imm = constant(static_cast<float>(number(-4, 4)) / 2).value;
        return write(i, RegClass::vector);
      case 2: i.op = VOp::iota; return write(i, RegClass::vector);
      case 3:
        i.op = VOp::load64;
        i.mem = {address_, kNoReg, 1, 8 * number(0, 100)};
        return write(i, RegClass::general);
      default:
        i.op = VOp::load;
        i.mem = {address_, kNoReg, 1, 4 * number(0, 255)};
        return write(i, RegClass::vector);
    }
  }

  void define_mask() {
    Instruction i;
    if (chance(40) || scope_.vectors.empty()) {
      i.op = VOp::mask_first;
      i.src[0] = reg(any_general());
      i.temps[i.temp_count++] = b_.general();
    } else {
      i.op = VOp::cmp;
      i.cond = static_cast<Cond>(number(0, 6));
      i.src = {reg(any_vector()), flexible_vector(i), {}};
    }
    write(i, RegClass::mask);
  }

  Operand flexible_vector(Instruction& i) {
    if (scope_.vectors.empty() || chance(10)) return constant(static_cast<float>(number(-3, 3)));
    if (chance(85)) return reg(any_vector());
    i.mem = memory();
    return {chance(50) ? Operand::Kind::memory : Operand::Kind::memory_splat, kNoReg, 0};
  }

  void general_operation() {
    static constexpr VOp kOps[] = {VOp::mov64, VOp::add64, VOp::sub64, VOp::mul64, VOp::min64,
                                   VOp::max64, VOp::shl64, VOp::div64, VOp::lea64, VOp::load64};
    Instruction i;
    i.op = kOps[number(0, 9)];
    if (i.op == VOp::lea64 || i.op == VOp::load64) {
      i.mem = memory();
    } else {
      i.src[0] = reg(any_general());
      if (i.op == VOp::shl64)
        i.src[1] = immediate(number(0, 4));
      else if (i.op == VOp::div64)
        i.src[1] = reg(any_general());
      else if (i.op != VOp::mov64)
        i.src[1] = chance(70) ? reg(any_general()) : immediate(number(-50, 50));
      if (i.op == VOp::div64) {
        i.temp_count = 2;
        i.temps = {b_.vector(), b_.vector()};
      }
    }
    write(i, RegClass::general);
  }

  void vector_operation() {
    static constexpr VOp kOps[] = {VOp::mov,     VOp::add,     VOp::sub,          VOp::mul,
                                   VOp::min,     VOp::max,     VOp::fma,          VOp::fnma,
                                   VOp::fma_acc, VOp::fma_acc, VOp::blend,        VOp::and_bits,
                                   VOp::or_bits, VOp::add_i32, VOp::shl_i32,      VOp::splat64,
                                   VOp::load,    VOp::load,    VOp::load_strided, VOp::load_splat,
                                   VOp::load_quads};
    Instruction i;
    i.op = kOps[number(0, 20)];
    switch (i.op) {
      case VOp::mov: i.src[0] = reg(any_vector()); break;
      case VOp::shl_i32:
        i.src[0] = reg(any_vector());
        i.imm = number(0, 3);
        break;
      case VOp::splat64: i.src[0] = reg(any_general()); break;
      case VOp::blend:
        i.src = {reg(any(RegClass::mask)), reg(any_vector()), reg(any_vector())};
        break;
      case VOp::load:
        i.mem = memory();
        if (chance(40)) i.mask = any(RegClass::mask);
        break;
      case VOp::load_splat: i.mem = memory(); break;
      case VOp::load_strided:
      case VOp::load_quads: make_strided(i); break;
      default:
        i.src[0] = reg(any_vector());
        i.src[1] = flexible_vector(i);
        if (info(i.op).src[2] == RegClass::vector) i.src[2] = reg(any_vector());
    }
    if (i.op == VOp::fma_acc) {
      i.dst = any_vector();
      b_.append(i);
    } else {
      write(i, RegClass::vector);
    }
  }

  void make_strided(Instruction& i) {
    i.mem = memory();
    if (chance(70)) i.count = any_general();
    i.stride = any_general();
    i.temp_count = 2;
    i.temps = {b_.general(), b_.vector()};
    if (i.op != VOp::load_quads && i.op != VOp::store_quads) return;
    i.imm = number(2, 4);
    if (i.imm < 4) i.mask = any(RegClass::mask);
  }

  void store() {
    Instruction i;
    i.mem = memory();
    switch (number(0, 3)) {
      case 0:
        i.op = VOp::store64;
        i.src[0] = reg(any_general());
        break;
      case 1:
        i.op = chance(50) ? VOp::store_strided : VOp::store_quads;
        i.src[0] = reg(any_vector());
        make_strided(i);
        break;
      default:
        i.op = VOp::store;
        i.src[0] = reg(any_vector());
        if (chance(30)) i.mask = any(RegClass::mask);
    }
    b_.append(i);
  }

  void statements(int depth) {
    const Scope outer = scope_;
    for (int n = number(1, 12); n > 0 && left_ > 0; --n) statement(depth);
    scope_ = outer;
  }

  void branch(int depth) {
    const std::uint32_t otherwise = b_.new_label();
    const std::uint32_t end = b_.new_label();
    const bool two = chance(60);
    b_.jump_if(static_cast<Cond>(number(0, 5)), any_general(),
               chance(50) ? reg(any_general()) : immediate(number(-9, 9)), two ? otherwise : end);
    statements(depth);
    if (two) {
      b_.jump(end);
      b_.label(otherwise);
      statements(depth);
    }
    b_.label(end);
  }

  void loop(int depth) {
    const Scope outer = scope_;
    const VReg turn = b_.imm64(0);
    note(turn, true);
    const int turns = number(1, 3);
    const std::uint32_t head = b_.new_label();
    const std::uint32_t exit = b_.new_label();
    if (chance(30)) b_.jump_if(Cond::le, any_general(), immediate(number(-40, 40)), exit);
    b_.label(head);
    statements(depth + 1);
    if (chance(25)) b_.jump_if(Cond::gt, any_general(), reg(any_general()), exit);
    if (chance(20)) {  // goes on with the next turn
      const std::uint32_t rest = b_.new_label();
      b_.jump_if(Cond::gt, any_general(), immediate(number(-40, 40)), rest);
      b_.into(turn, VOp::add64, {reg(turn), immediate(1)});
      b_.jump_if(Cond::lt, turn, immediate(turns), head);
      b_.jump(exit);
      b_.label(rest);
    }
    statements(depth + 1);
    b_.into(turn, VOp::add64, {reg(turn), immediate(1)});
    b_.jump_if(Cond::lt, turn, immediate(turns), head);
    b_.label(exit);
    scope_ = outer;
  }

  void statement(int depth) {
    --left_;
    const int kind = number(1, 100);
    if (kind <= 6 && depth < 3) return loop(depth);
    if (kind <= 12) return branch(depth);
    if (kind <= 20) return define_something();
    if (kind <= 28 || scope_.vectors.empty()) return define_mask();
    if (kind <= 36) return store();
    return kind <= 60 ? general_operation() : vector_operation();
  }

  void store_everything() {
    std::int32_t at = 0;
    const auto next = [&at](std::int32_t bytes) { return std::exchange(at, at + bytes); };
    for (const VReg r : scope_.general) {
      Instruction i;
      i.op = VOp::store64;
      i.src[0] = reg(r);
      i.mem = {address_, kNoReg, 1, next(8)};
      b_.append(i);
    }
    for (const VReg r : scope_.vectors) {
      Instruction i;
      i.op = VOp::store;
      i.src[0] = reg(r);
      i.mem = {address_, kNoReg, 1, next(16)};
      if (chance(20)) i.mask = any(RegClass::mask);
      b_.append(i);
    }
  }

  std::mt19937_64 random_;
  int left_;
  Program program_;
  VBuilder b_{program_};
  VReg address_ = kNoReg;
  Scope scope_;
  std::vector<bool> keep_;  ///< by register: not to be written again
};

/// Words that look like small floats, integers and addresses.
inline std::vector<std::uint32_t> random_memory(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::uint32_t> memory(1024);
  for (std::uint32_t& word : memory) {
    const auto x = static_cast<std::uint32_t>(random());
    const float f = static_cast<float>(x % 1000) / 250 - 2;
    word = x % 3 == 0 ? (x >> 16) % 64 : static_cast<std::uint32_t>(constant(f).value);
  }
  return memory;
}

}  // namespace burin::codegen::test
