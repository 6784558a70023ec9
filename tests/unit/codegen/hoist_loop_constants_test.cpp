#include "codegen/hoist_loop_constants.h"

#include <gtest/gtest.h>

#include "codegen/vcode_builder.h"

namespace burin::codegen {
namespace {

Instruction load_from(VReg base, VReg to, std::int32_t displacement) {
  Instruction i;
  i.op = VOp::load;
  i.dst = to;
  i.mem = {base, kNoReg, 1, displacement};
  return i;
}

TEST(HoistLoopConstants, EachStandsOnceInFrontOfTheInnermostLoop) {
  Program p;
  VBuilder b(p);
  const VReg n = b.op(VOp::arguments, {}), k = b.imm64(0);
  const VReg x = b.constant_vector(7);  // changes in the loop
  const std::uint32_t outer = b.new_label(), inner = b.new_label();
  b.label(outer);
  const VReg y = b.op(VOp::add, {reg(x), constant(3)});
  b.label(inner);
  const VReg a = b.op(VOp::mul, {reg(b.constant_vector(0.5F)), constant(2)});
  const VReg c = b.op(VOp::fma, {reg(a), constant(2), reg(b.constant_vector(0.5F))});
  const VReg table = b.append(load_from(b.imm64(4096), b.vector(), 64)).dst;
  const VReg again = b.append(load_from(b.imm64(4096), b.vector(), 64)).dst;
  const VReg changing = b.append(load_from(n, b.vector(), 64)).dst;
  const VReg found = b.op(VOp::lookup16, {reg(c), reg(table)});
  const VReg sum = b.op(VOp::fma, {reg(found), reg(again), reg(changing)});
  b.into(x, VOp::add, {reg(sum), reg(y)});
  b.into(k, VOp::add64, {reg(k), immediate(1)});
  b.jump_if(Cond::lt, k, reg(n), inner);
  b.into(k, VOp::imm64, {}, 0);
  b.jump_if(Cond::gt, n, immediate(0), outer);
  b.append({VOp::ret});

  hoist_loop_constants(p);
  EXPECT_EQ(print(p), R"(  g0 = arguments
  g1 = imm64 0
  v2 = constant 7.0
L0:
  v3 = add v2, 3.0
  v15 = constant 0.5
  v16 = constant 2.0
  g17 = imm64 4096
  v18 = load [g17 + 64]
L1:
  v5 = mul v15, v16
  v7 = fma v5, v16, v15
  v12 = load [g0 + 64]
  v13 = lookup16 v7, v18
  v14 = fma v13, v18, v12
  v2 = add v14, v3
  g1 = add64 g1, 1
  jump_if g1 < g0, L1
  g1 = imm64 0
  jump_if g0 > 0, L0
  ret
)");
}

/// A label that is also reached from elsewhere has nothing in front of it that would run each time.
TEST(HoistLoopConstants, NotWhereTheLoopIsJumpedInto) {
  Program p;
  VBuilder b(p);
  const VReg n = b.op(VOp::arguments, {});
  const std::uint32_t top = b.new_label();
  b.jump(top);
  b.label(top);
  const VReg x = b.op(VOp::add, {reg(b.constant_vector(1)), constant(2)});
  b.op(VOp::mul, {reg(x), constant(2)});
  b.jump_if(Cond::gt, n, immediate(0), top);
  b.append({VOp::ret});
  const std::string before = print(p);
  hoist_loop_constants(p);
  EXPECT_EQ(print(p), before);
}

}  // namespace
}  // namespace burin::codegen
