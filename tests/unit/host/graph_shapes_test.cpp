#include "host/graph_shapes.h"

#include <gtest/gtest.h>

#include "host/program.h"
#include "unit/support/error_of.h"

namespace burin::host {
namespace {

Tensor zeros(const Dims& dims) { return Tensor::zeros(Precision::f32, dims); }

ValueId value_named(const Graph& graph, const std::string& name) {
  for (ValueId id = 0; id < graph.value_count(); ++id)
    if (graph.value(id).name == name) return id;
  return kNone;
}

class Shapes : public ::testing::Test {
 protected:
  Graph graph_ = parse_graph(R"(graph @g(%x: f32[B,S,12], %y: f32[T,B]) {
    %s = known i64[3] {B*S,3,4}
    %r = reshape %x, %s
    %t = transpose %y, perm=[1,0]
    return %r, %t
  })");
  GraphShapes shapes_{graph_, values_in_use(graph_)};
};

TEST_F(Shapes, FollowFromTheInputs) {
  for (const std::int64_t b : {2, 7, 0, 2})
    for (const std::int64_t s : {5, 0}) {
      shapes_.bind({zeros({b, s, 12}), zeros({9, b})});
      EXPECT_EQ(shapes_.dims(value_named(graph_, "r")), (Dims{b * s, 3, 4}));
      EXPECT_EQ(shapes_.dims(value_named(graph_, "t")), (Dims{b, 9}));
      EXPECT_EQ(shapes_.bytes(value_named(graph_, "r")), static_cast<std::size_t>(b * s * 48));
      const Tensor& known = shapes_.known(value_named(graph_, "s"));
      ASSERT_EQ(known.dims(), Dims{3});
      EXPECT_EQ(known.int_at(0), b * s);
      EXPECT_EQ(known.int_at(2), 4);
      EXPECT_EQ(shapes_.symbols().at("B"), b);
      EXPECT_EQ(shapes_.symbols().at("T"), 9);
    }
}

TEST_F(Shapes, ErrorsNameTheTensor) {
  EXPECT_ERROR(shapes_.bind({zeros({2, 5, 12}), zeros({9, 3})}),
               "tensor 'y', dimension 1: expected B = 2, given 3");
  EXPECT_ERROR(shapes_.bind({zeros({2, 5, 13}), zeros({9, 2})}),
               "tensor 'x', dimension 2: expected 12 = 12, given 13");
  EXPECT_ERROR(shapes_.bind({zeros({2, 5}), zeros({9, 2})}), "tensor 'x': expected rank 3");
  EXPECT_ERROR(shapes_.bind({zeros({2, 5, 12})}), "expected 2 inputs, given 1");
  shapes_.bind({zeros({2, 5, 12}), zeros({9, 2})});
  EXPECT_EQ(shapes_.dims(value_named(graph_, "r")), (Dims{10, 3, 4}));
}

TEST_F(Shapes, TooLargeIsAnError) {
  const std::int64_t huge = std::int64_t{1} << 40;
  Graph product =
      parse_graph("graph @g(%x: f32[A,0], %y: f32[0,C]) {\n %z = matmul %x, %y\n return %z\n}");
  GraphShapes shapes(product, values_in_use(product));
  EXPECT_ERROR(shapes.bind({zeros({huge, 0}), zeros({0, huge})}), "z: the dimensions");
  shapes.bind({zeros({2, 0}), zeros({0, 3})});
  EXPECT_EQ(shapes.dims(value_named(product, "z")), (Dims{2, 3}));
}

TEST(GraphShapes, FactsAreChecked) {
  const Graph graph =
      parse_graph("graph @g(%x: f32[A,8], %y: f32[C,8]) {\n %z = add %x, %y\n return %z\n}");
  GraphShapes shapes(graph, values_in_use(graph));
  shapes.bind({zeros({3, 8}), zeros({1, 8})});
  EXPECT_EQ(shapes.dims(graph.outputs[0]), (Dims{3, 8}));
  EXPECT_ERROR(shapes.bind({zeros({3, 8}), zeros({2, 8})}), "value 'z'");
}

TEST(GraphShapes, WhatDependsOnContentsIsAnError) {
  const Graph graph =
      parse_graph("graph @g(%x: f32[A,8], %n: i64[3]) {\n %z = expand %x, %n\n return %z\n}");
  EXPECT_ERROR(GraphShapes(graph, values_in_use(graph)),
               "does not follow from the shapes of the model's inputs");
}

}  // namespace
}  // namespace burin::host
