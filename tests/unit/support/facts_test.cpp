#include <random>

#include <gtest/gtest.h>

#include "burin/expr.h"
#include "error_of.h"
#include "print_expr.h"
#include "random_tree.h"

namespace burin {
namespace {

Expr e(std::string_view text) { return Expr::parse(text); }

/// Facts written as text.
struct Assumptions {
  Facts facts;

  Assumptions& equal(std::string_view a, std::string_view b) {
    facts.assume_equal(e(a), e(b), "equality");
    return *this;
  }
  Assumptions& divides(std::string_view divisor, std::string_view value) {
    facts.assume_divides(e(divisor), e(value), "divisibility");
    return *this;
  }
  Assumptions& at_least(std::string_view value, std::int64_t bound) {
    facts.assume_at_least(e(value), bound, "bound");
    return *this;
  }

  std::string simplify(std::string_view text) const { return facts.simplify(e(text)).to_string(); }
  bool proves_equal(std::string_view a, std::string_view b) const {
    return facts.proves_equal(e(a), e(b));
  }
  bool proves_divides(std::string_view divisor, std::string_view value) const {
    return facts.proves_divides(e(divisor), e(value));
  }
  bool proves_at_least(std::string_view value, std::int64_t bound) const {
    return facts.proves_at_least(e(value), bound);
  }
  std::size_t checks() const { return facts.checks().size(); }
};

TEST(Facts, NothingIsKnownWithoutAssumptions) {
  const Assumptions a;
  EXPECT_EQ(a.simplify("max(S, 1) + floor_div(S, 2)*2"), "2*floor_div(S, 2) + max(1, S)");
  EXPECT_FALSE(a.proves_equal("S", "T"));
  EXPECT_TRUE(a.proves_equal("S + T", "T + S"));
  EXPECT_FALSE(a.proves_divides("2", "S"));
  EXPECT_TRUE(a.proves_divides("2", "4*S + 6"));
  EXPECT_TRUE(a.proves_divides("S", "S*T"));
  EXPECT_FALSE(a.proves_at_least("S", 0));
  EXPECT_TRUE(a.proves_at_least("mod(S, 4)", 0));
  EXPECT_TRUE(a.proves_at_least("S*S", 0));
  EXPECT_TRUE(a.proves_at_least("5", 5));
  EXPECT_FALSE(a.proves_at_least("5", 6));
}

// ---- equalities
// -----------------------------------------------------------------------------------

TEST(Facts, EqualSymbols) {
  Assumptions a;
  a.equal("S", "T");
  EXPECT_TRUE(a.proves_equal("S", "T"));
  EXPECT_TRUE(a.proves_equal("floor_div(S + 1, 2)*B", "B*floor_div(T + 1, 2)"));
  EXPECT_FALSE(a.proves_equal("S", "B"));
  EXPECT_EQ(a.simplify("T"), "S");
  EXPECT_EQ(a.simplify("broadcast(S, T)"), "S");
  ASSERT_EQ(a.checks(), 1U);
  EXPECT_EQ(a.facts.checks()[0].to_string(), "equality: S == T");
}

TEST(Facts, WhatIsKnownIsNotRecordedAgain) {
  Assumptions a;
  a.equal("S", "S").equal("S", "T").equal("T", "S").equal("2*S + 1", "2*T + 1");
  EXPECT_EQ(a.checks(), 1U);
  a.divides("2", "4*S").divides("3", "S").divides("3", "T").divides("3", "2*S*B");
  EXPECT_EQ(a.checks(), 2U);
  a.at_least("mod(S, 4)", 0).at_least("S", 2).at_least("T", 1).at_least("S*T", 4);
  EXPECT_EQ(a.checks(), 3U);
}

TEST(Facts, MadeUpSymbolsAreReplacedByNamedOnes) {
  Assumptions a;
  a.equal("?1", "sequence").equal("batch", "a?");
  EXPECT_EQ(a.simplify("?1"), "sequence");
  EXPECT_EQ(a.simplify("a?"), "batch");
}

TEST(Facts, SymbolsEqualToConstantsAndExpressions) {
  Assumptions a;
  a.equal("H", "12").equal("total", "past + S").equal("rows", "floor_div(S, 2)");
  EXPECT_EQ(a.simplify("H*S"), "12*S");
  EXPECT_EQ(a.simplify("total*H"), "12*S + 12*past");
  EXPECT_EQ(a.simplify("rows + 1"), "floor_div(S, 2) + 1");
}

TEST(Facts, EqualitiesChain) {
  Assumptions a;
  a.equal("A", "B").equal("C", "D").equal("B", "C").equal("D", "4");
  for (const char* symbol : {"A", "B", "C", "D"}) EXPECT_EQ(a.simplify(symbol), "4");
  EXPECT_EQ(a.checks(), 4U);
}

TEST(Facts, RepresentativesAreSubstitutedIntoEarlierOnes) {
  Assumptions a;
  a.equal("T", "S*B").equal("S", "U + 1").equal("B", "3");
  EXPECT_EQ(a.simplify("T"), "3*U + 3");
  EXPECT_EQ(a.simplify("floor_div(T, 3)"), "U + 1");
}

TEST(Facts, LongChains) {
  Assumptions a;
  for (int i = 0; i < 50; ++i)
    a.facts.assume_equal(e("A" + std::to_string(i)), e("A" + std::to_string(i + 1) + " + 1"), "x");
  EXPECT_EQ(a.simplify("A0"), "A50 + 50");
  EXPECT_EQ(a.checks(), 50U);
}

TEST(Facts, NoCycles) {
  Assumptions a;
  a.equal("S", "floor_div(S, 2)*2");
  EXPECT_EQ(a.simplify("S"), "S");
  EXPECT_TRUE(a.proves_equal("S", "2*floor_div(S, 2)"));
  a.equal("S", "T + 1").equal("T", "S - 1");
  EXPECT_TRUE(a.proves_equal("S - T", "1"));
  Assumptions b;
  b.equal("S", "T*T").equal("T", "S*S");
  EXPECT_EQ(b.checks(), 2U);
  EXPECT_EQ(b.simplify("S"), "T*T");
  EXPECT_TRUE(b.proves_equal("T", "T*T*T*T"));
}

TEST(Facts, LinearEqualities) {
  Assumptions a;
  a.equal("2*S", "2*T");
  EXPECT_TRUE(a.proves_equal("S", "T"));
  a.equal("3*A + 6*B", "9*C");
  EXPECT_TRUE(a.proves_equal("A", "3*C - 2*B"));
  a.equal("2*X", "3*Y");
  EXPECT_TRUE(a.proves_equal("2*X", "3*Y"));
  EXPECT_TRUE(a.proves_equal("4*X*S + 1", "6*Y*T + 1"));
  EXPECT_FALSE(a.proves_equal("X", "Y"));
}

TEST(Facts, EqualitiesOfProducts) {
  Assumptions a;
  a.equal("B*S", "M*N");
  EXPECT_EQ(a.checks(), 1U);
  EXPECT_TRUE(a.proves_equal("B*S*768", "768*M*N"));
  EXPECT_FALSE(a.proves_equal("B*S", "M"));
  // Once N is known, it gives M.
  a.equal("N", "1");
  EXPECT_EQ(a.simplify("M"), "B*S");
}

TEST(Facts, Contradictions) {
  Assumptions a;
  EXPECT_ERROR(a.equal("3", "4"), "equality: 3 == 4 can never hold");
  EXPECT_ERROR(a.equal("S", "S + 1"), "equality: S == S + 1 can never hold");
  EXPECT_ERROR(a.equal("2*S", "2*T + 1"), "can never hold");
  EXPECT_ERROR(a.equal("mod(S, 4)", "4"), "can never hold");
  EXPECT_ERROR(a.divides("4", "6"), "divisibility: 4 divides 6 can never hold");
  EXPECT_ERROR(a.divides("0", "S"), "divisibility: 0 divides S can never hold");
  EXPECT_ERROR(a.divides("0", "0"), "can never hold");
  EXPECT_ERROR(a.at_least("3", 4), "bound: 3 >= 4 can never hold");
  EXPECT_ERROR(a.at_least("0 - mod(S, 4)", 1), "can never hold");
  EXPECT_EQ(a.checks(), 0U);
  a.equal("S", "3");
  EXPECT_ERROR(a.equal("S", "4"), "equality: S == 4 can never hold: it comes to 3 == 4");
  EXPECT_ERROR(a.divides("2", "S"), "it comes to 2 divides 3");
  EXPECT_ERROR(a.at_least("S", 4), "it comes to 3 >= 4");
  EXPECT_EQ(a.checks(), 1U);
}

TEST(Facts, ContradictionsWithEarlierAssumptions) {
  Assumptions a;
  a.at_least("S", 5).divides("4", "T").equal("U*V", "6").at_least("A + B", 3);
  EXPECT_ERROR(a.equal("S", "4"), "can never hold");
  EXPECT_ERROR(a.equal("T", "7"),
               "equality: contradicts other assumptions: 4 would have to divide 7");
  a.equal("U", "2");
  EXPECT_EQ(a.simplify("V"), "3");
  a.equal("A", "1");
  EXPECT_ERROR(a.equal("B", "1"), "can never hold");
  EXPECT_EQ(a.simplify("B"), "B");
  Assumptions b;
  b.equal("U*V", "6").equal("U", "W*W");
  EXPECT_ERROR(b.equal("W", "0"), "equality: contradicts other assumptions: -6 would have to be 0");
  EXPECT_EQ(b.simplify("U"), "W*W");  // as it was
}

// ---- divisibility
// ---------------------------------------------------------------------------------

TEST(Facts, Divisibility) {
  Assumptions a;
  a.divides("12", "H").divides("64", "B*S");
  EXPECT_TRUE(a.proves_divides("12", "H"));
  EXPECT_TRUE(a.proves_divides("4", "H"));
  EXPECT_TRUE(a.proves_divides("24", "2*H"));
  EXPECT_TRUE(a.proves_divides("144", "H*H"));
  EXPECT_TRUE(a.proves_divides("6", "H*S + 18"));
  EXPECT_TRUE(a.proves_divides("128", "2*B*S*T"));
  EXPECT_FALSE(a.proves_divides("5", "H"));
  EXPECT_FALSE(a.proves_divides("24", "H"));
  EXPECT_FALSE(a.proves_divides("64", "B"));
  EXPECT_FALSE(a.proves_divides("0", "H"));
  EXPECT_EQ(a.facts.checks()[1].to_string(), "divisibility: 64 divides B*S");
}

TEST(Facts, DivisorsCombine) {
  Assumptions a;
  a.divides("2", "S").divides("3", "S").divides("2", "T + U");
  EXPECT_TRUE(a.proves_divides("6", "S"));
  EXPECT_TRUE(a.proves_divides("2", "T + U + S + 4"));
  EXPECT_TRUE(a.proves_divides("2", "min(S, 4)"));
  EXPECT_TRUE(a.proves_divides("3", "select(B, S, 9)"));
  EXPECT_TRUE(a.proves_divides("3", "floor_div(S, 2)"));
  EXPECT_TRUE(a.proves_divides("3", "mod(S, 30)"));
  EXPECT_FALSE(a.proves_divides("3", "floor_div(S, 3)"));
  EXPECT_FALSE(a.proves_divides("2", "T"));
}

TEST(Facts, SymbolicDivisors) {
  Assumptions a;
  a.divides("G", "H");
  EXPECT_TRUE(a.proves_divides("G", "H*S"));
  EXPECT_TRUE(a.proves_divides("G", "H + 3*G"));
  EXPECT_FALSE(a.proves_divides("H", "G"));
  EXPECT_EQ(a.simplify("floor_div(H, G)*G"), "H");
  EXPECT_EQ(a.simplify("mod(H, G)"), "0");
  EXPECT_EQ(a.simplify("mod(H + S, G)"), "mod(S, G)");
}

TEST(Facts, DivisionsCancel) {
  Assumptions a;
  a.divides("48", "S").divides("2", "T + U");
  EXPECT_EQ(a.simplify("floor_div(S, 48)*48"), "S");
  EXPECT_EQ(a.simplify("48*B*floor_div(S, 48) + T"), "B*S + T");
  EXPECT_EQ(a.simplify("S - 128*floor_div(S, 16)"), "-7*S");
  EXPECT_EQ(a.simplify("floor_div(S, 16)*20 + B"), "B + S + 4*floor_div(S, 16)");
  EXPECT_EQ(a.simplify("floor_div(S, 128)*128"), "128*floor_div(S, 128)");
  EXPECT_EQ(a.simplify("mod(S, 48)"), "0");
  EXPECT_EQ(a.simplify("ceil_div(S, 48)"), "floor_div(S, 48)");
  EXPECT_EQ(a.simplify("ceil_div(S, 48)*48"), "S");
  EXPECT_EQ(a.simplify("mod(S + B, 48)"), "mod(B, 48)");
  EXPECT_EQ(a.simplify("floor_div(T + U + 1, 2)*2"), "T + U");
  EXPECT_EQ(a.simplify("floor_div(S + B, 16)*16"), "S + 16*floor_div(B, 16)");
}

TEST(Facts, DivisionsBySumsCancel) {
  Assumptions a;
  a.divides("A + B", "N");
  EXPECT_EQ(a.simplify("floor_div(N, A + B)*(A + B)"), "N");
  EXPECT_EQ(a.simplify("floor_div(N, A + B)*A"), "A*floor_div(N, A + B)");
}

TEST(Facts, DivisibilityFollowsEqualities) {
  Assumptions a;
  a.divides("8", "S").equal("S", "T");
  EXPECT_TRUE(a.proves_divides("8", "T"));
  a.equal("S", "4*U");
  EXPECT_TRUE(a.proves_divides("8", "4*U"));
  EXPECT_TRUE(a.proves_divides("2", "U"));  // for 8 divides 4*U
  EXPECT_FALSE(a.proves_divides("4", "U"));
}

// ---- bounds
// ---------------------------------------------------------------------------------------

TEST(Facts, LowerBounds) {
  Assumptions a;
  a.at_least("S", 1).at_least("B", 2).at_least("T - S", 0);
  EXPECT_TRUE(a.proves_at_least("S", 1));
  EXPECT_FALSE(a.proves_at_least("S", 2));
  EXPECT_TRUE(a.proves_at_least("B*S*768", 1536));
  EXPECT_TRUE(a.proves_at_least("B*S + 3*S", 5));
  EXPECT_FALSE(a.proves_at_least("B - S", 0));
  EXPECT_TRUE(a.proves_at_least("T - S + B", 2));
  EXPECT_TRUE(a.proves_at_least("2*T - 2*S", 0));
  EXPECT_TRUE(a.proves_at_least("ceil_div(S, 48)", 1));
  EXPECT_TRUE(a.proves_at_least("floor_div(B*S, 2)", 1));
  EXPECT_TRUE(a.proves_at_least("min(S, B)", 1));
  EXPECT_TRUE(a.proves_at_least("max(S, B)", 2));
  EXPECT_TRUE(a.proves_at_least("broadcast(S, B)", 1));
  EXPECT_TRUE(a.proves_at_least("S - mod(T, 2)", 0));
  EXPECT_FALSE(a.proves_at_least("T", 2));
  EXPECT_EQ(a.facts.checks()[2].to_string(), "bound: T - S >= 0");
}

TEST(Facts, LowerBoundsOfTermsAreUpperBoundsOfTheirOpposites) {
  Assumptions a;
  a.at_least("10 - 3*S", 0).at_least("B*S", 1);
  EXPECT_TRUE(a.proves_at_least("0 - S", -3));
  EXPECT_FALSE(a.proves_at_least("0 - S", -2));
  EXPECT_TRUE(a.proves_at_least("768*B*S", 768));
  EXPECT_FALSE(a.proves_at_least("B", 0));
}

TEST(Facts, BoundsSimplify) {
  Assumptions a;
  a.at_least("S", 1).at_least("T - S", 1);
  EXPECT_EQ(a.simplify("max(S, 1)"), "S");
  EXPECT_EQ(a.simplify("min(S, T)"), "S");
  EXPECT_EQ(a.simplify("less(S, T)"), "1");
  EXPECT_EQ(a.simplify("select(equal(S, 0), B, T)"), "T");
  EXPECT_EQ(a.simplify("floor_div(S, T)"), "floor_div(S, T)");  // T > 0 needs two facts
  EXPECT_EQ(a.simplify("floor_div(0 - 1, S)"), "-1");
  EXPECT_EQ(a.simplify("ceil_div(B*S, S)"), "B");
  a.at_least("T", 1);
  EXPECT_EQ(a.simplify("floor_div(S, T)"), "0");
  EXPECT_EQ(a.simplify("mod(S, T)"), "S");
  EXPECT_EQ(a.simplify("min(min(B, T), S)"), "min(B, S)");
}

TEST(Facts, BoundsFollowEqualities) {
  Assumptions a;
  a.at_least("S", 3).equal("S", "T").equal("T", "A + B");
  EXPECT_TRUE(a.proves_at_least("A + B", 3));
  EXPECT_TRUE(a.proves_at_least("2*A + 2*B + 1", 7));
}

TEST(Facts, ExtremeBoundsDoNotOverflow) {
  constexpr auto kHighest = std::numeric_limits<std::int64_t>::max();
  constexpr auto kLowest = std::numeric_limits<std::int64_t>::min();
  Assumptions a;
  a.at_least("S", kLowest).at_least("2*T - 5", kHighest).at_least("-9223372036854775808*U", 3);
  EXPECT_FALSE(a.proves_at_least("S", 0));
  EXPECT_FALSE(a.proves_at_least("0 - S", 0));
  EXPECT_TRUE(a.proves_at_least("2*T", 0));
  EXPECT_FALSE(a.proves_at_least("0 - T", 0));
  EXPECT_TRUE(a.proves_at_least("0 - U", 1));
  EXPECT_FALSE(a.proves_equal("9223372036854775807*S", "-9223372036854775807*S"));
}

// ---- random facts
// ---------------------------------------------------------------------------------

/// Facts that hold for certain values of the symbols: whatever is derived must hold for them, too,
/// and no contradiction may be found.
class RandomFacts {
 public:
  explicit RandomFacts(std::mt19937_64& random)
      : generator_(random, options()), values_(generator_.values()) {}

