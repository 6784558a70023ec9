#include "support/integer_conversion.h"

#include <cmath>

#include <gtest/gtest.h>

namespace burin {
namespace {

TEST(IntegerConversion, WhatDoesNotFitIsTheLowest) {
  constexpr auto kLowest = std::numeric_limits<std::int32_t>::min();
  EXPECT_EQ(truncate_to<std::int32_t>(-1.9), -1);
  EXPECT_EQ(truncate_to<std::int32_t>(0x1p31 - 0.5), std::numeric_limits<std::int32_t>::max());
  EXPECT_EQ(truncate_to<std::int32_t>(-0x1p31 - 0.5), kLowest);
  for (const double x : {0x1p31, -0x1p31 - 1, HUGE_VAL, -HUGE_VAL, std::nan("")}) EXPECT_EQ(truncate_to<std::int32_t>(x), kLowest) << x;
  EXPECT_EQ(truncate_to<std::int64_t>(0x1p62), std::int64_t{1} << 62);
  for (const double x : {0x1p63, -0x1p63, -0x1p64, std::nan("")})
    EXPECT_EQ(truncate_to<std::int64_t>(x), std::numeric_limits<std::int64_t>::min()) << x;
}

TEST(IntegerConversion, NarrowIntegersWrap) {
  EXPECT_EQ(wrap_to(Precision::i8, 200), -56);
  EXPECT_EQ(wrap_to(Precision::u16, -1), 65535);
  EXPECT_EQ(wrap_to(Precision::boolean, -3), 1);
  EXPECT_EQ(wrap_to(Precision::i64, -3), -3);
}

}  // namespace
}  // namespace burin
