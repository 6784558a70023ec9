// Operations on general registers and control flow.

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "burin/error.h"
#include "tests/unit/x64/vcode_kernel.h"

namespace burin::codegen::test {
namespace {

using Int = std::int64_t;

Int wrapped(std::uint64_t x) { return static_cast<Int>(x); }
std::uint64_t bits(Int x) { return static_cast<std::uint64_t>(x); }

struct Case {
  VOp op;
  Int (*model)(Int, Int);
};
constexpr Case kCases[] = {
    {VOp::mov64, [](Int a, Int) { return a; }},
    {VOp::add64, [](Int a, Int b) { return wrapped(bits(a) + bits(b)); }},
    {VOp::sub64, [](Int a, Int b) { return wrapped(bits(a) - bits(b)); }},
    {VOp::mul64, [](Int a, Int b) { return wrapped(bits(a) * bits(b)); }},
    {VOp::min64, [](Int a, Int b) { return a < b ? a : b; }},
    {VOp::max64, [](Int a, Int b) { return a > b ? a : b; }},
    {VOp::shl64, [](Int a, Int b) { return wrapped(bits(a) << b); }},
};
constexpr Int kMin32 = std::numeric_limits<std::int32_t>::min();
constexpr Int kMax32 = std::numeric_limits<std::int32_t>::max();
constexpr Int kNumbers[] = {0,
                            1,
                            -1,
                            7,
                            -64,
                            4096,
                            kMin32,
                            kMax32,
                            kMax32 + 1,
                            Int{1} << 40,
                            -(Int{1} << 62),
                            std::numeric_limits<Int>::min(),
                            std::numeric_limits<Int>::max()};

/// One program per operand form; `onto` is the source whose register the destination shares.
Int evaluate(VOp op, Int a, Int b, bool immediate_b, int onto,
             Registers registers = Registers::ascending) {
  Kernel kernel(Isa::avx2);
  const VReg x = kernel.parameter(0), y = kernel.parameter(1);
  const VReg dst = onto == 0 ? x : onto == 1 ? y : kernel.b.general();
  if (op == VOp::mov64)
    kernel.b.into(dst, op, {reg(x)});
  else
    kernel.b.into(dst, op, {reg(x), immediate_b ? immediate(b) : reg(y)});
  kernel.store64(dst, kernel.pointer(0));
  kernel.finish(registers);
  Int result = 0;
  kernel.run({&result}, {a, b});
  return result;
}

class GeneralOps : public ::testing::Test {
 protected:
  void SetUp() override {
    if (runnable_isas().empty()) GTEST_SKIP() << "this CPU has no AVX2";
  }
};

TEST_F(GeneralOps, Arithmetic) {
  for (const auto& [op, model] : kCases)
    for (const Int a : kNumbers)
      for (Int b : kNumbers)
        for (const int onto : {-1, 0, 1})
          for (const bool immediate_b : {false, true}) {
            if (op == VOp::shl64) {
              if (!immediate_b) continue;
              b &= 63;
            }
            if (immediate_b && (b < kMin32 || b > kMax32)) continue;
            for (const Registers registers : {Registers::ascending, Registers::descending})
              ASSERT_EQ(evaluate(op, a, b, immediate_b, onto, registers), model(a, b))
                  << info(op).name << " " << a << ", " << b << (immediate_b ? " (immediate)" : "")
                  << " onto " << onto;
          }
}

TEST_F(GeneralOps, SourcesInTheSameRegister) {
  for (const auto& [op, model] : kCases) {
    if (op == VOp::shl64 || op == VOp::mov64) continue;
    for (const bool onto : {false, true}) {
      Kernel kernel(Isa::avx2);
      const VReg x = kernel.parameter(0);
      const VReg dst = onto ? x : kernel.b.general();
      kernel.b.into(dst, op, {reg(x), reg(x)});
      kernel.store64(dst, kernel.pointer(0));
      kernel.finish();
      Int result = 0;
      kernel.run({&result}, {12345});
      EXPECT_EQ(result, model(12345, 12345)) << info(op).name;
    }
  }
}

TEST_F(GeneralOps, ImmediatesBeyond32BitsAreAnError) {
  EXPECT_THROW(evaluate(VOp::add64, 1, Int{1} << 31, true, -1), Error);
  EXPECT_THROW(evaluate(VOp::min64, 1, -(Int{1} << 31) - 1, true, -1), Error);
}

TEST_F(GeneralOps, Imm64) {
  for (const Int value : kNumbers) {
    Kernel kernel(Isa::avx2);
    kernel.store64(kernel.b.imm64(value), kernel.pointer(0));
    kernel.finish();
    Int result = 99;
    kernel.run({&result});
    EXPECT_EQ(result, value);
  }
}

TEST_F(GeneralOps, DivisionIsExactBelow52Bits) {
  for (const Isa isa : runnable_isas())
    for (const Registers registers : {Registers::ascending, Registers::descending}) {
      Kernel kernel(isa);
      Instruction i;
      i.op = VOp::div64;
      i.dst = kernel.b.general();
      i.src = {reg(kernel.parameter(0)), reg(kernel.parameter(1)), {}};
      i.temp_count = 2;
      i.temps = {kernel.b.vector(), kernel.b.vector()};
      kernel.b.append(i);
      kernel.store64(i.dst, kernel.pointer(0));
      kernel.finish(registers);
      std::mt19937_64 random(3);
      const auto expect = [&](Int a, Int b) {
        Int result = -1;
        kernel.run({&result}, {a, b});
        ASSERT_EQ(result, a / b) << a << " / " << b;
      };
      for (int n = 0; n < 20000; ++n) {
        const Int b = static_cast<Int>(random() >> (12 + random() % 52)) | 1;
        const Int q = static_cast<Int>(random() >> (12 + random() % 52));
        const Int limit = Int{1} << 52;
        if (b > limit / (q + 1)) continue;
        for (const Int a : {b * q - 1, b * q, b * q + 1, b * q + b - 1})
          if (a >= 0 && a < limit) expect(a, b);
      }
    }
}

TEST_F(GeneralOps, Addresses) {
  for (const int scale : {1, 2, 4, 8})
    for (const std::int32_t displacement : {0, 8, -8, 1000, -100000})
      for (const Registers registers : {Registers::ascending, Registers::descending}) {
        Kernel kernel(Isa::avx2);
        Instruction i;
        i.op = VOp::lea64;
        i.dst = kernel.b.general();
        i.mem = {kernel.parameter(0), kernel.parameter(1), static_cast<std::uint8_t>(scale),
                 displacement};
        kernel.b.append(i);
        kernel.store64(i.dst, kernel.pointer(0));
        i.dst = kernel.b.general();
        i.mem.base = kNoReg;
        kernel.b.append(i);
        kernel.store64(i.dst, kernel.pointer(0), 8);
        kernel.finish(registers);
        std::array<Int, 2> result{};
        kernel.run({result.data()}, {5000000, -3});
        EXPECT_EQ(result[0], 5000000 - 3 * scale + displacement);
        EXPECT_EQ(result[1], -3 * scale + displacement);
      }
}

TEST_F(GeneralOps, ConditionalJumps) {
  constexpr std::pair<Cond, bool (*)(Int, Int)> kConditions[] = {{Cond::lt, [](Int a, Int b) { return a < b; }},
                                                                 {Cond::le, [](Int a, Int b) { return a <= b; }},
                                                                 {Cond::gt, [](Int a, Int b) { return a > b; }},
                                                                 {Cond::ge, [](Int a, Int b) { return a >= b; }},
                                                                 {Cond::eq, [](Int a, Int b) { return a == b; }},
                                                                 {Cond::ne, [](Int a, Int b) { return a != b; }}};
  for (const auto& [cond, holds] : kConditions)
    for (const bool immediate_b : {false, true})
      for (const Int b : {Int{0}, Int{-5}, Int{1} << 20}) {
        Kernel kernel(Isa::avx2);
        const VReg a = kernel.parameter(0), result = kernel.b.imm64(1);
        const std::uint32_t over = kernel.b.new_label();
        kernel.b.jump_if(cond, a, immediate_b ? immediate(b) : reg(kernel.parameter(1)), over);
        kernel.b.into(result, VOp::imm64, {}, 0);
        kernel.b.label(over, 16);
        kernel.store64(result, kernel.pointer(0));
        kernel.finish();
        for (const Int a_value : kNumbers) {
          Int got = -1;
          kernel.run({&got}, {a_value, b});
          EXPECT_EQ(got, holds(a_value, b) ? 1 : 0) << a_value << ", " << b;
        }
      }
}

/// sum of squares below n, with every general register in use.
TEST_F(GeneralOps, LoopsAndAllRegisters) {
  Kernel kernel(Isa::avx2);
  const VReg n = kernel.parameter(0), out = kernel.pointer(0);
  const VReg i = kernel.b.imm64(0), sum = kernel.b.imm64(0);
  std::vector<VReg> others;
  while (kernel.b.program().registers.size() < 14)
    others.push_back(kernel.b.imm64(100 + static_cast<Int>(others.size())));
  const std::uint32_t top = kernel.b.new_label(), exit = kernel.b.new_label();
  kernel.b.jump_if(Cond::le, n, immediate(0), exit);
  kernel.b.label(top, 32);
  const VReg square = others.back();
  kernel.b.into(square, VOp::mul64, {reg(i), reg(i)});
  kernel.b.into(sum, VOp::add64, {reg(sum), reg(square)});
  kernel.b.into(i, VOp::add64, {reg(i), immediate(1)});
  kernel.b.jump_if(Cond::lt, i, reg(n), top);
  kernel.b.label(exit);
  for (std::size_t k = 0; k + 1 < others.size(); ++k)
    kernel.b.into(sum, VOp::add64, {reg(sum), reg(others[k])});
  kernel.store64(sum, out);
  kernel.finish();
  Int extra = 0;
  for (std::size_t k = 0; k + 1 < others.size(); ++k) extra += 100 + static_cast<Int>(k);
  Int result = 0;
  kernel.run({&result}, {1000});
  EXPECT_EQ(result, 332833500 + extra);
  kernel.run({&result}, {0});
  EXPECT_EQ(result, extra);
}

TEST_F(GeneralOps, CountersOffsetsAndAnnotation) {
  const CodegenCounters before = codegen_counters();
  Kernel kernel(Isa::avx2);
  kernel.b.program().origins = {"prologue", "%1 = add %0, 1"};
  const VReg x = kernel.load(kernel.pointer(0));
  kernel.b.set_origin(1);
  kernel.store(kernel.b.op(VOp::add, {reg(x), constant(1.0F)}), kernel.pointer(1));
  kernel.finish();
  const CodegenCounters after = codegen_counters();
  EXPECT_EQ(after.events, before.events + 1);
  EXPECT_EQ(after.bytes, before.bytes + kernel.code->size());
  const auto& offsets = kernel.code->offsets();
  ASSERT_EQ(offsets.size(), kernel.b.program().code.size());
  EXPECT_TRUE(std::is_sorted(offsets.begin(), offsets.end()));
  EXPECT_LT(offsets.back(), kernel.code->size());
  const std::string text = annotate(kernel.allocation, *kernel.code, kernel.target);
  EXPECT_NE(text.find("; %1 = add %0, 1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("ymm1 = add ymm0, 1"), std::string::npos) << text;
}

TEST_F(GeneralOps, PerfLearnsOfKernels) {
  const std::string path = fmt::format("/tmp/perf-{}.map", getpid());
  setenv("BURIN_PERF", "1", 1);
  Kernel kernel(Isa::avx2);
  kernel.finish();
  unsetenv("BURIN_PERF");
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  std::remove(path.c_str());
  const auto address = reinterpret_cast<std::uintptr_t>(kernel.code->function());
  EXPECT_EQ(line, fmt::format("{:x} {:x} burin:test", address, kernel.code->size()));
}

TEST_F(GeneralOps, AKernelMustReturn) {
  Allocation empty;
  EXPECT_THROW(assemble(empty, target_for(Isa::avx2), "empty"), Error);
  EXPECT_THROW(assemble(empty, target_for(Isa::none), "none"), Error);
}

}  // namespace
}  // namespace burin::codegen::test
