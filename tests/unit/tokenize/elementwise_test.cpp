#include <algorithm>

#include <gtest/gtest.h>

#include "burin/tokenize.h"
#include "tests/support/interpret_check.h"

namespace burin {
namespace {

struct Tokenized {
  Graph graph;
  TokenizeReport report;
};

Tokenized run(const std::string& text) {
  const Graph before = parse_graph(text);
  Graph graph = before;
  TokenizeReport report = tokenize(graph, {.attention = false, .elementwise = true});
  verify(graph);
  testing::SymbolValues symbols = testing::small_symbols(before);
  if (symbols.contains("T")) symbols["T"] = 1;
  testing::expect_same_results(before, graph, testing::random_inputs(before, symbols), symbols);
  return {std::move(graph), std::move(report)};
}

using Names = std::vector<std::string>;

std::vector<Names> groups(const TokenizeReport& report) {
  std::vector<Names> result;
  for (const CarvedSubgraph& subgraph : report.subgraphs) result.push_back(subgraph.nodes);
  return result;
}

std::string reason_for(const TokenizeReport& report, const std::string& node) {
  for (const Rejection& rejection : report.rejected)
    if (std::find(rejection.nodes.begin(), rejection.nodes.end(), node) != rejection.nodes.end())
      return rejection.reason;
  return "";
}

TEST(TokenizeElementwise, ResidualAndNormHaveTwoOutputs) {
  const auto t = run(R"(graph @g(%x: f32[B,S,96], %r: f32[B,S,96], %w: f32[96,96]) {
    %bias = const f32[96] splat<0.5>
    %a = add %x, %bias
    %sum = add %a, %r
    %n = layer_norm %sum, %bias, %bias, axis=2, epsilon=1e-5
    %m = matmul %n, %w
    %out = add %m, %sum
    return %out
  })");
  EXPECT_EQ(groups(t.report), (std::vector<Names>{{"a", "sum", "n"}}));
  const Graph& body = *t.graph.node(t.report.subgraphs[0].node).body;
  EXPECT_EQ(body.outputs.size(), 2U);
  EXPECT_EQ(body.inputs.size(), 2U) << "the bias is a constant of the body";
  EXPECT_EQ(reason_for(t.report, "out"), "one cheap operation: a kernel of its own saves nothing")
      << "'out' and 'sum' cannot be in one kernel: the MatMul stands between them";
}

TEST(TokenizeElementwise, RowStatisticsJoin) {
  const auto t = run(R"(graph @rms(%x: f32[B,S,96], %w: f32[96]) {
    %q = pow %x, 2.0
    %m = reduce_mean %q, axes=[2], keepdims=1
    %e = add %m, 1e-6
    %s = sqrt %e
    %d = div %x, %s
    %y = mul %d, %w
    return %y
  })");
  EXPECT_EQ(groups(t.report), (std::vector<Names>{{"q", "m", "e", "s", "d", "y"}}));
}

TEST(TokenizeElementwise, SmallerSpacesStayApart) {
  // A mask made once is not made again for each head.
  const auto t = run(R"(graph @g(%x: f32[B,12,S,64], %m: f32[B,1,S,64]) {
    %a = mul %m, -1.0
    %b = add %a, 1.0
    %c = add %x, %b
    %d = tanh %c
    return %d
  })");
  EXPECT_EQ(groups(t.report), (std::vector<Names>{{"a", "b"}, {"c", "d"}}));
}

TEST(TokenizeElementwise, ReductionsThatDropTheirAxisGoOn) {
  const auto t = run(R"(graph @g(%x: f32[B,96], %y: f32[B]) {
    %a = exp %x
    %s = reduce_sum %a, axes=[1], keepdims=0
    %b = add %s, %y
    %c = tanh %b
    return %c
  })");
  EXPECT_EQ(groups(t.report), (std::vector<Names>{{"a", "s", "b", "c"}}));
}

TEST(TokenizeElementwise, RowsOfOneLengthAreAGroup) {
  const auto t = run(R"(graph @g(%x: f32[B,96], %y: f32[B,64]) {
    %a = exp %x
    %s = reduce_sum %a, axes=[1], keepdims=0
    %b = exp %y
    %r = reduce_max %b, axes=[1], keepdims=0
    %c = add %s, %r
    %d = tanh %c
    return %d
  })");
  EXPECT_EQ(groups(t.report), (std::vector<Names>{{"a", "s", "c", "d"}, {"b", "r"}}));
}

TEST(TokenizeElementwise, ContractedGroupsMakeNoCycle) {
  // {a1, a2} and {b1, b2} are convex one by one; the second pair is tested against the first as
  // contracted.
  const auto t = run(R"(graph @g(%x: f32[B,96], %w: f32[96,96]) {
    %a1 = exp %x
    %a2 = tanh %x
    %p = matmul %a1, %w
    %q = matmul %a2, %w
    %a3 = add %a1, %a2
    %b1 = add %p, %a3
    %b2 = mul %q, %b1
    return %b2
  })");
  EXPECT_EQ(groups(t.report), (std::vector<Names>{{"a1", "a2", "a3"}, {"b1", "b2"}}));
}

