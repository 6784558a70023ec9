// Types, tensors, the table of operations, and Graph itself.

#include "burin/graph.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "burin/error.h"
#include "support/half.h"

namespace burin {
namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

TEST(Type, PrecisionNames) {
  for (const char* word : {"f32", "f64", "f16", "bf16", "i64", "i32", "i8", "u8", "bool"})
    EXPECT_EQ(to_string(precision_from_string(word)), word);
  EXPECT_THROW(precision_from_string("float"), Error);
  EXPECT_THROW(precision_from_string(""), Error);
  EXPECT_EQ(size_of(Precision::f64), 8U);
  EXPECT_EQ(size_of(Precision::bf16), 2U);
  EXPECT_EQ(size_of(Precision::boolean), 1U);
}

TEST(Type, ShapesAsText) {
  EXPECT_EQ(to_string(Shape{Expr::symbol("B"), 12, Expr::symbol("S") * 2}), "[B,12,2*S]");
  EXPECT_EQ(to_string(Shape{}), "[]");
  EXPECT_EQ(to_string(Dims{1, 2, 3}), "[1,2,3]");
}

TEST(Type, ElementCount) {
  EXPECT_EQ(element_count({}, "x"), 1);
  EXPECT_EQ(element_count({2, 3}, "x"), 6);
  EXPECT_EQ(element_count({kMax, 0, kMax}, "x"), 0);
  EXPECT_THROW(element_count({kMax, 2}, "x"), Error);
  EXPECT_THROW(element_count({0, -1}, "x"), Error);
  try {
    element_count({3, -2}, "weights");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "weights: dimension 1 is -2; it must not be negative");
  }
}

TEST(Half, RoundsToNearestEven) {
  EXPECT_EQ(to_f16(1.0), 0x3c00);
  EXPECT_EQ(to_f16(-2.0), 0xc000);
  EXPECT_EQ(to_f16(65504.0), 0x7bff);
  EXPECT_EQ(to_f16(65519.99), 0x7bff);
  EXPECT_EQ(to_f16(65520.0), 0x7c00);
  EXPECT_EQ(to_f16(1 + 0x1p-11), 0x3c00);
  EXPECT_EQ(to_f16(1 + 0x3p-11), 0x3c02);
  EXPECT_EQ(to_f16(0x1p-24), 0x0001);
  EXPECT_EQ(to_f16(0x1p-25), 0x0000);
  EXPECT_EQ(to_f16(0x1.8p-25), 0x0001);
  EXPECT_EQ(to_f16(0x1.ffep-15), 0x0400);  // rounds up to the least normal number
  EXPECT_EQ(to_f16(-0.0), 0x8000);
  EXPECT_EQ(to_f16(1e300), 0x7c00);
  EXPECT_EQ(to_f16(-std::numeric_limits<double>::infinity()), 0xfc00);
  EXPECT_EQ(to_bf16(1.0), 0x3f80);
  EXPECT_EQ(to_bf16(1e39), 0x7f80);
  EXPECT_EQ(to_bf16(1 + 0x1p-8), 0x3f80);
  EXPECT_TRUE(std::isnan(from_f16(to_f16(NAN))));
  EXPECT_TRUE(std::isnan(from_bf16(to_bf16(NAN))));
}

TEST(Half, RoundTripsAllValues) {
  for (int bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    if (!std::isnan(from_f16(half))) {
      EXPECT_EQ(to_f16(static_cast<double>(from_f16(half))), half);
    }
    if (!std::isnan(from_bf16(half))) {
      EXPECT_EQ(to_bf16(static_cast<double>(from_bf16(half))), half);
    }
  }
}

