#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace burin {

/// Of all memory that tensors, arenas and scratch are made of: a cache line, and a vector of AVX-512.
inline constexpr std::size_t kMemoryAlignment = 64;

/// The next multiple of kMemoryAlignment.
constexpr std::size_t aligned_size(std::size_t bytes) { return (bytes + kMemoryAlignment - 1) / kMemoryAlignment * kMemoryAlignment; }

struct FreeMemory {
  void operator()(std::byte* p) const { std::free(p); }
};
using AlignedMemory = std::unique_ptr<std::byte, FreeMemory>;

/// Memory of at least `bytes`, aligned to kMemoryAlignment; none where there is none. What is large lies on huge pages
/// where the system grants them: kernels that go through memory, or jump in it, miss the TLB less often.
AlignedMemory allocate_aligned(std::size_t bytes);

}  // namespace burin
