// The whole pipeline over attention bodies: what is left of operations, and what masks do to whole
// rows.

#include <cmath>
#include <limits>
#include <set>

#include <gtest/gtest.h>

#include "dataflow/dataflow.h"
#include "tests/support/interpret_check.h"

namespace burin {
namespace {

constexpr float kLowest = std::numeric_limits<float>::lowest();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

Graph lowered(const Graph& graph) {
  Graph result = graph;
  dataflow_pipeline().run(result);
  return result;
}

Graph attention(bool guarded) {
  const std::string product = guarded ? R"(
  %n = is_nan %5
  %w = where %n, 0.0, %5
  %7 = matmul %w, %v)"
                                      : R"(
  %7 = matmul %5, %v)";
  return parse_graph(
      R"(graph @attention(%q: f32[1,2,3,4], %k: f32[1,2,4,3], %v: f32[1,2,3,4], %m: f32[1,1,3,3]) {
  %2 = matmul %q, %k
  %3 = mul %2, 0.5
  %4 = add %3, %m
  %5 = softmax %4, axis=3)" +
      product + R"(
  return %7
})");
}

std::vector<Tensor> inputs_with_mask(const Graph& graph, const std::vector<float>& mask) {
  std::vector<Tensor> inputs = testing::random_inputs(graph, {});
  inputs[3] = Tensor::from_f32({1, 1, 3, 3}, mask);
  return inputs;
}

TEST(AttentionPipeline, LeavesOnlyWhatLinearIrTakes) {
  const Graph graph = lowered(attention(true));
  const std::set<OpKind> reductions = {OpKind::ReduceSum, OpKind::ReduceMax};
  for (const NodeId id : graph.order()) {
    const OpKind op = graph.node(id).op;
    EXPECT_TRUE(is_elementwise(op) || reductions.contains(op) || op == OpKind::Brgemm ||
                op == OpKind::Transpose)
        << info(op).name;
    EXPECT_NE(op, OpKind::Exp) << "exp2 with log2(e) in the query's factor";
    EXPECT_NE(op, OpKind::Div) << "one reciprocal a row";
  }
}

TEST(AttentionPipeline, RowOfLowestFloatsYieldsThePlainAverage) {
  const Graph before = attention(false), after = lowered(before);
  const auto inputs =
      inputs_with_mask(before, {0, 0, 0, kLowest, kLowest, kLowest, 0, kLowest, kLowest});
  testing::expect_same_results(before, after, inputs, {});
  const Tensor result = interpret(after, inputs).front();
  const Tensor& v = inputs[2];
  for (std::int64_t d = 0; d < 4; ++d)
    EXPECT_NEAR(result.at(4 + d), (v.at(d) + v.at(4 + d) + v.at(8 + d)) / 3, 1e-6);
}

TEST(AttentionPipeline, TrueInfinityStaysOne) {
  const Graph before = attention(false), after = lowered(before);
  const auto inputs = inputs_with_mask(
      before, {0, 0, 0, -kInfinity, -kInfinity, -kInfinity, 0, -kInfinity, kLowest});
  testing::expect_same_results(before, after, inputs, {});
  EXPECT_TRUE(std::isnan(interpret(after, inputs).front().at(4)))
      << "no valid key: NaN, as the plain formula";
}

TEST(AttentionPipeline, GuardGivesZeroForRowsWithoutValidKeys) {
  const Graph before = attention(true), after = lowered(before);
  const auto inputs = inputs_with_mask(
      before, {0, 0, 0, -kInfinity, -kInfinity, -kInfinity, 0, -kInfinity, kLowest});
  testing::expect_same_results(before, after, inputs, {});
  EXPECT_EQ(interpret(after, inputs).front().at(4), 0);
}

TEST(AttentionPipeline, GuardHidesNaNOfTheQueryAsBefore) {
  const Graph before = attention(true), after = lowered(before);
  auto inputs = inputs_with_mask(before, {0, 0, 0, 0, 0, 0, 0, 0, 0});
  inputs[0].set(5, std::numeric_limits<double>::quiet_NaN());
  testing::expect_same_results(before, after, inputs, {});
  const Graph plain_before = attention(false), plain_after = lowered(plain_before);
  testing::expect_same_results(plain_before, plain_after, inputs, {});
  EXPECT_TRUE(std::isnan(interpret(plain_after, inputs).front().at(4)))
      << "NaN does not become a number";
}

TEST(AttentionPipeline, BisectAndDisable) {
  const auto& pipeline = dataflow_pipeline();
  const Graph before = attention(true);
  for (int limit = 0; limit <= static_cast<int>(pipeline.passes().size()); ++limit) {
    Graph after = before;
    pipeline.run(after, {.disabled = {}, .limit = limit, .dump = {}, .verify = true});
    testing::expect_same_results(before, after);
  }
  for (const auto& pass : pipeline.passes()) {
    Graph after = before;
    std::vector<std::string> stages;
    const auto timings = pipeline.run(
        after,
        {.disabled = {pass.name},
         .limit = -1,
         .dump = [&](std::string_view stage, const std::string&) { stages.emplace_back(stage); },
         .verify = true});
    testing::expect_same_results(before, after);
    EXPECT_EQ(timings.size(), pipeline.passes().size() - (pass.required ? 0 : 1));
    ASSERT_FALSE(stages.empty());
    EXPECT_TRUE(stages.front().ends_with("decompose_softmax")) << stages.front();
  }
}

}  // namespace
}  // namespace burin
