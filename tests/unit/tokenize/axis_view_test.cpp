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

TEST(AxisView, Repetitions) {
  AxisView view(shape({"B", "4", "S"}), kNoFacts);
  EXPECT_TRUE(view.repeat(1, 3, true));
  EXPECT_EQ(text(view), "{0} {1 x3} {2}");
  EXPECT_TRUE(view.repeat(1, 2, false));
  EXPECT_EQ(text(view), "{0} {x2 1 x3} {2}");
  EXPECT_TRUE(view.repeat(1, 1, true));
  EXPECT_FALSE(view.repeat(3, 2, true));
  EXPECT_TRUE(view.reshape(shape({"B", "2", "4", "3", "S"})));
  EXPECT_EQ(text(view), "{0} {x2} {1} {x3} {2}");
  EXPECT_TRUE(view.is_plain());
}

/// Repeated by indices: one by one, as a whole, or neither.
TEST(AxisView, Gather) {
  const auto gathered = [](const std::string& indices) {
    const Graph graph = parse_graph("graph @g(%x: f32[B,2,S]) {\n%i = known i64[4] {" + indices + "}\n%0 = gather %x, %i, axis=1\nreturn %0\n}");
    AxisView view(shape({"B", "2", "S"}), kNoFacts);
    return view.apply(graph, graph.node(graph.order().back())) ? text(view) : "none";
  };
  EXPECT_EQ(gathered("0,0,1,1"), "{0} {1 x2} {2}");
  EXPECT_EQ(gathered("0,1,0,1"), "{0} {x2 1} {2}");
  EXPECT_EQ(gathered("0,1,1,0"), "none");
}

TEST(AxisView, RepeatedAxesAreSplit) {
  AxisView view(shape({"1", "S"}), kNoFacts);
  EXPECT_TRUE(view.expand(shape({"6*B", "S"})));
  EXPECT_TRUE(view.reshape(shape({"B", "6", "S"})));
  EXPECT_FALSE(view.is_split()) << "no axis of the source is";
}

/// Of axes that stand in front of one that is split, some are behind it in the source.
TEST(AxisView, SplitAxesMoveOthers) {
  AxisView view(shape({"12", "S"}), kNoFacts);
  EXPECT_TRUE(view.transpose({1, 0}));
  EXPECT_TRUE(view.reshape(shape({"S", "4", "3"})));
  EXPECT_EQ(text(view), "{2} {0} {1}");
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
