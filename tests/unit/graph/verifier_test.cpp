// One test for each invariant that graph/verifier.cpp lists: break it, and see it named.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "burin/error.h"
#include "burin/graph.h"

namespace burin {
namespace {

Graph example() {
  return parse_graph(R"(graph @g(%x: f32[B,S], %y: f32[B,S]) {
    %k = const i64[2] {3, 4}
    %shape = shape %x
    %sum = add %x, %y
    %soft = softmax %sum, axis=-1
    %0 = gather %sum, %k, axis=1
    return %soft, %0
  })");
}

ValueId find(const Graph& graph, const std::string& name) {
  for (ValueId id = 0; id < graph.value_count(); ++id)
    if (graph.value(id).name == name) return id;
  throw Error("no value " + name);
}

Node& producer(Graph& graph, const std::string& name) {
  return graph.node(graph.value(find(graph, name)).producer);
}

/// The verifier's complaint about the example after `change`.
std::string complaint(const std::function<void(Graph&)>& change) {
  Graph graph = example();
  verify(graph);
  change(graph);
  try {
    verify(graph);
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

#define EXPECT_COMPLAINT(part, ...) \
  EXPECT_PRED_FORMAT2(testing::IsSubstring, part, complaint([](Graph& g) { __VA_ARGS__; }))

TEST(Verifier, Ids) {
  EXPECT_COMPLAINT("graph 'g': input 99 does not exist", g.inputs.push_back(99));
  EXPECT_COMPLAINT("output 99 does not exist", g.outputs.push_back(99));
  EXPECT_COMPLAINT("output 4294967295 does not exist", g.outputs.push_back(kNone));
  EXPECT_COMPLAINT("node 'sum' (Add) reads value 99", producer(g, "sum").inputs[0] = 99);
  EXPECT_COMPLAINT("node 'sum' (Add): input 1 is missing", producer(g, "sum").inputs[1] = kNone);
  EXPECT_COMPLAINT("produces value 99", producer(g, "sum").outputs[0] = 99);
  EXPECT_COMPLAINT("whose producer is another", producer(g, "soft").outputs[0] = find(g, "sum"));
  EXPECT_COMPLAINT("has the output value 'sum' twice",
                   producer(g, "sum").outputs.push_back(find(g, "sum")));
  EXPECT_COMPLAINT("the producer of value 'x', node 77", g.value(find(g, "x")).producer = 77);
  EXPECT_COMPLAINT("not among the outputs of node 'sum'",
                   g.value(find(g, "k")).producer = g.value(find(g, "sum")).producer);
}

TEST(Verifier, Inputs) {
  EXPECT_COMPLAINT("input value 'x' occurs twice", g.inputs.push_back(find(g, "x")));
  EXPECT_COMPLAINT("input value 'sum' is produced by a node", g.inputs.push_back(find(g, "sum")));
  EXPECT_COMPLAINT("input value 'k' is a constant", g.inputs.push_back(find(g, "k")));
  EXPECT_COMPLAINT("two inputs are named 'x'", g.value(find(g, "y")).name = "x");
}

TEST(Verifier, DataFlow) {
  EXPECT_COMPLAINT("node 'sum' (Add) reads value 'y', which nothing produces", g.inputs.pop_back());
  EXPECT_COMPLAINT("reads value 'sum', which nothing produces",
                   g.erase_node(g.value(find(g, "sum")).producer));
  EXPECT_COMPLAINT("nothing produces the output value 'soft'",
                   g.erase_node(g.value(find(g, "soft")).producer));
  EXPECT_COMPLAINT("has a cycle through node", producer(g, "sum").inputs[0] = find(g, "soft"));
}

TEST(Verifier, Values) {
  EXPECT_COMPLAINT("dimension 0 of value 'x' is -4", g.value(find(g, "x")).shape[0] = -4);
  EXPECT_COMPLAINT("value 'k' is declared as i32[2]; its contents are i64[2]",
                   g.value(find(g, "k")).precision = Precision::i32);
  EXPECT_COMPLAINT("value 'k' is declared as i64[3]", g.value(find(g, "k")).shape[0] = 3);
  EXPECT_COMPLAINT("element 0 of the constant value 'k' is not 5",
                   g.value(find(g, "k")).elements = std::vector<Expr>{5, 4});
  EXPECT_COMPLAINT("has 3 known elements",
                   g.value(find(g, "shape")).elements = std::vector<Expr>{1, 2, 3});
  EXPECT_COMPLAINT("has known elements, and is no integer",
                   g.value(find(g, "x")).elements = std::vector<Expr>{1});
}

TEST(Verifier, Inference) {
  EXPECT_COMPLAINT("node 'soft' (Softmax): it takes 1 inputs",
                   producer(g, "soft").inputs.push_back(find(g, "x")));
  EXPECT_COMPLAINT("axis 5 is out of range",
                   producer(g, "soft").attributes["axis"] = std::int64_t{5});
  EXPECT_COMPLAINT("attribute 'axis' is not in its canonical form",
                   producer(g, "soft").attributes["axis"] = std::int64_t{-1});
  EXPECT_COMPLAINT("attribute 'axis' is not in its canonical form",
                   producer(g, "soft").attributes.clear());
  EXPECT_COMPLAINT("its output value 'soft' is declared as f16[B,S]; it is f32[B,S]",
                   g.value(find(g, "soft")).precision = Precision::f16);
  EXPECT_COMPLAINT("is declared as f32[B]; it is", g.value(find(g, "soft")).shape.pop_back());
  EXPECT_COMPLAINT("its output value #", g.value(g.outputs[1]).shape[1] = 3);
  // Another expression may be the same number.
  EXPECT_COMPLAINT("none", g.value(find(g, "soft")).shape[1] = Expr::symbol("T"));
}

TEST(Verifier, Subgraphs) {
  const auto body = std::make_shared<Graph>(example());
  const auto with_subgraph = [&] {
    Graph graph;
    graph.name = "outer";
    const ValueId x = graph.add_input("x", Precision::f32, {Expr::symbol("M"), Expr::symbol("N")});
    const NodeId node = graph.add_subgraph("part", {x, x}, body);
    graph.outputs = graph.node(node).outputs;
    return graph;
  };
  Graph good = with_subgraph();
  EXPECT_NO_THROW(verify(good));
  EXPECT_EQ(to_string(good.value(good.outputs[0]).shape), "[M,N]");

  const auto message = [](const Graph& graph) -> std::string {
    try {
      verify(graph);
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  };
  Graph without = with_subgraph();
  without.node(0).body = nullptr;
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "it has no body", message(without));
  Graph stray = example();
  producer(stray, "sum").body = body;
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "node 'sum' (Add) has a body", message(stray));
  Graph broken = with_subgraph();
  auto bad_body = std::make_shared<Graph>(example());
  bad_body->outputs[0] = 99;
  broken.node(0).body = bad_body;
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "node 'part' (Subgraph): graph 'g': output 99",
                      message(broken));
}

TEST(Verifier, NestingIsLimited) {
  auto graph = std::make_shared<Graph>(example());
  for (int i = 0; i < 20; ++i) {
    auto outer = std::make_shared<Graph>();
    const ValueId x = outer->add_input("x", Precision::f32, {Expr::symbol("B"), Expr::symbol("S")});
    const ValueId y = outer->add_input("y", Precision::f32, {Expr::symbol("B"), Expr::symbol("S")});
    const NodeId node = outer->add_subgraph("part", {x, y}, graph);
    outer->outputs = outer->node(node).outputs;
    graph = outer;
  }
  EXPECT_THROW(verify(*graph), Error);
}

TEST(Verifier, ErasedNodesAreNotChecked) {
  Graph graph = example();
  graph.outputs.pop_back();
  graph.erase_dead_nodes();
  EXPECT_NO_THROW(verify(graph));
}

}  // namespace
}  // namespace burin
