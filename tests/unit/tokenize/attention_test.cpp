// What the tokenizer makes of attentions: every form gives one body with the transposes and repeats
// in it, and the same results.

#include "burin/tokenize.h"

#include <gtest/gtest.h>

#include "tests/support/interpret_check.h"

namespace burin {
namespace {

struct Tokenized {
  Graph graph;
  TokenizeReport report;
};

/// Canonicalizes and tokenizes; checks that results stay.
Tokenized run(const std::string& text,
              const TokenizeOptions& options = {.attention = true, .elementwise = false}) {
  const Graph before = parse_graph(text);
  Graph graph = before;
  canonicalize(graph);
  TokenizeReport report = tokenize(graph, options);
  verify(graph);
  for (const CarvedSubgraph& subgraph : report.subgraphs) verify(*graph.node(subgraph.node).body);
  testing::expect_same_results(before, graph);
  return {std::move(graph), std::move(report)};
}

const Graph& body(const Tokenized& t, std::size_t i = 0) {
  return *t.graph.node(t.report.subgraphs.at(i).node).body;
}

/// The operations of the body, in order: "transpose matmul mul softmax matmul".
std::string operations(const Graph& graph) {
  std::string text;
  for (const NodeId id : graph.order())
    text += (text.empty() ? "" : " ") + std::string(info(graph.node(id).op).text);
  return text;
}

std::string input_shapes(const Graph& graph) {
  std::string text;
  for (const ValueId id : graph.inputs)
    text += (text.empty() ? "" : " ") + to_string(graph.value(id).shape);
  return text;
}

TEST(TokenizeAttention, BertTakesTransposesIn) {
  const auto t =
      run(R"(graph @bert(%q: f32[B,S,24], %k: f32[B,S,24], %v: f32[B,S,24], %m: f32[B,1,1,S]) {
    %h = known i64[4] {B,S,3,8}
    %q4 = reshape %q, %h
    %k4 = reshape %k, %h
    %v4 = reshape %v, %h
    %qt = transpose %q4, perm=[0,2,1,3]
    %kt = transpose %k4, perm=[0,2,3,1]
    %vt = transpose %v4, perm=[0,2,1,3]
    %scores = matmul %qt, %kt
    %scaled = mul %scores, 0.35
    %masked = add %scaled, %m
    %p = softmax %masked, axis=3
    %o = matmul %p, %vt
    %ot = transpose %o, perm=[0,2,1,3]
    %f = known i64[3] {B,S,24}
    %r = reshape %ot, %f
    return %r
  })");
  EXPECT_EQ(t.report.attentions_total, 1);
  ASSERT_EQ(t.report.attentions_carved, 1);
  EXPECT_EQ(operations(body(t)),
            "transpose transpose matmul mul add softmax transpose matmul transpose");
  EXPECT_EQ(input_shapes(body(t)), "[B,S,3,8] [B,S,3,8] [B,1,1,S] [B,S,3,8]");
  EXPECT_EQ(t.report.subgraphs[0].kind, "sdpa");
  EXPECT_EQ(
      t.report.subgraphs[0].nodes,
      (std::vector<std::string>{"qt", "kt", "vt", "scores", "scaled", "masked", "p", "o", "ot"}));
}

TEST(TokenizeAttention, GroupedHeadsEnterOnce) {
  const auto t =
      run(R"(graph @gqa(%q: f32[B,12,S,8], %k: f32[B,4,T,8], %v: f32[B,T,4,8], %c: f32[1]) {
    %e = known i64[5] {B,4,3,T,8}
    %h = known i64[4] {B,12,T,8}
    %k5 = unsqueeze %k, axes=[2]
    %kx = expand %k5, %e
    %kh = reshape %kx, %h
    %kt = transpose %kh, perm=[0,1,3,2]
    %ks = mul %kt, %c
    %vt = transpose %v, perm=[0,2,1,3]
    %v5 = unsqueeze %vt, axes=[2]
    %vx = expand %v5, %e
    %vh = reshape %vx, %h
    %qs = mul %q, %c
    %scores = matmul %qs, %ks
    %p = softmax %scores, axis=3
    %n = is_nan %p
    %w = where %n, 0.0, %p
    %o = matmul %w, %vh
    return %o
  })");
  ASSERT_EQ(t.report.attentions_carved, 1);
  EXPECT_EQ(operations(body(t)),
            "mul repeat transpose mul matmul softmax is_nan where repeat transpose matmul");
  EXPECT_EQ(input_shapes(body(t)), "[B,12,S,8] [1] [B,4,T,8] [B,T,4,8]")
      << "the factor is an input too";
}

