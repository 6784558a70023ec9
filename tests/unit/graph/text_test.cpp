// The text form: what is printed, what is read back, and that no text crashes the parser.

#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "burin/error.h"
#include "burin/graph.h"

namespace burin {
namespace {

std::string round_trip(const std::string& text) { return print(parse_graph(text)); }

/// Texts that print as they stand.
const std::vector<std::string>& canonical_texts() {
  static const std::vector<std::string> texts = {
      // The example of the design page.
      R"(graph @attention(%q: f32[B,S,12,64], %k: f32[B,S,12,64], %v: f32[B,S,12,64], %m: f32[B,1,1,S]) {
  %0 = transpose %q, perm=[0,2,1,3] : f32[B,12,S,64]
  %1 = transpose %k, perm=[0,2,3,1] : f32[B,12,64,S]
  %2 = matmul %0, %1 : f32[B,12,S,S]
  %3 = mul %2, 0.125 : f32[B,12,S,S]
  %4 = add %3, %m : f32[B,12,S,S]
  %5 = softmax %4, axis=3 : f32[B,12,S,S]
  %6 = transpose %v, perm=[0,2,1,3] : f32[B,12,S,64]
  %7 = matmul %5, %6 : f32[B,12,S,64]
  %8 = transpose %7, perm=[0,2,1,3] : f32[B,S,12,64]
  return %8
}
)",
      // Element-wise of each kind, scalars of each precision, an absent input.
      R"(graph @eltwise(%x: f32[S], %h: f16[S], %i: i32[S], %c: bool[S], %b: bf16[S], %d: f64[S], %e: i8[S], %u: u8[S]) {
  %0 = elu %x, alpha=0.5 : f32[S]
  %1 = gelu %0, approximate="tanh" : f32[S]
  %2 = clip %1, _, 6.0 : f32[S]
  %3 = mul %h, f16(0.1) : f16[S]
  %4 = add %i, i32(-7) : i32[S]
  %5 = and %c, true : bool[S]
  %6 = less_equal %2, 1e-05 : bool[S]
  %7 = where %6, %2, -inf : f32[S]
  %8 = max %7, nan : f32[S]
  %9 = cast %8, to="bf16" : bf16[S]
  %10 = sub %9, bf16(1.0) : bf16[S]
  %11 = div %d, f64(3.0000000000000004) : f64[S]
  %12 = min %e, i8(-128) : i8[S]
  %13 = min %u, u8(255) : u8[S]
  return %3, %4, %5, %10, %11, %12, %13, %b
}
)",
      // Integers followed element by element; facts; comments are gone, names stay.
      R"(graph @"shapes/0"(%"in/x": f32[N,2304], %ids: i64[B,S]) {
  assume N == B*S "node 'view' (Reshape): the \"count\""
  assume 2 divides S
  assume S >= 1 "positive"
  %shape = shape %ids : i64[2] {B,S}
  %0 = const i64[2] {3, 768}
  %target = concat %shape, %0, axis=0 : i64[4] {B,S,3,768} "node of target"
  %"out/y" = reshape %"in/x", %target : f32[B,S,3,768]
  %1 = neg %"out/y" : f32[B,S,3,768] "named, but not its value"
  %named = neg %1 : f32[B,S,3,768] ""
  return %named
}
)",
      // Reductions, normalisations, products.
      R"(graph @mixed(%x: f32[B,S,768], %w: f32[768,64], %g: f32[768]) {
  %0 = layer_norm %x, %g, _, axis=2, epsilon=1e-12 : f32[B,S,768]
  %1 = reduce_mean %0, axes=[2], keepdims=1 : f32[B,S,1]
  %2 = argmax %0, axis=2, keepdims=0 : i64[B,S]
  %3 = matmul %0, %w : f32[B,S,64]
  %4, %5 = split %3, axis=2 : f32[B,S,32], f32[B,S,32]
  %6 = cumsum %4, 1 : f32[B,S,32]
  %7 = brgemm %4, %5, perm_b=[0,2,1], to="f32" : f32[B,S,S]
  return %1, %2, %6, %7
}
)",
      // Spatial operations.
      R"(graph @spatial(%x: f32[N,3,H,W], %w: f32[8,3,3,3]) {
  %0 = conv %x, %w, pads=[1,1,1,1], strides=[1,1] : f32[N,8,H,W]
  %1 = max_pool %0, kernel_shape=[2,2], strides=[2,2] : f32[N,8,floor_div(H, 2),floor_div(W, 2)]
  %2 = const f32[4] {1.0, 1.0, 2.0, 2.0}
  %3 = resize %0, _, %2, mode="nearest" : f32[N,8,2*H,2*W]
  %4 = depth_to_space %3, blocksize=2 : f32[N,2,4*H,4*W]
  return %1, %4
}
)",
      // Movement and index operations, data-dependent dimensions.
      R"(graph @movement(%x: f32[B,S,64], %n: i64[], %i: i64[4]) {
  %0 = const i64[1] {1}
  %1 = const i64[1] {9223372036854775807}
  %2 = slice %x, %0, %1, %0 : f32[B,max(0, S - 1),64]
  %3 = gather %2, %i, axis=2 : f32[B,max(0, S - 1),4]
  %4 = range 0, %n, 1 : i64[?n0]
  %5 = size %4 : i64[] {?n0}
  %6 = unsqueeze %5, axes=[0] : i64[1] {?n0}
  %7 = constant_of_shape %6, value=i64[1] {-1} : i64[?n0]
  %8 = repeat %x, axis=1, times=3 : f32[B,3*S,64]
  return %3, %7, %8
}
)",
      // Constants of all kinds.
      R"(graph @constants() {
  %empty = const f32[0,3] {}
  %flags = const bool[3] {1, 0, 1}
  %half = const f16[2] {0.1, -inf}
  %many = const f32[100,100] splat<-0.0>
  %scalar = const f32[] {2.5}
  %text = const u8[1,3] {0, 127, 255}
  return %empty, %flags, %half, %many, %scalar, %text
}
)",
      // A subgraph, with a symbol that is an input of its own.
      R"(graph @outer(%x: f32[B*S,64], %ids: i64[B,S]) {
  %0 = shape %ids, end=2, start=1 : i64[1] {S}
  %1 = squeeze %0, axes=[0] : i64[] {S}
  %2, %3 = subgraph %x, %1, kind="sdpa" : f32[B*S,64], f32[B*S] "part" graph @body(%x: f32[N,64], %s: i64[] {T}) {
    assume T divides N
    %0 = exp %x : f32[N,64]
    %1 = reduce_sum %0, axes=[1], keepdims=0 : f32[N]
    %2 = subgraph %1 : f32[N] graph @inner(%y: f32[N]) {
      return %y
    }
    return %0, %2
  }
  return %2, %3
}
)",
  };
  return texts;
}

