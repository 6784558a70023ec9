#include "plugins/onnxruntime/clusters.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace burin::ort {

Clusters::Clusters(const ModelIndex& model)
    : model_(model), cluster_(model.model().nodes.size()), members_(cluster_.size()), taken_(cluster_.size()) {
  std::iota(cluster_.begin(), cluster_.end(), 0U);
  for (std::size_t i = 0; i < members_.size(); ++i) members_[i] = {i};
}

std::optional<std::string> Clusters::why_not(const std::set<std::size_t>& nodes) const {
  const auto taken = std::find_if(nodes.begin(), nodes.end(), [&](std::size_t i) { return taken_[i]; });
  if (taken != nodes.end()) return fmt::format("'{}' is claimed already", model_.node(*taken).name);
  // A way from the nodes to them that leads through others would be a cycle.
  std::vector<bool> seen(cluster_.size(), false);
  std::vector<std::size_t> open;
  const auto leave = [&](std::size_t from, bool is_first) -> std::optional<std::string> {
    for (const std::size_t member : members_[from])
      for (const std::string& output : model_.node(member).outputs) {
        if (output.empty()) continue;
        for (const std::size_t reader : model_.readers(output)) {
          if (nodes.contains(reader)) {
            if (is_first) continue;
            return fmt::format("'{}' lies between its nodes", model_.node(member).name);
          }
          const std::size_t cluster = cluster_[reader];
          if (!seen[cluster]) open.push_back(cluster);
          seen[cluster] = true;
        }
      }
    return std::nullopt;
  };
  for (const std::size_t i : nodes) leave(i, true);
  while (!open.empty()) {
    const std::size_t cluster = open.back();
    open.pop_back();
    if (auto reason = leave(cluster, false)) return reason;
  }
  return std::nullopt;
}

void Clusters::merge(const std::set<std::size_t>& nodes) {
  const std::size_t first = *nodes.begin();
  for (const std::size_t i : nodes) {
    cluster_[i] = first;
    taken_[i] = true;
  }
  members_[first].assign(nodes.begin(), nodes.end());
}

}  // namespace burin::ort