TEST(TokenizeAttention, OneKeyHeadIsABroadcast) {
  const auto t = run(R"(graph @mqa(%q: f32[B,4,S,8], %k: f32[B,1,S,8], %v: f32[B,1,S,8]) {
    %e = known i64[5] {B,1,4,S,8}
    %h = known i64[4] {B,4,S,8}
    %k5 = unsqueeze %k, axes=[2]
    %kx = expand %k5, %e
    %kh = reshape %kx, %h
    %kt = transpose %kh, perm=[0,1,3,2]
    %v5 = unsqueeze %v, axes=[2]
    %vx = expand %v5, %e
    %vh = reshape %vx, %h
    %scores = matmul %q, %kt
    %p = softmax %scores, axis=3
    %o = matmul %p, %vh
    return %o
  })");
  ASSERT_EQ(t.report.attentions_carved, 1);
  EXPECT_EQ(input_shapes(body(t)), "[B,4,S,8] [B,1,S,8] [B,1,S,8]");
  EXPECT_EQ(operations(body(t)), "transpose matmul softmax matmul");
}

TEST(TokenizeAttention, MergedBatchIsSplitAgain) {
  // BLOOM: three dimensions for the products, four for the mask.
  const auto t = run(
      R"(graph @bloom(%q: f32[B,S,4,8], %k: f32[B,S,4,8], %v: f32[B,S,4,8], %alibi: f32[4*B,1,S], %m: f32[B,1,S,S]) {
    %flat = known i64[3] {4*B,S,8}
    %full = known i64[4] {B,4,S,S}
    %flats = known i64[3] {4*B,S,S}
    %out = known i64[4] {B,4,S,8}
    %qt = transpose %q, perm=[0,2,1,3]
    %qf = reshape %qt, %flat
    %kt = transpose %k, perm=[0,2,1,3]
    %kf = reshape %kt, %flat
    %kft = transpose %kf, perm=[0,2,1]
    %vt = transpose %v, perm=[0,2,1,3]
    %vf = reshape %vt, %flat
    %scores = matmul %qf, %kft
    %scaled = mul %scores, 0.35
    %biased = add %scaled, %alibi
    %s4 = reshape %biased, %full
    %masked = add %s4, %m
    %p = softmax %masked, axis=3
    %p3 = reshape %p, %flats
    %o = matmul %p3, %vf
    %o4 = reshape %o, %out
    %ot = transpose %o4, perm=[0,2,1,3]
    return %ot
  })");
  ASSERT_EQ(t.report.attentions_carved, 1);
  EXPECT_EQ(operations(body(t)),
            "transpose transpose matmul mul add add softmax transpose matmul transpose");
  EXPECT_EQ(input_shapes(body(t)), "[B,S,4,8] [B,S,4,8] [B,4,1,S] [B,1,S,S] [B,S,4,8]");
}

TEST(TokenizeAttention, BatchThatStaysMergedIsMergedOutside) {
  const auto t = run(R"(graph @flat(%q: f32[B,S,4,8], %k: f32[4*B,8,S], %v: f32[4*B,S,8]) {
    %flat = known i64[3] {4*B,S,8}
    %qt = transpose %q, perm=[0,2,1,3]
    %qf = reshape %qt, %flat
    %scores = matmul %qf, %k
    %p = softmax %scores, axis=2
    %o = matmul %p, %v
    return %o
  })");
  ASSERT_EQ(t.report.attentions_carved, 1);
  EXPECT_EQ(input_shapes(body(t)), "[B,S,4,8] [B,4,8,S] [B,4,S,8]");
}

TEST(TokenizeAttention, AnyChainBetween) {
  const auto t = run(
      R"(graph @chain(%q: f32[B,S,8], %k: f32[B,8,T], %v: f32[B,T,8], %c: bool[S,T], %b: f32[S,T]) {
    %0 = matmul %q, %k
    %1 = mul %0, 0.02
    %2 = tanh %1
    %3 = mul %2, 50.0
    %4 = add %b, %3
    %5 = where %c, %4, -3.4028235e+38
    %6 = clip %5, -100.0, 100.0
    %p = softmax %6, axis=2
    %7 = mul %p, %b
    %o = matmul %7, %v
    %8 = mul %o, 2.0
    return %8
  })");
  ASSERT_EQ(t.report.attentions_carved, 1);
  EXPECT_EQ(operations(body(t)), "matmul mul tanh mul add where clip softmax mul matmul mul");
}

TEST(TokenizeAttention, RowsWithoutBatch) {
  const auto t = run(R"(graph @plain(%q: f32[S,8], %k: f32[T,8], %v: f32[T,8]) {
    %kt = transpose %k, perm=[1,0]
    %0 = matmul %q, %kt
    %p = softmax %0, axis=1
    %o = matmul %p, %v
    return %o
  })");
  EXPECT_EQ(t.report.attentions_carved, 1);
}

