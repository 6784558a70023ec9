// Whole models against the reference interpreter: carved and plain, on one thread and on two.

#include "tests/unit/host/model_check.h"

#include "burin/error.h"
#include "tests/unit/support/error_of.h"

namespace burin::host {
namespace {

const std::vector<Symbols>& back_and_forth() {
  static const std::vector<Symbols> shapes = {
      {{"B", 2}, {"S", 3}}, {{"B", 3}, {"S", 70}}, {{"B", 2}, {"S", 3}}, {{"B", 0}, {"S", 3}},
      {{"B", 1}, {"S", 0}}, {{"B", 1}, {"S", 1}},  {{"B", 3}, {"S", 70}}};
  return shapes;
}

TEST(Model, RenamingsAreViews) {
  expect_model(R"(graph @g(%x: f32[B,S,24]) {
    %h = known i64[4] {B,S,4,6}
    %a = exp %x
    %r = reshape %a, %h, allowzero=1
    %u = unsqueeze %r, axes=[1]
    %s = squeeze %u, axes=[1]
    %f = flatten %s, axis=2
    %t = transpose %r, perm=[0,2,1,3]
    %n = neg %f
    return %n, %t, %a
  })",
               back_and_forth());
}

TEST(Model, QueriesWithoutKeys) {
  expect_model(R"(graph @g(%x: f32[B,S,12], %k: f32[B,T,12], %g: f32[B,S,12]) {
    %h = known i64[4] {B,S,3,4}
    %i = known i64[4] {B,T,3,4}
    %f = known i64[3] {B,S,12}
    %q0 = reshape %x, %h, allowzero=1
    %k0 = reshape %k, %i, allowzero=1
    %q1 = transpose %q0, perm=[0,2,1,3]
    %k1 = transpose %k0, perm=[0,2,3,1]
    %v1 = transpose %k0, perm=[0,2,1,3]
    %s = matmul %q1, %k1
    %p = softmax %s, axis=3
    %o = matmul %p, %v1
    %o1 = transpose %o, perm=[0,2,1,3]
    %o2 = reshape %o1, %f, allowzero=1
    %y = add %o2, %g
    return %y
  })",
               {{{"B", 2}, {"S", 3}, {"T", 5}},
                {{"B", 2}, {"S", 3}, {"T", 0}},
                {{"B", 2}, {"S", 0}, {"T", 5}},
                {{"B", 0}, {"S", 3}, {"T", 5}},
                {{"B", 2}, {"S", 0}, {"T", 0}}});
}

TEST(Model, AnOutputThatIsAViewOfAnInput) {
  expect_model(R"(graph @g(%x: f32[B,S,24]) {
    %f = known i64[2] {B*S,24}
    %r = reshape %x, %f, allowzero=1
    %a = exp %x
    return %r, %a, %x
  })",
               back_and_forth());
}

TEST(Model, TwoOutputsInOneMemory) {
  expect_model(R"(graph @g(%x: f32[B,S,24]) {
    %f = known i64[2] {B*S,24}
    %a = exp %x
    %r = reshape %a, %f, allowzero=1
    %q = unsqueeze %r, axes=[0]
    return %r, %a, %q, %a
  })",
               back_and_forth());
}

TEST(Model, OutputsThatNothingComputes) {
  expect_model(R"(graph @g(%x: f32[B,S,24], %w: f32[3,5]) {
    %k = known i64[3] {B,S,24}
    %c = const f32[2] {1,2.5}
    %a = exp %x
    return %a, %w, %x, %k, %c
  })",
               back_and_forth());
}

TEST(Model, WithoutInputs) {
  const Graph graph =
      testing::parse_with_weights("graph @g(%w: f32[3,5]) {\n %a = exp %w\n return %a, %w\n}");
  expect_model(graph, {{}, {}});
}

TEST(Model, ValuesThatAreReadAgainLater) {
  expect_model(R"(graph @g(%x: f32[B,S,24]) {
    %a = exp %x
    %b = neg %a
    %c = tanh %b
    %d = mul %c, %c
    %e = add %d, %a
    %p = transpose %e, perm=[1,0,2]
    %q = exp %p
    %o = sub %q, %p
    return %o, %b
  })",
               back_and_forth());
}

TEST(Model, BroadcastsThatHaveTheSizeOfTheirInput) {
  // In place only where no element is read twice.
  expect_model(
      R"(graph @g(%x: f32[B,1], %y: f32[1,S]) {
    %a = exp %x
    %b = exp %y
    %t = transpose %a, perm=[1,0]
    %c = add %a, %b
    %d = less %a, %c
    %f = where %d, %a, %b
    return %f, %t
  })",
      {{{"B", 4}, {"S", 1}}, {{"B", 1}, {"S", 4}}, {{"B", 1}, {"S", 1}}, {{"B", 3}, {"S", 5}}});
}

