// What attributes of element-wise operations say, and what holds where they say nothing: as the reference interpreter.

#include "tests/unit/runtime/runtime_support.h"

namespace burin::runtime_test {
namespace {

void expect_as_interpreted(const std::string& operation, std::vector<float> numbers = {-3, -1, -0.25F, 0, 0.25F, 1, 3}) {
  const Graph graph = parse_graph("graph @g(%x: f32[N]) {\n %y = " + operation + "\n %z = cast %y, to=\"f32\"\n return %z\n}");
  const std::vector<Tensor> inputs = {Tensor::from_f32({static_cast<std::int64_t>(numbers.size())}, numbers)};
  const Tensor expected = interpret(graph, inputs)[0], actual = run(compiled(graph), inputs)[0];
  for (std::int64_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual.at(i), expected.at(i), 1e-6) << operation << " of " << inputs[0].at(i);
}

TEST(Attributes, OfActivations) {
  expect_as_interpreted("leaky_relu %x");
  expect_as_interpreted("leaky_relu %x, alpha=0.5");
  expect_as_interpreted("elu %x");
  expect_as_interpreted("elu %x, alpha=0.5");
  expect_as_interpreted("hard_sigmoid %x");
  expect_as_interpreted("hard_sigmoid %x, alpha=0.5");
  expect_as_interpreted("hard_sigmoid %x, alpha=0.5, beta=0.25");
}

TEST(Attributes, OfInfinities) {
  const std::vector<float> numbers = {kInfinity, -kInfinity, 0, 1, kLowest, std::numeric_limits<float>::quiet_NaN()};
  expect_as_interpreted("is_inf %x", numbers);
  expect_as_interpreted("is_inf %x, detect_positive=0", numbers);
  expect_as_interpreted("is_inf %x, detect_negative=0", numbers);
  expect_as_interpreted("is_inf %x, detect_negative=0, detect_positive=0", numbers);
}

}  // namespace
}  // namespace burin::runtime_test