TEST(TokenizeAttention, SharedKeysAreTakenInTwice) {
  const auto t = run(R"(graph @shared(%q: f32[B,S,8], %k: f32[B,T,8]) {
    %kt = transpose %k, perm=[0,2,1]
    %0 = matmul %q, %kt
    %p0 = softmax %0, axis=2
    %o0 = matmul %p0, %k
    %1 = matmul %o0, %kt
    %p1 = softmax %1, axis=2
    %o1 = matmul %p1, %k
    return %o1
  })");
  EXPECT_EQ(t.report.attentions_total, 2);
  EXPECT_EQ(t.report.attentions_carved, 2);
  EXPECT_EQ(input_shapes(body(t, 1)), "[B,S,8] [B,T,8]") << "keys and values are one input";
}

TEST(TokenizeAttention, QueriesThatAreTheKeysAreTwoInputs) {
  const auto t = run(R"(graph @self(%x: f32[B,S,8]) {
    %kt = transpose %x, perm=[0,2,1]
    %0 = matmul %x, %kt
    %p = softmax %0, axis=2
    %o = matmul %p, %x
    return %o
  })");
  EXPECT_EQ(t.report.attentions_carved, 1);
  EXPECT_EQ(input_shapes(body(t)), "[B,S,8] [B,S,8]") << "one for the queries, one for the rest";
}

/// Queries and keys of [B,2,S,8] and [B,2,P+S,8], scores and a mask that `lines` make of them.
std::string with_mask(const std::string& inputs, const std::string& lines) {
  return "graph @g(%q: f32[B,2,S,8], %k: f32[B,2,8,P+S], %v: f32[B,2,P+S,8], %past: f32[P]" +
         inputs + R"() {
    %S = known i64[] {S}
    %P = known i64[] {P}
    %T = known i64[] {P+S}
    %i = range 0, %S, 1
    %j = range 0, %T, 1
    %0 = matmul %q, %k
)" + lines +
         R"(
    %p = softmax %1, axis=3
    %o = matmul %p, %v
    return %o
  })";
}

TEST(TokenizeAttention, CausalMasksAreComputedInside) {
  const auto t = run(with_mask("", R"(
    %ip = add %i, %P
    %i2 = unsqueeze %ip, axes=[0,1,3]
    %j2 = unsqueeze %j, axes=[0,1,2]
    %c = less_equal %j2, %i2
    %m = where %c, 0.0, -3.4028235e+38
    %1 = add %0, %m)"));
  ASSERT_EQ(t.report.attentions_carved, 1);
  EXPECT_EQ(input_shapes(body(t)), "[B,2,S,8] [B,2,8,P + S] [B,2,P + S,8]");
  EXPECT_NE(operations(body(t)).find("less_equal"), std::string::npos) << operations(body(t));
  const auto& nodes = t.report.subgraphs[0].nodes;
  EXPECT_NE(std::find(nodes.begin(), nodes.end(), "c"), nodes.end())
      << "the report tells of the mask's nodes";
}

/// As fused attentions are decomposed: a row that sees no key gives zeros.
TEST(TokenizeAttention, WhatACausalMaskHidesIsComputedInsideBehindTheSoftmaxToo) {
  const auto t = run(R"(graph @g(%q: f32[B,2,S,8], %k: f32[B,2,8,S], %v: f32[B,2,S,8]) {
    %S = known i64[] {S}
    %i = range 0, %S, 1
    %i2 = unsqueeze %i, axes=[1]
    %c = less_equal %i, %i2
    %m = where %c, 0.0, -inf
    %0 = matmul %q, %k
    %1 = add %0, %m
    %2 = max %1, -3.4028235e+38
    %p = softmax %2, axis=3
    %h = is_inf %m, detect_positive=0
    %s = not %h
    %f = cast %s, to="f32"
    %r = mul %p, %f
    %o = matmul %r, %v
    return %o
  })");
  ASSERT_EQ(t.report.attentions_carved, 1);
  EXPECT_EQ(input_shapes(body(t)), "[B,2,S,8] [B,2,8,S] [B,2,S,8]");
}

