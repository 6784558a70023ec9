#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace burin {

/// Bytes.
inline constexpr std::int64_t kCacheLine = 64;

/// Instruction sets that kernels are emitted for, in ascending order of what they can do.
enum class Isa : std::uint8_t { none, avx2, avx512 };

/// What the passes, the schedule and the code generator may know of a machine: plain data, no code.
struct TargetInfo {
  Isa isa = Isa::none;
  std::string name;                  ///< "avx512"
  std::int64_t vector_bytes = 0;     ///< of one vector register
  int vector_registers = 0;
  int mask_registers = 0;            ///< 0: masks live in vector registers
  int general_registers = 0;         ///< that the allocator may hand out
  bool has_scale_exponent = false;   ///< x * 2^floor(y) as one instruction
  bool has_lookup_both = false;      ///< a permutation of the lanes of two vectors
  bool has_fraction = false;         ///< x - floor(x) as one instruction
  bool has_limit_magnitude = false;  ///< of two numbers the one nearer to zero, with the sign of the first
  bool has_broadcast_operand = false;  ///< arithmetic with a scalar from memory
  std::int64_t l1_bytes = 32 * 1024;
  std::int64_t l2_bytes = 1024 * 1024;
  std::int64_t l3_bytes = 32 * 1024 * 1024;

  /// Lanes of one vector for elements of the given size.
  std::int64_t lanes(std::int64_t element_bytes = 4) const { return vector_bytes / element_bytes; }
};

/// The description of an instruction set (cache sizes at their defaults).
TargetInfo target_for(Isa isa);
/// What this CPU and operating system offer, capped by the environment variable BURIN_ISA
/// ("avx2", "avx512"); throws burin::Error for an unknown word.
TargetInfo host_target();
/// "none", "avx2", "avx512"; the inverse throws burin::Error.
std::string_view to_string(Isa isa);
Isa isa_from_string(std::string_view word);

}  // namespace burin
