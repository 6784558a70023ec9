#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "codegen/machine_code.h"
#include "codegen/vcode_builder.h"
#include "target/target_info.h"

namespace burin::codegen::test {

/// The instruction sets that are tested here; says so where this CPU has not all of them.
inline std::vector<Isa> runnable_isas() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::avx2, Isa::avx512}) {
    if (isa <= host_target().isa)
      isas.push_back(isa);
    else
      std::printf("[  SKIPPED ] %s: this CPU does not have it\n",
                  std::string(to_string(isa)).c_str());
  }
  return isas;
}

/// How a test's program gets its registers; not by the allocator, which has tests of its own.
enum class Registers {
  ascending,   ///< each virtual register in a physical one of its own: the v-th of its class is the
               ///< v-th
  descending,  ///< the same from the last register downwards
  tight,       ///< see allocate_tightly
};

inline Allocation allocate_in_order(Program program, const TargetInfo& target, bool descending) {
  Allocation a;
  std::array<int, 4> next{};
  for (const RegClass c : program.registers) {
    const bool as_vector =
        c == RegClass::vector || (c == RegClass::mask && target.mask_registers == 0);
    const int count = as_vector                ? target.vector_registers
                      : c == RegClass::general ? target.general_registers
                                               : target.mask_registers;
    const int n = next.at(static_cast<std::size_t>(as_vector ? RegClass::vector : c))++;
    if (n >= count) throw std::runtime_error("allocate_in_order: out of registers");
    a.physical.push_back(static_cast<std::uint8_t>(descending ? count - 1 - n : n));
  }
  a.program = std::move(program);
  return a;
}

/// For code without labels: registers are handed out again as soon as their value has been read
/// for the last time, so destinations often share a register with a source. No spills.
inline Allocation allocate_tightly(Program program, const TargetInfo& target) {
  const auto bank = [&](VReg r) {
    const RegClass c = program.registers[r];
    return c == RegClass::mask && target.mask_registers == 0 ? RegClass::vector : c;
  };
  std::map<VReg, std::size_t> last_use;
  for (std::size_t n = 0; n < program.code.size(); ++n)
    for_each_register(program.code[n], [&](VReg& r, bool, bool) { last_use[r] = n; });

  std::array<std::vector<std::uint8_t>, 4> free;
  const auto fill = [&](RegClass c, int count) {
    for (int r = count - 1; r >= 0; --r)
      free[static_cast<std::size_t>(c)].push_back(static_cast<std::uint8_t>(r));
  };
  fill(RegClass::general, target.general_registers);
  fill(RegClass::vector, target.vector_registers);
  fill(RegClass::mask, target.mask_registers);

  Allocation a;
  a.physical.assign(program.registers.size(), 0xff);
  const auto take = [&](VReg r) {
    if (a.physical[r] != 0xff) return;
    auto& registers = free[static_cast<std::size_t>(bank(r))];
    if (registers.empty()) throw std::runtime_error("allocate_tightly: out of registers");
    a.physical[r] = registers.back();
    registers.pop_back();
  };
  const auto release = [&](VReg r) {
    free[static_cast<std::size_t>(bank(r))].push_back(a.physical[r]);
  };
  for (std::size_t n = 0; n < program.code.size(); ++n) {
    Instruction& i = program.code[n];
    for (std::size_t t = 0; t < i.temp_count; ++t) take(i.temps[t]);
    std::vector<VReg> dying;
    for_each_register(i, [&](VReg& r, bool is_read, bool) {
      const bool seen = std::find(dying.begin(), dying.end(), r) != dying.end();
      if (is_read && last_use[r] == n && !seen && r != i.dst) dying.push_back(r);
    });
    for (const VReg r : dying) release(r);
    if (i.dst != kNoReg) take(i.dst);
    for (std::size_t t = 0; t < i.temp_count; ++t) release(i.temps[t]);
    if (i.dst != kNoReg && last_use[i.dst] == n) release(i.dst);
  }
  a.program = std::move(program);
  return a;
}

/// A kernel under construction that reads its parameters and pointers like a real one.
class Kernel {
 public:
  explicit Kernel(Isa isa) : target(target_for(isa)), b(program_) {
    arguments_ = b.op(VOp::arguments, {});
  }
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  /// The n-th 64-bit parameter.
  VReg parameter(int n) {
    return load64(load64(arguments_, offsetof(KernelArguments, parameters)), 8 * n);
  }
  VReg pointer(int n) {
    return load64(load64(arguments_, offsetof(KernelArguments, pointers)), 8 * n);
  }

  VReg load64(VReg base, std::int64_t displacement) {
    Instruction i;
    i.op = VOp::load64;
    i.dst = b.general();
    i.mem = at(base, displacement);
    return b.append(i).dst;
  }
  void store64(VReg value, VReg base, std::int64_t displacement = 0) {
    Instruction i;
    i.op = VOp::store64;
    i.src[0] = reg(value);
    i.mem = at(base, displacement);
    b.append(i);
  }
  VReg load(VReg base, std::int64_t displacement = 0) {
    Instruction i;
    i.op = VOp::load;
    i.dst = b.vector();
    i.mem = at(base, displacement);
    return b.append(i).dst;
  }
  void store(VReg value, VReg base, std::int64_t displacement = 0) {
    Instruction i;
    i.op = VOp::store;
    i.src[0] = reg(value);
    i.mem = at(base, displacement);
    b.append(i);
  }
  /// The mask of the first `count` lanes.
  VReg mask_first(VReg count) {
    Instruction i;
    i.op = VOp::mask_first;
    i.dst = b.mask();
    i.src[0] = reg(count);
    i.temps[i.temp_count++] = b.general();
    return b.append(i).dst;
  }
  static Memory at(VReg base, std::int64_t displacement = 0) {
    return {base, kNoReg, 1, static_cast<std::int32_t>(displacement)};
  }

  /// Adds the return and assembles.
  void finish(Registers registers = Registers::ascending) {
    Instruction ret;
    ret.op = VOp::ret;
    b.append(ret);
    allocation = registers == Registers::tight
                     ? allocate_tightly(program_, target)
                     : allocate_in_order(program_, target, registers == Registers::descending);
    code = assemble(allocation, target, "test");
  }
  void run(std::vector<void*> pointers, std::vector<std::int64_t> parameters = {}) const {
    KernelArguments arguments{};
    arguments.parameters = parameters.data();
    arguments.pointers = pointers.data();
    code->function()(&arguments);
  }

 private:
  Program program_;

 public:
  const TargetInfo target;
  VBuilder b;
  Allocation allocation;
  std::unique_ptr<MachineCode> code;

 private:
  VReg arguments_;
};

}  // namespace burin::codegen::test