TEST(TokenizeAttention, PaddingEntersBesideACausalMask) {
  const auto t = run(with_mask(", %padding: bool[B,P+S]", R"(
    %i2 = unsqueeze %i, axes=[1]
    %c = greater %j, %i2
    %n = not %c
    %n4 = unsqueeze %n, axes=[0,1]
    %p4 = unsqueeze %padding, axes=[1,2]
    %both = and %n4, %p4
    %1 = where %both, %0, -inf)"));
  ASSERT_EQ(t.report.attentions_carved, 1);
  EXPECT_EQ(input_shapes(body(t)), "[B,2,S,8] [B,2,8,P + S] [B,P + S] [B,2,P + S,8]");
}

TEST(TokenizeAttention, MasksWithMatricesAreComputedOutside) {
  const auto t = run(with_mask(", %other: bool[S,P+S]", R"(
    %i2 = unsqueeze %i, axes=[1]
    %c = less_equal %j, %i2
    %both = and %c, %other
    %1 = where %both, %0, -inf)"));
  ASSERT_EQ(t.report.attentions_carved, 1);
  EXPECT_EQ(input_shapes(body(t)), "[B,2,S,8] [B,2,8,P + S] [S,P + S] [B,2,P + S,8]");
  EXPECT_EQ(operations(body(t)).find("range"), std::string::npos);
}

/// Dear operations are done once, and a rounded number is no position.
TEST(TokenizeAttention, OtherFunctionsOfPositionsAreComputedOutside) {
  for (const char* lines : {R"(
    %d = sub %j, %i2
    %f = cast %d, to="f32"
    %m = exp %f
    %1 = add %0, %m)",
                            R"(
    %f = cast %i2, to="f32"
    %h = mul %f, 0.5
    %n = cast %h, to="i64"
    %c = less %j, %n
    %1 = where %c, %0, -inf)"}) {
    const auto t = run(with_mask("", std::string("%i2 = unsqueeze %i, axes=[1]\n") + lines));
    ASSERT_EQ(t.report.attentions_carved, 1);
    EXPECT_EQ(operations(body(t)).find("range"), std::string::npos);
  }
}

TEST(TokenizeAttention, CausalMasksOfMergedBatches) {
  const auto t =
      run(R"(graph @g(%q: f32[6*B,S,8], %k: f32[6*B,8,S], %v: f32[6*B,S,8], %batch: f32[B]) {
    %S = known i64[] {S}
    %i = range 0, %S, 1
    %0 = matmul %q, %k
    %h = known i64[4] {B,6,S,S}
    %01 = reshape %0, %h
    %i2 = unsqueeze %i, axes=[1]
    %c = less %i2, %i
    %1 = where %c, -inf, %01
    %p = softmax %1, axis=3
    %g = known i64[3] {6*B,S,S}
    %2 = reshape %p, %g
    %o = matmul %2, %v
    return %o
  })");
  ASSERT_EQ(t.report.attentions_carved, 1);
  EXPECT_EQ(t.graph.node(t.report.subgraphs[0].node).inputs.size(), 3U);
}

/// In a static model what exporters compute from positions has become a constant.
TEST(TokenizeAttention, ConstantTrianglesAreComputedInside) {
  for (const char* mask : {"%m = where %c, 0.0, -inf\n %1 = add %0, %m",
                           "%n = not %c\n %b = and %n, %padding\n %1 = where %b, -1e9, %0",
                           "%m = where %c, -1.5, 0.0\n %1 = add %0, %m"}) {
    const auto t = run(
        R"(graph @g(%q: f32[B,2,12,8], %k: f32[B,2,8,15], %v: f32[B,2,15,8], %padding: bool[15]) {
    %i = range 0, 12, 1
    %i3 = add %i, 3
    %i2 = unsqueeze %i3, axes=[0,2]
    %j = range 0, 15, 1
    %c = less_equal %j, %i2
    %0 = matmul %q, %k
)" + std::string(mask) +
        R"(
    %p = softmax %1, axis=3
    %o = matmul %p, %v
    return %o
  })");
    ASSERT_EQ(t.report.attentions_carved, 1);
    EXPECT_EQ(input_shapes(body(t)).find("12,15"), std::string::npos) << input_shapes(body(t));
    EXPECT_NE(operations(body(t)).find("less_equal"), std::string::npos) << operations(body(t));
  }
}

TEST(TokenizeAttention, OtherConstantMasksStayInputs) {
  const auto t = run(R"(graph @g(%q: f32[B,2,12,8], %k: f32[B,2,8,12], %v: f32[B,2,12,8]) {
    %i = range 0, 12, 1
    %i2 = unsqueeze %i, axes=[1]
    %c = equal %i, %i2
    %m = where %c, 0.0, -inf
    %0 = matmul %q, %k
    %1 = add %0, %m
    %p = softmax %1, axis=3
    %o = matmul %p, %v
    return %o
  })");
  ASSERT_EQ(t.report.attentions_carved, 1);
  EXPECT_EQ(body(t).inputs.size(), 4U);
}

TEST(TokenizeAttention, TrianglesAreComputedInside) {
  const auto t = run(R"(graph @g(%q: f32[B,2,S,8], %k: f32[B,2,8,S], %v: f32[B,2,S,8]) {
    %s = known i64[2] {S,S}
    %ones = expand 1.0, %s
    %tril = trilu %ones, upper=0
    %hidden = equal %tril, 0.0
    %0 = matmul %q, %k
    %1 = where %hidden, -inf, %0
    %p = softmax %1, axis=3
    %o = matmul %p, %v
    return %o
  })");
  ASSERT_EQ(t.report.attentions_carved, 1);
  EXPECT_EQ(input_shapes(body(t)), "[B,2,S,8] [B,2,8,S] [B,2,S,8]");
}

