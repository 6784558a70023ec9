#include "support/aligned_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

namespace burin {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;  // on x86-64

}  // namespace

AlignedMemory allocate_aligned(std::size_t bytes) {
  const bool is_large = bytes >= kHugePage;
  const std::size_t size = aligned_size(std::max<std::size_t>(bytes, 1));
  if (size < bytes) return nullptr;
  void* allocated = nullptr;  // (aligned_alloc takes no sizes but multiples of the alignment.)
  if (posix_memalign(&allocated, is_large ? kHugePage : kMemoryAlignment, size) != 0) return nullptr;
  AlignedMemory memory(static_cast<std::byte*>(allocated));
  // Whole huge pages only, so that no more memory becomes resident than is used. Where the system has none, small pages do.
  if (is_large) madvise(memory.get(), bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  return memory;
}

}  // namespace burin