TEST(Tensor, HoldsElementsOfEachPrecision) {
  for (const Precision precision :
       {Precision::f32, Precision::f64, Precision::f16, Precision::bf16, Precision::i64,
        Precision::i32, Precision::i8, Precision::u8, Precision::boolean}) {
    Tensor t = Tensor::zeros(precision, {2, 2});
    EXPECT_EQ(t.bytes(), 4 * size_of(precision));
    t.set(1, 1);
    t.set_int(2, 1);
    EXPECT_EQ(t.at(0), 0);
    EXPECT_EQ(t.at(1), 1);
    EXPECT_EQ(t.int_at(2), 1);
  }
  EXPECT_EQ(Tensor::scalar(Precision::i8, -7.9).int_at(0), -7);
  EXPECT_EQ(Tensor::scalar(Precision::u8, 300).int_at(0), 255);
  EXPECT_EQ(Tensor::scalar(Precision::i64, 1e300).int_at(0), kMax);
  EXPECT_EQ(Tensor::scalar(Precision::i32, NAN).int_at(0), 0);
  EXPECT_EQ(Tensor::scalar(Precision::boolean, 0.5).int_at(0), 1);
  EXPECT_EQ(Tensor::scalar(Precision::f16, 0.1).at(0), static_cast<double>(from_f16(to_f16(0.1))));
}

TEST(Tensor, ChecksItsSize) {
  const auto data = std::make_shared<std::byte>();
  EXPECT_THROW(Tensor(Precision::f32, {2}, data, 4), Error);
  EXPECT_THROW(Tensor(Precision::f32, {1}, nullptr, 4), Error);
  EXPECT_THROW(Tensor(Precision::f32, {-1}, data, 4), Error);
  EXPECT_THROW(Tensor::from_i64({2}, {1}), Error);
  EXPECT_THROW(Tensor::zeros(Precision::f64, {kMax / 2}), Error);
  EXPECT_EQ(Tensor(Precision::f32, {0, 5}, nullptr, 0).size(), 0);
  EXPECT_EQ(Tensor().size(), 0);
}

TEST(Tensor, AlignsBorrowedMemory) {
  const auto bytes = std::make_shared<std::array<std::byte, 9>>();
  const float value = 1.5F;
  std::memcpy(bytes->data() + 1, &value, sizeof value);
  const Tensor t(Precision::f32, {1}, std::shared_ptr<const std::byte>(bytes, bytes->data() + 1),
                 4);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(t.data()) % 4, 0U);
  EXPECT_EQ(t.as<float>()[0], 1.5F);
}

TEST(Ops, TableIsConsistent) {
  std::set<std::string_view> names, texts;
  for (int i = 0; i <= static_cast<int>(OpKind::Subgraph); ++i) {
    const auto kind = static_cast<OpKind>(i);
    const OpInfo& op = info(kind);
    EXPECT_EQ(op.kind, kind);
    EXPECT_TRUE(names.insert(op.name).second) << op.name;
    EXPECT_TRUE(texts.insert(op.text).second) << op.text;
    EXPECT_EQ(op_from_name(op.name), kind);
    EXPECT_EQ(op_from_text(op.text), kind);
    EXPECT_TRUE(op.max_inputs == -1 || op.max_inputs >= op.min_inputs);
  }
  EXPECT_EQ(info(OpKind::And).text, "and");
  EXPECT_EQ(info(OpKind::LayerNormalization).text, "layer_norm");
  EXPECT_FALSE(op_from_name("layer_norm"));
  EXPECT_FALSE(op_from_text("LayerNormalization"));
  EXPECT_THROW(info(static_cast<OpKind>(9999)), Error);
  EXPECT_TRUE(is_elementwise(OpKind::Where));
  EXPECT_TRUE(is_elementwise(OpKind::Less));
  EXPECT_FALSE(is_elementwise(OpKind::Softmax));
}

