// Rows that their maximum is taken off. That maximum may lose a NaN where a sum of what is left spoils all results, as in a
// softmax, but not where anything else is computed of the differences.

#include <cmath>

#include "tests/unit/runtime/runtime_support.h"

namespace burin::runtime_test {
namespace {

using burin::testing::random_inputs;
using burin::testing::relative_difference;

constexpr double kTolerance = 1e-4;

class MaximumTakenOff : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Results, MaximumTakenOff, ::testing::Values(
  // of the differences
  "%t = tanh %d\n return %t, %p",
  // of the powers
  "%t = mul %e, %x\n return %t, %p",
  // what does not say that it is NaN
  "%c = greater %e, 0.5\n %w = where %c, 1.0, %p\n return %w",
  // sums of columns
  "%t = reduce_sum %e, axes=[0], keepdims=1\n return %t",
  // what the sum spoils
  "%t = add %p, %d\n %l = log_softmax %x, axis=1\n return %p, %l"));

TEST_P(MaximumTakenOff, KeepsNaN) {
  const Graph graph = parse_graph(std::string(R"(graph @rows(%x: f32[M,N]) {
    %m = reduce_max %x, axes=[1], keepdims=1
    %d = sub %x, %m
    %e = exp %d
    %s = reduce_sum %e, axes=[1], keepdims=1
    %p = div %e, %s
    )") + GetParam() + "\n}");
  const CompiledSubgraph kernel = compiled(graph);
  for (const std::int64_t n : {2, 5, 20, 33, 100, 1030}) {
    std::vector<Tensor> inputs = random_inputs(graph, {{"M", 9}, {"N", n}}, 3);
    inputs[0].set(4 * n + 1, NAN);
    const std::vector<Tensor> expected = interpret(graph, inputs), actual = run(kernel, inputs);
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_LT(relative_difference(expected[i], actual[i]), kTolerance) << "output " << i << ", N = " << n;
  }
}

}  // namespace
}  // namespace burin::runtime_test
