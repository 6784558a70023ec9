// Random programs: allocated, checked, and run before and after. Then allocations are broken on
// purpose: whatever changes the result of a run, the checker has to find.

#include <chrono>
#include <functional>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "burin/error.h"
#include "tests/unit/codegen/random_vcode.h"
#include "tests/unit/codegen/vcode_interpreter.h"

namespace burin::codegen::test {
namespace {

using Clock = std::chrono::steady_clock;

const std::vector<TargetInfo>& targets() {
  static const std::vector<TargetInfo> all = {
      target_with(14, 32, 7), target_with(14, 16, 0), target_with(8, 8, 2),
      target_with(5, 5, 1),   target_with(5, 4, 0),
  };
  return all;
}

struct Case {
  std::uint64_t seed;
  TargetInfo target;
  Program program;
  std::vector<std::vector<std::uint32_t>> memories;

  explicit Case(std::uint64_t seed)
      : seed(seed),
        target(targets()[seed % targets().size()]),
        program(RandomProgram(seed, 10 + static_cast<int>(seed * 37 % 300)).make()) {
    for (std::uint64_t m = 0; m < 3; ++m) memories.push_back(random_memory(seed + 1000 * m));
  }

  std::string name() const {
    return fmt::format("BURIN_SEED={} ({} general, {} vector, {} mask registers)", seed,
                       target.general_registers, target.vector_registers, target.mask_registers);
  }
};

/// What the original does with a few memories.
std::vector<Execution> expected_results(const Case& c) {
  std::vector<Execution> all;
  for (const auto& memory : c.memories) {
    all.push_back(Interpreter(c.program).run(memory));
    EXPECT_TRUE(all.back().ended) << c.name();
  }
  return all;
}

bool same_results(const Case& c, const std::vector<Execution>& expected,
                  const Allocation& allocation) {
  for (std::size_t m = 0; m < c.memories.size(); ++m) {
    const int limit = 20 * expected[m].steps + 100;
    const Execution actual = Interpreter(allocation, c.target).run(c.memories[m], limit);
    if (!actual.ended || actual.memory != expected[m].memory) return false;
  }
  return true;
}

bool passes(const Program& original, const Allocation& allocation, const TargetInfo& target) {
  try {
    check_allocation(original, allocation, target);
    return true;
  } catch (const Error&) {
    return false;
  }
}

TEST(AllocationFuzz, ResultsStayTheSame) {
  const auto end = Clock::now() + std::chrono::milliseconds(1000);
  std::uint64_t seed = first_seed();
  std::size_t spilled = 0;
  for (; Clock::now() < end; ++seed) {
    const Case c(seed);
    SCOPED_TRACE(c.name());
    Allocation allocation;
    ASSERT_NO_THROW(allocation = allocate_registers(c.program, c.target));
    ASSERT_NO_THROW(check_allocation(c.program, allocation, c.target)) << print(c.program);
    ASSERT_TRUE(same_results(c, expected_results(c), allocation))
        << print(c.program) << print(allocation.program);
    spilled += allocation.spilled_registers;
  }
  EXPECT_GT(spilled, 0U);
  fmt::print("seeds {} to {}, {} spilled registers\n", first_seed(), seed - 1, spilled);
}

/// Changes one thing about an allocation; false where there is nothing of the kind to change.
class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  bool mutate(Allocation& a, const Case& c) {
    switch (number(9)) {
      case 0: return move_register(a, c.target);
      case 1: return drop(a, [](const Instruction& i) { return i.op == VOp::spill_store; });
      case 2: return drop(a, [](const Instruction& i) { return i.op == VOp::spill_load; });
      case 3: return redirect(a);
      case 4: return exchange_neighbours(a);
      case 5: return rename_operand(a);
      case 6: return change_constant(a, c);
      case 7: return overwrite_slot(a);
      default: {
        const auto first = static_cast<VReg>(c.program.registers.size());
        return drop(a, [first](const Instruction& i) {
          const bool constant = i.op == VOp::imm64 || i.op == VOp::constant || i.op == VOp::iota;
          return constant && i.dst >= first;
        });
      }
    }
  }

 private:
  std::size_t number(std::size_t end) { return random_() % end; }

  std::vector<std::size_t> find(const Allocation& a,
                                const std::function<bool(const Instruction&)>& wanted) {
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < a.program.code.size(); ++i)
      if (wanted(a.program.code[i])) all.push_back(i);
    return all;
  }

  bool drop(Allocation& a, const std::function<bool(const Instruction&)>& wanted) {
    const std::vector<std::size_t> all = find(a, wanted);
    if (all.empty()) return false;
    a.program.code.erase(a.program.code.begin() +
                         static_cast<std::ptrdiff_t>(all[number(all.size())]));
    return true;
  }

