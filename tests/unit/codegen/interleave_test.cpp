#include "codegen/interleave.h"

#include <gtest/gtest.h>

#include "codegen/vcode_builder.h"

namespace burin::codegen {
namespace {

/// A program of streams that each square a vector again and again.
struct Streams {
  Program program;
  VBuilder b{program};
  VReg arguments = b.op(VOp::arguments, {});
  std::vector<std::size_t> starts;

  void load(VReg to, std::int32_t displacement) {
    Instruction i;
    i.op = VOp::load;
    i.dst = to;
    i.mem = {arguments, kNoReg, 1, displacement};
    b.append(i);
  }
  void square(VReg x, int times) {
    for (int n = 0; n < times; ++n) b.into(x, VOp::mul, {reg(x), reg(x)});
  }
  /// The vectors that the instructions behind the first write, in order.
  std::vector<VReg> written() const {
    std::vector<VReg> all;
    for (std::size_t i = 1; i < program.code.size(); ++i) all.push_back(program.code[i].dst);
    return all;
  }
};

TEST(Interleave, StreamsTakeTurns) {
  Streams s;
  std::vector<VReg> x;
  for (int n = 0; n < 3; ++n) {
    x.push_back(s.b.vector());
    s.starts.push_back(s.program.code.size());
    s.load(x.back(), 64 * n);
    s.square(x.back(), 7);
  }
  interleave(s.program, s.starts, target_for(Isa::avx512));
  const std::vector<VReg> written = s.written();
  ASSERT_EQ(written.size(), 24U);
  for (std::size_t i = 0; i < written.size(); ++i) EXPECT_EQ(written[i], x[i % 3]) << i;
}

/// The accumulator's updates come in the old order, and what one stream loads for all comes first.
TEST(Interleave, WhatDependsOnAnotherStreamWaitsForIt) {
  Streams s;
  const VReg sum = s.b.vector(), shared = s.b.vector();
  std::vector<VReg> results;
  for (int n = 0; n < 2; ++n) {
    s.starts.push_back(s.program.code.size());
    const VReg x = s.b.vector();
    s.load(x, 64 * n);
    if (n == 0) s.square(x, 4);
    if (n == 0) s.load(shared, 128);
    s.b.into(x, VOp::add, {reg(x), reg(shared)});
    s.square(x, 4);
    const VReg result = s.b.op(VOp::add, {reg(sum), reg(x)});
    s.b.into(sum, VOp::mov, {reg(result)});
    results.push_back(result);
  }
  interleave(s.program, s.starts, target_for(Isa::avx512));
  std::vector<VReg> order;
  for (const VReg r : s.written())
    if (r == sum || r == shared || r == results[0] || r == results[1]) order.push_back(r);
  EXPECT_EQ(order, (std::vector<VReg>{shared, results[0], sum, results[1], sum}));
  bool has_shared = false;
  for (std::size_t i = 1; i < s.program.code.size(); ++i) {
    const Instruction& instruction = s.program.code[i];
    has_shared |= instruction.dst == shared;
    if (instruction.op == VOp::add && instruction.src[1].reg == shared) {
      EXPECT_TRUE(has_shared);
    }
  }
}

/// Streams with so much alive that registers suffice for no more than two of four.
TEST(Interleave, AsManyAsRegistersSufficeFor) {
  for (const Isa isa : {Isa::avx2, Isa::avx512}) {
    Streams s;
    std::vector<std::size_t> stream_of(4096, 9);
    for (std::size_t n = 0; n < 4; ++n) {
      s.starts.push_back(s.program.code.size());
      std::vector<VReg> alive;
      for (int k = 0; k < 9; ++k) s.load(alive.emplace_back(s.b.vector()), 64 * k);
      for (int k = 1; k < 9; ++k)
        s.b.into(alive[0], VOp::add, {reg(alive[0]), reg(alive[static_cast<std::size_t>(k)])});
      for (const VReg r : alive) stream_of[r] = n;
    }
    interleave(s.program, s.starts, target_for(isa));
    const std::size_t first_of_second = isa == Isa::avx2 ? 34 : 1;
    const std::size_t at_once = isa == Isa::avx2 ? 2 : 4;
    const std::vector<VReg> written = s.written();
    for (std::size_t i = 0; i < at_once; ++i) EXPECT_EQ(stream_of[written[i]], i);
    EXPECT_EQ(stream_of[written[first_of_second]], isa == Isa::avx2 ? 2U : 1U);
  }
}

TEST(Interleave, ShortStreamsAndControlFlowStay) {
  for (const bool is_short : {true, false}) {
    Streams s;
    for (int n = 0; n < 2; ++n) {
      s.starts.push_back(s.program.code.size());
      const VReg x = s.b.vector();
      s.load(x, 64 * n);
      s.square(x, is_short ? 3 : 8);
      if (!is_short) s.b.label(s.b.new_label());
    }
    const std::string before = print(s.program);
    interleave(s.program, s.starts, target_for(Isa::avx512));
    EXPECT_EQ(print(s.program), before);
  }
}

}  // namespace
}  // namespace burin::codegen
