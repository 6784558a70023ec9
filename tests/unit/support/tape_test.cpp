#include "support/tape.h"

#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "error_of.h"
#include "print_expr.h"
#include "random_tree.h"
#include "support/expr_node.h"

namespace burin {
namespace {

/// The values of all registers for the symbols' values.
std::vector<std::int64_t> run(const Tape& tape, const std::vector<std::int64_t>& symbols) {
  std::vector<std::int64_t> registers(tape.register_count());
  std::copy(symbols.begin(), symbols.end(), registers.begin());
  tape.evaluate(registers);
  return registers;
}

std::int64_t value_of(std::string_view text, std::int64_t s, std::int64_t t) {
  Tape tape({"S", "T"});
  const Tape::Slot slot = tape.add(Expr::parse(text));
  return run(tape, {s, t})[slot];
}

TEST(Tape, Definitions) {
  Tape tape({"S"});
  tape.define("half", floor_div(Expr::symbol("S"), 2));
  const Tape::Slot sum = tape.add(Expr::symbol("half") + 1);
  std::vector<std::int64_t> registers(tape.register_count());
  registers[0] = 9;
  tape.evaluate(registers);
  EXPECT_EQ(registers[sum], 5);
  EXPECT_NO_THROW(tape.define("half", floor_div(Expr::symbol("S"), 2)));
  EXPECT_THROW(tape.define("half", Expr::symbol("S")), Error);
  EXPECT_THROW(tape.define("S", 3), Error);
}

TEST(Tape, SymbolsComeFirst) {
  Tape tape({"B", "S"});
  EXPECT_EQ(tape.register_count(), 2U);
  EXPECT_EQ(tape.symbols(), (std::vector<std::string>{"B", "S"}));
  EXPECT_EQ(tape.add(Expr::symbol("S")), 1U);
  EXPECT_EQ(tape.add(Expr::symbol("B")), 0U);
  EXPECT_EQ(tape.register_count(), 2U);
  EXPECT_EQ(run(tape, {3, 4}), (std::vector<std::int64_t>{3, 4}));
}

TEST(Tape, EachOperation) {
  EXPECT_EQ(value_of("0", 1, 2), 0);
  EXPECT_EQ(value_of("-7", 1, 2), -7);
  EXPECT_EQ(value_of("S + T", 3, 4), 7);
  EXPECT_EQ(value_of("S - T", 3, 4), -1);
  EXPECT_EQ(value_of("3*S*S*T - 5", 3, 4), 103);
  EXPECT_EQ(value_of("floor_div(S, T)", -7, 2), -4);
  EXPECT_EQ(value_of("floor_div(S, T)", 7, 2), 3);
  EXPECT_EQ(value_of("mod(S, T)", -7, 2), 1);
  EXPECT_EQ(value_of("mod(S, T)", 7, -4), -1);
  EXPECT_EQ(value_of("mod(S, T)", 1LL << 40, 1000), 1099511627776 % 1000);
  EXPECT_EQ(value_of("min(S, T)", 3, 4), 3);
  EXPECT_EQ(value_of("max(S, T)", 3, 4), 4);
  EXPECT_EQ(value_of("less(S, T)", 3, 3), 0);
  EXPECT_EQ(value_of("less(S, T)", 3, 4), 1);
  EXPECT_EQ(value_of("less_equal(S, T)", 3, 3), 1);
  EXPECT_EQ(value_of("less_equal(S, T)", 4, 3), 0);
  EXPECT_EQ(value_of("equal(S, T)", 4, 4), 1);
  EXPECT_EQ(value_of("equal(S, T)", 4, 3), 0);
  EXPECT_EQ(value_of("select(S, T, 9)", 4, 3), 3);
  EXPECT_EQ(value_of("select(S, T, 9)", 0, 3), 9);
  EXPECT_EQ(value_of("broadcast(S, T)", 1, 3), 3);
  EXPECT_EQ(value_of("broadcast(S, T)", 3, 1), 3);
  EXPECT_EQ(value_of("broadcast(S, T)", 3, 3), 3);
}

TEST(Tape, CommonPartsAreComputedOnce) {
  Tape tape({"B", "S"});
  const Expr b = Expr::symbol("B");
  const Expr s = Expr::symbol("S");
  const Tape::Slot product = tape.add(b * s);
  EXPECT_EQ(tape.register_count(), 3U);
  EXPECT_EQ(tape.add(s * b), product);
  EXPECT_EQ(tape.register_count(), 3U);
  tape.add(b * s * 768);  // the constant and the product with it
  EXPECT_EQ(tape.register_count(), 5U);
  tape.add(floor_div(b * s * 768 + 1, s));  // which is 768*b + floor_div(1, s)
  const std::size_t before = tape.register_count();
  tape.add(min(floor_div(1, s), b * 768) * 2);
  EXPECT_EQ(tape.register_count(), before + 3);  // min, 2, the product
}

TEST(Tape, PrintsItsInstructions) {
  Tape tape({"B", "S"});
  tape.add(Expr::parse("B*S*768 + select(B, S, 3)"));
  EXPECT_EQ(tape.to_string(),
            "%0 = symbol B\n"
            "%1 = symbol S\n"
            "%2 = mul %0, %1\n"
            "%3 = constant 768\n"
            "%4 = mul %2, %3\n"
            "%5 = constant 3\n"
            "%6 = select %0, %1, %5\n"
            "%7 = add %4, %6\n");
}

TEST(Tape, ErrorsSayOperationAndValues) {
  constexpr auto kHighest = std::numeric_limits<std::int64_t>::max();
  constexpr auto kLowest = std::numeric_limits<std::int64_t>::min();
  EXPECT_ERROR(value_of("S + T", kHighest, 2), "9223372036854775807 + 2 overflows");
  EXPECT_ERROR(value_of("S*T", kHighest, 2), "9223372036854775807 * 2 overflows");
  EXPECT_ERROR(value_of("floor_div(S, T)", 5, 0), "floor_div(5, 0): division by zero");
  EXPECT_ERROR(value_of("mod(S, T)", 5, 0), "mod(5, 0): division by zero");
  EXPECT_ERROR(value_of("floor_div(S, T)", kLowest, -1), "the quotient overflows 64 bits");
  EXPECT_ERROR(value_of("broadcast(S, T)", 3, 4), "broadcast(3, 4): the dimensions");
  EXPECT_EQ(value_of("mod(S, T)", kLowest, -1), 0);
}

TEST(Tape, ChecksItsUse) {
  Tape tape({"S"});
  EXPECT_ERROR(tape.add(Expr::parse("S + Z")), "symbol 'Z' is not one of the kernel's symbols");
  EXPECT_ERROR(Tape({"S", "S"}), "symbol 'S' is given twice");
  EXPECT_ERROR(Tape({"a b"}), "not a symbol name");
  tape.add(Expr::parse("S + 1"));
  std::vector<std::int64_t> registers(tape.register_count() + 1);
  EXPECT_ERROR(tape.evaluate(registers), "registers given");
}

TEST(Tape, ManyExpressionsTogether) {
  std::mt19937_64 random(test::seed_for("Tape.ManyExpressionsTogether"));
  test::TreeOptions options;
  options.depth = 3;
  options.dimensions = {"n"};
  test::TreeGenerator generator(random, options);
  for (int round = 0; round < 200; ++round) {
    Tape tape({"B", "S", "T", "n", "q"});
    std::vector<std::pair<Expr, Tape::Slot>> all;
    std::size_t instructions = 0;
    for (int i = 0; i < 20; ++i) {
      const std::size_t before = tape.register_count();
      const auto text = test::error_of([&] {
        const Expr e = generator.tree().build();
        all.emplace_back(e, tape.add(e));
      });
      instructions += tape.register_count() - before;
      ASSERT_NE(text, "");
    }
    EXPECT_EQ(tape.register_count(), 5 + instructions);
    const test::Values values = generator.values();
    try {
      const std::vector<std::int64_t> registers = run(
          tape, {values.at("B"), values.at("S"), values.at("T"), values.at("n"), values.at("q")});
      for (const auto& [e, slot] : all)
        EXPECT_EQ(registers[slot], e.evaluate(values)) << e.to_string();
    } catch (const Error&) {
      const auto fails = [&](const auto& entry) {
        return test::error_of([&] { static_cast<void>(entry.first.evaluate(values)); }) !=
               "no error";
      };
      EXPECT_TRUE(std::any_of(all.begin(), all.end(), fails));
    }
  }
}

}  // namespace
}  // namespace burin
