#include "burin/expr.h"

#include <limits>
#include <random>
#include <unordered_set>

#include <gtest/gtest.h>

#include "burin/error.h"
#include "error_of.h"
#include "print_expr.h"
#include "random_tree.h"
#include "support/expr_node.h"
#include "support/tape.h"

namespace burin {
namespace {

constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kHighest = std::numeric_limits<std::int64_t>::max();

const Expr kB = Expr::symbol("B");
const Expr kS = Expr::symbol("S");
const Expr kT = Expr::symbol("T");
const Expr kQ = Expr::symbol("q");

std::string text(const Expr& e) { return e.to_string(); }

/// What the text parses to, printed again.
std::string canonical(std::string_view e) { return Expr::parse(e).to_string(); }

// ---- polynomials
// ----------------------------------------------------------------------------------

TEST(Expr, ConstantsFold) {
  EXPECT_EQ(Expr(3) + 4, Expr(7));
  EXPECT_EQ(Expr(3) - 4, Expr(-1));
  EXPECT_EQ(Expr(3) * 4, Expr(12));
  EXPECT_EQ(Expr(), Expr(0));
  EXPECT_EQ(Expr(7).as_constant(), 7);
  EXPECT_EQ(kS.as_constant(), std::nullopt);
  EXPECT_TRUE((kS - kS).is_constant());
}

TEST(Expr, LikeTermsMerge) {
  EXPECT_EQ(kS + kT, kT + kS);
  EXPECT_EQ((kS + 1) * (kS - 1), kS * kS - 1);
  EXPECT_EQ(kS * 2 + kS * 3, kS * 5);
  EXPECT_EQ(kS * kT - kT * kS, Expr(0));
  EXPECT_EQ((kB * kS) * 0, Expr(0));
  EXPECT_NE(kS, kT);
  EXPECT_NE(kS, kS + 1);
  Expr e = kS;
  e += 1;
  e *= kT;
  e -= kT;
  EXPECT_EQ(e, kS * kT);
}

TEST(Expr, EqualExpressionsHaveEqualHashes) {
  const Expr a = floor_div(kS + kT, 4) * kB;
  const Expr b = kB * floor_div(kT + kS, 4);
  EXPECT_EQ(a, b);
  EXPECT_EQ(a.hash(), b.hash());
  const std::unordered_set<Expr> set = {a, b, kS, kT, kS + kT, kS * kT, kS + kS, kS * kS};
  EXPECT_EQ(set.size(), 7U);
}

TEST(Expr, OrderIsTotal) {
  const std::vector<Expr> all = {0,
                                 1,
                                 -1,
                                 kS,
                                 kT,
                                 kS + 1,
                                 kS * kT,
                                 kS * kS,
                                 min(kS, kT),
                                 max(kS, kT),
                                 floor_div(kS, 2),
                                 floor_div(kS, 3),
                                 2 * kS};
  for (const Expr& a : all) {
    for (const Expr& b : all) {
      EXPECT_EQ(a == b, !(a < b) && !(b < a)) << text(a) << " | " << text(b);
      for (const Expr& c : all) EXPECT_TRUE(!(a < b && b < c) || a < c);
    }
  }
}

TEST(Expr, MergesTermsGivenInAnyOrder) {
  using Node = Expr::Node;
  const Node::Factor s{{"S", {}, {}}, 1};
  const Node::Factor t{{"T", {}, {}}, 1};
  const Expr e =
      Node::make({{3, {}}, {2, {t, s}}, {1, {s}}, {5, {s, t}}, {-1, {s}}, {1, {s, t, s}}});
  EXPECT_EQ(e, kS * kS * kT + 7 * kS * kT + 3);
}

TEST(Expr, CoefficientsAreChecked) {
  EXPECT_ERROR(Expr(kHighest) + 1, "9223372036854775807 + 1 overflows");
  EXPECT_ERROR(Expr(kLowest) - 1, "overflows");
  EXPECT_ERROR(kS * kHighest + kS, "overflows");
  EXPECT_ERROR(kS * kHighest * 2, "overflows");
  EXPECT_ERROR((kS + kHighest) * (kT + 2), "overflows");
  EXPECT_ERROR(0 - kS * kLowest, "overflows");
  // What cancels does not overflow on the way.
  EXPECT_EQ(kS * kLowest - kS * kLowest, Expr(0));
  EXPECT_EQ(Expr(0) - kHighest - 1, Expr(kLowest));
}

TEST(Expr, RefusesToGrowWithoutLimit) {
  EXPECT_ERROR(
      [] {
        Expr sum = kS + kT + 1;
        for (int i = 0; i < 20; ++i) sum *= sum;
      }(),
      "too large");
  EXPECT_ERROR(
      [] {
        Expr nested = kS;
        for (int i = 0; i < 1000; ++i) nested = floor_div(nested * nested + kT, kS + kT + i);
      }(),
      "too ");
  EXPECT_ERROR(
      [] {
        Expr nested = kS;
        for (int i = 0; i < 1000; ++i) nested = mod(nested + i, kT);
      }(),
      "too deep");
}

// ---- questions
// ------------------------------------------------------------------------------------

TEST(Expr, SymbolNames) {
  EXPECT_EQ(text(Expr::symbol("_a.b?9")), "_a.b?9");
  EXPECT_EQ(text(Expr::symbol("?")), "?");
  for (const char* bad : {"", "9a", "a b", "a-b", ".a", "a(", "\xc3\xa4"})
    EXPECT_ERROR(Expr::symbol(bad), "not a symbol name");
}

TEST(Expr, AsSymbol) {
  EXPECT_EQ(kS.as_symbol(), "S");
  EXPECT_EQ((kS + 1).as_symbol(), std::nullopt);
  EXPECT_EQ((2 * kS).as_symbol(), std::nullopt);
  EXPECT_EQ((kS * kS).as_symbol(), std::nullopt);
  EXPECT_EQ(min(kS, kT).as_symbol(), std::nullopt);
  EXPECT_EQ(Expr(1).as_symbol(), std::nullopt);
}

TEST(Expr, SymbolsAlsoInsideOfAtoms) {
  const Expr e = min(kS, floor_div(kT, kB)) * kQ + 1;
  EXPECT_EQ(e.symbols(), (std::set<std::string>{"B", "S", "T", "q"}));
  EXPECT_TRUE(e.uses("B"));
  EXPECT_FALSE(e.uses("b"));
  EXPECT_TRUE(Expr(3).symbols().empty());
}

TEST(Expr, Coefficient) {
  const Expr e = kB * kS * 3 + kS + min(kB, kT) * kS + kT * kT - 4;
  EXPECT_EQ(e.coefficient("S"), 3 * kB + 1 + min(kB, kT));
  EXPECT_EQ(e.coefficient("q"), Expr(0));
  EXPECT_EQ(e.coefficient("T"), std::nullopt);
  EXPECT_EQ(e.coefficient("B"), std::nullopt);
  EXPECT_EQ((kS * kS).coefficient("S"), std::nullopt);
  EXPECT_EQ((kS * min(kS, kT)).coefficient("S"), std::nullopt);
  EXPECT_EQ((kS - kS + kT).coefficient("S"), Expr(0));
}

TEST(Expr, Substitute) {
  const Expr e = floor_div(kS * kT + 5, kB) + kS;
  EXPECT_EQ(e.substitute({{"S", kT}, {"T", kS}}), floor_div(kS * kT + 5, kB) + kT);
  EXPECT_EQ(e.substitute({{"S", 3}, {"T", 5}, {"B", 6}}), Expr(6));
  EXPECT_EQ(e.substitute({{"S", kB * 2}}), kT * 2 + floor_div(5, kB) + kB * 2);
  EXPECT_EQ(e.substitute({}), e);
  EXPECT_EQ((kS * kS).substitute({{"S", kT + 1}}), kT * kT + 2 * kT + 1);
  EXPECT_ERROR(e.substitute({{"B", 0}}), "division by zero");
}

// ---- identities
// -----------------------------------------------------------------------------------

TEST(ExprFold, FloorDivOfConstants) {
  EXPECT_EQ(floor_div(7, 2), Expr(3));
  EXPECT_EQ(floor_div(-7, 2), Expr(-4));
  EXPECT_EQ(floor_div(7, -2), Expr(-4));
  EXPECT_EQ(floor_div(-7, -2), Expr(3));
  EXPECT_EQ(floor_div(kLowest, 1), Expr(kLowest));
  EXPECT_EQ(floor_div(kHighest, std::int64_t{1} << 40), Expr((1 << 23) - 1));
  EXPECT_ERROR(floor_div(kLowest, -1), "overflows");
  EXPECT_ERROR(floor_div(5, 0), "floor_div(5, 0): division by zero");
  EXPECT_ERROR(floor_div(kS, 0), "floor_div(S, 0): division by zero");
}

TEST(ExprFold, ModOfConstants) {
  EXPECT_EQ(mod(7, 3), Expr(1));
  EXPECT_EQ(mod(-7, 3), Expr(2));
  EXPECT_EQ(mod(7, -3), Expr(-2));
  EXPECT_EQ(mod(-7, -3), Expr(-1));
  EXPECT_EQ(mod(kLowest, -1), Expr(0));
  EXPECT_ERROR(mod(5, 0), "mod(5, 0): division by zero");
  EXPECT_ERROR(mod(kS, 0), "mod(S, 0): division by zero");
}

TEST(ExprFold, DivisionPullsOutMultiples) {
  EXPECT_EQ(floor_div(kS, 1), kS);
  EXPECT_EQ(floor_div(kS, -1), 0 - kS);
  EXPECT_EQ(floor_div(kS * 768, 48), kS * 16);
  EXPECT_EQ(floor_div(kS * 8 + 3, 8), kS);
  EXPECT_EQ(floor_div(kS * 8 - 3, 8), kS - 1);
  EXPECT_EQ(floor_div(kS + 175, 48), floor_div(kS + 31, 48) + 3);
  EXPECT_EQ(floor_div(kS * 5, 4), kS + floor_div(kS, 4));
  EXPECT_EQ(text(floor_div(0 - kS, 4)), "floor_div(-S, 4)");
  EXPECT_EQ(mod(kS, 1), Expr(0));
  EXPECT_EQ(mod(kS * 768, 48), Expr(0));
  EXPECT_EQ(mod(kS + 175, 48), mod(kS + 31, 48));
  EXPECT_EQ(mod(kS * 5 + kT * 4, 4), mod(kS, 4));
  EXPECT_EQ(mod(kS * 4 + 7, 4), Expr(3));
}

TEST(ExprFold, DivisionBySymbols) {
  EXPECT_EQ(floor_div(kS * kT, kS), kT);
  EXPECT_EQ(floor_div(kB * kS * 768, kS * 12), kB * 64);
  EXPECT_EQ(floor_div(kS * kT + 3, kS), kT + floor_div(3, kS));
  EXPECT_EQ(mod(kS * kT + 3, kS), mod(3, kS));
  EXPECT_EQ(floor_div((kS + kT) * kB * 768, kS + kT), kB * 768);
  EXPECT_EQ(floor_div((kS + kT) * 768 + 5, kS + kT), 768 + floor_div(5, kS + kT));
  EXPECT_EQ(mod((kS + kT) * (kS - kT), kS + kT), Expr(0));
  EXPECT_EQ(floor_div(kS * kS * kS - 1, kS - 1), kS * kS + kS + 1);
  EXPECT_EQ(text(floor_div(kS, kS + kT)), "floor_div(S, S + T)");
  EXPECT_EQ(floor_div(0, kS), Expr(0));
  EXPECT_EQ(mod(0, kS), Expr(0));
}

TEST(ExprFold, DivisionCancelsCommonFactors) {
  EXPECT_EQ(floor_div(kS * kT, kB * kT), floor_div(kS, kB));
  EXPECT_EQ(floor_div(kS * 6, kB * 4), floor_div(kS * 3, kB * 2));
  EXPECT_EQ(mod(kS * kT, kB * kT), kT * mod(kS, kB));
  EXPECT_EQ(mod(kS * 6, kB * 4), 2 * mod(kS * 3, kB * 2));
  EXPECT_EQ(floor_div(kS * 4 + 3, 8), floor_div(kS, 2));
  EXPECT_EQ(mod(kS * 4 + 3, 8), 4 * mod(kS, 2) + 3);
  EXPECT_EQ(floor_div(kS * kT, kB * kS * kT), floor_div(1, kB));
}

TEST(ExprFold, DivisorsHaveAPositiveLead) {
  EXPECT_EQ(floor_div(kS, -4), floor_div(0 - kS, 4));
  EXPECT_EQ(mod(kS, -4), 0 - mod(0 - kS, 4));
  EXPECT_EQ(floor_div(kS, kT * -1), floor_div(0 - kS, kT));
  // The opposite of the lowest value does not exist: the form stays, and the value is right.
  const Expr lowest = floor_div(kS, kLowest);
  EXPECT_EQ(lowest.evaluate({{"S", kLowest}}), 1);
  EXPECT_EQ(lowest.evaluate({{"S", 1}}), -1);
  EXPECT_EQ(floor_div(kS * kLowest, -1).evaluate({{"S", 0}}), 0);
}

TEST(ExprFold, NestedDivision) {
  EXPECT_EQ(floor_div(floor_div(kS, 4), 6), floor_div(kS, 24));
  EXPECT_EQ(floor_div(floor_div(kS, 4) + 1, 6), floor_div(kS + 4, 24));
  EXPECT_EQ(floor_div(floor_div(kS, kT), 6), floor_div(floor_div(kS, kT), 6));
  const std::int64_t large = std::int64_t{1} << 40;
  EXPECT_EQ(text(floor_div(floor_div(kS, large), large)),
            "floor_div(floor_div(S, 1099511627776), 1099511627776)");
  EXPECT_EQ(mod(mod(kS, 12), 4), mod(kS, 4));
  EXPECT_EQ(mod(mod(kS, 12) + kT, 4), mod(kS + kT, 4));
  EXPECT_EQ(mod(2 * mod(kS, 6) + kT, 4), mod(2 * kS + kT, 4));
  EXPECT_EQ(mod(mod(kS, 4), 12), mod(kS, 4));
  EXPECT_EQ(text(mod(mod(kS, 6), 4)), "mod(mod(S, 6), 4)");
  EXPECT_EQ(floor_div(mod(kS, 4), 4), Expr(0));
  EXPECT_EQ(floor_div(mod(kS, 4) + mod(kT, 4) - 7, 8), Expr(-1));
  EXPECT_EQ(floor_div(mod(kS, 8), mod(kT, 4) + 8), Expr(0));
}

TEST(ExprFold, CeilDiv) {
  EXPECT_EQ(ceil_div(7, 2), Expr(4));
  EXPECT_EQ(ceil_div(kS * 48, 48), kS);
  EXPECT_EQ(ceil_div(kS, 1), kS);
  EXPECT_EQ(ceil_div(kS, 48), floor_div(kS + 47, 48));
  EXPECT_EQ(Expr::parse("ceil_div(S, 48)"), ceil_div(kS, 48));
}

TEST(ExprFold, MinMax) {
  EXPECT_EQ(min(3, 5), Expr(3));
  EXPECT_EQ(max(3, 5), Expr(5));
  EXPECT_EQ(min(kLowest, kHighest), Expr(kLowest));
  EXPECT_EQ(min(kS, kS), kS);
  EXPECT_EQ(max(kS, kS), kS);
  EXPECT_EQ(min(kS, kT), min(kT, kS));
  EXPECT_EQ(min(kS + 3, kS), kS);
  EXPECT_EQ(max(kS + 3, kS), kS + 3);
  EXPECT_EQ(min(kS - kT, kS - kT - 1), kS - kT - 1);
  EXPECT_EQ(min(mod(kS, 4), 4), mod(kS, 4));
  EXPECT_EQ(text(min(kS - kQ, 128)), "min(128, S - q)");
}

TEST(ExprFold, NestedMinMax) {
  EXPECT_EQ(min(min(kS, kT), kB), min(kS, min(kT, kB)));
  EXPECT_EQ(min(min(kS, kT), kS), min(kS, kT));
  EXPECT_EQ(min(min(kS, 128), 64), min(kS, 64));
  EXPECT_EQ(max(max(kS, kT), max(kS + 1, kT - 1)), max(kS + 1, kT));
  EXPECT_NE(min(max(kS, kT), kB), max(min(kS, kT), kB));
}

TEST(ExprFold, Comparisons) {
  EXPECT_EQ(less(3, 5), Expr(1));
  EXPECT_EQ(less(5, 5), Expr(0));
  EXPECT_EQ(less_equal(5, 5), Expr(1));
  EXPECT_EQ(less_equal(6, 5), Expr(0));
  EXPECT_EQ(equal(5, 5), Expr(1));
  EXPECT_EQ(equal(5, 6), Expr(0));
  EXPECT_EQ(less(kLowest, kHighest), Expr(1));
  EXPECT_EQ(equal(kHighest, kLowest), Expr(0));
  EXPECT_EQ(less(kS, kS + 1), Expr(1));
  EXPECT_EQ(less(kS, kS), Expr(0));
  EXPECT_EQ(less(kS + 1, kS), Expr(0));
  EXPECT_EQ(less_equal(kS, kS), Expr(1));
  EXPECT_EQ(less_equal(kS + 1, kS), Expr(0));
  EXPECT_EQ(equal(kS, kS), Expr(1));
  EXPECT_EQ(equal(kS, kS + 2), Expr(0));
  EXPECT_EQ(equal(kS, kT), equal(kT, kS));
  EXPECT_EQ(less(mod(kS, 8), 8), Expr(1));
  EXPECT_EQ(equal(mod(kS, 8), 9), Expr(0));
  EXPECT_NE(less(kS, kT), less(kT, kS));
  EXPECT_FALSE(less_equal(kS, kT).is_constant());
}

TEST(ExprFold, Select) {
  EXPECT_EQ(select(1, kS, kT), kS);
  EXPECT_EQ(select(-7, kS, kT), kS);
  EXPECT_EQ(select(0, kS, kT), kT);
  EXPECT_EQ(select(kB, kS, kS), kS);
  EXPECT_EQ(select(mod(kS, 4) + 1, kS, kT), kS);
  EXPECT_EQ(select(less(kS, kS), kS, kT), kT);
  EXPECT_EQ(text(select(kB, kS, kT)), "select(B, S, T)");
}

TEST(ExprFold, Broadcast) {
  EXPECT_EQ(broadcast(kS, 1), kS);
  EXPECT_EQ(broadcast(1, kS), kS);
  EXPECT_EQ(broadcast(kS, kS), kS);
  EXPECT_EQ(broadcast(1, 1), Expr(1));
  EXPECT_EQ(broadcast(5, 5), Expr(5));
  EXPECT_EQ(broadcast(5, kS), Expr(5));
  EXPECT_EQ(broadcast(kS, 0), Expr(0));
  EXPECT_EQ(broadcast(kS, kT), broadcast(kT, kS));
  EXPECT_EQ(broadcast(broadcast(kS, kT), kS), broadcast(kS, kT));
  EXPECT_EQ(broadcast(broadcast(kS, kT), kB), broadcast(kS, broadcast(kT, kB)));
  EXPECT_EQ(broadcast(broadcast(kS, kT), 7), Expr(7));
  EXPECT_ERROR(broadcast(3, 4), "broadcast(3, 4): the dimensions are neither equal");
}

TEST(ExprFold, ApplyChecksItsArguments) {
  EXPECT_ERROR(Expr::apply(Expr::Function::min, {kS}), "min takes 2 arguments, not 1");
  EXPECT_ERROR(Expr::apply(Expr::Function::select, {kS, kS}), "select takes 3 arguments, not 2");
  EXPECT_EQ(Expr::apply(Expr::Function::mod, {7, 4}), Expr(3));
}

// ---- text
// -----------------------------------------------------------------------------------------

TEST(ExprText, Prints) {
  EXPECT_EQ(text(48 * kQ + kS * 768 - 3), "768*S + 48*q - 3");
  EXPECT_EQ(text(0), "0");
  EXPECT_EQ(text(-5), "-5");
  EXPECT_EQ(text(kLowest), "-9223372036854775808");
  EXPECT_EQ(text(kS * kLowest), "-9223372036854775808*S");
  EXPECT_EQ(text(0 - kS), "-S");
  EXPECT_EQ(text(kT - kS), "T - S");
  EXPECT_EQ(text(3 - kS), "-S + 3");
  EXPECT_EQ(text(kS - kB * kS * kS + 1), "S - B*S*S + 1");
  EXPECT_EQ(text(kB * kS + kS + kB + 1), "B*S + B + S + 1");
  EXPECT_EQ(text(floor_div(kS, 2) * kS * 3), "3*S*floor_div(S, 2)");
  EXPECT_EQ(text(less(kS, kT) + less_equal(kS, kT) + equal(kS, kT)),
            "less(S, T) + less_equal(S, T) + equal(S, T)");
  EXPECT_EQ(text(select(kB, mod(kS, 8), broadcast(kS, kT))),
            "select(B, mod(S, 8), broadcast(S, T))");
}

TEST(ExprText, Parses) {
  EXPECT_EQ(canonical("48*q + S*768 - 3"), "768*S + 48*q - 3");
  EXPECT_EQ(canonical("  ( S+1 ) *\t(S - 1)\n"), "S*S - 1");
  EXPECT_EQ(canonical("-S"), "-S");
  EXPECT_EQ(canonical("- -3 - -4*-S"), "-4*S + 3");
  EXPECT_EQ(canonical("-(S - T)*2"), "2*T - 2*S");
  EXPECT_EQ(canonical("-9223372036854775808*S"), "-9223372036854775808*S");
  EXPECT_EQ(canonical("S - 9223372036854775808"), "S - 9223372036854775808");
  EXPECT_EQ(canonical("0007"), "7");
  EXPECT_EQ(canonical("ceil_div(S, 48)"), "floor_div(S + 47, 48)");
  EXPECT_EQ(canonical("min (S, max(T, 3))"), "min(S, max(3, T))");
  EXPECT_EQ(canonical("less(1,2) + less_equal(S,T) + equal(S,T) + mod(S,8)"),
            "mod(S, 8) + less_equal(S, T) + equal(S, T) + 1");
  // Names of functions are symbols where no parenthesis follows.
  EXPECT_EQ(canonical("min*max + select"), "max*min + select");
}

TEST(ExprText, ParseErrorsNameTheColumn) {
  EXPECT_ERROR(Expr::parse(""), "column 1: expected an operand, found the end");
  EXPECT_ERROR(Expr::parse("S +"), "expression 'S +', column 4: expected an operand");
  EXPECT_ERROR(Expr::parse("S T"), "column 3: expected an operator");
  EXPECT_ERROR(Expr::parse("48q"), "column 3: expected an operator");
  EXPECT_ERROR(Expr::parse("S / 2"), "column 3: expected an operator");
  EXPECT_ERROR(Expr::parse("(S"), "column 3: expected ')'");
  EXPECT_ERROR(Expr::parse("S)"), "column 2: expected an operator");
  EXPECT_ERROR(Expr::parse("min(S)"), "min takes 2 arguments, not 1");
  EXPECT_ERROR(Expr::parse("ceil_div(S)"), "ceil_div takes 2 arguments");
  EXPECT_ERROR(Expr::parse("min(S,)"), "column 7: expected an operand, found ')'");
  EXPECT_ERROR(Expr::parse("1 + foo(S)"), "column 5: unknown function 'foo'");
  EXPECT_ERROR(Expr::parse("9223372036854775808"), "column 1: the integer does not fit");
  EXPECT_ERROR(Expr::parse("*S"), "column 1: expected an operand, found '*'");
  EXPECT_ERROR(Expr::parse("#"), "column 1: expected an operand, found '#'");
  EXPECT_ERROR(Expr::parse("mod(S, 0)"), "column 10: integer expression: mod(S, 0): division");
  EXPECT_ERROR(Expr::parse("9223372036854775807*2"), "column 22: coefficient");
  EXPECT_ERROR(Expr::parse(std::string(1000, 'a') + "#"), "aaa...', column 1001");
}

TEST(ExprText, DeepNestingIsAnErrorNotACrash) {
  EXPECT_ERROR(Expr::parse(std::string(1000000, '(')), "nested too deeply");
  EXPECT_EQ(Expr::parse(std::string(100, '(') + "S" + std::string(100, ')')), kS);
  EXPECT_EQ(Expr::parse(std::string(1000000, '-') + "S"), kS);
  std::string calls;
  for (int i = 0; i < 1000; ++i) calls += "mod(";
  EXPECT_ERROR(Expr::parse(calls), "nested too deeply");
}

TEST(ExprText, AsDeepAsExpressionsMayBe) {
  Expr e = kS;
  for (std::uint32_t i = 0; i < Expr::Node::kMaxDepth; ++i) e = mod(e + 1, kT);
  EXPECT_EQ(e.node().depth, Expr::Node::kMaxDepth);
  EXPECT_EQ(Expr::parse(text(e)), e);
}

TEST(ExprText, LongSumsParseFast) {
  std::string sum = "S";
  for (int i = 0; i < 200000; ++i) sum += " + S";
  EXPECT_EQ(Expr::parse(sum), 200001 * kS);
}

// ---- evaluation
// -----------------------------------------------------------------------------------

TEST(ExprEvaluate, Values) {
  const std::map<std::string, std::int64_t> values = {{"B", 2}, {"S", 31}, {"T", -7}};
  EXPECT_EQ(Expr(5).evaluate(values), 5);
  EXPECT_EQ(Expr(0).evaluate(values), 0);
  EXPECT_EQ((kB * kS * 768 - 3).evaluate(values), 2 * 31 * 768 - 3);
  EXPECT_EQ((kT * kT * kT).evaluate(values), -343);
  EXPECT_EQ(floor_div(kT, kB).evaluate(values), -4);
  EXPECT_EQ(mod(kT, kB).evaluate(values), 1);
  EXPECT_EQ(min(kS, kT).evaluate(values), -7);
  EXPECT_EQ(max(kS, kT).evaluate(values), 31);
  EXPECT_EQ(less(kS, kT).evaluate(values), 0);
  EXPECT_EQ(less_equal(kT, kS).evaluate(values), 1);
  EXPECT_EQ(equal(kT, kS).evaluate(values), 0);
  EXPECT_EQ(select(kB, kS, kT).evaluate(values), 31);
  EXPECT_EQ(select(kB - 2, kS, kT).evaluate(values), -7);
  EXPECT_EQ(broadcast(kS, kB - 1).evaluate(values), 31);
}

TEST(ExprEvaluate, Errors) {
  const std::map<std::string, std::int64_t> values = {{"S", kHighest}, {"T", 3}, {"Z", 0}};
  const Expr z = Expr::symbol("Z");
  EXPECT_ERROR((kS + kT).evaluate(values), "9223372036854775807 + 3 overflows");
  EXPECT_ERROR((kS * kT).evaluate(values), "9223372036854775807 * 3 overflows");
  EXPECT_ERROR((0 - kT * kS).evaluate(values), "overflows");
  EXPECT_ERROR(floor_div(kT, z).evaluate(values), "floor_div(3, 0): division by zero");
  EXPECT_ERROR(mod(kT, z).evaluate(values), "mod(3, 0): division by zero");
  EXPECT_ERROR(broadcast(kT, kT + 1).evaluate(values), "broadcast(3, 4): the dimensions");
  EXPECT_ERROR((kT + kB).evaluate(values), "symbol 'B' has no value");
  // Both sides of a select are evaluated.
  EXPECT_ERROR(select(z, floor_div(kT, z), 0).evaluate(values), "division by zero");
  EXPECT_ERROR(floor_div(kS, kT).evaluate({{"S", kLowest}, {"T", -1}}), "overflows 64 bits");
  EXPECT_EQ(mod(kS, kT).evaluate({{"S", kLowest}, {"T", -1}}), 0);
}

// ---- random trees
// ---------------------------------------------------------------------------------

/// How a computation ended: a value, or an error of one of two kinds.
struct Outcome {
  enum class Kind : std::uint8_t { value, overflow, undefined } kind = Kind::value;
  std::int64_t value = 0;
  bool is_value() const { return kind == Kind::value; }
};

template <typename Compute>
Outcome outcome_of(const Compute& compute) {
  try {
    return {Outcome::Kind::value, compute()};
  } catch (const Error& error) {
    const bool overflow = std::string_view(error.what()).find("overflows") != std::string::npos;
    return {overflow ? Outcome::Kind::overflow : Outcome::Kind::undefined, 0};
  } catch (const std::overflow_error&) {
    return {Outcome::Kind::overflow, 0};
  } catch (const std::domain_error&) {
    return {Outcome::Kind::undefined, 0};
  }
}

struct TapeRun {
  Tape tape;
  Tape::Slot slot;

