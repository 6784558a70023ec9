#pragma once

#include <bit>
#include <cstdint>
#include <initializer_list>

#include "codegen/vcode.h"

namespace burin::codegen {

/// A splat constant as an operand.
inline Operand constant(float value) {
  return {Operand::Kind::constant, kNoReg, std::bit_cast<std::int32_t>(value)};
}
inline Operand constant_bits(std::uint32_t bits) {
  return {Operand::Kind::constant, kNoReg, static_cast<std::int32_t>(bits)};
}
inline Operand reg(VReg r) { return {Operand::Kind::reg, r, 0}; }
inline Operand immediate(std::int64_t value) { return {Operand::Kind::immediate, kNoReg, value}; }

/// Appends instructions to a Program.
class VBuilder {
 public:
  explicit VBuilder(Program& program) : program_(program) {}
  Program& program() { return program_; }

  VReg make(RegClass c) {
    program_.registers.push_back(c);
    return static_cast<VReg>(program_.registers.size() - 1);
  }
  VReg vector() { return make(RegClass::vector); }
  VReg general() { return make(RegClass::general); }
  VReg mask() { return make(RegClass::mask); }
  std::uint32_t new_label() { return program_.label_count++; }
  /// What the following instructions come from (Instruction::origin).
  void set_origin(std::uint32_t origin) { origin_ = origin; }

  Instruction& append(Instruction i) {
    i.origin = origin_;
    program_.code.push_back(i);
    return program_.code.back();
  }
  /// An operation into an existing register.
  void into(VReg dst, VOp op, std::initializer_list<Operand> sources, std::int64_t imm = 0) {
    Instruction i;
    i.op = op;
    i.dst = dst;
    i.imm = imm;
    std::size_t n = 0;
    for (const Operand& s : sources) i.src[n++] = s;
    append(i);
  }
  /// An operation into a new register of the class that the operation gives.
  VReg op(VOp o, std::initializer_list<Operand> sources, std::int64_t imm = 0) {
    const VReg dst = make(info(o).dst);
    into(dst, o, sources, imm);
    return dst;
  }
  VReg compare(Cond cond, VReg a, Operand b) {
    const VReg dst = mask();
    Instruction i;
    i.op = VOp::cmp;
    i.cond = cond;
    i.dst = dst;
    i.src = {reg(a), b, {}};
    append(i);
    return dst;
  }
  VReg constant_vector(float value) {
    return op(VOp::constant, {}, std::bit_cast<std::int32_t>(value));
  }
  /// Floor of a / b, for 0 <= a < 2^52 and 0 < b.
  VReg divide(VReg a, VReg b) {
    Instruction i;
    i.op = VOp::div64;
    i.dst = general();
    i.src = {reg(a), reg(b), {}};
    i.temps = {vector(), vector()};
    i.temp_count = 2;
    append(i);
    return i.dst;
  }
  VReg imm64(std::int64_t value) { return op(VOp::imm64, {}, value); }
  void label(std::uint32_t l, std::int64_t alignment = 0) {
    Instruction i;
    i.op = VOp::label;
    i.label = l;
    i.imm = alignment;
    append(i);
  }
  void jump(std::uint32_t l) {
    Instruction i;
    i.op = VOp::jump;
    i.label = l;
    append(i);
  }
  void jump_if(Cond cond, VReg a, Operand b, std::uint32_t l) {
    Instruction i;
    i.op = VOp::jump_if;
    i.cond = cond;
    i.label = l;
    i.src = {reg(a), b, {}};
    append(i);
  }

 private:
  Program& program_;
  std::uint32_t origin_ = 0;
};

}  // namespace burin::codegen
