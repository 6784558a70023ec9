#include "support/aligned_memory.h"

#include <sys/mman.h>

#include <algorithm>

namespace burin {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;  // on x86-64

}  // namespace

AlignedMemory allocate_aligned(std::size_t bytes) {
  const bool is_large = bytes >= kHugePage;
  const std::size_t size = aligned_size(std::max<std::size_t>(bytes, 1));
  if (size < bytes) return nullptr;
  AlignedMemory memory(static_cast<std::byte*>(std::aligned_alloc(is_large ? kHugePage : kMemoryAlignment, size)));
  // Whole huge pages only, so that no more memory becomes resident than is used. Where the system has none, small pages do.
  if (is_large && memory) madvise(memory.get(), bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  return memory;
}

}  // namespace burin