  TapeRun(const Expr& e, const test::Values& values) : tape(names(values)), slot(tape.add(e)) {}

  std::int64_t operator()(const test::Values& values) const {
    std::vector<std::int64_t> registers(tape.register_count());
    for (std::size_t i = 0; i < tape.symbols().size(); ++i)
      registers[i] = values.at(tape.symbols()[i]);
    tape.evaluate(registers);
    return registers[slot];
  }

  static std::vector<std::string> names(const test::Values& values) {
    std::vector<std::string> result;
    for (const auto& [name, value] : values) result.push_back(name);
    return result;
  }
};

class RandomTrees {
 public:
  RandomTrees(std::uint64_t seed, const test::TreeOptions& options)
      : random_(seed), generator_(random_, options), extreme_(options.extreme) {}

  void check(int trees) {
    for (int i = 0; i < trees && !testing::Test::HasFailure(); ++i) {
      SCOPED_TRACE("tree " + std::to_string(i));
      check(generator_.tree());
    }
    std::cout << "  " << evaluations_ << " evaluations, " << compared_ << " with a value, "
              << unbuilt_ << " of " << trees << " trees not built" << std::endl;
    // Else the test says little.
    EXPECT_GT(compared_ * 10, evaluations_ * (extreme_ ? 1 : 6));
    EXPECT_LT(unbuilt_ * 10, trees * (extreme_ ? 6 : 3));
  }