/// Between the products of `between`, which reads %0, [B,S,T], and makes %p.
std::string around(const std::string& between, const std::string& outputs = "%o") {
  return R"(graph @g(%q: f32[B,S,8], %k: f32[B,8,T], %v: f32[B,T,8], %x: f32[S,T]) {
    %0 = matmul %q, %k
)" + between +
         "\n%o = matmul %p, %v\nreturn " + outputs + "\n}";
}

TEST(TokenizeAttention, SoftmaxSpelledOut) {
  const std::string exponentials = "%m = reduce_max %0, axes=[2]\n%d = sub %0, %m\n%e = exp %d\n";
  for (const std::string& between :
       {exponentials + "%s = reduce_sum %e, axes=[2]\n%p = div %e, %s", exponentials + "%s = reduce_sum %e, axes=[2]\n%r = reciprocal %s\n%p = mul %r, %e",
        std::string("%m = reduce_max %0, axes=[2], keepdims=0\n%m3 = unsqueeze %m, axes=[2]\n%d = sub %0, %m3\n%e = exp %d\n"
                    "%s = reduce_sum %e, axes=[2], keepdims=0\n%s3 = unsqueeze %s, axes=[2]\n%p = div %e, %s3")}) {
    const auto t = run(around(between));
    EXPECT_EQ(t.report.attentions_total, 1);
    ASSERT_EQ(t.report.attentions_carved, 1) << between;
    EXPECT_EQ(operations(body(t)).find("unsqueeze"), std::string::npos);
  }
  const auto t = run(around("%e = exp %0\n%s = reduce_sum %e, axes=[2]\n%p = div %e, %s"));
  EXPECT_EQ(t.report.attentions_carved, 1) << "without a maximum";
}

TEST(TokenizeAttention, ScoresAndProbabilitiesMayBeResults) {
  const auto t = run(around("%m = add %0, %x\n%p = softmax %m, axis=2\n%n = reduce_max %0, axes=[1,2]", "%o, %p, %n"));
  ASSERT_EQ(t.report.attentions_carved, 1);
  EXPECT_EQ(body(t).outputs.size(), 3U);
  EXPECT_EQ(operations(t.graph), "subgraph reduce_max") << "what else reads the scores stays outside";
}

/// SiLU, spelled out: the result is read twice, but nothing of it is read elsewhere.
TEST(TokenizeAttention, ActivationsBehindGoInAsAWhole) {
  const auto text = [](const std::string& output) {
    return R"(graph @g(%q: f32[B,S,8], %k: f32[B,8,T], %v: f32[B,T,8], %x: f32[B,S,8]) {
      %0 = matmul %q, %k
      %p = softmax %0, axis=2
      %o = matmul %p, %v
      %1 = sigmoid %o
      %2 = mul %o, %1
      %3 = add %2, %x
      return )" + output + "\n}";
  };
  EXPECT_EQ(operations(body(run(text("%3")))), "matmul softmax matmul sigmoid mul add");
  EXPECT_EQ(operations(body(run(text("%3, %1")))), "matmul softmax matmul");
}

TEST(TokenizeAttention, WhatReadsAnotherResultStaysBehind) {
  const auto t = run(R"(graph @g(%q: f32[B,S,8], %k: f32[B,8,T], %v: f32[B,T,8]) {
    %0 = matmul %q, %k
    %p = softmax %0, axis=2
    %n = reduce_max %p, axes=[2], keepdims=1
    %o = matmul %p, %v
    %1 = relu %o
    %2 = add %1, %n
    return %2
  })");
  ASSERT_EQ(t.report.attentions_carved, 1);
  EXPECT_EQ(operations(body(t)), "matmul softmax matmul relu");
  EXPECT_EQ(operations(t.graph), "subgraph reduce_max add");
}

/// softmax(K Q^T) over its rows, V^T P: everything transposed.
TEST(TokenizeAttention, TransposedProducts) {
  const auto t = run(R"(graph @g(%q: f32[B,8,S], %k: f32[B,T,8], %v: f32[B,8,T], %x: f32[T,1]) {
    %0 = matmul %k, %q
    %1 = add %0, %x
    %p = softmax %1, axis=1
    %o = matmul %v, %p
    return %o
  })");
  ASSERT_EQ(t.report.attentions_carved, 1);
  EXPECT_EQ(operations(body(t)), "transpose transpose matmul transpose unsqueeze add softmax transpose matmul transpose");
}