TEST(Node, Attributes) {
  Node node;
  node.op = OpKind::Elu;
  node.name = "act";
  node.attributes = {{"alpha", 0.5},
                     {"axis", std::int64_t{3}},
                     {"mode", std::string("tanh")},
                     {"perm", std::vector<std::int64_t>{1, 0}}};
  EXPECT_EQ(node.float_attribute("alpha", 1), 0.5);
  EXPECT_EQ(node.float_attribute("beta", 1), 1);
  EXPECT_EQ(node.float_attribute("axis", 1), 3);
  EXPECT_EQ(node.int_attribute("axis", 0), 3);
  EXPECT_EQ(node.int_attribute("none", -1), -1);
  EXPECT_EQ(node.string_attribute("mode", "none"), "tanh");
  EXPECT_EQ(node.ints_attribute("perm"), (std::vector<std::int64_t>{1, 0}));
  EXPECT_TRUE(node.ints_attribute("none").empty());
  EXPECT_TRUE(node.has_attribute("mode"));
  EXPECT_FALSE(node.has_attribute("none"));
  try {
    node.int_attribute("alpha", 0);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "node 'act' (Elu): attribute 'alpha' must be an integer");
  }
}

struct Diamond {
  Graph graph;
  ValueId x = graph.add_input("x", Precision::f32, {Expr::symbol("S")});
  ValueId a = graph.add_op(OpKind::Exp, "a", {x});
  ValueId b = graph.add_op(OpKind::Neg, "b", {a});
  ValueId c = graph.add_op(OpKind::Add, "c", {a, b});
  Diamond() { graph.outputs = {c}; }
  NodeId producer(ValueId id) const { return graph.value(id).producer; }
};

TEST(Graph, BuildsValues) {
  Diamond d;
  EXPECT_EQ(d.graph.value(d.c).name, "c");
  EXPECT_EQ(d.graph.value(d.c).shape, d.graph.value(d.x).shape);
  const NodeId split = d.graph.add_node(OpKind::Split, "s", {d.x}, {{"axis", std::int64_t{0}}}, 2);
  EXPECT_EQ(d.graph.value(d.graph.node(split).outputs[1]).name, "s.1");
  EXPECT_EQ(d.graph.value(d.graph.add_op(OpKind::Neg, "", {d.x})).name, "");
  EXPECT_THROW(d.graph.add_input("y", Precision::f32, {-1}), Error);
  const ValueId constant = d.graph.add_constant("k", Tensor::from_i64({2}, {3, 4}));
  EXPECT_TRUE(d.graph.is_constant(constant));
  EXPECT_EQ(*d.graph.value(constant).elements, (std::vector<Expr>{3, 4}));
  EXPECT_FALSE(
      d.graph.value(d.graph.add_constant("", Tensor::zeros(Precision::i64, {65}))).elements);
  EXPECT_FALSE(d.graph.value(d.graph.add_constant("", Tensor::from_f32({1}, {1}))).elements);
}

TEST(Graph, OrderFollowsIdsWhereItMay) {
  Diamond d;
  const NodeId a = d.producer(d.a), b = d.producer(d.b), c = d.producer(d.c);
  EXPECT_EQ(d.graph.order(), (std::vector<NodeId>{a, b, c}));
  // A node added later comes directly before its first user.
  const ValueId late = d.graph.add_op(OpKind::Tanh, "late", {d.a});
  d.graph.node(b).inputs[0] = late;
  EXPECT_EQ(d.graph.order(), (std::vector<NodeId>{a, d.producer(late), b, c}));
  d.graph.erase_node(b);
  EXPECT_EQ(d.graph.order(), (std::vector<NodeId>{a, c, d.producer(late)}));
}

TEST(Graph, OrderNamesANodeOfACycle) {
  Diamond d;
  d.graph.node(d.producer(d.a)).inputs[0] = d.c;
  try {
    d.graph.order();
    FAIL();
  } catch (const Error& error) {
    EXPECT_PRED_FORMAT2(testing::IsSubstring, "has a cycle through node 'a' (Exp)", error.what());
  }
}

