// What the tokenizer makes of products with a constant weight: what goes along with each, what ends
// a chain, and why others are left.

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

Tokenized run(const Graph& before, bool elementwise = false) {
  Graph graph = before;
  TokenizeReport report =
      tokenize(graph, {.attention = false, .products = true, .elementwise = elementwise});
  verify(graph);
  graph.order();  // throws where there is a cycle
  for (const CarvedSubgraph& s : report.subgraphs) {
    EXPECT_FALSE(graph.node(s.node).erased);
    verify(*graph.node(s.node).body);
    EXPECT_EQ(graph.node(s.node).outputs.size(), 1U);
  }
  testing::expect_same_results(before, graph);
  return {std::move(graph), std::move(report)};
}
Tokenized run(const std::string& text, bool elementwise = false) {
  return run(testing::parse_with_weights(text), elementwise);
}

using Names = std::vector<std::string>;

std::vector<Names> groups(const Tokenized& t) {
  std::vector<Names> result;
  for (const CarvedSubgraph& s : t.report.subgraphs) {
    EXPECT_EQ(s.kind, "product");
    result.push_back(s.nodes);
  }
  return result;
}

std::string reason_for(const Tokenized& t, const std::string& node) {
  for (const Rejection& rejection : t.report.rejected)
    if (std::find(rejection.nodes.begin(), rejection.nodes.end(), node) != rejection.nodes.end())
      return rejection.reason;
  return "";
}

const Graph& body(const Tokenized& t, std::size_t i = 0) {
  return *t.graph.node(t.report.subgraphs.at(i).node).body;
}

std::string input_shapes(const Graph& graph) {
  std::string text;
  for (const ValueId id : graph.inputs)
    text += (text.empty() ? "" : " ") + to_string(graph.value(id).shape);
  return text;
}

// ---- what goes along

TEST(TokenizeProduct, Alone) {
  const auto t = run(R"(graph @g(%x: f32[B,S,24], %w: f32[24,32]) {
    %p = matmul %x, %w
    return %p
  })");
  EXPECT_EQ(groups(t), (std::vector<Names>{{"p"}}));
  EXPECT_EQ(input_shapes(body(t)), "[B*S,24]");
  EXPECT_EQ(to_string(body(t).value(body(t).outputs[0]).shape), "[B*S,32]");
  EXPECT_EQ(t.graph.value(t.graph.outputs[0]).name, "p") << "outputs keep their names";
  EXPECT_EQ(to_string(t.graph.value(t.graph.outputs[0]).shape), "[B,S,32]");
}

TEST(TokenizeProduct, MatricesNeedNoReshape) {
  const auto t = run(R"(graph @g(%x: f32[M,24], %w: f32[24,32]) {
    %p = matmul %x, %w
    return %p
  })");
  EXPECT_EQ(input_shapes(body(t)), "[M,24]");
  EXPECT_EQ(t.graph.order().size(), 1U);
}

TEST(TokenizeProduct, BiasInAnyForm) {
  for (const char* form :
       {"f32[32]", "f32[1,32]", "f32[1,1,32]", "f32[1]", "f32[]", "f32[1,1,1]"}) {
    SCOPED_TRACE(form);
    const auto t = run("graph @g(%x: f32[B,S,24], %w: f32[24,32], %wb: " + std::string(form) +
                       ") {\n %p = matmul %x, %w\n %b = add %wb, %p\n return %b\n}");
    EXPECT_EQ(groups(t), (std::vector<Names>{{"p", "b"}}));
    EXPECT_EQ(body(t).inputs.size(), 1U) << "the bias is a constant of the body";
  }
}

TEST(TokenizeProduct, GeluSpelledOut) {
  const auto t = run(R"(graph @g(%x: f32[B,S,24], %w: f32[24,32], %wb: f32[32]) {
    %p = matmul %x, %w
    %b = add %p, %wb
    %d = div %b, 1.4142135
    %e = erf %d
    %o = add %e, 1.0
    %m = mul %b, %o
    %h = mul %m, 0.5
    return %h
  })");
  EXPECT_EQ(groups(t), (std::vector<Names>{{"p", "b", "d", "e", "o", "m", "h"}}));
}

TEST(TokenizeProduct, Residual) {
  const auto t = run(R"(graph @g(%x: f32[B,S,32], %w: f32[32,32], %r: f32[B,S,32]) {
    %p = matmul %x, %w
    %a = add %r, %p
    %b = mul %a, %r
    return %b
  })");
  EXPECT_EQ(groups(t), (std::vector<Names>{{"p", "a", "b"}}));
  EXPECT_EQ(input_shapes(body(t)), "[B*S,32] [B*S,32]") << "%r enters once";
}

