#include <ctime>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "burin/error.h"
#include "codegen/live_intervals.h"
#include "tests/unit/codegen/random_vcode.h"
#include "tests/unit/codegen/vcode_interpreter.h"

namespace burin::codegen::test {
namespace {

/// A little more than VBuilder has.
class Writer : public VBuilder {
 public:
  explicit Writer(Program& p) : VBuilder(p) {}
  VReg load(VReg base, std::int32_t displacement, VReg index = kNoReg) {
    return memory(VOp::load, vector(), base, displacement, index);
  }
  VReg load64(VReg base, std::int32_t displacement) {
    return memory(VOp::load64, general(), base, displacement, kNoReg);
  }
  void load_into(VReg dst, VReg base, std::int32_t displacement) {
    memory(VOp::load, dst, base, displacement, kNoReg);
  }
  VReg load_splat(VReg base, std::int32_t displacement, VReg index = kNoReg) {
    return memory(VOp::load_splat, vector(), base, displacement, index);
  }
  void store(VReg value, VReg base, std::int32_t displacement) {
    Instruction i;
    i.op = VOp::store;
    i.src[0] = reg(value);
    i.mem = {base, kNoReg, 1, displacement};
    append(i);
  }
  void store64(VReg value, VReg base, std::int32_t displacement) {
    store(value, base, displacement);
    program().code.back().op = VOp::store64;
  }
  void ret() {
    Instruction i;
    i.op = VOp::ret;
    append(i);
  }

