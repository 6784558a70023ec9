#include "support/bounds.h"

#include <random>

#include <gtest/gtest.h>

#include "burin/error.h"
#include "random_tree.h"
#include "support/expr_node.h"

namespace burin {

bool operator==(Bounds a, Bounds b) { return a.low == b.low && a.high == b.high; }
void PrintTo(Bounds bounds, std::ostream* out) {
  *out << "[" << bounds.low << ", " << bounds.high << "]";
}

namespace {

constexpr std::int64_t kMinus = Bounds::kMinusInfinity;
constexpr std::int64_t kPlus = Bounds::kPlusInfinity;

TEST(Bounds, Arithmetic) {
  EXPECT_EQ(Bounds(1, 3) + Bounds(-5, 7), Bounds(-4, 10));
  EXPECT_EQ(Bounds(1, kPlus) + Bounds(-5, 7), Bounds(-4, kPlus));
  EXPECT_EQ(Bounds(2, 3) * Bounds(-5, 7), Bounds(-15, 21));
  EXPECT_EQ(Bounds(1, kPlus) * Bounds(2, kPlus), Bounds(2, kPlus));
  EXPECT_EQ(Bounds(1, kPlus) * Bounds(-2, 0), Bounds(kMinus, 0));
  EXPECT_EQ(-Bounds(1, kPlus), Bounds(kMinus, -1));
  EXPECT_EQ(floor_div(Bounds(-7, 7), Bounds(2, 3)), Bounds(-4, 3));
  EXPECT_EQ(floor_div(Bounds(6, kPlus), Bounds(2, kPlus)), Bounds(0, kPlus));
  EXPECT_EQ(floor_div(Bounds(-7, -7), Bounds(-2, -2)), Bounds(3, 3));
  EXPECT_EQ(floor_div(Bounds(1, 2), Bounds(0, 1)), Bounds());
  EXPECT_EQ(mod(Bounds(), Bounds(8, 8)), Bounds(0, 7));
  EXPECT_EQ(mod(Bounds(0, 3), Bounds(8, 8)), Bounds(0, 3));
  EXPECT_EQ(mod(Bounds(), Bounds(-8, -8)), Bounds(-7, 0));
}

TEST(Bounds, TheEndsOfTheRangeAreNotTakenForExact) {
  // A lower end of the highest value would, negated, be taken for an upper end of minus infinity.
  const Bounds top(kPlus, kPlus);
  EXPECT_GE((-top).high, -kPlus);
  EXPECT_GE((top * Bounds(-1, -1)).high, -kPlus);
  EXPECT_LE((Bounds(kMinus, kMinus) * Bounds(-1, -1)).low, kPlus);
  EXPECT_EQ(Bounds(std::int64_t{1} << 62, std::int64_t{1} << 62) * Bounds(4, 4),
            Bounds(kPlus - 1, kPlus));
}

TEST(Bounds, OfExpressions) {
  const auto bounds = [](std::string_view text) { return bounds_of(Expr::parse(text)); };
  EXPECT_EQ(bounds("S"), Bounds());
  EXPECT_EQ(bounds("3 - 2*mod(S, 8)"), Bounds(-11, 3));
  EXPECT_EQ(bounds("less(S, T) + less_equal(S, T) + equal(S, T)"), Bounds(0, 3));
  EXPECT_EQ(bounds("min(S, 5)"), Bounds(kMinus, 5));
  EXPECT_EQ(bounds("max(S, 5)"), Bounds(5, kPlus));
  EXPECT_EQ(bounds("select(S, 3, mod(S, 9))"), Bounds(0, 8));
  EXPECT_EQ(bounds("S*S"), Bounds(0, kPlus));
  EXPECT_EQ(bounds("floor_div(min(S, 7), 2)"), Bounds(kMinus, 3));
}

TEST(Bounds, RandomTreesStayWithin) {
  std::mt19937_64 random(test::seed_for("Bounds.RandomTreesStayWithin"));
  for (const bool extreme : {false, true}) {
    test::TreeOptions options;
    options.extreme = extreme;
    test::TreeGenerator generator(random, options);
    for (int i = 0; i < 3000; ++i) {
      const test::Values values = generator.values();
      // Half of the time with the symbols' own values known, give or take.
      const std::int64_t slack = generator.between(0, 3);
      const bool known = generator.one_in(2);
      const AtomBounds symbols = [&](const Expr::Node::Atom& atom) -> Bounds {
        if (!known || !atom.is_symbol()) return {};
        const std::int64_t v = values.at(atom.name);
        return {v < kMinus + slack ? kMinus : v - slack, v > kPlus - slack ? kPlus : v + slack};
      };
      try {
        const Expr e = generator.tree().build();
        const std::int64_t value = e.evaluate(values);
        const Bounds bounds = bounds_of(e, symbols);
        ASSERT_LE(bounds.low, value) << e.to_string();
        ASSERT_GE(bounds.high, value) << e.to_string();
      } catch (const Error&) {
        continue;  // no value, nothing to say
      }
    }
  }
}

}  // namespace
}  // namespace burin