  void check() {
    for (int i = 0; i < 8; ++i) assume();
    for (int i = 0; i < 20; ++i) question();
  }
  int simplified() const { return simplified_; }
  int proven() const { return proven_; }

 private:
  struct Valued {
    Expr e;
    std::int64_t value;
  };

  static test::TreeOptions options() {
    test::TreeOptions result;
    result.depth = 2;
    result.lowest = 0;
    return result;
  }

  /// An expression that has a value.
  Valued valued() {
    for (;;) {
      try {
        const Expr built = generator_.tree().build();
        return {built, built.evaluate(values_)};
      } catch (const Error&) {
        continue;
      }
    }
  }

  void assume() {
    const Valued a = valued();
    const Valued b = generator_.one_in(2) ? valued() : symbol();
    switch (generator_.between(0, 3)) {
      case 0: facts_.assume_equal(b.e, a.e + (b.value - a.value), "fact"); break;
      case 1: facts_.assume_at_least(a.e, a.value - generator_.between(0, 3), "fact"); break;
      case 2:
        if (b.value != 0 && a.value % b.value == 0) facts_.assume_divides(b.e, a.e, "fact");
        break;
      default: {
        const std::int64_t d = generator_.between(2, 6);
        if (b.value % d == 0) facts_.assume_divides(d, b.e, "fact");
      }
    }
  }