TEST(Model, ShapesComputedByNodes) {
  // Shape -> Gather -> Concat -> Reshape, as exporters write it.
  expect_model(R"(graph @g(%x: f32[B,S,24]) {
    %s = shape %x
    %zero = const i64[] {0}
    %one = const i64[] {1}
    %b = gather %s, %zero, axis=0
    %t = gather %s, %one, axis=0
    %b1 = unsqueeze %b, axes=[0]
    %t1 = unsqueeze %t, axes=[0]
    %rest = const i64[2] {4,6}
    %to = concat %b1, %t1, %rest, axis=0
    %r = reshape %x, %to
    %y = transpose %r, perm=[0,2,1,3]
    %back = const i64[3] {0,4,-1}
    %z = reshape %y, %back
    %e = exp %z
    return %e, %to
  })",
               {{{"B", 2}, {"S", 3}}, {{"B", 3}, {"S", 70}}, {{"B", 2}, {"S", 3}}});
}

TEST(Model, ProductsWithWhatFollows) {
  const std::string text =
      R"(graph @g(%x: f32[B,S,32], %w1: f32[32,48], %w2: f32[48], %w3: f32[48,32],
                                       %w4: f32[32]) {
    %p = matmul %x, %w1
    %b = add %p, %w2
    %g = gelu %b
    %q = matmul %g, %w3
    %c = add %q, %w4
    %r = add %c, %x
    %n = layer_norm %r, %w4, %w4, axis=2, epsilon=1e-5
    return %n, %g
  })";
  expect_model(text, back_and_forth());
}

TEST(Model, AProductAndWhatItReads) {
  for (const char* shape : {"f32[B,32]", "f32[B,S,32]"})
    expect_model("graph @g(%x: " + std::string(shape) + R"(, %w: f32[32,32]) {
    %p = matmul %x, %w
    %y = add %p, %x
    %z = mul %y, %p
    return %z
  })",
                 back_and_forth());
}

TEST(Model, QueriesThatAreKeysAndValuesToo) {
  expect_model(R"(graph @g(%x: f32[B,S,24]) {
    %kt = transpose %x, perm=[0,2,1]
    %0 = matmul %x, %kt
    %p = softmax %0, axis=2
    %o = matmul %p, %x
    return %o
  })",
               back_and_forth());
}

TEST(Model, AttentionAndItsProjections) {
  const std::string text = R"(graph @g(%x: f32[B,S,32], %m: f32[B,1,1,S], %wq: f32[32,32],
                                       %wk: f32[32,32], %wv: f32[32,32], %wo: f32[32,32]) {
    %h = known i64[4] {B,S,2,16}
    %f = known i64[3] {B,S,32}
    %q = matmul %x, %wq
    %k = matmul %x, %wk
    %v = matmul %x, %wv
    %q4 = reshape %q, %h, allowzero=1
    %k4 = reshape %k, %h, allowzero=1
    %v4 = reshape %v, %h, allowzero=1
    %qt = transpose %q4, perm=[0,2,1,3]
    %kt = transpose %k4, perm=[0,2,3,1]
    %vt = transpose %v4, perm=[0,2,1,3]
    %s = matmul %qt, %kt
    %d = mul %s, 0.01
    %a = add %d, %m
    %p = softmax %a, axis=3
    %o = matmul %p, %vt
    %ot = transpose %o, perm=[0,2,1,3]
    %of = reshape %ot, %f, allowzero=1
    %y = matmul %of, %wo
    %z = add %y, %x
    return %z
  })";
  const Graph graph = testing::parse_with_weights(text);
  expect_model(graph, {{{"B", 2}, {"S", 3}}, {{"B", 1}, {"S", 40}}, {{"B", 2}, {"S", 3}}});
  EXPECT_EQ(make_model(graph, true).report().attentions_carved, 1);
}

// ---- errors

const std::string kTwoInputs = R"(graph @two(%x: f32[B,S,24], %ids: i64[B]) {
    %table = const f32[4,24] splat<0.5>
    %g = gather %table, %ids, axis=0
    %u = unsqueeze %g, axes=[1]
    %y = add %x, %u
    %z = exp %y
    return %z
  })";