  bool move_register(Allocation& a, const TargetInfo& target) {
    for (int tries = 0; tries < 20; ++tries) {
      const std::size_t r = number(a.physical.size());
      if (a.physical[r] == 0xff) continue;
      const bool general = a.program.registers[r] == RegClass::general;
      const bool mask = a.program.registers[r] == RegClass::mask && target.mask_registers > 0;
      const int size = general ? target.general_registers
                       : mask  ? target.mask_registers
                               : target.vector_registers;
      const auto p = static_cast<std::uint8_t>(number(static_cast<std::size_t>(size)));
      if (p == a.physical[r]) continue;
      a.physical[r] = p;
      return true;
    }
    return false;
  }

  bool redirect(Allocation& a) {
    const auto all = find(a, [](const Instruction& i) {
      return i.op == VOp::spill_load || i.op == VOp::spill_store;
    });
    if (all.empty()) return false;
    a.program.code[all[number(all.size())]].imm = static_cast<std::int64_t>(number(a.frame_slots));
    return true;
  }

  bool overwrite_slot(Allocation& a) {
    const std::size_t r = number(a.physical.size());
    if (a.frame_slots == 0 || a.physical[r] == 0xff) return false;
    Instruction i;
    i.op = VOp::spill_store;
    i.src[0] = reg(static_cast<VReg>(r));
    i.imm = static_cast<std::int64_t>(number(a.frame_slots));
    const auto at = static_cast<std::ptrdiff_t>(number(a.program.code.size()));
    a.program.code.insert(a.program.code.begin() + at, i);
    return true;
  }

  bool exchange_neighbours(Allocation& a) {
    const auto all = find(a, [](const Instruction& i) { return !info(i.op).control; });
    const std::size_t at = all[number(all.size())];
    if (at + 1 >= a.program.code.size() || info(a.program.code[at + 1].op).control) return false;
    std::swap(a.program.code[at], a.program.code[at + 1]);
    return true;
  }

  bool rename_operand(Allocation& a) {
    Instruction& i = a.program.code[number(a.program.code.size())];
    std::vector<VReg*> registers;
    for_each_register(i, [&](VReg& r, bool, bool) { registers.push_back(&r); });
    if (registers.empty()) return false;
    VReg& r = *registers[number(registers.size())];
    for (int tries = 0; tries < 20; ++tries) {
      const auto other = static_cast<VReg>(number(a.program.registers.size()));
      if (a.program.registers[other] != a.program.registers[r]) continue;
      if (a.physical[other] == 0xff || a.physical[other] == a.physical[r]) continue;
      r = other;
      return true;
    }
    return false;
  }

  /// Of a constant that was made anew, or put into an operand.
  bool change_constant(Allocation& a, const Case& c) {
    const auto first = static_cast<VReg>(c.program.registers.size());
    const auto all = find(a, [first](const Instruction& i) {
      const bool folded =
          i.src[1].kind == Operand::Kind::constant || i.src[1].kind == Operand::Kind::immediate;
      return folded || ((i.op == VOp::imm64 || i.op == VOp::constant) && i.dst >= first);
    });
    if (all.empty()) return false;
    Instruction& i = a.program.code[all[number(all.size())]];
    (i.src[1].kind == Operand::Kind::none ? i.imm : i.src[1].value) += 3;
    return true;
  }

  std::mt19937_64 random_;
};

TEST(AllocationFuzz, CheckerFindsBrokenAllocations) {
  const auto end = Clock::now() + std::chrono::milliseconds(1000);
  std::uint64_t seed = first_seed();
  int mutants = 0;
  int wrong = 0;
  int rejected = 0;
  for (; Clock::now() < end; ++seed) {
    const Case c(seed);
    SCOPED_TRACE(c.name());
    const Allocation allocation = allocate_registers(c.program, c.target);
    const std::vector<Execution> expected = expected_results(c);
    Mutator mutator(seed);
    for (int n = 0; n < 12; ++n) {
      Allocation mutant = allocation;
      if (!mutator.mutate(mutant, c)) continue;
      const bool same = same_results(c, expected, mutant);
      const bool accepted = passes(c.program, mutant, c.target);
      ASSERT_TRUE(same || !accepted) << "not found in mutant " << n << ":\n"
                                     << print(c.program) << "----\n"
                                     << print(mutant.program);
      mutants += 1;
      wrong += same ? 0 : 1;
      rejected += accepted ? 0 : 1;
    }
  }
  EXPECT_GT(wrong, 0);
  fmt::print("seeds {} to {}: {} mutants, {} with wrong results, {} rejected\n", first_seed(),
             seed - 1, mutants, wrong, rejected);
}

}  // namespace
}  // namespace burin::codegen::test