TEST(TokenizeProduct, WhatTheProductReadsIsNoResidual) {
  // As one input of a body, the columns of %x would be summed up and stay.
  for (const char* shape : {"f32[B,32]", "f32[B,S,32]"}) {
    const auto t = run("graph @g(%x: " + std::string(shape) + R"(, %w: f32[32,32]) {
    %p = matmul %x, %w
    %t = tanh %p
    %y = add %t, %x
    return %y
  })");
    EXPECT_EQ(groups(t), (std::vector<Names>{{"p", "t"}}));
  }
}

TEST(TokenizeProduct, SelectByABooleanOfItsShape) {
  const auto t = run(R"(graph @g(%x: f32[B,S,24], %w: f32[24,32], %m: bool[B,S,32]) {
    %p = matmul %x, %w
    %c = where %m, %p, 0.0
    return %c
  })");
  EXPECT_EQ(groups(t), (std::vector<Names>{{"p", "c"}}));
}

TEST(TokenizeProduct, GateTakesTheOtherProduct) {
  const auto t = run(R"(graph @g(%x: f32[B,S,24], %w1: f32[24,32], %w2: f32[24,32]) {
    %gate = matmul %x, %w1
    %up = matmul %x, %w2
    %s = silu %gate
    %y = mul %s, %up
    return %y
  })");
  const auto found = groups(t);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].size() + found[1].size(), 4U);
  const std::size_t taker = found[0].size() > found[1].size() ? 0 : 1;
  EXPECT_EQ(input_shapes(body(t, taker)), "[B*S,24] [B*S,32]");
}

// ---- what ends a chain

TEST(TokenizeProduct, OneResultLeaves) {
  const auto t = run(R"(graph @g(%x: f32[B,S,24], %w: f32[24,32], %v: f32[32,40]) {
    %p = matmul %x, %w
    %a = tanh %p
    %b = exp %a
    %c = matmul %a, %v
    return %b, %c
  })");
  EXPECT_EQ(groups(t), (std::vector<Names>{{"p", "a"}})) << "%a has two readers";
}

TEST(TokenizeProduct, ReadersThatMeetAgainGoAlong) {
  const auto t = run(R"(graph @g(%x: f32[B,S,24], %w: f32[24,32]) {
    %p = matmul %x, %w
    %a = tanh %p
    %b = sigmoid %p
    %c = mul %a, %b
    %d = neg %c
    %e = exp %c
    return %d, %e
  })");
  EXPECT_EQ(groups(t), (std::vector<Names>{{"p", "a", "b", "c"}}));
}

TEST(TokenizeProduct, AnOutputOfTheGraphEndsIt) {
  const auto t = run(R"(graph @g(%x: f32[B,S,24], %w: f32[24,32]) {
    %p = matmul %x, %w
    %a = tanh %p
    %b = exp %a
    return %a, %b
  })");
  EXPECT_EQ(groups(t), (std::vector<Names>{{"p", "a"}}));
}

TEST(TokenizeProduct, AnOperandThatDependsOnTheProductEndsIt) {
  const auto t = run(R"(graph @g(%x: f32[B,S,24], %w: f32[24,32]) {
    %p = matmul %x, %w
    %s = softmax %p, axis=2
    %y = mul %p, %s
    return %y
  })");
  EXPECT_EQ(groups(t), (std::vector<Names>{{"p"}}));
}

TEST(TokenizeProduct, TheSameThroughAnotherProduct) {
  const auto t = run(R"(graph @g(%x: f32[B,S,32], %w1: f32[32,32], %w2: f32[32,32]) {
    %p = matmul %x, %w1
    %a = tanh %p
    %q = matmul %a, %w2
    %b = transpose %a, perm=[1,0,2]
    %c = transpose %b, perm=[1,0,2]
    %y = add %q, %c
    return %y
  })");
  const auto found = groups(t);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0], (Names{"p", "a"}));
  EXPECT_EQ(found[1], (Names{"q", "y"}));
}

TEST(TokenizeProduct, WiderAndNarrowerOperandsEndIt) {
  for (const char* other : {"f32[H,B,S,32]", "f32[S,32]", "f32[B,1,32]", "f32[B,S,1]", "f32[32]"}) {
    SCOPED_TRACE(other);
    const auto t = run("graph @g(%x: f32[B,S,24], %w: f32[24,32], %o: " + std::string(other) +
                       ") {\n %p = matmul %x, %w\n %y = add %p, %o\n return %y\n}");
    EXPECT_EQ(groups(t), (std::vector<Names>{{"p"}}));
  }
}