TEST(Graph, OrderOfADeepGraph) {
  Graph graph;
  ValueId x = graph.add_input("x", Precision::f32, {});
  for (int i = 0; i < 20000; ++i) x = graph.add_op(OpKind::Neg, "", {x});
  // Turn the chain around, so that a recursive order would be deep.
  for (NodeId id = 0; id < graph.node_count() - 1; ++id)
    graph.node(id).inputs[0] = graph.node(id + 1).outputs[0];
  graph.node(static_cast<NodeId>(graph.node_count() - 1)).inputs[0] = graph.inputs[0];
  const std::vector<NodeId> order = graph.order();
  EXPECT_EQ(order.size(), 20000U);
  EXPECT_EQ(order.front(), 19999U);
}

TEST(Graph, UsersReplaceErase) {
  Diamond d;
  const auto users = d.graph.users();
  EXPECT_EQ(users[d.a], (std::vector<NodeId>{d.producer(d.b), d.producer(d.c)}));
  EXPECT_TRUE(users[d.c].empty());
  EXPECT_TRUE(d.graph.is_output(d.c));
  const ValueId square = d.graph.add_op(OpKind::Mul, "square", {d.x, d.x});
  EXPECT_EQ(d.graph.users()[d.x].size(), 3U);
  d.graph.replace_uses(d.c, square);
  EXPECT_EQ(d.graph.outputs, std::vector<ValueId>{square});
  d.graph.erase_dead_nodes();
  EXPECT_TRUE(d.graph.node(d.producer(d.a)).erased);
  EXPECT_TRUE(d.graph.node(d.producer(d.c)).erased);
  EXPECT_FALSE(d.graph.node(d.producer(square)).erased);
  verify(d.graph);
}

TEST(Graph, KeepsNodesOfWhichOneOutputIsRead) {
  Diamond d;
  const NodeId split = d.graph.add_node(OpKind::Split, "s", {d.x}, {{"axis", std::int64_t{0}}}, 2);
  d.graph.outputs.push_back(d.graph.node(split).outputs[1]);
  d.graph.erase_dead_nodes();
  EXPECT_FALSE(d.graph.node(split).erased);
}

TEST(Graph, Symbols) {
  Diamond d;
  d.graph.add_input("y", Precision::f32, {Expr::symbol("n0"), Expr::symbol("B") + 1});
  d.graph.facts.assume_equal(Expr::symbol("T"), Expr::symbol("U"), "");
  EXPECT_EQ(d.graph.symbols(), (std::vector<std::string>{"B", "S", "T", "U", "n0"}));
  const Expr fresh = d.graph.fresh_symbol("n");
  EXPECT_EQ(fresh.to_string(), "n1");
  EXPECT_EQ(d.graph.fresh_symbol("n").to_string(), "n2");
}

TEST(Graph, FailedNodeLeavesNoTrace) {
  Diamond d;
  const std::string before = print(d.graph);
  EXPECT_THROW(d.graph.add_op(OpKind::MatMul, "bad", {d.x, kNone}), Error);
  EXPECT_EQ(print(d.graph), before);
  EXPECT_EQ(d.graph.node_count(), 3U);
}

TEST(GraphBuilder, Builds) {
  GraphBuilder builder("softmax");
  const ValueId x = builder.input("x", Precision::f32, {Expr::symbol("S"), 64});
  const ValueId scaled = builder.op(OpKind::Mul, {x, builder.scalar(0.125F)});
  builder.output(builder.op(OpKind::Softmax, {scaled}, {{"axis", std::int64_t{-1}}}));
  const Graph graph = builder.build();
  EXPECT_EQ(print(graph),
            "graph @softmax(%x: f32[S,64]) {\n"
            "  %0 = mul %x, 0.125 : f32[S,64]\n"
            "  %1 = softmax %0, axis=1 : f32[S,64]\n"
            "  return %1\n"
            "}\n");
}

}  // namespace
}  // namespace burin
