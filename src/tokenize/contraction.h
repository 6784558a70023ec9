#pragma once

#include <cstdint>
#include <vector>

#include "burin/graph.h"

namespace burin {

/// A graph whose nodes are contracted into clusters, one merge at a time, and stays without cycles.
///
/// That each cluster is convex by itself does not suffice. With the edges a1 -> b1 and b2 -> a2,
/// both {a1, a2} and {b1, b2} are convex (no path leaves one and comes back); contracted together,
/// they read each other's results:
///
///     a1 -> b1                {a1, a2} -> {b1, b2}
///     b2 -> a2       gives    {b1, b2} -> {a1, a2}
///
/// So every merge is tested against the graph as contracted so far.
class Contraction {
 public:
  explicit Contraction(const Graph& graph);

  /// The cluster that the node is in: the id of one of its members.
  NodeId cluster(NodeId node) const;
  /// In the order of the graph.
  std::vector<NodeId> members(NodeId node) const;
  /// A path from one cluster to the other leads through a third one (so that a merge would close a
  /// cycle).
  bool makes_cycle(NodeId a, NodeId b) const;
  /// Merges the clusters of two nodes; they must not make a cycle.
  void merge(NodeId a, NodeId b);

 private:
  bool reaches_around(NodeId from, NodeId to) const;

  struct Cluster {
    std::vector<NodeId> members;
    std::size_t first = 0, last = 0;  ///< positions of its members in the order of the graph
  };
  mutable std::vector<NodeId> parent_;  ///< union-find
  std::vector<Cluster> clusters_;
  std::vector<std::size_t> position_;
  std::vector<std::vector<NodeId>> successors_;  ///< of nodes
};

}  // namespace burin
