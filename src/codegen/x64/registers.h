#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "target/target_info.h"

namespace burin::codegen::x64 {

/// The general registers that the allocator hands out, by index: all but rsp and rbp, those that a
/// function may clobber first. `code` is the number in the instruction.
struct GeneralRegister {
  std::uint8_t code;
  bool callee_saved;
  std::string_view name;
};
inline constexpr std::array<GeneralRegister, 14> kGeneralRegisters{{
    {0, false, "rax"},
    {1, false, "rcx"},
    {2, false, "rdx"},
    {6, false, "rsi"},
    {7, false, "rdi"},
    {8, false, "r8"},
    {9, false, "r9"},
    {10, false, "r10"},
    {11, false, "r11"},
    {3, true, "rbx"},
    {12, true, "r12"},
    {13, true, "r13"},
    {14, true, "r14"},
    {15, true, "r15"},
}};

/// AVX-512's mask registers by index start at k1: k0 as a predicate means "no predicate". It is the
/// assembler's scratch.
constexpr int mask_register(int index) { return index + 1; }

/// Whether masks are vectors of all-ones and all-zeros lanes.
inline bool masks_are_vectors(const TargetInfo& target) { return target.mask_registers == 0; }

}  // namespace burin::codegen::x64