 private:
  static constexpr int kSamples = 6;

  void check(const test::Tree& tree) {
    std::optional<Expr> e;
    const Outcome built = outcome_of([&] {
      e = tree.build();
      return 0;
    });
    if (!e) {
      ++unbuilt_;
      check_unbuilt(tree, built);
      return;
    }
    SCOPED_TRACE(text(*e));
    EXPECT_EQ(Expr::parse(text(*e)), *e);
    check_substitution(*e);
    for (int i = 0; i < kSamples; ++i) check_values(tree, *e, generator_.values());
  }

  /// What cannot be built for another reason than the size of coefficients has no value.
  void check_unbuilt(const test::Tree& tree, const Outcome& built) {
    if (built.kind == Outcome::Kind::overflow) return;
    for (int i = 0; i < kSamples; ++i) {
      const test::Values values = generator_.values();
      EXPECT_FALSE(outcome_of([&] { return tree.evaluate(values); }).is_value());
    }
  }

  /// Renaming all symbols, which reverses their order, and back rebuilds everything from its parts.
  static void check_substitution(const Expr& e) {
    std::map<std::string, Expr> there;
    std::map<std::string, Expr> back;
    for (const std::string& name : e.symbols()) {
      const std::string other = std::string(1, static_cast<char>('A' + 'z' - name[0])) + name;
      there.emplace(name, Expr::symbol(other));
      back.emplace(other, Expr::symbol(name));
    }
    const Expr renamed = e.substitute(there);
    EXPECT_EQ(Expr::parse(text(renamed)), renamed);
    EXPECT_EQ(renamed.substitute(back), e) << text(renamed);
  }