TEST(Text, CanonicalTextsPrintAsTheyStand) {
  for (const std::string& text : canonical_texts()) {
    Graph graph;
    ASSERT_NO_THROW(graph = parse_graph(text)) << text;
    EXPECT_EQ(print(graph), text);
    EXPECT_NO_THROW(verify(graph)) << text;
  }
}

TEST(Text, TypesMayBeLeftOut) {
  EXPECT_EQ(round_trip(R"(
    // a comment
    graph @g(%x: f32[B, S + 1]) {
      %7 = transpose %x, perm=[1,0]   // another
      %soft = softmax %7
      return %soft
    })"),
            "graph @g(%x: f32[B,S + 1]) {\n"
            "  %0 = transpose %x, perm=[1,0] : f32[S + 1,B]\n"
            "  %soft = softmax %0, axis=1 : f32[S + 1,B]\n"
            "  return %soft\n"
            "}\n");
}

TEST(Text, NamesOfNodesAndValues) {
  const Graph graph = parse_graph(R"(graph @g(%x: f32[S]) {
    %a = neg %x
    %b = neg %a "node b"
    %0 = neg %b
    %"0" = neg %0 "only the node"
    return %"0"
  })");
  const auto name = [&](NodeId id) {
    return graph.node(id).name + "|" + graph.value(graph.node(id).outputs[0]).name;
  };
  EXPECT_EQ(name(0), "a|a");
  EXPECT_EQ(name(1), "node b|b");
  EXPECT_EQ(name(2), "|");
  EXPECT_EQ(name(3), "only the node|0");
}

