// What the interpreter does around the operations: symbols, messages, subgraphs, conversions.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "burin/error.h"
#include "burin/graph.h"
#include "graph/interpreter.h"

namespace burin {
namespace {

Expr sym(const char* name) { return Expr::symbol(name); }

std::vector<float> floats(const Tensor& tensor) {
  return {tensor.as<float>(), tensor.as<float>() + tensor.size()};
}
std::vector<std::int64_t> integers(const Tensor& tensor) {
  return {tensor.as<std::int64_t>(), tensor.as<std::int64_t>() + tensor.size()};
}

/// The message of the Error that `f` throws; empty if it throws none.
template <typename F>
std::string message_of(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void expect_words(const std::string& message, const std::vector<std::string>& words) {
  for (const std::string& word : words)
    EXPECT_NE(message.find(word), std::string::npos) << "'" << word << "' is not in: " << message;
}

/// y = x * w + x, where x: [B, S, 2]
Graph small_graph() {
  Graph g;
  const ValueId x = g.add_input("x", Precision::f32, {sym("B"), sym("S"), 2});
  const ValueId w = g.add_constant("w", Tensor::from_f32({2}, {10, 100}));
  g.outputs = {g.add_op(OpKind::Add, "y", {g.add_op(OpKind::Mul, "scaled", {x, w}), x})};
  return g;
}

TEST(Interpret, ComputesEveryShape) {
  const Graph g = small_graph();
  EXPECT_EQ(floats(interpret(g, {Tensor::from_f32({1, 1, 2}, {1, 2})})[0]),
            (std::vector<float>{11, 202}));
  const Tensor wide = interpret(g, {Tensor::from_f32({1, 2, 2}, {1, 2, 3, 4})})[0];
  EXPECT_EQ(wide.dims(), (Dims{1, 2, 2}));
  EXPECT_EQ(floats(wide), (std::vector<float>{11, 202, 33, 404}));
  EXPECT_EQ(interpret(g, {Tensor::zeros(Precision::f32, {3, 0, 2})})[0].dims(), (Dims{3, 0, 2}));
}

TEST(Interpret, KeepsDoublesBetweenNodes) {
  // 1e8 + 1 - 1e8 is 0 in single precision.
  Graph g;
  const ValueId x = g.add_input("x", Precision::f32, {});
  const ValueId one = g.add_constant("one", Tensor::scalar(Precision::f32, 1));
  g.outputs = {g.add_op(OpKind::Sub, "back", {g.add_op(OpKind::Add, "sum", {x, one}), x})};
  EXPECT_EQ(interpret(g, {Tensor::scalar(Precision::f32, 1e8)})[0].at(0), 1.0);
}

TEST(Interpret, RoundsWhereACastSaysSo) {
  Graph g;
  const ValueId x = g.add_input("x", Precision::f32, {1});
  const ValueId y = g.add_input("y", Precision::f32, {1});
  const ValueId sum = g.add_op(OpKind::Add, "sum", {x, y});
  const ValueId rounded = g.add_op(OpKind::Cast, "rounded", {sum}, {{"to", std::string("bf16")}});
  g.outputs = {g.add_op(OpKind::Cast, "wide", {rounded}, {{"to", std::string("f32")}})};
  // bf16 has 8 significant bits.
  EXPECT_EQ(interpret(g, {Tensor::from_f32({1}, {256}), Tensor::from_f32({1}, {1.5F})})[0].at(0),
            258.0);
}

TEST(Interpret, GivesInputsAndConstantsBack) {
  Graph g = small_graph();
  g.outputs = {g.inputs[0], g.outputs[0], g.outputs[0], g.inputs[0]};
  g.outputs.push_back(g.add_constant("c", Tensor::from_i64({2}, {7, 8})));
  const std::vector<Tensor> results = interpret(g, {Tensor::from_f32({1, 1, 2}, {1, 2})});
  ASSERT_EQ(results.size(), 5U);
  EXPECT_EQ(floats(results[0]), (std::vector<float>{1, 2}));
  EXPECT_EQ(floats(results[1]), floats(results[2]));
  EXPECT_EQ(floats(results[3]), (std::vector<float>{1, 2}));
  EXPECT_EQ(integers(results[4]), (std::vector<std::int64_t>{7, 8}));
}

TEST(Interpret, DropsValuesAfterTheirLastUseOnly) {
  // `a` is read late, twice by one node, and is an output.
  Graph g;
  const ValueId x = g.add_input("x", Precision::f32, {2});
  const ValueId a = g.add_op(OpKind::Neg, "a", {x});
  const ValueId b = g.add_op(OpKind::Abs, "b", {a});
  const ValueId c = g.add_op(OpKind::Mul, "c", {a, a});
  g.outputs = {g.add_op(OpKind::Add, "d", {b, c}), a};
  const auto results = interpret(g, {Tensor::from_f32({2}, {2, -3})});
  EXPECT_EQ(floats(results[0]), (std::vector<float>{6, 12}));
  EXPECT_EQ(floats(results[1]), (std::vector<float>{-2, 3}));
}

TEST(Interpret, ReadsElementsThatAreExpressions) {
  // x: [B*S, 2] is seen as [B, S, 2]; nothing but the explicit symbol says what B is.
  Graph g;
  const ValueId x = g.add_input("x", Precision::f32, {sym("B") * sym("S"), 2});
  Value shape;
  shape.name = "shape";
  shape.precision = Precision::i64;
  shape.shape = {3};
  shape.elements = std::vector<Expr>{sym("B"), sym("S"), 2};
  const ValueId s = g.add_value(shape);
  g.outputs = {g.add_op(OpKind::Reshape, "y", {x, s})};
  const std::vector<Tensor> inputs{Tensor::zeros(Precision::f32, {6, 2})};
  EXPECT_EQ(interpret(g, inputs, {{"B", 2}})[0].dims(), (Dims{2, 3, 2}));
  EXPECT_EQ(interpret(g, inputs, {{"S", 6}})[0].dims(), (Dims{1, 6, 2}));
  expect_words(message_of([&] { interpret(g, inputs); }), {"'shape'", "B", "do not determine"});
  expect_words(message_of([&] {
                 interpret(g, inputs, {{"B", 4}});
               }),
               {"dimension 0 of input 'x'", "B*S", "given 6", "no integer S"});
}

TEST(Interpret, LearnsSymbolsFromIntegerInputs) {
  Graph g;
  const ValueId x = g.add_input("x", Precision::f32, {sym("B") * sym("S")});
  const ValueId b = g.add_input("batch", Precision::i64, {});
  g.value(b).elements = std::vector<Expr>{sym("B")};
  Value shape;
  shape.name = "shape";
  shape.precision = Precision::i64;
  shape.shape = {2};
  shape.elements = std::vector<Expr>{sym("B"), sym("S")};
  g.outputs = {g.add_op(OpKind::Reshape, "y", {x, g.add_value(shape)})};
  EXPECT_EQ(
      interpret(g, {Tensor::zeros(Precision::f32, {12}), Tensor::from_i64({}, {3})})[0].dims(),
      (Dims{3, 4}));
}

TEST(Interpret, ShapeArithmeticRuns) {
  // The usual exporter's way from [B, S, 6] to [B, S, 2, 3].
  Graph g;
  const ValueId x = g.add_input("x", Precision::f32, {sym("B"), sym("S"), 6});
  const ValueId shape = g.add_op(OpKind::Shape, "shape", {x});
  const ValueId leading = g.add_op(OpKind::Slice, "leading",
                                   {shape, g.add_constant("", Tensor::from_i64({1}, {0})),
                                    g.add_constant("", Tensor::from_i64({1}, {2}))});
  const ValueId heads = g.add_constant("heads", Tensor::from_i64({2}, {2, -1}));
  const ValueId target =
      g.add_op(OpKind::Concat, "target", {leading, heads}, {{"axis", std::int64_t{0}}});
  g.outputs = {g.add_op(OpKind::Reshape, "split", {x, target})};
  EXPECT_EQ(interpret(g, {Tensor::zeros(Precision::f32, {5, 7, 6})})[0].dims(), (Dims{5, 7, 2, 3}));
}

std::shared_ptr<const Graph> body() {
  auto g = std::make_shared<Graph>();
  const ValueId x = g->add_input("p", Precision::f32, {sym("N"), 2});
  g->outputs = {g->add_op(OpKind::Square, "q", {x}),
                g->add_op(OpKind::ReduceSum, "r", {x}, {{"axes", std::vector<std::int64_t>{1}}})};
  return g;
}

TEST(Interpret, RunsTheBodyOfASubgraph) {
  Graph g;
  const ValueId x = g.add_input("x", Precision::f32, {sym("N"), 2});
  const NodeId node = g.add_subgraph("carved", {x}, body());
  g.outputs = g.node(node).outputs;
  const auto results = interpret(g, {Tensor::from_f32({2, 2}, {1, 2, 3, 4})});
  EXPECT_EQ(floats(results[0]), (std::vector<float>{1, 4, 9, 16}));
  EXPECT_EQ(floats(results[1]), (std::vector<float>{3, 7}));
}

TEST(Interpret, ABodyTakesOpenSymbolsFromTheGraphAroundIt) {
  // p: [B*S, 2] does not say what B is; the graph around it knows from y.
  auto inner = std::make_shared<Graph>();
  const ValueId p = inner->add_input("p", Precision::f32, {sym("B") * sym("S"), 2});
  Value shape;
  shape.name = "shape";
  shape.precision = Precision::i64;
  shape.shape = {3};
  shape.elements = std::vector<Expr>{sym("B"), sym("S"), 2};
  inner->outputs = {inner->add_op(OpKind::Reshape, "q", {p, inner->add_value(shape)})};

  Graph g;
  const ValueId x = g.add_input("x", Precision::f32, {sym("B") * sym("S"), 2});
  g.add_input("y", Precision::f32, {sym("B")});
  g.outputs = g.node(g.add_subgraph("carved", {x}, inner)).outputs;
  const std::vector<Tensor> inputs{Tensor::zeros(Precision::f32, {6, 2}),
                                   Tensor::zeros(Precision::f32, {3})};
  EXPECT_EQ(interpret(g, inputs)[0].dims(), (Dims{3, 2, 2}));
}

TEST(Interpret, MessagesNameTensorDimensionAndNumbers) {
  const Graph g = small_graph();
  const auto with = [&](const std::vector<Tensor>& inputs, const SymbolValues& symbols = {}) {
    return message_of([&] { interpret(g, inputs, symbols); });
  };
  expect_words(with({}), {"expected 1 inputs", "given 0"});
  expect_words(with({Tensor::zeros(Precision::i64, {1, 1, 2})}), {"'x'", "f32", "i64"});
  expect_words(with({Tensor::zeros(Precision::f32, {1, 2})}), {"'x'", "rank 3", "rank 2"});
  expect_words(with({Tensor::zeros(Precision::f32, {1, 1, 3})}),
               {"dimension 2 of input 'x'", "expected 2", "given 3"});
  expect_words(with({Tensor::zeros(Precision::f32, {1, 5, 2})}, {{"S", 4}}),
               {"dimension 1 of input 'x'", "S = 4", "given 5"});
}

TEST(Interpret, MessagesNameTheNode) {
  Graph g;
  const ValueId table = g.add_input("table", Precision::f32, {3, 2});
  const ValueId ids = g.add_input("ids", Precision::i64, {sym("S")});
  g.outputs = {g.add_op(OpKind::Gather, "embedding", {table, ids})};
  expect_words(
      message_of([&] {
        interpret(g, {Tensor::zeros(Precision::f32, {3, 2}), Tensor::from_i64({2}, {0, 3})});
      }),
      {"node 'embedding' (Gather)", "index 3", "3 elements"});
}

TEST(Interpret, SymbolsThatDisagreeAreAnError) {
  Graph g;
  const ValueId a = g.add_input("a", Precision::f32, {sym("S")});
  const ValueId b = g.add_input("b", Precision::f32, {sym("S")});
  g.outputs = {g.add_op(OpKind::Add, "c", {a, b})};
  expect_words(
      message_of([&] {
        interpret(g, {Tensor::zeros(Precision::f32, {3}), Tensor::zeros(Precision::f32, {1})});
      }),
      {"dimension 0 of input 'b'", "S = 3", "given 1"});
}

TEST(Interpret, ChecksFacts) {
  Graph g;
  const ValueId x = g.add_input("x", Precision::f32, {sym("S")});
  g.outputs = {g.add_op(OpKind::Neg, "y", {x})};
  g.facts.assume_divides(4, sym("S"), "dimension 0 of input 'x'");
  EXPECT_NO_THROW(interpret(g, {Tensor::zeros(Precision::f32, {8})}));
  expect_words(message_of([&] { interpret(g, {Tensor::zeros(Precision::f32, {6})}); }),
               {"dimension 0 of input 'x'", "4", "6"});
}

TEST(Interpret, IntegersDividedByZeroAreTheRemainder) {
  Graph g;
  const ValueId x = g.add_input("x", Precision::i64, {2});
  const ValueId y = g.add_input("y", Precision::i64, {1});
  g.outputs = {g.add_op(OpKind::Div, "quotient", {x, y}), g.add_op(OpKind::Mod, "modulo", {x, y})};
  const auto results = interpret(g, {Tensor::from_i64({2}, {7, -7}), Tensor::from_i64({1}, {0})});
  for (const std::int64_t i : {0, 1}) {
    EXPECT_EQ(results[0].int_at(i), 0);
    EXPECT_EQ(results[1].int_at(i), i == 0 ? 7 : -7);
  }
}

TEST(Interpret, ThreadsShareAGraph) {
  const Graph g = small_graph();
  std::vector<std::thread> threads;
  std::vector<float> results(4);
  for (std::size_t t = 0; t < results.size(); ++t)
    threads.emplace_back([&, t] {
      const auto n = static_cast<std::int64_t>(t) + 1;
      Tensor x = Tensor::zeros(Precision::f32, {n, 100, 2});
      for (std::int64_t i = 0; i < x.size(); ++i) x.set(i, static_cast<double>(n));
      results[t] = interpret(g, {x})[0].as<float>()[0];
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(results, (std::vector<float>{11, 22, 33, 44}));
}

TEST(EvaluateNode, FoldsANode) {
  Graph g;
  const ValueId a = g.add_constant("a", Tensor::from_i64({2}, {7, -7}));
  const ValueId b = g.add_constant("b", Tensor::from_i64({}, {2}));
  const NodeId id = g.add_node(OpKind::Div, "c", {a, b});
  const auto results = evaluate_node(
      g, g.node(id), {PlainTensor(*g.value(a).constant), PlainTensor(*g.value(b).constant)});
  EXPECT_EQ(integers(results[0].to_tensor(Precision::i64)), (std::vector<std::int64_t>{3, -3}));
}

TEST(PlainTensor, ConvertsAndWraps) {
  const PlainTensor numbers(Dims{3}, std::vector<std::int64_t>{-1, 256, 7});
  const Tensor bytes = numbers.to_tensor(Precision::u8);
  EXPECT_EQ(bytes.int_at(0), 255);
  EXPECT_EQ(bytes.int_at(1), 0);
  EXPECT_EQ(numbers.to_tensor(Precision::boolean).int_at(1), 1);
  EXPECT_THROW(numbers.to_tensor(Precision::f32), Error);
  EXPECT_THROW(numbers.data<double>(), Error);
  EXPECT_THROW(numbers.reshaped({2}), Error);
  EXPECT_THROW(PlainTensor(Dims{2}, std::vector<double>{1}), Error);

  const PlainTensor halves(Tensor::from_f32({2, 1}, {0.5F, 1.5F}));
  EXPECT_EQ(halves.data<double>()[1], 1.5);
  const PlainTensor flat = halves.reshaped({2});
  EXPECT_EQ(flat.data<double>(), halves.data<double>()) << "a reshape copies nothing";
  EXPECT_EQ(flat.to_tensor(Precision::f32).dims(), (Dims{2}));
  EXPECT_EQ(flat.to_tensor(Precision::f16).at(1), 1.5);
  EXPECT_FALSE(PlainTensor().present());
}

}  // namespace
}  // namespace burin
