#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "target/target_info.h"

namespace burin::codegen {

/// Classes of registers. Where the target has no mask registers, masks live in vector registers.
enum class RegClass : std::uint8_t { none, general, vector, mask };

/// A virtual register: index into Program::registers. May be written more than once.
using VReg = std::uint32_t;
inline constexpr VReg kNoReg = 0xffffffffU;

enum class VOp : std::uint8_t {
#define VCODE_OP(name, dst, s0, s1, s2, flags) name,
#include "codegen/vcode_ops.def"
};

enum class Cond : std::uint8_t { lt, le, gt, ge, eq, ne, unord };

/// base + index * scale + displacement, in bytes.
struct Memory {
  VReg base = kNoReg;
  VReg index = kNoReg;
  std::uint8_t scale = 1;  ///< 1, 2, 4, 8
  std::int32_t displacement = 0;
};

struct Operand {
  enum class Kind : std::uint8_t {
    none,
    reg,
    immediate,      ///< of general operations: value
    constant,       ///< splat of a 32-bit pattern, from the constant pool: value
    memory,         ///< a full vector at Instruction::mem
    memory_splat,   ///< one 32-bit element at Instruction::mem, to all lanes
  } kind = Kind::none;
  VReg reg = kNoReg;
  std::int64_t value = 0;
};

/// What the table (vcode_ops.def) says of an operation.
struct VOpInfo {
  std::string_view name;
  RegClass dst;
  std::array<RegClass, 3> src;
  std::array<bool, 3> flexible;  ///< the source may be an immediate, constant or memory operand
  bool inout, loads, stores, predicated, control;
};
const VOpInfo& info(VOp op);

struct Instruction {
  VOp op{};
  Cond cond{};
  std::uint8_t temp_count = 0;
  VReg dst = kNoReg;
  std::array<Operand, 3> src{};
  VReg mask = kNoReg;    ///< predicate of loads and stores
  VReg count = kNoReg;   ///< general register: active lanes. Set beside `mask` for load_bool and store_bool (AVX2
                         ///< has no masked byte moves), and for lane by lane accesses; none: all lanes of
                         ///< load_strided, store_strided, of quads
  VReg stride = kNoReg;  ///< general register: bytes between lanes, of load_strided and store_strided, or between quads
  Memory mem{};
  std::int64_t imm = 0;
  std::uint32_t label = 0;
  std::array<VReg, 4> temps{kNoReg, kNoReg, kNoReg, kNoReg};  ///< scratch: written before the last source is read
  std::uint32_t origin = 0;                   ///< the Linear IR expression that it came from
};

/// A kernel over virtual registers; control flow by labels.
struct Program {
  std::vector<RegClass> registers;
  std::vector<Instruction> code;
  std::uint32_t label_count = 0;
  std::vector<std::string> origins;  ///< text of the Linear IR expressions, by Instruction::origin; may be none
};

/// An instruction has so many registers at most: sources, base, index, mask, count and stride, temporaries, destination.
inline constexpr std::size_t kMostRegisters = std::tuple_size_v<decltype(Instruction::src)> + 5 + std::tuple_size_v<decltype(Instruction::temps)> + 1;

/// Calls `f(VReg&, bool is_read, bool is_write)` for every register of an instruction (temps are writes).
template <typename F>
void for_each_register(Instruction& i, F&& f);

std::string print(const Program& program);
std::string print(const Program& program, const Instruction& instruction);

/// Where each virtual register lives after allocation: a physical register of its class (spilled registers have
/// been rewritten to short-lived ones around spill_load and spill_store).
struct Allocation {
  Program program;                         ///< with spill code
  std::vector<std::uint8_t> physical;      ///< by VReg: index within the target's registers of its class
  std::uint32_t frame_slots = 0;           ///< spill slots, each of vector_bytes
  std::uint32_t spilled_registers = 0;
};

/// Live intervals and linear scan with spills; see register_allocation.cpp.
Allocation allocate_registers(Program program, const TargetInfo& target);

/// Proves that every use reads what its definition wrote, through spills and back-edges, knowing nothing of
/// the allocator: symbolic execution of `allocation.program` over physical registers and slots against the
/// data flow of `original`. Throws burin::Error that names the instruction. See allocation_checker.cpp.
void check_allocation(const Program& original, const Allocation& allocation, const TargetInfo& target);

}  // namespace burin::codegen

#include "codegen/vcode_inl.h"