TEST(Text, AnyNameSurvives) {
  std::string name;
  for (int c = 1; c < 256; ++c) name += static_cast<char>(c);
  Graph graph;
  graph.name = name;
  const ValueId x = graph.add_input(name + "x", Precision::f32, {Expr::symbol("S")});
  graph.outputs = {graph.add_op(OpKind::Neg, name, {x})};
  const Graph copy = parse_graph(print(graph));
  EXPECT_EQ(copy.name, name);
  EXPECT_EQ(copy.value(copy.inputs[0]).name, name + "x");
  EXPECT_EQ(copy.node(0).name, name);
  EXPECT_EQ(copy.value(copy.outputs[0]).name, name);
}

TEST(Text, DuplicateNamesAreToldApart) {
  Graph graph;
  const ValueId x = graph.add_input("x", Precision::f32, {});
  const ValueId y = graph.add_op(OpKind::Neg, "x", {x});
  graph.outputs = {graph.add_op(OpKind::Add, "x", {x, y})};
  const std::string text = print(graph);
  EXPECT_EQ(text,
            "graph @graph(%x: f32[]) {\n"
            "  %0 = neg %x : f32[] \"x\"\n"
            "  %1 = add %x, %0 : f32[] \"x\"\n"
            "  return %1\n"
            "}\n");
  EXPECT_EQ(round_trip(text), text);
}

TEST(Text, FloatsRoundTripExactly) {
  std::mt19937 random(7);
  Tensor tensor = Tensor::zeros(Precision::f32, {64});
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 64; ++i) {
      const auto bits = static_cast<std::uint32_t>(random());
      float value = 0;
      std::memcpy(&value, &bits, sizeof value);
      tensor.mutable_as<float>()[i] = std::isnan(value) ? 1.0F : value;
    }
    Graph graph;
    graph.outputs = {graph.add_constant("k", tensor)};
    const Graph copy = parse_graph(print(graph));
    ASSERT_EQ(std::memcmp(copy.value(copy.outputs[0]).constant->data(), tensor.data(), 256), 0);
  }
}

TEST(Text, EveryHalfRoundTrips) {
  for (const Precision precision : {Precision::f16, Precision::bf16}) {
    for (int block = 0; block < 1024; ++block) {
      Tensor tensor = Tensor::zeros(precision, {64});
      for (int i = 0; i < 64; ++i)
        tensor.mutable_as<std::uint16_t>()[i] = static_cast<std::uint16_t>(64 * block + i);
      for (int i = 0; i < 64; ++i)
        if (std::isnan(tensor.at(i))) tensor.set(i, 1);
      Graph graph;
      graph.outputs = {graph.add_constant("k", tensor)};
      const Graph copy = parse_graph(print(graph));
      ASSERT_EQ(std::memcmp(copy.value(copy.outputs[0]).constant->data(), tensor.data(), 128), 0);
    }
  }
}

TEST(Text, LargeConstantsAreHashed) {
  Tensor tensor = Tensor::zeros(Precision::f32, {100});
  tensor.set(3, 1);
  Graph graph;
  graph.outputs = {graph.add_constant("k", tensor)};
  const std::string text = print(graph);
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "%k = const f32[100] dense<", text);
  Tensor other = Tensor::zeros(Precision::f32, {100});
  other.set(4, 1);
  Graph other_graph;
  other_graph.outputs = {other_graph.add_constant("k", other)};
  EXPECT_NE(print(other_graph), text);
  EXPECT_THROW(parse_graph(text), Error);
}

