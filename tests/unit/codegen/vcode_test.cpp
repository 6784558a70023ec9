#include <gtest/gtest.h>

#include "codegen/vcode_builder.h"

namespace burin::codegen {
namespace {

TEST(VCode, TableSaysWhatTheFileSays) {
  EXPECT_EQ(info(VOp::fma).name, "fma");
  EXPECT_EQ(info(VOp::fma).dst, RegClass::vector);
  EXPECT_EQ(info(VOp::fma).src[2], RegClass::vector);
  EXPECT_TRUE(info(VOp::fma).flexible[1]);
  EXPECT_FALSE(info(VOp::fma).flexible[2]);
  EXPECT_FALSE(info(VOp::fma).inout);
  EXPECT_TRUE(info(VOp::fma_acc).inout);
  EXPECT_EQ(info(VOp::blend).src[0], RegClass::mask);
  EXPECT_EQ(info(VOp::store).dst, RegClass::none);
  EXPECT_TRUE(info(VOp::store).stores && info(VOp::store).predicated);
  EXPECT_TRUE(info(VOp::load).loads && info(VOp::load).predicated);
  EXPECT_FALSE(info(VOp::load_splat).predicated);
  EXPECT_TRUE(info(VOp::jump_if).control && info(VOp::jump_if).flexible[1]);
  EXPECT_EQ(info(VOp::lookup16).name, "lookup16");
}

TEST(VCode, EachRegisterWithItsDirection) {
  Instruction i;
  i.op = VOp::fma_acc;
  i.dst = 1;
  i.src = {reg(2), {Operand::Kind::memory_splat, kNoReg, 0}, {}};
  i.mem = {3, 4, 8, 0};
  i.temp_count = 1;
  i.temps[0] = 5;
  std::string seen;
  for_each_register(i, [&](VReg& r, bool read, bool write) {
    seen += std::to_string(r) + (read ? "r" : "") + (write ? "w" : "") + " ";
  });
  EXPECT_EQ(seen, "2r 3r 4r 5w 1rw ");
}

TEST(VCode, Prints) {
  Program p;
  VBuilder b(p);
  p.origins = {"", "%1 = softmax %0"};
  const VReg arguments = b.op(VOp::arguments, {});
  const VReg n = b.imm64(-3);
  const std::uint32_t loop = b.new_label();
  b.set_origin(1);
  b.label(loop, 16);
  Instruction load;
  load.op = VOp::load;
  load.dst = b.vector();
  load.mem = {arguments, n, 4, 16};
  load.mask = b.op(VOp::mask_first, {reg(n)});
  p.code.back().temp_count = 1;
  p.code.back().temps[0] = b.general();
  b.append(load);
  const VReg c = b.constant_vector(1.5F);
  const VReg f = b.op(VOp::fma, {reg(load.dst), constant(2), reg(c)});
  const VReg m = b.compare(Cond::unord, f, {Operand::Kind::memory_splat, kNoReg, 0});
  p.code.back().mem = {arguments, kNoReg, 1, -8};
  const VReg s = b.op(VOp::blend, {reg(m), reg(f), reg(c)});
  b.into(s, VOp::round, {reg(s)}, 1);
  b.into(s, VOp::and_bits, {reg(s), constant_bits(0x7fffff)});
  b.into(s, VOp::shuffle128, {reg(s), reg(c)}, 0x31);
  Instruction store;
  store.op = VOp::store_strided;
  store.src[0] = reg(s);
  store.mem.base = arguments;
  store.count = n;
  store.stride = arguments;
  b.append(store);
  Instruction spill;
  spill.op = VOp::spill_load;
  spill.dst = f;
  spill.imm = 2;
  b.append(spill);
  b.set_origin(0);
  b.into(n, VOp::add64, {reg(n), immediate(1)});
  b.jump_if(Cond::lt, n, immediate(10), loop);
  Instruction ret;
  ret.op = VOp::ret;
  b.append(ret);

  EXPECT_EQ(print(p),
            "  g0 = arguments\n"
            "  g1 = imm64 -3\n"
            "  ; %1 = softmax %0\n"
            "L0: align 16\n"
            "  m3 = mask_first g1, temp g4\n"
            "  v2 = load [g0 + g1*4 + 16], mask m3\n"
            "  v5 = constant 1.5\n"
            "  v6 = fma v2, 2.0, v5\n"
            "  m7 = cmp v6 unord splat [g0 - 8]\n"
            "  v8 = blend m7, v6, v5\n"
            "  v8 = round v8, floor\n"
            "  v8 = and_bits v8, 0x7fffff\n"
            "  v8 = shuffle128 v8, v5, 0x31\n"
            "  store_strided v8, [g0], count g1, stride g0\n"
            "  v6 = spill_load slot 2\n"
            "  g1 = add64 g1, 1\n"
            "  jump_if g1 < 10, L0\n"
            "  ret\n");
}

}  // namespace
}  // namespace burin::codegen