TEST(ModelErrors, NameTheTensor) {
  for (const bool tokenize : {false, true}) {
    const Graph graph = parse_graph(kTwoInputs);
    Model model = make_model(graph, tokenize);
    const Symbols good = {{"B", 2}, {"S", 3}};
    const auto zeros = [](Precision p, const Dims& dims) { return Tensor::zeros(p, dims); };
    const Tensor x = zeros(Precision::f32, {2, 3, 24}), ids = zeros(Precision::i64, {2});
    EXPECT_ERROR(model.run({x, zeros(Precision::i64, {5})}), "tensor 'ids', dimension 0");
    expect_right(model, graph, good);
    EXPECT_ERROR(model.run({x, zeros(Precision::i32, {2})}),
                 "tensor 'ids': expected i64, given i32");
    EXPECT_ERROR(model.run({zeros(Precision::f64, {2, 3, 24}), ids}), "tensor 'x': expected f32");
    EXPECT_ERROR(model.run({zeros(Precision::f32, {2, 72}), ids}), "tensor 'x': expected rank 3");
    EXPECT_ERROR(model.run({zeros(Precision::f32, {2, 3, 25}), ids}), "tensor 'x', dimension 2");
    EXPECT_ERROR(model.run({x}), "expected 2 inputs, given 1");
    EXPECT_ERROR(model.run({}), "expected 2 inputs, given 0");
    EXPECT_ERROR(model.run({x, ids, ids}), "expected 2 inputs, given 3");
    expect_right(model, graph, good);
    expect_right(model, graph, {{"B", 3}, {"S", 1}});
  }
}

TEST(ModelErrors, ANodeThatFailsLeavesTheModelUsable) {
  const Graph graph = parse_graph(kTwoInputs);
  Model model = make_model(graph, true);
  std::vector<Tensor> inputs = {Tensor::zeros(Precision::f32, {2, 3, 24}),
                                Tensor::from_i64({2}, {1, 9})};
  EXPECT_ERROR(model.run(inputs), "g");
  expect_right(model, graph, {{"B", 2}, {"S", 3}});
}

TEST(ModelErrors, ShapesThatDependOnContents) {
  const Graph graph = parse_graph(R"(graph @g(%x: f32[B,24], %to: i64[2]) {
    %r = reshape %x, %to
    %e = exp %r
    return %e
  })");
  for (const bool tokenize : {false, true})
    EXPECT_ERROR(make_model(graph, tokenize),
                 "does not follow from the shapes of the model's inputs");
}

// ---- statistics

TEST(ModelStatistics, WhatTheCompilerRefusesIsInterpreted) {
  const Graph graph =
      testing::parse_with_weights(R"(graph @g(%x: f32[B,S,32], %w: f32[32,48], %m: f32[B,S,1]) {
    %a = mul %x, %m
    %b = tanh %a
    %p = matmul %b, %w
    %g = gelu %p
    return %g
  })");
  ModelOptions options;
  options.compile.isa = "none such";
  Model model(graph, options);
  EXPECT_EQ(model.statistics().interpreted,
            (std::vector<std::string>{"elementwise_0", "product_0"}));
  EXPECT_TRUE(model.report().subgraphs.empty());
  EXPECT_EQ(model.compiled("product_0"), nullptr);
  std::size_t reasons = 0;
  for (const Rejection& rejection : model.report().rejected)
    reasons += rejection.reason.find("none such") != std::string::npos ? 1 : 0;
  EXPECT_EQ(reasons, 2U);
  for (const Symbols& symbols : back_and_forth()) expect_right(model, graph, symbols);
  EXPECT_EQ(model.statistics().subgraphs_run, 0U);

  EXPECT_TRUE(make_model(graph, true).statistics().interpreted.empty());
  EXPECT_NE(make_model(graph, true).compiled("product_0"), nullptr);
}

TEST(ModelStatistics, Counters) {
  const Graph graph =
      testing::parse_with_weights(R"(graph @g(%x: f32[B,S,32], %w: f32[32,48], %m: f32[B,S,1]) {
    %a = mul %x, %m
    %b = tanh %a
    %p = matmul %b, %w
    %g = gelu %p
    return %g
  })");
  const Symbols small = {{"B", 2}, {"S", 3}}, large = {{"B", 2}, {"S", 30}};
  Model carved = make_model(graph, true);
  EXPECT_EQ(carved.statistics().bindings, 0U);
  for (const Symbols& symbols : {small, small, large, small}) expect_right(carved, graph, symbols);
  EXPECT_EQ(carved.statistics().subgraphs_run, 2U * 4U);
  EXPECT_EQ(carved.statistics().bindings, 3U);
  EXPECT_EQ(carved.statistics().primitives_created, 0U) << "nothing is left for oneDNN";
  EXPECT_GE(carved.statistics().arena_bytes, 2U * 3U * 32U * sizeof(float));

  Model plain = make_model(graph, false);
  expect_right(plain, graph, small);
  expect_right(plain, graph, large);
  const ModelStatistics before = plain.statistics();
  EXPECT_GT(before.primitives_created, 0U);
  expect_right(plain, graph, small);
  const ModelStatistics after = plain.statistics();
  EXPECT_EQ(after.primitives_created, before.primitives_created);
  EXPECT_GT(after.primitives_reused, before.primitives_reused);
  EXPECT_EQ(after.subgraphs_run, 0U);
}

}  // namespace
}  // namespace burin::host