TEST(Text, BrokenGraphsPrint) {
  Graph graph;
  const ValueId x = graph.add_input("x", Precision::f32, {});
  const ValueId y = graph.add_op(OpKind::Neg, "y", {x});
  const ValueId z = graph.add_op(OpKind::Neg, "z", {y});
  graph.node(graph.value(y).producer).inputs[0] = z;
  graph.node(graph.value(z).producer).inputs.push_back(12345);
  graph.outputs = {777};
  const std::string text = print(graph);
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "%y = neg %z : f32[]", text);
}

TEST(Text, ErrorsTellLineAndColumn) {
  const auto error_of = [](const std::string& text) -> std::string {
    try {
      parse_graph(text);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  const auto in_body = [&](const std::string& line) {
    return error_of("graph @g(%x: f32[B,S], %c: bool[B]) {\n  " + line + "\n}");
  };
  EXPECT_EQ(error_of(""), "line 1, column 1: expected 'graph'");
  EXPECT_EQ(error_of("graph g"), "line 1, column 7: expected '@', found 'g'");
  EXPECT_EQ(error_of("graph @g() {\n"),
            "line 2, column 1: expected '%', found the end of the text");
  EXPECT_EQ(error_of("graph @g() {} x"), "line 1, column 15: expected the end of the text");
  EXPECT_EQ(error_of("graph @g(%x: f33[]) {}").substr(0, 28), "line 1, column 14: 'f33' is ");
  EXPECT_EQ(error_of("graph @g(%x: f32[-1]) {}"),
            "line 1, column 10: input 'x': dimension 0 is -1; it must not be negative");
  EXPECT_EQ(error_of("graph @g(%x: f32[], %x: f32[]) {}"),
            "line 1, column 20: %x is defined twice");
  EXPECT_EQ(in_body("%y = foo %x"), "line 2, column 8: 'foo' is not an operation");
  EXPECT_EQ(in_body("%y = neg %z"), "line 2, column 12: %z is not defined");
  EXPECT_EQ(in_body("%y = neg %y"), "line 2, column 12: %y is not defined");
  EXPECT_EQ(in_body("%x = neg %x"), "line 2, column 3: %x is defined twice");
  EXPECT_EQ(in_body("%y = neg %x, %x"),
            "line 2, column 3: node 'y' (Neg): it takes 1 inputs; 2 are given");
  EXPECT_EQ(in_body("%y = neg %x : f32[B,T,1]"),
            "line 2, column 3: %y is declared as f32[B,T,1]; it is f32[B,S]");
  EXPECT_EQ(in_body("%y = exp %c").substr(0, 50),
            "line 2, column 3: node 'y' (Exp): input 0 'c' bool");
  EXPECT_EQ(in_body("%y = softmax %x, axis=1, axis=1"),
            "line 2, column 28: attribute 'axis' is given twice");
  EXPECT_EQ(in_body("%y = softmax %x, axis=1.5").substr(0, 40),
            "line 2, column 3: node 'y' (Softmax): at");
  EXPECT_EQ(in_body("%y = const i8[1] {200}"), "line 2, column 21: 200 is not in the range of i8");
  EXPECT_EQ(in_body("%y = const i8[2] {1}"),
            "line 2, column 23: the constant [2] has 2 elements; 1 are given");
  EXPECT_EQ(in_body("%y = const f32[1] {1e99}"), "line 2, column 22: '1e99' is out of range");
  EXPECT_EQ(in_body("%y = const f32[1] {zero}"), "line 2, column 22: 'zero' is not a number");
  EXPECT_EQ(in_body("%y = const f32[9999999999] splat<0>"),
            "line 2, column 35: the splat has too many elements");
  EXPECT_EQ(in_body("%y = neg %x \"abc"), "line 2, column 19: the string has no end");
  EXPECT_EQ(in_body("%y = neg %x \"\\q\""), "line 2, column 18: '\\q' means nothing");
  EXPECT_EQ(in_body("assume S"), "line 2, column 10: expected '==', '>=' or 'divides'");
  EXPECT_EQ(in_body("assume S >= B"), "line 2, column 10: the bound must be an integer");
  EXPECT_EQ(in_body("assume 1 == 2 \"x\"").substr(0, 19), "line 2, column 10: ");
  EXPECT_EQ(in_body("return %x return"), "line 2, column 13: nothing may follow 'return'");
  EXPECT_EQ(in_body("%y = neg %x : f32[B,(S] "),
            in_body("%y = neg %x : f32[B,(S] "));  // some error, no crash
}

TEST(Text, NestingIsLimited) {
  std::string text = "graph @g() {";
  for (int i = 0; i < 100000; ++i) text += " %0 = subgraph : f32[] graph @g() {";
  EXPECT_THROW(parse_graph(text), Error);
  EXPECT_THROW(parse_graph("graph @g(%x: f32[" + std::string(1000000, '(') + "]) {}"), Error);
}

/// The interpreter compares what inference says with what happens, for some sizes.
TEST(Text, CanonicalTextsRun) {
  const std::map<std::string, std::int64_t> sizes = {{"B", 2}, {"S", 6},  {"N", 12},
                                                     {"H", 8}, {"W", 10}, {"T", 6}};
  for (const std::string& text : canonical_texts()) {
    const Graph graph = parse_graph(text);
    std::vector<Tensor> inputs;
    for (const ValueId id : graph.inputs) {
      const Value& value = graph.value(id);
      Dims dims;
      for (const Expr& dimension : value.shape) dims.push_back(dimension.evaluate(sizes));
      Tensor tensor = Tensor::zeros(value.precision, dims);
      for (std::int64_t i = 0; i < tensor.size(); ++i)
        tensor.set(i, static_cast<double>(1 + i % 3));
      inputs.push_back(tensor);
    }
    EXPECT_NO_THROW(interpret(graph, inputs)) << text;
  }
}

/// Texts that are nearly right: characters and words changed, removed, doubled, moved.
TEST(Text, MutationsNeverCrash) {
  std::mt19937 random(42);
  const std::string letters = "%@[](){}<>,:=\"\\-+*/. \n01289abfi_?";
  int accepted = 0;
  for (int round = 0; round < 6000; ++round) {
    std::string text = canonical_texts()[random() % canonical_texts().size()];
    const std::string& other = canonical_texts()[random() % canonical_texts().size()];
    for (std::size_t edits = 1 + random() % 4; edits > 0 && !text.empty(); --edits) {
      const std::size_t at = random() % text.size();
      const std::size_t length = std::min<std::size_t>(1 + random() % 8, text.size() - at);
      switch (random() % 6) {
        case 0: text[at] = letters[random() % letters.size()]; break;
        case 1: text.erase(at, length); break;
        case 2: text.insert(at, text.substr(at, length)); break;
        case 3: text.insert(at, 1, letters[random() % letters.size()]); break;
        case 4: text.insert(at, other.substr(random() % other.size(), 1 + random() % 30)); break;
        default: text.resize(at); break;
      }
    }
    try {
      const Graph graph = parse_graph(text);
      ++accepted;
      const std::string printed = print(graph);
      // What was accepted prints, and reads back as the same unless a constant is too long.
      if (printed.find("dense<") == std::string::npos) {
        EXPECT_EQ(round_trip(printed), printed) << text;
      }
      try {
        verify(graph);
      } catch (const Error&) {
      }
    } catch (const Error&) {
    }
  }
  EXPECT_GT(accepted, 100);
}

}  // namespace
}  // namespace burin