TEST(TokenizeElementwise, WhatIsLeftAndWhy) {
  const auto t = run(R"(graph @g(%x: f32[B,S], %i: i64[S], %w: f32[2,8]) {
    %k = pow %i, %i
    %one = exp %x
    %tiny = mul %w, 2.0
    %tiny2 = add %tiny, 1.0
    return %k, %one, %tiny2
  })");
  EXPECT_TRUE(t.report.subgraphs.empty());
  EXPECT_EQ(reason_for(t.report, "k"), "no kernel for Pow of integers whose exponent is not known");
  EXPECT_EQ(reason_for(t.report, "one"), "one cheap operation: a kernel of its own saves nothing");
  EXPECT_NE(reason_for(t.report, "tiny2").find("fewer than 64 elements"), std::string::npos);
}

TEST(TokenizeElementwise, AnyAxisIsFolded) {
  const auto t = run(R"(graph @g(%x: f32[B,S,8], %y: f32[B,T,8]) {
    %maybe = add %x, %y
    %middle = softmax %maybe, axis=1
    return %middle
  })");
  EXPECT_EQ(groups(t.report), (std::vector<Names>{{"maybe", "middle"}}));
}

TEST(TokenizeElementwise, StatisticsOfOtherAxesJoin) {
  const auto t = run(R"(graph @g(%x: f32[B,C,H,W], %scale: f32[C,1,1]) {
    %m = reduce_mean %x, axes=[1], keepdims=1
    %e = add %m, 1.0
    %d = sub %x, %e
    %y = mul %d, %scale
    return %y
  })");
  EXPECT_EQ(groups(t.report), (std::vector<Names>{{"m", "e", "d", "y"}}));
}

TEST(TokenizeElementwise, GateAndValueAreTakenInside) {
  const auto t = run(R"(graph @g(%x: f32[M,96]) {
    %gate, %value = split %x, axis=1
    %s = sigmoid %gate
    %silu = mul %gate, %s
    %y = mul %silu, %value
    return %y
  })");
  ASSERT_EQ(t.report.subgraphs.size(), 1U);
  EXPECT_EQ(t.report.subgraphs[0].nodes.size(), 4U);
  EXPECT_EQ(t.graph.order().size(), 1U);
}

TEST(TokenizeElementwise, PartsThatOthersReadAreTakenOutside) {
  const auto t = run(R"(graph @g(%x: f32[M,96]) {
    %gate, %value = split %x, axis=1
    %s = sigmoid %gate
    %silu = mul %gate, %s
    return %silu, %value
  })");
  EXPECT_EQ(groups(t.report), (std::vector<Names>{{"s", "silu"}}));
}

TEST(TokenizeElementwise, PartsOfDifferentSizesStayOutside) {
  // Only one axis lies in the lanes.
  const auto t = run(R"(graph @g(%x: f32[M,96], %y: f32[M,64]) {
    %a = sigmoid %x
    %b = mul %a, %x
    %c = relu %y
    %d = mul %c, %y
    %all = concat %b, %d, axis=1
    return %all
  })");
  EXPECT_EQ(groups(t.report), (std::vector<Names>{{"a", "b"}, {"c", "d"}}));
}

TEST(TokenizeElementwise, HeavyOperationsGoAlone) {
  const auto t = run(R"(graph @g(%x: f32[B,S,96], %bias: f32[96]) {
    %p = softmax %x, axis=2
    return %p
  })");
  EXPECT_EQ(groups(t.report), (std::vector<Names>{{"p"}}));
}

TEST(TokenizeElementwise, NoLimitOnOperationsAndInputs) {
  GraphBuilder builder("many");
  const Shape shape = {Expr::symbol("B"), 96};
  ValueId sum = builder.input("x", Precision::f32, shape);
  for (int i = 0; i < 100; ++i)
    sum = builder.op(OpKind::Add, {builder.op(OpKind::Tanh, {sum}),
                                   builder.input("y" + std::to_string(i), Precision::f32, shape)});
  builder.output(sum);
  Graph graph = builder.build();
  const TokenizeReport report = tokenize(graph);
  ASSERT_EQ(report.subgraphs.size(), 1U);
  EXPECT_EQ(graph.node(report.subgraphs[0].node).inputs.size(), 101U);
}

TEST(TokenizeElementwise, OutputsKeepTheirNames) {
  const auto t = run(R"(graph @g(%x: f32[B,96]) {
    %a = exp %x
    %logits = neg %a
    return %logits
  })");
  EXPECT_EQ(t.graph.value(t.graph.outputs[0]).name, "logits");
  EXPECT_EQ(t.report.subgraphs[0].name, "elementwise_0");
}

}  // namespace
}  // namespace burin
