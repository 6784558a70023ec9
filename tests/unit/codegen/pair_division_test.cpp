#include "codegen/pair_division.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace burin::codegen {
namespace {

class PairDivisionTest : public ::testing::Test {
 protected:
  PairDivision::Words pair() { return {b_.vector(), b_.vector()}; }

  /// How many quotients of i64s the program computes: each is two instructions.
  std::int64_t divisions() const {
    return std::count_if(program_.code.begin(), program_.code.end(), [](const Instruction& i) { return i.op == VOp::div_i64; }) / 2;
  }
  /// Which instruction makes the first lanes of a word.
  VReg half_of(VReg word) const {
    const auto made = std::find_if(program_.code.begin(), program_.code.end(), [&](const Instruction& i) { return i.dst == word; });
    return made->src[0].reg;
  }

  Program program_;
  VBuilder b_{program_};
  PairDivision division_{b_};
};

TEST_F(PairDivisionTest, BothWordsComeOfOne) {
  const auto a = pair(), b = pair();
  const VReg low = division_.low(a, b), high = division_.high(a, b);
  EXPECT_EQ(divisions(), 1);
  EXPECT_EQ(half_of(low), half_of(high));
  EXPECT_NE(low, high);
}

TEST_F(PairDivisionTest, AnotherQuotientInBetween) {
  const auto a = pair(), b = pair(), c = pair();
  const VReg low = division_.low(a, b), other = division_.low(c, b), high = division_.high(a, b);
  EXPECT_EQ(divisions(), 2);
  EXPECT_EQ(half_of(low), half_of(high));
  EXPECT_NE(half_of(low), half_of(other));
}

TEST_F(PairDivisionTest, OneWordTwiceIsComputedTwice) {
  const auto a = pair(), b = pair();
  division_.low(a, b);
  division_.low(a, b);
  EXPECT_EQ(divisions(), 2);
}

TEST_F(PairDivisionTest, BehindALabelItMayNotHaveBeenComputed) {
  const auto a = pair(), b = pair();
  division_.low(a, b);
  b_.label(b_.new_label());
  division_.high(a, b);
  EXPECT_EQ(divisions(), 2);
}

TEST_F(PairDivisionTest, BehindAnOperandThatHasChangedItIsAnother) {
  const auto a = pair(), b = pair();
  division_.low(a, b);
  b_.into(b.high, VOp::mov, {reg(a.high)});
  division_.high(a, b);
  EXPECT_EQ(divisions(), 2);
}

}  // namespace
}  // namespace burin::codegen
