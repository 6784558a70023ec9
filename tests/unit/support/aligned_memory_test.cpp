#include "support/aligned_memory.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace burin {
namespace {

TEST(AlignedMemory, EveryByteOfEverySizeIsThere) {
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{65}, kHugePage - 1, kHugePage, 2 * kHugePage + 3}) {
    const AlignedMemory memory = allocate_aligned(bytes);
    ASSERT_NE(memory, nullptr) << bytes;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.get()) % kMemoryAlignment, 0U) << bytes;
    for (std::size_t i = 0; i < bytes; ++i) memory.get()[i] = std::byte{1};
  }
}

TEST(AlignedMemory, NoneWhereThereIsNone) {
  EXPECT_EQ(allocate_aligned(std::numeric_limits<std::size_t>::max()), nullptr);
  EXPECT_EQ(allocate_aligned(std::numeric_limits<std::size_t>::max() / 2), nullptr);
}

}  // namespace
}  // namespace burin