TEST(TokenizeAttention, RowsOfPixelsAttend) {
  // The probabilities are transposed, and the second operand.
  const auto t = run(R"(graph @g(%q: f32[B,8,S], %k: f32[B,8,S], %v: f32[B,8,S]) {
    %qt = transpose %q, perm=[0,2,1]
    %0 = matmul %qt, %k
    %p = softmax %0, axis=2
    %pt = transpose %p, perm=[0,2,1]
    %o = matmul %v, %pt
    return %o
  })");
  EXPECT_EQ(t.report.attentions_carved, 1);
}

TEST(TokenizeAttention, ElementwiseOperationsOnQueriesAndTheResult) {
  const auto t = run(R"(graph @g(%q: f32[B,S,16], %k: f32[B,2,8,S], %v: f32[B,2,S,8], %bias: f32[16], %gate: f32[B,S,16], %w: f32[8]) {
    %h = known i64[4] {B,S,2,8}
    %f = known i64[3] {B,S,16}
    %q0 = add %q, %bias
    %q1 = reshape %q0, %h
    %q2 = transpose %q1, perm=[0,2,1,3]
    %q3 = mul %q2, %w
    %kr = relu %k
    %0 = matmul %q3, %kr
    %p = softmax %0, axis=3
    %o = matmul %p, %v
    %o1 = transpose %o, perm=[0,2,1,3]
    %o2 = reshape %o1, %f
    %g = sigmoid %gate
    %o3 = mul %o2, %g
    return %o3
  })");
  ASSERT_EQ(t.report.attentions_carved, 1);
  EXPECT_EQ(input_shapes(body(t)), "[B,S,2,8] [2,8] [8] [B,2,8,S] [B,2,S,8] [B,S,2,8]");
  EXPECT_NE(operations(t.graph).find("relu"), std::string::npos) << "of the keys: computed once, not for each query";
}

/// A kernel in front computes on its way what stands directly behind it.
TEST(TokenizeAttention, BiasOfAProjectionStaysWithIt) {
  const Graph before = testing::parse_with_weights(R"(graph @g(%x: f32[B,S,4], %w0: f32[4,8], %w1: f32[8], %k: f32[B,8,S], %v: f32[B,S,8]) {
    %0 = matmul %x, %w0
    %q = add %0, %w1
    %1 = matmul %q, %k
    %p = softmax %1, axis=2
    %o = matmul %p, %v
    return %o
  })");
  Graph graph = before;
  canonicalize(graph);
  const TokenizeReport report = tokenize(graph, {.attention = true, .products = false, .elementwise = false});
  EXPECT_EQ(report.attentions_carved, 1);
  EXPECT_EQ(operations(graph), "matmul add subgraph");
}

/// Repeated heads in the ways in which exporters write them.
TEST(TokenizeAttention, RepeatedHeadsAreNeverCopied) {
  const std::string expand = "%e = known i64[5] {B,2,3,T,8}\n%h = known i64[4] {B,6,T,8}\n";
  for (const std::string& repeat :
       {expand + "%k1 = unsqueeze %k, axes=[2]\n%k2 = expand %k1, %e\n%kr = reshape %k2, %h",
        std::string("%i = known i64[6] {0,0,0,1,1,1}\n%kr = gather %k, %i, axis=1"),
        std::string("%i = known i64[6] {0,1,0,1,0,1}\n%kr = gather %k, %i, axis=1"),
        std::string("%t = known i64[4] {1,3,1,1}\n%kr = tile %k, %t"), std::string("%kr = concat %k, %k, %k, axis=1"),
        expand + "%k1 = unsqueeze %k, axes=[2]\n%k2 = concat %k1, %k1, %k1, axis=2\n%kr = reshape %k2, %h"}) {
    const auto t = run("graph @g(%q: f32[B,6,S,8], %k: f32[B,2,T,8], %v: f32[B,6,T,8]) {\n" + repeat + R"(
      %kt = transpose %kr, perm=[0,1,3,2]
      %0 = matmul %q, %kt
      %p = softmax %0, axis=3
      %o = matmul %p, %v
      return %o
    })");
    ASSERT_EQ(t.report.attentions_carved, 1) << repeat;
    EXPECT_NE(input_shapes(body(t)).find("[B,2,T,8]"), std::string::npos) << repeat << "\n" << input_shapes(body(t));
  }
}

