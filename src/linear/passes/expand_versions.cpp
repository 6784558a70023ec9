// Whether a tail exists is a run-time question: each tiled loop gets narrower versions of its body behind the wide one,
// down to one row, or to one (partial) vector of lanes:
//
//     loop _k in 0..S step 8 partial { ... }    ->    loop _k in 0..S { step 8 {...} step 4 {...} step 1 {...} }
//
// Where the extent is a constant, only the versions that will run are made. In narrower versions of the lane loop a tile
// of a product may have more rows, so that its sums still are many.

#include <algorithm>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

class Expansion {
 public:
  Expansion(LinearIR& ir, const Schedule& schedule) : ir_(ir), schedule_(schedule) {}

  bool run() {
    visit(ir_.phases, schedule_.lane_steps.front());
    return changed_;
  }

 private:
  void visit(Block& block, std::int64_t lanes) {
    for (Item& item : block) {
      if (!item.is_loop()) continue;
      Loop& loop = *item.loop;
      if (!loop.parallel && loop.versions.size() == 1 && loop.versions.front().partial && !is_block_loop(loop))
        expand(loop, lanes);
      for (Loop::Version& v : loop.versions) visit(v.body, loop.lanes ? v.step : lanes);
    }
  }

  std::vector<std::int64_t> steps_of(const Loop& loop, std::int64_t lanes) const {
    if (loop.lanes) return schedule_.lane_steps;
    for (const auto* steps : {&schedule_.transposed_rows, &schedule_.elementwise_rows})
      if (steps->front() == loop.versions.front().step && !holds_product(loop)) return *steps;
    return schedule_.product_rows_of(lanes);
  }

  void expand(Loop& loop, std::int64_t lanes) {
    Block body = std::move(loop.body());
    loop.versions.clear();
    const std::vector<std::int64_t> steps = steps_of(loop, lanes);
    auto rest = (loop.end - loop.begin).as_constant();
    for (std::int64_t step : steps) {
      const bool last = step == steps.back();
      if (rest && *rest < step && !(last && *rest > 0)) continue;
      const bool partial = last && loop.lanes && !(rest && *rest % step == 0);
      loop.versions.push_back({step, partial, clone(body)});
      if (rest) *rest = partial ? 0 : *rest % step;
    }
    if (loop.versions.empty()) loop.versions.push_back({steps.back(), loop.lanes, std::move(body)});
    changed_ = true;
  }

  LinearIR& ir_;
  const Schedule& schedule_;
  bool changed_ = false;
};

}  // namespace

bool expand_versions(LinearIR& ir, const Schedule& schedule) { return Expansion(ir, schedule).run(); }

}  // namespace burin::linear
