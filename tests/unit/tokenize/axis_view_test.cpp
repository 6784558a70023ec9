#include "tokenize/axis_view.h"

#include <gtest/gtest.h>

namespace burin {
namespace {

Shape shape(const std::vector<std::string>& dimensions) {
  Shape result;
  for (const auto& dimension : dimensions) result.push_back(Expr::parse(dimension));
  return result;
}

/// "{0} {1 x3} {}": the axes of the source of each dimension, xN for a repetition.
std::string text(const AxisView& view) {
  std::string result;
  for (const AxisView::Group& group : view.groups()) {
    std::string axes;
    for (const AxisView::Axis& axis : group)
      axes += (axes.empty() ? "" : " ") +
              (axis.is_repeated() ? "x" + axis.size.to_string() : std::to_string(axis.source));
    result += (result.empty() ? "{" : " {") + axes + "}";
  }
  return result;
}

const Facts kNoFacts;

TEST(AxisView, RepeatedHeads) {
  AxisView view(shape({"B", "S", "4", "64"}), kNoFacts);
  EXPECT_TRUE(view.transpose({0, 2, 1, 3}));
  EXPECT_TRUE(view.reshape(shape({"B", "4", "1", "S", "64"})));
  EXPECT_EQ(text(view), "{0} {2} {} {1} {3}");
  EXPECT_TRUE(view.expand(shape({"B", "4", "3", "S", "64"})));
  EXPECT_TRUE(view.reshape(shape({"B", "12", "S", "64"})));
  EXPECT_EQ(text(view), "{0} {2 x3} {1} {3}");
  EXPECT_TRUE(view.is_plain());
  EXPECT_FALSE(view.is_split());
}

TEST(AxisView, TiledHeadsAreNoPlainView) {
  AxisView view(shape({"B", "1", "4", "S", "64"}), kNoFacts);
  EXPECT_TRUE(view.expand(shape({"B", "3", "4", "S", "64"})));
  EXPECT_TRUE(view.reshape(shape({"B", "12", "S", "64"})));
  EXPECT_FALSE(view.is_plain());
}

TEST(AxisView, MergedBatchComesApartAgain) {
  AxisView view(shape({"B", "S", "12", "64"}), kNoFacts);
  EXPECT_TRUE(view.transpose({0, 2, 1, 3}));
  EXPECT_TRUE(view.reshape(shape({"12*B", "S", "64"})));
  EXPECT_EQ(text(view), "{0 2} {1} {3}");
  EXPECT_FALSE(view.is_plain());
  EXPECT_TRUE(view.transpose({0, 2, 1}));
  EXPECT_TRUE(view.reshape(shape({"B", "12", "64", "S"})));
  EXPECT_EQ(text(view), "{0} {2} {3} {1}");
  EXPECT_TRUE(view.is_plain());
}

TEST(AxisView, SplitAxesAreAxesOfTheSource) {
  AxisView view(shape({"16*B", "S", "64"}), kNoFacts);
  EXPECT_TRUE(view.reshape(shape({"B", "16", "S", "64"})));
  EXPECT_TRUE(view.is_split());
  EXPECT_EQ(text(view), "{0} {1} {2} {3}");
  EXPECT_EQ(view.source(), shape({"B", "16", "S", "64"}));
  EXPECT_FALSE(view.reshape(shape({"B", "16", "S + 1", "64"})));
  EXPECT_EQ(text(view), "{0} {1} {2} {3}") << "a view that fails stays as it is";
}

TEST(AxisView, UnknownProductsFail) {
  AxisView view(shape({"A", "B"}), kNoFacts);
  EXPECT_FALSE(view.reshape(shape({"C", "D"})));
  EXPECT_TRUE(view.reshape(shape({"A*B"})));
  EXPECT_FALSE(view.reshape(shape({"B", "A"})));
}

}  // namespace
}  // namespace burin
