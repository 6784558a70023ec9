// What the checker must accept, and what it must not, case by case. (allocation_fuzz_test.cpp does
// the same at random.)

#include <gtest/gtest.h>

#include "burin/error.h"
#include "tests/unit/codegen/random_vcode.h"

namespace burin::codegen::test {
namespace {

Instruction spill_load(VReg dst, std::int64_t slot) {
  Instruction i;
  i.op = VOp::spill_load;
  i.dst = dst;
  i.imm = slot;
  return i;
}
Instruction spill_store(VReg src, std::int64_t slot) {
  Instruction i;
  i.op = VOp::spill_store;
  i.src[0] = reg(src);
  i.imm = slot;
  return i;
}
Instruction store64(VReg src, VReg base) {
  Instruction i;
  i.op = VOp::store64;
  i.src[0] = reg(src);
  i.mem.base = base;
  return i;
}
Instruction load64(VReg dst, VReg base) {
  Instruction i;
  i.op = VOp::load64;
  i.dst = dst;
  i.mem.base = base;
  return i;
}

class Checker : public testing::Test {
 protected:
  /// The original as its own allocation: one physical register for each virtual one.
  Allocation as_is() const {
    Allocation a;
    a.program = original;
    for (std::size_t r = 0; r < original.registers.size(); ++r)
      a.physical.push_back(static_cast<std::uint8_t>(r));
    return a;
  }
  VReg fresh(Allocation& a, RegClass c, std::uint8_t physical) const {
    a.program.registers.push_back(c);
    a.physical.push_back(physical);
    return static_cast<VReg>(a.physical.size() - 1);
  }
  void insert(Allocation& a, std::size_t at, const Instruction& i) const {
    a.program.code.insert(a.program.code.begin() + static_cast<std::ptrdiff_t>(at), i);
  }
  void accept(const Allocation& a) const {
    EXPECT_NO_THROW(check_allocation(original, a, target)) << print(a.program);
  }
  void reject(const Allocation& a, const std::string& reason) const {
    try {
      check_allocation(original, a, target);
      ADD_FAILURE() << "accepted:\n" << print(a.program);
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(reason), std::string::npos) << e.what();
    }
  }

