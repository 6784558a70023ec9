#include "tokenize/contraction.h"

#include <algorithm>
#include <numeric>

#include "burin/error.h"

namespace burin {

Contraction::Contraction(const Graph& graph)
    : parent_(graph.node_count()),
      clusters_(graph.node_count()),
      position_(graph.node_count()),
      successors_(graph.node_count()) {
  std::iota(parent_.begin(), parent_.end(), 0);
  const std::vector<NodeId> order = graph.order();
  for (std::size_t i = 0; i < order.size(); ++i) {
    position_[order[i]] = i;
    clusters_[order[i]] = {{order[i]}, i, i};
    for (const ValueId input : graph.node(order[i]).inputs) {
      if (input == kNone || graph.value(input).producer == kNone) continue;
      successors_[graph.value(input).producer].push_back(order[i]);
    }
  }
}

NodeId Contraction::cluster(NodeId node) const {
  while (parent_[node] != node) {
    parent_[node] = parent_[parent_[node]];
    node = parent_[node];
  }
  return node;
}

std::vector<NodeId> Contraction::members(NodeId node) const {
  std::vector<NodeId> members = clusters_[cluster(node)].members;
  std::sort(members.begin(), members.end(),
            [&](NodeId a, NodeId b) { return position_[a] < position_[b]; });
  return members;
}

bool Contraction::makes_cycle(NodeId a, NodeId b) const {
  a = cluster(a);
  b = cluster(b);
  return a != b && (reaches_around(a, b) || reaches_around(b, a));
}

/// A search over clusters that does not take edges from `from` straight to `to`. A cluster whose
/// first member stands behind the last one of `to` cannot reach it.
bool Contraction::reaches_around(NodeId from, NodeId to) const {
  std::vector<bool> seen(clusters_.size());
  std::vector<NodeId> open = {from};
  seen[from] = true;
  while (!open.empty()) {
    const NodeId current = open.back();
    open.pop_back();
    for (const NodeId member : clusters_[current].members) {
      for (const NodeId successor : successors_[member]) {
        const NodeId next = cluster(successor);
        if (next == to) {
          if (current != from) return true;
          continue;
        }
        if (seen[next] || clusters_[next].first >= clusters_[to].last) continue;
        seen[next] = true;
        open.push_back(next);
      }
    }
  }
  return false;
}

void Contraction::merge(NodeId a, NodeId b) {
  a = cluster(a);
  b = cluster(b);
  if (a == b) return;
  if (makes_cycle(a, b)) throw Error("tokenizer: contracting two clusters would make a cycle");
  if (clusters_[a].members.size() < clusters_[b].members.size()) std::swap(a, b);
  parent_[b] = a;
  Cluster& into = clusters_[a];
  Cluster& from = clusters_[b];
  into.members.insert(into.members.end(), from.members.begin(), from.members.end());
  into.first = std::min(into.first, from.first);
  into.last = std::max(into.last, from.last);
  from.members.clear();
}

}  // namespace burin