 private:
  VReg memory(VOp op, VReg dst, VReg base, std::int32_t displacement, VReg index) {
    Instruction i;
    i.op = op;
    i.dst = dst;
    i.mem = {base, index, 1, displacement};
    append(i);
    return dst;
  }
};

/// Allocates, checks, and runs before and after.
Allocation allocate(const Program& p, const TargetInfo& target) {
  Allocation a = allocate_registers(p, target);
  EXPECT_NO_THROW(check_allocation(p, a, target)) << print(a.program);
  const std::vector<std::uint32_t> memory = random_memory(1);
  const Execution before = Interpreter(p).run(memory);
  const Execution after = Interpreter(a, target).run(memory);
  EXPECT_TRUE(before.ended && after.ended);
  EXPECT_EQ(before.memory, after.memory) << print(p) << print(a.program);
  return a;
}

std::size_t count(const Program& p, VOp op) {
  return static_cast<std::size_t>(std::count_if(p.code.begin(), p.code.end(),
                                                [op](const Instruction& i) { return i.op == op; }));
}

std::pair<std::uint32_t, std::uint32_t> span(const LiveInterval& i) { return {i.begin, i.end}; }
using Span = std::pair<std::uint32_t, std::uint32_t>;

// ---- Intervals -----------------------------------------------------------------------------

TEST(LiveIntervals, StraightLine) {
  Program p;
  Writer w(p);
  const VReg g = w.op(VOp::arguments, {});               // 0
  const VReg a = w.load(g, 0);                           // 1
  const VReg b = w.load(g, 64);                          // 2
  const VReg c = w.op(VOp::add, {reg(a), reg(b)});       // 3
  const VReg unused = w.op(VOp::mul, {reg(a), reg(c)});  // 4
  const VReg never = w.vector();
  const auto i = live_intervals(p).of;
  EXPECT_EQ(span(i[g]), Span(1, 5));
  EXPECT_EQ(span(i[a]), Span(3, 9));
  EXPECT_EQ(span(i[b]), Span(5, 7));
  EXPECT_EQ(span(i[c]), Span(7, 9));
  EXPECT_EQ(span(i[unused]), Span(9, 10));
  EXPECT_TRUE(i[never].empty());
}

TEST(LiveIntervals, TemporariesOverlapSourcesAndDestination) {
  Program p;
  Writer w(p);
  const VReg a = w.imm64(7);                          // 0
  const VReg b = w.imm64(2);                          // 1
  const VReg d = w.op(VOp::div64, {reg(a), reg(b)});  // 2
  p.code.back().temp_count = 1;
  const VReg t = p.code.back().temps[0] = w.vector();
  const auto i = live_intervals(p).of;
  EXPECT_EQ(span(i[a]), Span(1, 5));
  EXPECT_EQ(span(i[t]), Span(4, 6));
  EXPECT_EQ(span(i[d]), Span(4, 6));
}

TEST(LiveIntervals, LoopsKeepAliveWhatTheNextTurnReads) {
  Program p;
  Writer w(p);
  const VReg n = w.imm64(10);       // 0
  const VReg before = w.imm64(1);   // 1
  const VReg counter = w.imm64(0);  // 2
  const std::uint32_t head = w.new_label();
  w.label(head);                                                      // 3
  const VReg inside = w.op(VOp::add64, {reg(before), reg(counter)});  // 4
  w.into(counter, VOp::add64, {reg(counter), reg(inside)});           // 5
  w.jump_if(Cond::lt, counter, reg(n), head);                         // 6
  w.store64(counter, n, 0);                                           // 7
  const auto i = live_intervals(p).of;
  EXPECT_EQ(span(i[before]), Span(3, 14)) << "up to the end of the loop";
  EXPECT_EQ(span(i[counter]), Span(5, 15));
  EXPECT_EQ(span(i[inside]), Span(9, 11));
  EXPECT_EQ(i[before].depth, 1U);
  EXPECT_EQ(i[n].depth, 1U);
  EXPECT_FLOAT_EQ(i[inside].cost, 20);
  EXPECT_FLOAT_EQ(i[before].cost, 11);
  EXPECT_FLOAT_EQ(i[counter].cost, 1 + 3 * 10 + 10 + 1);
}

TEST(LiveIntervals, TwoJumpsBackAreOneLoop) {
  Program p;
  Writer w(p);
  const VReg n = w.imm64(10);
  const std::uint32_t head = w.new_label();
  w.label(head);
  w.jump_if(Cond::lt, n, immediate(3), head);
  const VReg inside = w.imm64(3);
  w.jump_if(Cond::lt, inside, immediate(2), head);
  EXPECT_EQ(live_intervals(p).of[inside].depth, 1U);
}

TEST(LiveIntervals, JumpToNowhere) {
  Program p;
  Writer w(p);
  w.jump(w.new_label());
  EXPECT_THROW(live_intervals(p), Error);
}

// ---- Allocation ----------------------------------------------------------------------------

TEST(Allocation, NothingToDo) {
  const Allocation a = allocate({}, target_with(4, 4, 0));
  EXPECT_TRUE(a.program.code.empty());
}

TEST(Allocation, ReusesRegistersLowestFirst) {
  Program p;
  Writer w(p);
  const VReg g = w.op(VOp::arguments, {});
  VReg sum = w.load(g, 0);
  for (int n = 1; n < 20; ++n) sum = w.op(VOp::add, {reg(sum), reg(w.load(g, 16 * n))});
  w.store(sum, g, 0);
  w.ret();
  const Allocation a = allocate(p, target_with(1, 2, 0));
  EXPECT_EQ(a.spilled_registers, 0U);
  EXPECT_EQ(a.frame_slots, 0U);
}

TEST(Allocation, MovesOfDyingSourcesVanish) {
  Program p;
  Writer w(p);
  const VReg g = w.op(VOp::arguments, {});
  const VReg kept = w.load(g, 0);
  const VReg a = w.load(g, 64);
  const VReg b = w.op(VOp::mov, {reg(a)});
  const VReg c = w.op(VOp::mov, {reg(kept)});
  const VReg x = w.load64(g, 8);
  const VReg y = w.op(VOp::mov64, {reg(x)});
  const VReg z = w.op(VOp::sub64, {reg(y), immediate(1)});
  w.store64(z, g, 0);
  for (const VReg v : {kept, b, c}) w.store(v, g, 16);
  w.ret();
  const Allocation allocation = allocate(p, target_with(4, 8, 0));
  const auto& physical = allocation.physical;
  EXPECT_EQ(physical[a], physical[b]);
  EXPECT_NE(physical[kept], physical[c]);
  EXPECT_EQ(physical[x], physical[y]);
  EXPECT_EQ(physical[y], physical[z]);
}

TEST(Allocation, MasksShareVectorRegistersWhereTheyHaveNoneOfTheirOwn) {
  Program p;
  Writer w(p);
  const VReg g = w.op(VOp::arguments, {});
  const VReg a = w.load(g, 0);
  const VReg b = w.load(g, 16);
  const VReg m = w.compare(Cond::lt, a, reg(b));
  const VReg s = w.op(VOp::blend, {reg(m), reg(a), reg(b)});
  w.store(s, g, 0);
  w.ret();
  const Allocation shared = allocate(p, target_with(2, 3, 0));
  EXPECT_EQ(shared.physical[m], 2);
  const Allocation apart = allocate(p, target_with(2, 2, 1));
  EXPECT_EQ(apart.physical[m], 0);
  EXPECT_EQ(shared.spilled_registers + apart.spilled_registers, 0U);
}

TEST(Allocation, SpillsOfAllClasses) {
  Program p;
  Writer w(p);
  const VReg g = w.op(VOp::arguments, {});
  std::vector<VReg> general, vectors, masks;
  for (int n = 0; n < 9; ++n) general.push_back(w.load64(g, 8 * n));
  for (int n = 0; n < 9; ++n) vectors.push_back(w.load(g, 16 * n));
  for (int n = 0; n < 9; ++n) masks.push_back(w.compare(Cond::lt, vectors[0], reg(vectors[n])));
  for (int n = 0; n < 9; ++n) {
    w.store64(general[n], g, 512 + 8 * n);
    w.store(w.op(VOp::blend, {reg(masks[n]), reg(vectors[n]), constant(1)}), g, 1024 + 16 * n);
    p.code[p.code.size() - 2].src[2] = reg(vectors[0]);
  }
  w.ret();
  const Allocation a = allocate(p, target_with(4, 4, 2));
  EXPECT_GE(a.spilled_registers, 15U);
  EXPECT_GE(a.frame_slots, 15U);
  EXPECT_GT(count(a.program, VOp::spill_load), 0U);
}

TEST(Allocation, ConstantsAreMadeAnewInsteadOfSpilled) {
  Program p;
  Writer w(p);
  const VReg g = w.op(VOp::arguments, {});
  std::vector<VReg> constants;
  for (int n = 0; n < 6; ++n) constants.push_back(w.constant_vector(static_cast<float>(n)));
  const VReg numbers = w.op(VOp::iota, {});
  const VReg big = w.imm64(0x123456789aLL);
  const VReg small = w.imm64(12);
  std::vector<VReg> crowd;
  for (int n = 0; n < 4; ++n) crowd.push_back(w.load64(g, 8 * n));
  for (const VReg r : crowd) w.store64(r, g, 0);
  VReg x = w.load(g, 0);
  VReg y = w.load(g, 16);
  for (const VReg c : constants) {
    x = w.op(VOp::fma, {reg(x), reg(c), reg(y)});
    y = w.op(VOp::add, {reg(c), reg(y)});
  }
  w.store(w.op(VOp::add_i32, {reg(x), reg(numbers)}), g, 0);
  w.store(y, g, 16);
  w.store64(w.op(VOp::add64, {reg(big), reg(small)}), g, 32);
  w.ret();
  const Allocation a = allocate(p, target_with(5, 3, 0));
  EXPECT_GT(a.spilled_registers, 4U);
  EXPECT_EQ(a.frame_slots, 0U) << print(a.program);
  EXPECT_NE(print(a.program).find("= fma v16, 1.0, v17"), std::string::npos) << print(a.program);
}

TEST(Allocation, SlotsAreSharedByThoseThatAreNeverAliveAtOnce) {
  Program p;
  Writer w(p);
  const VReg g = w.op(VOp::arguments, {});
  for (int part = 0; part < 10; ++part) {
    std::vector<VReg> crowd;
    for (int n = 0; n < 6; ++n) crowd.push_back(w.load(g, 16 * n));
    for (const VReg v : crowd) w.store(v, g, 16 * part);
  }
  w.ret();
  const Allocation a = allocate(p, target_with(2, 4, 0));
  EXPECT_GE(a.spilled_registers, 20U);
  EXPECT_LE(a.frame_slots, 8U);
}

TEST(Allocation, TooFewRegisters) {
  Program p;
  Writer w(p);
  const VReg g = w.op(VOp::arguments, {});
  const VReg a = w.load(g, 0);
  const VReg b = w.load(g, 16);
  const VReg c = w.load(g, 32);
  w.store(w.op(VOp::fma, {reg(a), reg(b), reg(c)}), g, 0);
  w.ret();
  EXPECT_NO_THROW(allocate(p, target_with(1, 3, 0)));
  try {
    allocate_registers(p, target_with(1, 2, 0));
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("too few registers at instruction"), std::string::npos)
        << e.what();
  }
}

// ---- The hot loop --------------------------------------------------------------------------

/// A register tile of `rows` x `vectors` accumulators inside loops over m, n and k, all of it among
/// values that live across the loops: `across` vectors, some pointers.
struct Brgemm {
  Program program;
  std::uint32_t k_loop = 0;

