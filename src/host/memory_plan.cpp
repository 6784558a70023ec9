#include "host/memory_plan.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "support/aligned_memory.h"

namespace burin::host {
namespace {

bool live_together(const MemoryRequest& a, const MemoryRequest& b) {
  return a.first <= b.last && b.first <= a.last;
}

}  // namespace

MemoryPlan plan_memory(const std::vector<MemoryRequest>& requests) {
  std::vector<std::size_t> by_size(requests.size());
  std::iota(by_size.begin(), by_size.end(), 0);
  std::stable_sort(by_size.begin(), by_size.end(),
                   [&](std::size_t a, std::size_t b) { return requests[a].bytes > requests[b].bytes; });

  MemoryPlan plan;
  plan.offsets.resize(requests.size());
  std::vector<std::size_t> placed;  // in order of their offsets
  for (const std::size_t r : by_size) {
    const std::size_t need = aligned_size(requests[r].bytes);
    std::size_t end = 0;  // of what is taken, so far
    std::size_t best = 0, best_gap = std::numeric_limits<std::size_t>::max();
    for (const std::size_t p : placed) {
      if (!live_together(requests[r], requests[p])) continue;
      const std::size_t begin = plan.offsets[p];
      if (begin > end && begin - end >= need && begin - end < best_gap) {
        best = end;
        best_gap = begin - end;
      }
      end = std::max(end, begin + aligned_size(requests[p].bytes));
    }
    plan.offsets[r] = best_gap == std::numeric_limits<std::size_t>::max() ? end : best;
    plan.bytes = std::max(plan.bytes, plan.offsets[r] + need);
    const auto at = std::upper_bound(placed.begin(), placed.end(), r, [&](std::size_t a, std::size_t b) {
      return plan.offsets[a] < plan.offsets[b];
    });
    placed.insert(at, r);
  }
  return plan;
}

}  // namespace burin::host
