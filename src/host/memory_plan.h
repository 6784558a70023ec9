#pragma once

#include <cstddef>
#include <vector>

namespace burin::host {

/// A piece of memory that is needed from one step to another, both included.
struct MemoryRequest {
  std::size_t bytes = 0;
  std::size_t first = 0, last = 0;
};

struct MemoryPlan {
  std::vector<std::size_t> offsets;  ///< of the requests, multiples of kMemoryAlignment
  std::size_t bytes = 0;             ///< of the arena
};

/// Places requests in one arena so that no two overlap that are needed at the same step: the largest first, each in
/// the smallest gap that fits (greedy by size; Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net
/// Inference", 2020).
MemoryPlan plan_memory(const std::vector<MemoryRequest>& requests);

}  // namespace burin::host
