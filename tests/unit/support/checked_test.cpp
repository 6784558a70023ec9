#include "support/checked.h"

#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

#include "error_of.h"

namespace burin {
namespace {

TEST(Checked, Results) {
  EXPECT_EQ(checked_add<std::int64_t>(3, -5, "x"), -2);
  EXPECT_EQ(checked_sub<std::int64_t>(3, 5, "x"), -2);
  EXPECT_EQ(checked_mul<std::int64_t>(3, -5, "x"), -15);
  EXPECT_EQ(checked_mul<std::size_t>(1U << 31, 1U << 31, "x"), std::size_t{1} << 62);
}

TEST(Checked, ErrorsNameSubjectAndValues) {
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  EXPECT_ERROR(checked_add<std::int64_t>(kMax, 1, "scratch of 'k'"),
               "scratch of 'k': 9223372036854775807 + 1 overflows 64 bits");
  EXPECT_ERROR(checked_sub<std::int64_t>(-2, kMax, "x"), "x: -2 - 9223372036854775807 overflows");
  EXPECT_ERROR(checked_mul<std::int64_t>(kMax, 2, "x"), "x: 9223372036854775807 * 2 overflows");
  EXPECT_ERROR(checked_sub<std::size_t>(1, 2, "x"), "x: 1 - 2 overflows 64 bits");
  EXPECT_ERROR(checked_mul<std::int32_t>(1 << 16, 1 << 16, "x"),
               "x: 65536 * 65536 overflows 32 bits");
}

}  // namespace
}  // namespace burin