  Brgemm(int rows, int vectors, int across) {
    Writer w(program);
    const VReg g = w.op(VOp::arguments, {});
    std::vector<VReg> kept;
    for (int n = 0; n < across; ++n) kept.push_back(w.load(g, 16 * n));
    const VReg half = w.constant_vector(0.5F);
    const VReg a_of_m = w.op(VOp::add64, {reg(g), immediate(0)});
    const VReg c = w.op(VOp::add64, {reg(g), immediate(1024)});
    std::vector<VReg> numbers;
    for (int n = 0; n < 6; ++n) numbers.push_back(w.load64(g, 8 * n));
    const VReg m = w.imm64(0);
    const std::uint32_t m_loop = w.new_label();
    w.label(m_loop);
    const VReg n = w.imm64(0);
    const std::uint32_t n_loop = w.new_label();
    w.label(n_loop);
    std::vector<VReg> accumulators;
    for (int i = 0; i < rows * vectors; ++i) accumulators.push_back(w.constant_vector(0));
    const VReg a = w.op(VOp::mov64, {reg(a_of_m)});
    const VReg a4 = w.op(VOp::add64, {reg(a), immediate(256)});
    const VReg stride = w.imm64(64);
    const VReg b = w.op(VOp::add64, {reg(g), reg(n)});
    const VReg k = w.imm64(3);
    k_loop = w.new_label();
    w.label(k_loop, 32);
    std::vector<VReg> columns;
    for (int v = 0; v < vectors; ++v) columns.push_back(w.load(b, 16 * v));
    for (int r = 0; r < rows; ++r) {
      const VReg broadcast = w.load_splat(r < 4 ? a : a4, 4 * r, stride);
      for (int v = 0; v < vectors; ++v)
        w.into(accumulators[static_cast<std::size_t>(r * vectors + v)], VOp::fma_acc,
               {reg(broadcast), reg(columns[static_cast<std::size_t>(v)])});
    }
    for (const VReg pointer : {a, a4}) w.into(pointer, VOp::add64, {reg(pointer), immediate(4)});
    w.into(b, VOp::add64, {reg(b), reg(stride)});
    w.into(k, VOp::sub64, {reg(k), immediate(1)});
    w.jump_if(Cond::gt, k, immediate(0), k_loop);
    for (std::size_t i = 0; i < accumulators.size(); ++i) {
      const VReg scale = kept.empty() ? half : kept[i % kept.size()];
      const VReg old = w.load(c, static_cast<std::int32_t>(16 * i));
      const VReg scaled = w.op(VOp::fma, {reg(accumulators[i]), reg(scale), reg(old)});
      w.store(w.op(VOp::mul, {reg(scaled), reg(half)}), c, static_cast<std::int32_t>(16 * i));
    }
    w.into(n, VOp::add64, {reg(n), immediate(16)});
    w.jump_if(Cond::lt, n, immediate(32), n_loop);
    w.into(a_of_m, VOp::add64, {reg(a_of_m), reg(numbers[0])});
    w.into(m, VOp::add64, {reg(m), immediate(1)});
    w.jump_if(Cond::lt, m, immediate(2), m_loop);
    for (std::size_t i = 0; i < kept.size(); ++i)
      w.store(kept[i], g, static_cast<std::int32_t>(2048 + 16 * i));
    for (const VReg number : numbers) w.store64(number, g, 0);
    w.ret();
  }