TEST(TokenizeAttention, HeadsRepeatedSymbolicallyBroadcast) {
  const auto t = run(R"(graph @g(%q: f32[B,H,G,S,8], %k: f32[B,H,8,T], %v: f32[B,H,T,8]) {
    %hg = known i64[4] {B,H*G,S,8}
    %e = known i64[5] {B,H,G,8,T}
    %h = known i64[4] {B,H*G,8,T}
    %q4 = reshape %q, %hg
    %k1 = unsqueeze %k, axes=[2]
    %k2 = expand %k1, %e
    %k3 = reshape %k2, %h
    %ev = known i64[5] {B,H,G,T,8}
    %hv = known i64[4] {B,H*G,T,8}
    %v1 = unsqueeze %v, axes=[2]
    %v2 = expand %v1, %ev
    %v3 = reshape %v2, %hv
    %0 = matmul %q4, %k3
    %p = softmax %0, axis=3
    %o = matmul %p, %v3
    return %o
  })");
  ASSERT_EQ(t.report.attentions_carved, 1);
  EXPECT_EQ(input_shapes(body(t)), "[B,H,G,S,8] [B,H,8,T] [B,H,T,8]");
}

TEST(TokenizeAttention, BatchesThatBroadcast) {
  for (const char* shapes : {"%q: f32[1,2,S,8], %k: f32[B,1,8,T], %v: f32[B,2,T,8], %m: f32[B,1,1,T]",
                             "%q: f32[2,S,8], %k: f32[2,8,T], %v: f32[B,2,T,8], %m: f32[S,T]",
                             "%q: f32[2,S,8], %k: f32[2,8,T], %v: f32[2,T,8], %m: f32[B,1,1,T]",
                             "%q: f32[A,B,2,S,8], %k: f32[2,8,T], %v: f32[B,1,T,8], %m: f32[A,1,1,1,T]"}) {
    const auto t = run(std::string("graph @g(") + shapes + R"() {
      %0 = matmul %q, %k
      %1 = add %0, %m
      %p = softmax %1, axis=-1
      %o = matmul %p, %v
      return %o
    })");
    EXPECT_EQ(t.report.attentions_carved, 1) << shapes << (t.report.rejected.empty() ? "" : t.report.rejected.front().reason);
  }
}

/// PyTorch's MultiheadAttention: positions come first, heads are part of the batch, and so is the mask of padding.
TEST(TokenizeAttention, PositionsFirstAndHeadsInTheBatch) {
  const auto t = run(R"(graph @mha(%x: f32[S,B,12], %y: f32[T,B,12], %padding: bool[B,T]) {
    %h = known i64[3] {S,3*B,4}
    %i = known i64[3] {T,3*B,4}
    %m4 = known i64[4] {B,3,1,T}
    %m3 = known i64[3] {3*B,1,T}
    %f = known i64[2] {B*S,12}
    %q0 = reshape %x, %h
    %q = transpose %q0, perm=[1,0,2]
    %k0 = reshape %y, %i
    %k = transpose %k0, perm=[1,2,0]
    %v = transpose %k0, perm=[1,0,2]
    %p0 = unsqueeze %padding, axes=[1,2]
    %p1 = expand %p0, %m4
    %p2 = reshape %p1, %m3
    %mask = where %p2, -inf, 0.0
    %0 = matmul %q, %k
    %1 = add %0, %mask
    %p = softmax %1, axis=2
    %o = matmul %p, %v
    %o1 = transpose %o, perm=[1,0,2]
    %o2 = reshape %o1, %f
    return %o2
  })");
  ASSERT_EQ(t.report.attentions_carved, 1) << t.report.rejected.front().reason;
  EXPECT_NE(operations(body(t)).find("matmul add softmax"), std::string::npos) << operations(body(t));
  EXPECT_EQ(input_shapes(body(t)), "[S,3*B,4] [T,3*B,4] [3*B,1,T]");
}

/// RealFormer: scores go on to the next layer.
TEST(TokenizeAttention, ScoresThatAreAddedToTheNextLayers) {
  const auto t = run(R"(graph @g(%q: f32[B,S,8], %k: f32[B,8,S], %v: f32[B,S,8], %k1: f32[B,8,S]) {
    %0 = matmul %q, %k
    %p = softmax %0, axis=2
    %o = matmul %p, %v
    %1 = matmul %o, %k1
    %2 = add %1, %0
    %p1 = softmax %2, axis=2
    %o1 = matmul %p1, %v
    return %o1
  })");
  EXPECT_EQ(t.report.attentions_total, 2);
  EXPECT_EQ(t.report.attentions_carved, 2);
  EXPECT_EQ(operations(t.graph), "subgraph subgraph");
}

/// Numbers of more dimensions than the scores have make these more, of one element each.
TEST(TokenizeAttention, NumbersOfManyDimensions) {
  const auto t = run(R"(graph @g(%q: f32[B,S,8], %k: f32[B,8,T], %v: f32[B,T,8], %c: f32[1,1,1,1], %m: f32[1,S,1,1,1]) {
    %0 = matmul %q, %k
    %1 = mul %0, %c
    %2 = transpose %1, perm=[0,2,1,3]
    %3 = unsqueeze %2, axes=[4]
    %4 = add %3, %m
    %5 = squeeze %4, axes=[4]
    %p = softmax %5, axis=3
    %6 = transpose %p, perm=[0,2,1,3]
    %o = matmul %6, %v
    return %o
  })");
  EXPECT_EQ(t.report.attentions_carved, 1) << (t.report.rejected.empty() ? "" : t.report.rejected.front().reason);
}

