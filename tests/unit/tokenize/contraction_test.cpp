#include "tokenize/contraction.h"

#include <gtest/gtest.h>

namespace burin {
namespace {

NodeId node_of(const Graph& graph, const std::string& name) {
  for (const NodeId id : graph.order())
    if (graph.node(id).name == name) return id;
  ADD_FAILURE() << "no node " << name;
  return kNone;
}

TEST(Contraction, PairwiseConvexGroupsMayStillMakeACycle) {
  // Nothing leads from a1 to a2 or from b1 to b2, so each pair alone is convex.
  const Graph graph = parse_graph(R"(graph @g(%x: f32[S], %y: f32[S]) {
    %a1 = exp %x
    %b1 = neg %a1
    %b2 = exp %y
    %a2 = neg %b2
    return %b1, %a2
  })");
  const NodeId a1 = node_of(graph, "a1"), a2 = node_of(graph, "a2");
  const NodeId b1 = node_of(graph, "b1"), b2 = node_of(graph, "b2");
  Contraction contraction(graph);
  EXPECT_FALSE(contraction.makes_cycle(a1, a2));
  EXPECT_FALSE(contraction.makes_cycle(b1, b2));
  contraction.merge(a1, a2);
  EXPECT_TRUE(contraction.makes_cycle(b1, b2));
  EXPECT_THROW(contraction.merge(b1, b2), std::runtime_error);
  EXPECT_FALSE(contraction.makes_cycle(a1, b1))
      << "an edge between the two is no cycle: they become one";
}

TEST(Contraction, PathAroundIsACycle) {
  const Graph graph = parse_graph(R"(graph @g(%x: f32[S]) {
    %a = exp %x
    %b = neg %a
    %c = add %a, %b
    %d = add %c, %a
    return %d
  })");
  Contraction contraction(graph);
  const NodeId a = node_of(graph, "a"), b = node_of(graph, "b"), c = node_of(graph, "c"),
               d = node_of(graph, "d");
  EXPECT_TRUE(contraction.makes_cycle(a, c));
  EXPECT_TRUE(contraction.makes_cycle(a, d));
  contraction.merge(a, b);
  EXPECT_EQ(contraction.cluster(a), contraction.cluster(b));
  EXPECT_FALSE(contraction.makes_cycle(a, c));
  EXPECT_TRUE(contraction.makes_cycle(b, d));
  contraction.merge(c, a);
  contraction.merge(d, b);
  EXPECT_EQ(contraction.members(c), (std::vector<NodeId>{a, b, c, d}));
}

}  // namespace
}  // namespace burin