  /// The instructions of the innermost loop.
  std::vector<Instruction> hot(const Program& p) const {
    std::vector<Instruction> body;
    bool inside = false;
    for (const Instruction& i : p.code) {
      if (i.op == VOp::label && i.label == k_loop) inside = true;
      if (inside) body.push_back(i);
      if (i.op == VOp::jump_if && i.label == k_loop) break;
    }
    return body;
  }
};

struct Tile {
  const char* name;
  int rows, vectors, across, general, registers, masks;
};
class HotLoop : public testing::TestWithParam<Tile> {};

TEST_P(HotLoop, HasNoSpillCode) {
  const Tile t = GetParam();
  const Brgemm kernel(t.rows, t.vectors, t.across);
  const Allocation a = allocate(kernel.program, target_with(t.general, t.registers, t.masks));
  const auto before = kernel.hot(kernel.program);
  const auto after = kernel.hot(a.program);
  ASSERT_EQ(before.size(), after.size()) << print(a.program);
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(before[i].op, after[i].op);
    EXPECT_EQ(before[i].src[1].kind, after[i].src[1].kind) << print(a.program, after[i]);
  }
  if (t.across > 4) {
    EXPECT_GT(count(a.program, VOp::spill_load), 0U) << "the values across it must live somewhere";
  }
}