TEST(TokenizeProduct, ConstantsThatAreNoVectorsOfColumnsEndIt) {
  for (const char* mask : {"f32[3,32]", "f32[3,1]", "f32[2,3,32]", "f32[1,1,1,32]", "f32[2,1,1]"}) {
    SCOPED_TRACE(mask);
    const auto t = run("graph @g(%x: f32[2,3,24], %w: f32[24,32], %wm: " + std::string(mask) +
                       ") {\n %p = matmul %x, %w\n %y = add %p, %wm\n return %y\n}");
    EXPECT_EQ(groups(t), (std::vector<Names>{{"p"}}));
  }
}

TEST(TokenizeProduct, AsManyRowsAsColumns) {
  // A column of 32 numbers is one a row, not one a column.
  const auto t = run(R"(graph @g(%x: f32[32,24], %w: f32[24,32], %wc: f32[32,1]) {
    %p = matmul %x, %w
    %y = add %p, %wc
    return %y
  })");
  EXPECT_EQ(groups(t), (std::vector<Names>{{"p"}}));
}

TEST(TokenizeProduct, OtherTypesEndIt) {
  const auto t = run(R"(graph @g(%x: f32[B,24], %w: f32[24,32], %i: i64[B,32]) {
    %p = matmul %x, %w
    %t = tanh %p
    %c = cast %t, to="i64"
    %y = add %c, %i
    return %y
  })");
  EXPECT_EQ(groups(t), (std::vector<Names>{{"p", "t"}}));
}

TEST(TokenizeProduct, InputsOfABodyAreNamedAsTheirValues) {
  const auto t = run(R"(graph @g(%x: f32[B,S,24], %w: f32[24,32], %r: f32[B,S,32]) {
    %p = matmul %x, %w
    %y = add %p, %r
    return %y
  })");
  EXPECT_EQ(body(t).value(body(t).inputs.at(0)).name, "x");
  EXPECT_EQ(body(t).value(body(t).inputs.at(1)).name, "r");
}

TEST(TokenizeProduct, ValuesWithoutNames) {
  GraphBuilder builder("unnamed");
  const Shape shape = {Expr::symbol("B"), Expr::symbol("S"), 32};
  const ValueId x = builder.op(OpKind::Softmax, {builder.input("x", Precision::f32, shape)},
                               {{"axis", std::int64_t{2}}});
  const ValueId y = builder.op(OpKind::Softmax, {builder.input("y", Precision::f32, shape)},
                               {{"axis", std::int64_t{2}}});
  const ValueId weight = builder.constant(Tensor::zeros(Precision::f32, {32, 32}));
  builder.output(builder.op(OpKind::Add, {builder.op(OpKind::MatMul, {x, weight}), y}));
  EXPECT_EQ(run(builder.build()).report.subgraphs.size(), 1U);
}

// ---- two products

TEST(TokenizeProduct, OfTwoProductsOneTakesTheSum) {
  const auto t = run(R"(graph @g(%x: f32[B,24], %w1: f32[24,32], %w2: f32[24,32]) {
    %p = matmul %x, %w1
    %q = matmul %x, %w2
    %y = add %p, %q
    %z = tanh %y
    return %z
  })");
  const auto found = groups(t);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].size() + found[1].size(), 4U);
}

TEST(TokenizeProduct, TwoProductsMakeNoCycle) {
  // Each could take a sum that needs the other's result: p with a (which reads b), q with b2 (which
  // reads a).
  const auto t = run(R"(graph @g(%x: f32[B,24], %w1: f32[24,32], %w2: f32[24,32]) {
    %p = matmul %x, %w1
    %q = matmul %x, %w2
    %b = tanh %q
    %a = add %p, %b
    %c = sigmoid %a
    %d = mul %b, %c
    %e = add %d, %a
    return %e
  })");
  EXPECT_EQ(groups(t).size(), 2U);
}

TEST(TokenizeProduct, ChainsOfProductsWithManyResidualsMakeNoCycle) {
  const auto t = run(R"(graph @g(%x: f32[B,32], %w1: f32[32,32], %w2: f32[32,32],
                                  %w3: f32[32,32]) {
    %p = matmul %x, %w1
    %p1 = tanh %p
    %q = matmul %p1, %w2
    %q1 = add %q, %p
    %r = matmul %x, %w3
    %r1 = mul %r, %q1
    %r2 = add %r1, %p1
    %s = add %q1, %r2
    return %s
  })",
                     true);
  EXPECT_GE(t.report.subgraphs.size(), 3U);
}