  Valued symbol() {
    const auto i = static_cast<std::size_t>(generator_.between(0, 3));
    const std::string name = options().symbols[i];
    return {Expr::symbol(name), values_.at(name)};
  }

  void question() {
    const Valued a = valued();
    const Valued b = valued();
    const Expr simple = facts_.simplify(a.e);
    simplified_ += simple == a.e ? 0 : 1;
    EXPECT_EQ(simple.evaluate(values_), a.value)
        << show(a.e) << "\nsimplified: " << simple.to_string();
    EXPECT_EQ(facts_.simplify(simple), simple) << show(a.e);
    if (facts_.proves_equal(a.e, b.e)) {
      EXPECT_EQ(a.value, b.value) << show(a.e - b.e);
    }
    for (const std::int64_t bound : {a.value - 1, a.value + 1}) {
      const bool proven = facts_.proves_at_least(a.e, bound);
      proven_ += proven ? 1 : 0;
      EXPECT_FALSE(proven && bound > a.value) << show(a.e);
    }
    for (const Expr& divisor : {Expr(2), Expr(3), Expr(4), b.e}) {
      const std::int64_t d = divisor.evaluate(values_);
      if (facts_.proves_divides(divisor, a.e)) {
        EXPECT_EQ(d == 0 ? a.value : a.value % d, 0) << show(a.e) << " by " << divisor.to_string();
      }
    }
  }

  std::string show(const Expr& expression) const {
    std::string text = expression.to_string();
    for (const auto& [name, value] : values_) text += "\n" + name + " = " + std::to_string(value);
    for (const Facts::Check& check : facts_.checks()) text += "\n" + check.to_string();
    return text;
  }

  test::TreeGenerator generator_;
  test::Values values_;
  Facts facts_;
  int simplified_ = 0;
  int proven_ = 0;
};

TEST(FactsRandom, WhatIsDerivedHolds) {
  std::mt19937_64 random(test::seed_for("FactsRandom.WhatIsDerivedHolds"));
  int simplified = 0;
  int proven = 0;
  constexpr int kRounds = 500;
  for (int i = 0; i < kRounds && !testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE("round " + std::to_string(i));
    RandomFacts facts(random);
    facts.check();
    simplified += facts.simplified();
    proven += facts.proven();
  }
  std::cout << "  " << simplified << " expressions simplified, " << proven << " bounds proven"
            << std::endl;
  EXPECT_GT(simplified, kRounds);
  EXPECT_GT(proven, kRounds);
}

}  // namespace
}  // namespace burin