  TargetInfo target = target_with(8, 8, 2);
  Program original;
  VBuilder b{original};
};

TEST_F(Checker, StaleRegister) {
  const VReg g = b.op(VOp::arguments, {});
  const VReg x = b.general();
  b.append(load64(x, g));
  b.append(load64(b.general(), g));
  b.append(store64(x, g));
  accept(as_is());
  Allocation a = as_is();
  a.physical[2] = a.physical[x];
  reject(a,
         "instruction 3 (store64 g1, [g0]): reads general register 1 for the original's g1, "
         "but it holds: g2");
}

TEST_F(Checker, DroppedAndChangedInstructions) {
  const VReg g = b.op(VOp::arguments, {});
  const VReg x = b.op(VOp::add64, {reg(g), immediate(8)});
  b.append(store64(x, g));
  Allocation a = as_is();
  a.program.code.pop_back();
  reject(a, "missing at the end");
  a = as_is();
  a.program.code[1].src[1].value = 9;
  reject(a, "differs from the original's g1 = add64 g0, 8");
  a = as_is();
  a.program.code.push_back(a.program.code.back());
  reject(a, "beyond the end");
}

TEST_F(Checker, Spills) {
  const VReg g = b.op(VOp::arguments, {});
  const VReg x = b.general();
  b.append(load64(x, g));                         // 1
  b.into(x, VOp::add64, {reg(x), immediate(1)});  // 2
  b.append(store64(x, g));                        // 3
  Allocation good = as_is();
  good.frame_slots = 2;
  const VReg t1 = fresh(good, RegClass::general, 3);
  const VReg t2 = fresh(good, RegClass::general, 4);
  const VReg t3 = fresh(good, RegClass::general, 3);
  auto& code = good.program.code;
  code[1].dst = t1;
  code[2].src[0].reg = code[2].dst = t2;
  code[3].src[0].reg = t3;
  insert(good, 3, spill_load(t3, 1));
  insert(good, 3, spill_store(t2, 1));
  insert(good, 2, spill_load(t2, 1));
  insert(good, 2, spill_store(t1, 1));
  // arguments; load64; store; load; add64; store; load; store64
  accept(good);
  Allocation a = good;
  a.program.code.erase(a.program.code.begin() + 5);  // the second spill_store: the old value stays
  reject(a, "but it holds: nothing known");
  a = good;
  a.program.code[3].imm = 0;
  reject(a, "instruction 4");
  a = good;
  a.program.code[3].imm = 2;
  reject(a, "slot 2 of a frame of 2");
}

TEST_F(Checker, OverwrittenSlot) {
  const VReg g = b.op(VOp::arguments, {});
  const VReg x = b.general();
  b.append(load64(x, g));   // 1
  b.append(store64(g, g));  // 2
  b.append(store64(x, g));  // 3
  Allocation a = as_is();
  a.frame_slots = 1;
  const VReg t = fresh(a, RegClass::general, 5);
  a.program.code[3].src[0].reg = t;
  insert(a, 3, spill_load(t, 0));
  insert(a, 2, spill_store(x, 0));
  accept(a);
  insert(a, 3, spill_store(g, 0));
  reject(a, "for the original's g1, but it holds: g0");
}

TEST_F(Checker, JoinsAndBackEdges) {
  const VReg g = b.op(VOp::arguments, {});
  const VReg x = b.general();
  const VReg y = b.general();
  const std::uint32_t head = b.new_label();
  b.append(load64(x, g));                         // 1
  b.append(load64(y, g));                         // 2
  b.label(head);                                  // 3
  b.append(store64(x, g));                        // 4
  b.into(y, VOp::add64, {reg(y), immediate(1)});  // 5
  b.jump_if(Cond::lt, y, immediate(9), head);     // 6
  accept(as_is());
  // A scratch value in x's register: right in the first turn only.
  Allocation a = as_is();
  const VReg t = fresh(a, RegClass::general, a.physical[x]);
  a.program.code[5].dst = t;
  a.program.code[6].src[0].reg = t;
  reject(a, "instruction 4");
}

TEST_F(Checker, BranchesThatWriteOnOnePathOnly) {
  const VReg g = b.op(VOp::arguments, {});
  const VReg x = b.general();
  const std::uint32_t skip = b.new_label();
  b.jump_if(Cond::lt, g, immediate(9), skip);
  b.append(load64(x, g));
  b.label(skip);
  b.append(store64(x, g));  // on the other path x is anything
  accept(as_is());
}

TEST_F(Checker, ReadBeforeWritten) {
  const VReg g = b.op(VOp::arguments, {});
  b.append(store64(b.general(), g));
  reject(as_is(), "reads g1 before it is written");
}

TEST_F(Checker, MovesMakeCopies) {
  const VReg g = b.op(VOp::arguments, {});
  const VReg copy = b.op(VOp::mov64, {reg(g)});
  b.append(store64(copy, g));
  Allocation a = as_is();
  a.program.code[2].mem.base = copy;
  accept(a);
  b.into(copy, VOp::add64, {reg(copy), immediate(1)});
  b.append(store64(copy, g));
  a = as_is();
  a.program.code[4].mem.base = copy;
  reject(a, "instruction 4");
}

TEST_F(Checker, ConstantsMayMove) {
  const VReg g = b.op(VOp::arguments, {});
  const VReg c = b.imm64(5);
  b.append(store64(c, g));
  const VReg sum = b.op(VOp::add64, {reg(g), reg(c)});
  b.append(store64(sum, g));
  Allocation good = as_is();
  const VReg t = fresh(good, RegClass::general, 7);
  good.program.code.erase(good.program.code.begin() + 1);
  good.program.code[1].src[0].reg = t;
  Instruction five = original.code[1];
  five.dst = t;
  insert(good, 1, five);
  good.program.code[3].src[1] = immediate(5);
  accept(good);
  Allocation a = good;
  a.program.code[1].imm = 6;
  reject(a, "instruction 2");
  a = good;
  a.program.code[3].src[1] = immediate(6);
  reject(a, "differs");
  // With a second definition it is no constant any more.
  b.into(c, VOp::imm64, {}, 6);
  good.program.code.push_back(original.code.back());
  reject(good, "differs");
}

TEST_F(Checker, Temporaries) {
  const VReg g = b.op(VOp::arguments, {});
  const VReg m = b.op(VOp::mask_first, {reg(g)});
  const VReg t = b.general();
  original.code.back().temp_count = 1;
  original.code.back().temps[0] = t;
  Instruction load;
  load.op = VOp::load;
  load.dst = b.vector();
  load.mem.base = g;
  load.mask = m;
  b.append(load);
  Allocation a = as_is();
  accept(a);
  a.physical[t] = a.physical[g];
  reject(a, "a temporary overwrites a source");
  // What a temporary overwrites is gone.
  b.append(store64(g, g));
  b.append(original.code[1]);
  b.append(store64(g, g));
  a = as_is();
  accept(a);
  const VReg elsewhere = fresh(a, RegClass::general, 6);
  Instruction& again = a.program.code[4];
  again.src[0].reg = elsewhere;
  a.program.code[4].temps[0] = g;
  insert(a, 4, spill_load(elsewhere, 0));
  insert(a, 4, spill_store(g, 0));
  a.frame_slots = 1;
  reject(a, "instruction 7");
}

TEST_F(Checker, DestinationWithTemporariesOverwritesNoSource) {
  const VReg g = b.op(VOp::arguments, {});
  const VReg d = b.op(VOp::div64, {reg(g), reg(b.imm64(3))});
  original.code.back().temp_count = 1;
  original.code.back().temps[0] = b.vector();
  Allocation a = as_is();
  accept(a);
  a.physical[d] = a.physical[g];
  reject(a, "the destination overwrites a source");
}

TEST_F(Checker, LocationsExist) {
  const VReg g = b.op(VOp::arguments, {});
  b.append(store64(g, g));
  Allocation a = as_is();
  a.physical[g] = 8;
  reject(a, "register 0 lives in 8, of 8");
  a.physical.clear();
  reject(a, "`physical`");
}

TEST_F(Checker, ClassesOfSlots) {
  const VReg g = b.op(VOp::arguments, {});
  const VReg v = b.op(VOp::splat64, {reg(g)});
  b.append(store64(g, g));
  b.append(original.code[1]);
  Allocation a = as_is();
  a.frame_slots = 1;
  const VReg t = fresh(a, RegClass::general, 5);
  a.program.code[2].src[0].reg = t;
  insert(a, 2, spill_load(t, 0));
  insert(a, 2, spill_store(v, 0));
  reject(a, "nothing known");
}

TEST_F(Checker, MasksAmongVectors) {
  const VReg g = b.op(VOp::arguments, {});
  const VReg v = b.op(VOp::splat64, {reg(g)});
  const VReg m = b.compare(Cond::lt, v, reg(v));
  b.op(VOp::blend, {reg(m), reg(v), reg(v)});
  Allocation a = as_is();
  a.physical[m] = a.physical[v];  // vector register 1, mask register 1
  accept(a);
  target.mask_registers = 0;
  reject(a, "reads vector register 1");
}

}  // namespace
}  // namespace burin::codegen::test