// ---- Gemm

TEST(TokenizeProduct, GemmWithTransposedWeightAndBias) {
  for (const char* bias : {"f32[32]", "f32[1,32]", "f32[1]", "f32[]"})
    for (const bool transposed : {false, true}) {
      SCOPED_TRACE(bias);
      const auto t =
          run("graph @g(%x: f32[M,24], %w: f32" + std::string(transposed ? "[32,24]" : "[24,32]") +
              ", %wb: " + bias + ") {\n %p = gemm %x, %w, %wb" + (transposed ? ", transB=1" : "") +
              "\n %y = relu %p\n return %y\n}");
      EXPECT_EQ(groups(t), (std::vector<Names>{{"p", "y"}}));
      EXPECT_EQ(body(t).inputs.size(), 1U);
    }
}

TEST(TokenizeProduct, GemmsThatAreLeft) {
  const auto left = [](const std::string& parameters, const std::string& attributes) {
    const auto t = run("graph @g(" + parameters + ") {\n %p = gemm %x, %w, %wb" + attributes +
                       "\n return %p\n}");
    EXPECT_TRUE(t.report.subgraphs.empty());
    return reason_for(t, "p");
  };
  const std::string usual = "%x: f32[M,24], %w: f32[24,32], %wb: f32[32]";
  EXPECT_EQ(left(usual, ", alpha=0.5"), "transposes or scales its operands");
  EXPECT_EQ(left(usual, ", beta=0.5"), "transposes or scales its operands");
  EXPECT_EQ(left("%x: f32[24,M], %w: f32[24,32], %wb: f32[32]", ", transA=1"),
            "transposes or scales its operands");
  EXPECT_EQ(left("%x: f32[3,24], %w: f32[24,32], %wb: f32[3,32]", ""),
            "its bias is no constant vector");
  EXPECT_EQ(left("%x: f32[32,24], %w: f32[24,32], %wb: f32[32,1]", ""),
            "its bias is no constant vector")
      << "one number a row";
  const auto t = run(R"(graph @g(%x: f32[M,24], %w: f32[24,32], %b: f32[32]) {
    %p = gemm %x, %w, %b
    return %p
  })");
  EXPECT_EQ(reason_for(t, "p"), "its bias is no constant vector");
}

// ---- what is left, and why

TEST(TokenizeProduct, Reasons) {
  const auto t = run(R"(graph @g(%x: f32[B,S,24], %y: f32[B,24,S], %v: f32[24], %h: f64[B,24],
                                 %w15: f32[24,15], %wv: f32[24], %w3: f32[1,24,32], %w64: f64[24,32],
                                 %w: f32[24,32]) {
    %few = matmul %x, %w15
    %two = matmul %x, %y
    %vector = matmul %x, %wv
    %row = matmul %v, %w
    %three = matmul %x, %w3
    %double = matmul %h, %w64
    return %few, %two, %vector, %row, %three, %double
  })");
  EXPECT_TRUE(t.report.subgraphs.empty());
  EXPECT_EQ(reason_for(t, "few"), "fewer than 16 columns: its vectors would be mostly empty");
  EXPECT_EQ(reason_for(t, "two"), "a product of two activations, and no attention around it");
  for (const char* name : {"vector", "row", "three"})
    EXPECT_EQ(reason_for(t, name), "its operands are no matrices");
  EXPECT_EQ(reason_for(t, "double"), "works on f64; kernels are f32");
}

TEST(TokenizeProduct, SixteenColumnsAreEnough) {
  const auto t = run(R"(graph @g(%x: f32[B,S,24], %w: f32[24,16]) {
    %p = matmul %x, %w
    return %p
  })");
  EXPECT_EQ(groups(t).size(), 1U);
}

TEST(TokenizeProduct, RowsThatTheInputsDoNotDetermine) {
  const auto t = run(R"(graph @g(%x: f32[B,2*S,24], %w: f32[24,32]) {
    %p = matmul %x, %w
    return %p
  })");
  EXPECT_TRUE(t.report.subgraphs.empty());
  EXPECT_NE(reason_for(t, "p").find("which the model's inputs do not determine"),
            std::string::npos);
}

}  // namespace
}  // namespace burin
