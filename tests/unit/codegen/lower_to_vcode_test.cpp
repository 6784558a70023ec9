// What has no code though it is valid Linear IR; hints, which no result depends on.

#include "codegen/lower_to_vcode.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "target/target_info.h"
#include "tests/unit/support/error_of.h"

namespace burin::codegen {
namespace {

void expect_no_code(const std::string& body, const std::string& message) {
  const linear::LinearIR ir = linear::parse_linear(R"(linear @k lanes=8 symbols(S) {
    input %x: f32[S] strides[1]
    output %y: f32[S] strides[1]
    parallel _one in 0..1 {)" + body + "} }");
  linear::verify_registers(ir);
  Tape tape(ir.symbols);
  EXPECT_ERROR(lower_to_vcode(ir, target_for(Isa::avx2), tape), message);
}

TEST(LowerToVcode, LanesOneByOne) {
  const std::string copy = " { %a = load %x[_i]\n store %y[_i], %a }\n";
  expect_no_code("lanes _i in 0..S { step 8" + copy + "step 1" + copy + "}",
                 "loop _i: 1 elements are no whole vectors");
}

TEST(LowerToVcode, PartialRows) {
  expect_no_code("loop _i in 0..S step 4 partial { %a = load %x[_i]\n store %y[_i], %a }",
                 "loop _i: a partial version of 4 elements");
}

/// Beside a body.
std::vector<Instruction> instructions_of(const std::string& body) {
  const linear::LinearIR ir = linear::parse_linear(R"(linear @k lanes=8 symbols(S) {
    input %x: f32[S,S] strides[S,1]
    output %y: f32[1] strides[1]
    parallel _one in 0..1 { %a = fill 0
      store %y[0], %a
    )" + body + "} }");
  linear::verify_registers(ir);
  Tape tape(ir.symbols);
  return lower_to_vcode(ir, target_for(Isa::avx2), tape).front().program.code;
}

/// Prefetches into the nearest cache and into the second level.
std::pair<int, int> prefetches(const std::string& body) {
  std::pair<int, int> count;
  for (const Instruction& i : instructions_of(body))
    if (i.op == VOp::prefetch) ++(i.imm == 0 ? count.first : count.second);
  return count;
}

TEST(LowerToVcode, PrefetchesALineOfEachRow) {
  EXPECT_EQ(prefetches("loop _i in 0..S { step 4 { prefetch %x[S*_i] second level } step 1 { prefetch %x[S*_i] } }"), std::pair(1, 4));
}

TEST(LowerToVcode, PrefetchesOnceForATile) {
  EXPECT_EQ(prefetches("loop _i in 0..S { step 4 { prefetch %x[S*_i] once } step 1 { prefetch %x[S*_i] } }"), std::pair(2, 0));
}

TEST(LowerToVcode, PrefetchesALineForEachLaneAcrossMemory) {
  EXPECT_EQ(prefetches("lanes _q in 0..16 step 16 { loop _k in 0..16 step 4 { prefetch %x[S*_q + _k] } }"), std::pair(0, 0)) << "a few rows";
  EXPECT_EQ(prefetches("lanes _q in 0..16 step 16 { loop _k in 0..16 step 8 { prefetch %x[S*_q + _k] } }"), std::pair(16, 0));
  EXPECT_EQ(prefetches("lanes _q in 0..16 step 16 { loop _k in 0..16 { prefetch %x[S*_q + _k] } }"), std::pair(0, 0)) << "no square tile";
  EXPECT_EQ(prefetches("lanes _q in 0..16 step 16 { loop _k in 0..16 step 8 { prefetch %x[S*_q + _k] second level } }"), std::pair(0, 16));
  EXPECT_EQ(prefetches("lanes _q in 0..16 step 16 { loop _k in 0..16 step 4 { prefetch %x[S*_q + _k] second level } }"), std::pair(0, 16));
}

TEST(LowerToVcode, PrefetchesTheLastRowOfATileAcrossMemory) {
  for (const Instruction& i : instructions_of("lanes _q in 0..16 step 16 { loop _k in 0..16 step 8 { prefetch %x[S*_q + _k] } }"))
    if (i.op == VOp::prefetch) {
      EXPECT_EQ(i.mem.displacement, 7 * sizeof(float));
    }
}

/// Transposes of 8 x 8, of 24 shuffles each.
std::ptrdiff_t transposes(const std::string& expressions) {
  constexpr std::ptrdiff_t kShuffles = 24;
  const linear::LinearIR ir = linear::parse_linear(R"(linear @k lanes=8 symbols(S) {
    input %x: f32[S,S] strides[S,1]
    input %y: f32[S,S] strides[S,1]
    input %z: f32[S] strides[1]
    output %out: f32[S,S] strides[S,1]
    parallel _one in 0..1 { lanes _q in 0..8 step 8 { loop _k in 0..8 step 8 {
      %a = load %x[S*_q + _k]
      %b = load %y[S*_q + _k]
    )" + expressions + "} } } }");
  linear::verify_registers(ir);
  Tape tape(ir.symbols);
  const Program program = lower_to_vcode(ir, target_for(Isa::avx2), tape).front().program;
  const std::ptrdiff_t shuffles = std::ranges::count_if(program.code, [](const Instruction& i) {
    return i.op == VOp::unpack_low32 || i.op == VOp::unpack_high32 || i.op == VOp::unpack_low64 || i.op == VOp::unpack_high64 || i.op == VOp::shuffle128;
  });
  EXPECT_EQ(shuffles % kShuffles, 0);
  return shuffles / kShuffles;
}

TEST(LowerToVcode, WhatIsComputedOfTilesAlikeIsTransposedOnce) {
  EXPECT_EQ(transposes("%c = add %a, %b\n store %out[S*_k + _q], %c"), 1);
  EXPECT_EQ(transposes("%f = fill 2\n %m = mul %b, %f\n %c = sub %a, %m\n store %out[S*_k + _q], %c"), 1);
}

TEST(LowerToVcode, WhatIsNeededTransposedIsTransposed) {
  EXPECT_EQ(transposes("%c = add %a, %b\n %d = mul %c, %b\n store %out[S*_k + _q], %d"), 2) << "an operand has two readers";
  EXPECT_EQ(transposes("%z = load %z[_k]\n %c = mul %a, %z\n %d = add %c, %b\n store %out[S*_k + _q], %d"), 2) << "each row has its own";
  EXPECT_EQ(transposes("%z = load %z[_q]\n %c = mul %a, %z\n %d = add %c, %b\n store %out[S*_k + _q], %d"), 2) << "each lane has its own";
  EXPECT_EQ(transposes("store %out[S*_k + _q], %a\n %c = relu %b\n store %out[S*_k + _q + 8], %c"), 2) << "nothing is computed of both";
}

}  // namespace
}  // namespace burin::codegen