/// Swin: windows are part of the batch, and each has a mask.
TEST(TokenizeAttention, WindowsHaveMasks) {
  const auto t = run(R"(graph @g(%q: f32[6*B,3,9,8], %k: f32[6*B,3,8,9], %v: f32[6*B,3,9,8], %bias: f32[3,9,9], %m: f32[6,9,9], %images: f32[B]) {
    %five = known i64[5] {B,6,3,9,9}
    %four = known i64[4] {6*B,3,9,9}
    %0 = matmul %q, %k
    %b = unsqueeze %bias, axes=[0]
    %1 = add %0, %b
    %2 = reshape %1, %five
    %m5 = unsqueeze %m, axes=[0,2]
    %3 = add %2, %m5
    %4 = reshape %3, %four
    %p = softmax %4, axis=3
    %o = matmul %p, %v
    %t = transpose %o, perm=[0,2,1,3]
    return %t
  })");
  ASSERT_EQ(t.report.attentions_carved, 1);
  EXPECT_NE(input_shapes(body(t)).find("[6,9,9]"), std::string::npos) << input_shapes(body(t));
}

TEST(TokenizeAttention, ReasonsForWhatIsLeft) {
  const auto reason = [](const std::string& between, const std::string& output = "") {
    const auto t = run(R"(graph @g(%q: f32[B,S,8], %k: f32[B,8,S], %v: f32[B,S,8], %s: f32[B,S,1]) {
      %0 = matmul %q, %k
      )" + between + R"(
      %o = matmul %p, %v
      return %o)" + output +
                       "\n}");
    EXPECT_EQ(t.report.attentions_total, 1);
    EXPECT_EQ(t.report.attentions_carved, 0);
    return t.report.rejected.empty() ? std::string() : t.report.rejected.front().reason;
  };
  EXPECT_EQ(reason("%p = softmax %0, axis=1"), "the product with V does not fold the keys");
  EXPECT_EQ(reason("%p0 = softmax %0, axis=2\n%m = reduce_max %p0, axes=[1]\n%p = mul %p0, %m"), "ReduceMax 'm' is not over the keys");
  EXPECT_EQ(reason("%t = trilu %0, upper=0\n%p = softmax %t, axis=2"), "Trilu 't' stands between the scores and the Softmax");
  EXPECT_NE(reason("%h = cast %0, to=\"f16\"\n%x = cast %h, to=\"f32\"\n%p = softmax %x, axis=2")
                .find("Cast"),
            std::string::npos);
}

TEST(TokenizeAttention, LargeHeadsAreLeft) {
  const auto reason = [](const std::string& shapes) {
    const auto t = run("graph @g(" + shapes + ") {\n%0 = matmul %q, %k\n%p = softmax %0, axis=2\n%o = matmul %p, %v\nreturn %o\n}");
    return t.report.rejected.empty() ? std::string() : t.report.rejected.front().reason;
  };
  EXPECT_EQ(reason("%q: f32[B,S,512], %k: f32[B,512,T], %v: f32[B,T,64]"), "heads of 512 elements: products of more than 384 are faster alone");
  EXPECT_EQ(reason("%q: f32[B,S,64], %k: f32[B,64,T], %v: f32[B,T,385]"), "heads of 385 elements: products of more than 384 are faster alone");
  EXPECT_EQ(reason("%q: f32[B,S,384], %k: f32[B,384,T], %v: f32[B,T,384]"), "");
  EXPECT_EQ(reason("%q: f32[B,1,512], %k: f32[B,512,T], %v: f32[B,T,512]"), "") << "one block of queries";
}

TEST(TokenizeAttention, ClassifierIsNoAttention) {
  const auto t = run(R"(graph @g(%x: f32[B,8], %w: f32[8,4], %u: f32[4,8]) {
    %0 = matmul %x, %w
    %1 = softmax %0, axis=1
    return %1
  })");
  EXPECT_EQ(t.report.attentions_total, 0);
  EXPECT_TRUE(t.report.subgraphs.empty());
}

TEST(TokenizeAttention, CanBeSwitchedOff) {
  const auto t = run(R"(graph @g(%q: f32[B,S,8], %k: f32[B,8,S], %v: f32[B,S,8]) {
    %0 = matmul %q, %k
    %p = softmax %0, axis=2
    %o = matmul %p, %v
    return %o
  })",
                     {.attention = false, .elementwise = false});
  EXPECT_TRUE(t.report.subgraphs.empty());
}

}  // namespace
}  // namespace burin