INSTANTIATE_TEST_SUITE_P(Tiles, HotLoop,
                         testing::Values(Tile{"avx512_exact", 8, 3, 0, 14, 32, 7},
                                         Tile{"avx512_crowd", 8, 3, 12, 14, 32, 7},
                                         Tile{"avx512_few_general", 8, 3, 12, 7, 32, 7},
                                         Tile{"avx2_exact", 4, 3, 0, 14, 16, 0},
                                         Tile{"avx2_crowd", 4, 3, 8, 14, 16, 0},
                                         Tile{"avx2_few_general", 4, 3, 8, 7, 16, 0},
                                         Tile{"avx2_six_by_two", 6, 2, 8, 14, 16, 0}),
                         [](const auto& info) { return info.param.name; });

// ---- Speed ---------------------------------------------------------------------------------

/// 40 loops one after the other, each over some 120 operations on a dozen values.
Program many_loops() {
  Program p;
  Writer w(p);
  const VReg g = w.op(VOp::arguments, {});
  std::vector<VReg> numbers;
  for (int n = 0; n < 10; ++n) numbers.push_back(w.load64(g, 8 * n));
  const VReg scale = w.constant_vector(0.75F);
  for (int l = 0; l < 40; ++l) {
    const VReg k = w.op(VOp::mov64, {reg(numbers[0])});
    const VReg pointer = w.op(VOp::add64, {reg(g), reg(numbers[static_cast<std::size_t>(l % 10)])});
    const std::uint32_t head = w.new_label();
    w.label(head);
    std::vector<VReg> values;
    for (int n = 0; n < 12; ++n) values.push_back(w.load(pointer, 16 * n));
    for (std::size_t n = 0; n < 100; ++n)
      values[n % 12] = w.op(VOp::fma, {reg(values[n % 12]), reg(values[(n + 5) % 12]), reg(scale)});
    for (int n = 0; n < 12; ++n) w.store(values[static_cast<std::size_t>(n)], pointer, 16 * n);
    w.into(pointer, VOp::add64, {reg(pointer), immediate(192)});
    w.into(k, VOp::sub64, {reg(k), immediate(1)});
    w.jump_if(Cond::gt, k, immediate(0), head);
  }
  for (const VReg n : numbers) w.store64(n, g, 0);
  w.ret();
  return p;
}

TEST(Allocation, IsFast) {
  for (const bool random : {false, true}) {
    const Program p = random ? RandomProgram(1, 3900).make() : many_loops();
    const TargetInfo target = random ? target_with(14, 32, 7) : target_with(10, 16, 0);
    double allocation = 1e9;
    double check = 1e9;
    Allocation a;
    for (int n = 0; n < 3; ++n) {
      Program copy = p;
      const std::clock_t begin = std::clock();  // of this process, whatever else runs
      a = allocate_registers(std::move(copy), target);
      const std::clock_t middle = std::clock();
      check_allocation(p, a, target);
      const std::clock_t end = std::clock();
      allocation = std::min(allocation, 1e3 * static_cast<double>(middle - begin) / CLOCKS_PER_SEC);
      check = std::min(check, 1e3 * static_cast<double>(end - middle) / CLOCKS_PER_SEC);
    }
    fmt::print(
        "{} -> {} instructions, {} vector registers, {} spilled: {:.2f} ms, check {:.2f} ms\n",
        p.code.size(), a.program.code.size(), target.vector_registers, a.spilled_registers,
        allocation, check);
    EXPECT_LT(allocation, 100) << "5 ms are the aim; this leaves room for sanitizers";
  }
}

}  // namespace
}  // namespace burin::codegen::test
