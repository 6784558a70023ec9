#include "support/checked.h"

#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

#include "burin/expr.h"
#include "error_of.h"
#include "support/expr_fold.h"

namespace burin {
namespace {

TEST(Checked, Results) {
  EXPECT_EQ(checked_add<std::int64_t>(3, -5, "x"), -2);
  EXPECT_EQ(checked_sub<std::int64_t>(3, 5, "x"), -2);
  EXPECT_EQ(checked_mul<std::int64_t>(3, -5, "x"), -15);
  EXPECT_EQ(checked_mul<std::size_t>(1U << 31, 1U << 31, "x"), std::size_t{1} << 62);
}

TEST(Checked, ThoseWhoGoOnWithoutAResultTellItFromOtherErrors) {
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  EXPECT_THROW(checked_add<std::int64_t>(kMax, 1, "x"), ArithmeticError);
  EXPECT_THROW(Expr::symbol("S") * kMax * kMax, ArithmeticError);
  EXPECT_THROW(mod(Expr::symbol("S"), 0), ArithmeticError);
  EXPECT_EQ(unless_too_large([&] { return Expr::symbol("S") * kMax * kMax; }), std::nullopt);
  EXPECT_ERROR(unless_too_large([]() -> Expr { throw Error("another"); }), "another");
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