  void check_values(const test::Tree& tree, const Expr& e, const test::Values& values) {
    SCOPED_TRACE(show(values));
    const Outcome direct = outcome_of([&] { return tree.evaluate(values); });
    const Outcome evaluated = outcome_of([&] { return e.evaluate(values); });
    const TapeRun run(e, values);
    const Outcome taped = outcome_of([&] { return run(values); });
    ++evaluations_;

    // The tape does what evaluate() does.
    EXPECT_EQ(taped.kind, evaluated.kind);
    EXPECT_EQ(taped.value, evaluated.value);
    if (direct.is_value() && evaluated.is_value()) {
      ++compared_;
      EXPECT_EQ(direct.value, evaluated.value);
    }
    // The canonical form may lose an error, but gains none, unless the expanded polynomial
    // overflows where the factored one does not: not with small numbers.
    if (direct.is_value() && !evaluated.is_value()) {
      EXPECT_EQ(evaluated.kind, Outcome::Kind::overflow);
      EXPECT_TRUE(extreme_);
    }
  }

  static std::string show(const test::Values& values) {
    std::string result;
    for (const auto& [name, value] : values) result += name + "=" + std::to_string(value) + " ";
    return result;
  }

  std::mt19937_64 random_;
  test::TreeGenerator generator_;
  bool extreme_;
  int evaluations_ = 0;
  int compared_ = 0;
  int unbuilt_ = 0;
};

TEST(ExprRandom, ThreeWaysToEvaluateAgree) {
  RandomTrees(test::seed_for("ExprRandom.ThreeWaysToEvaluateAgree"), {}).check(4000);
}

TEST(ExprRandom, ThreeWaysToEvaluateAgreeOnDeepTrees) {
  test::TreeOptions options;
  options.depth = 6;
  options.lowest = -1;
  options.highest = 2;
  RandomTrees(test::seed_for("ExprRandom.ThreeWaysToEvaluateAgreeOnDeepTrees"), options)
      .check(1000);
}

TEST(ExprRandom, ThreeWaysToEvaluateAgreeAtTheEndsOfTheRange) {
  test::TreeOptions options;
  options.depth = 3;
  options.extreme = true;
  RandomTrees(test::seed_for("ExprRandom.ThreeWaysToEvaluateAgreeAtTheEndsOfTheRange"), options)
      .check(4000);
}

}  // namespace
}  // namespace burin
