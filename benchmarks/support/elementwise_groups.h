#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "burin/graph.h"

namespace burin::bench {

/// An element-wise group at dynamic shapes, as transformers and diffusion models have it.
struct ElementwiseGroup {
  std::string name;
  std::string text;  ///< the Graph
  /// Of its symbols: inside of the second-level cache, and beyond all caches.
  std::vector<std::map<std::string, std::int64_t>> shapes;
};
const std::vector<ElementwiseGroup>& elementwise_groups();

/// "B1_S64_H12", as it stands in a benchmark's name.
std::string to_string(const std::map<std::string, std::int64_t>& symbols);

/// Bytes of all inputs and outputs.
std::int64_t bytes_of(const Graph& body, const std::map<std::string, std::int64_t>& symbols);

/// c = a + b, of N elements.
Graph addition();

}  // namespace burin::bench
