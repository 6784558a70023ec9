// Whether a tail exists is a run-time question: each tiled loop gets narrower versions of its body behind the wide one,
// down to the last that the schedule names. Where that is not 1, it is partial and takes what is left (a masked vector, a
// tile that is configured at run time):
//
//     loop _k in 0..S step 8 partial { ... }    ->    loop _k in 0..S { step 8 {...} step 4 {...} step 1 {...} }
//     lanes _q in 0..S step 48 partial { ... }  ->    lanes _q in 0..S { step 48 {...} step 16 partial {...} }
//
// On targets with masks a narrower version of several vectors is partial, too: it takes what is more than the next one
// would, and only its last vector is masked,
//
//     lanes _q in 0..S step 48 partial { ... }  ->    lanes _q in 0..S { step 48 {...} step 32 partial {...}
//                                                                        step 16 partial {...} }
//
// Where the extent is a constant, or a known multiple of a step, only the versions that can run are made; what is left of a
// constant is one tile. In narrower versions of the lane loop a tile of a product may have more rows, so that its sums
// still are many. Beside masked lanes tiles that are transposed may be others.

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
      const bool has_rows = !loop.lanes && !is_block_loop(loop) && !loop.parallel;
      for (Loop::Version& v : loop.versions) {
        const std::int64_t around = rows_;
        const bool masked_around = masked_lanes_;
        if (has_rows) rows_ *= v.step;
        if (loop.lanes) masked_lanes_ = v.partial;
        visit(v.body, loop.lanes ? v.step : lanes);
        rows_ = around;
        masked_lanes_ = masked_around;
      }
    }
  }

  std::vector<std::int64_t> steps_of(const Loop& loop, std::int64_t lanes) const {
    if (loop.lanes) return lane_steps(loop);
    if (schedule_.few_queries && holds_product(loop))
      return up_to(loop.versions.front().step, holds_folded_product(loop) ? schedule_.folded_rows : schedule_.product_rows);
    const std::int64_t widest = loop.versions.front().step;
    // (Rows side by side may be as many as those of a square tile.)
    if (widest == schedule_.elementwise_rows.front()) return schedule_.elementwise_rows;
    if (widest == schedule_.transposed_rows.front()) return masked_lanes_ ? schedule_.transposed_rows_of_last : schedule_.transposed_rows;
    return schedule_.product_rows_of(lanes);
  }

  /// Those of the schedule, no wider than the loop has; a product's may be wider where it has fewer rows.
  std::vector<std::int64_t> lane_steps(const Loop& loop) const {
    std::vector<std::int64_t> steps = schedule_.lane_steps;
    const std::int64_t widest = loop.versions.front().step;
    if (widest > steps.front() && rows_ * widest <= schedule_.product_rows.front() * steps.front()) steps.insert(steps.begin(), widest);
    return up_to(widest, std::move(steps));
  }

  static std::vector<std::int64_t> up_to(std::int64_t widest, std::vector<std::int64_t> steps) {
    std::erase_if(steps, [&](std::int64_t step) { return step > widest; });
    return steps;
  }

  /// Whether this step, behind the versions that the loop has, comes to the end of each extent.
  bool leaves_nothing(const Loop& loop, const Expr& extent, std::int64_t step) const {
    const auto is_multiple = [&](const Loop::Version& wider) { return wider.step % step == 0; };
    return std::ranges::all_of(loop.versions, is_multiple) && ir_.facts.proves_divides(step, extent);
  }

  void expand(Loop& loop, std::int64_t lanes) {
    const std::int64_t widest = loop.versions.front().step;
    const std::vector<std::int64_t> steps = steps_of(loop, lanes);
    const Block body = std::move(loop.body());
    loop.versions.clear();
    const auto extent = (loop.end - loop.begin).as_constant();
    const auto add = [&](std::int64_t step, bool partial) { loop.versions.push_back({step, partial, clone(body)}); };
    if (extent && loop.lanes && leaves_one_tile(*extent, steps.front()))
      expand_into_tiles(*extent, steps.front(), add);
    else
      expand_into_steps(loop, steps, add);
    if (loop.versions.empty()) add(steps.back(), steps.back() > 1);
    const Loop::Version& first = loop.versions.front();
    changed_ |= loop.versions.size() > 1 || !first.partial || first.step != widest;
  }

  std::int64_t whole_vectors(std::int64_t elements) const { return (elements + ir_.lanes - 1) / ir_.lanes * ir_.lanes; }

  /// Whether what whole steps leave of a constant can be a narrower tile.
  bool leaves_one_tile(std::int64_t extent, std::int64_t step) const {
    const std::int64_t rest = extent % step;
    return (schedule_.masked_tiles || rest % ir_.lanes == 0) && (extent < step || whole_vectors(rest) < step);
  }

  template <typename Add>
  void expand_into_tiles(std::int64_t extent, std::int64_t step, Add&& add) const {
    const std::int64_t rest = extent % step;
    if (extent >= step) add(step, false);
    if (rest > 0) add(whole_vectors(rest), rest % ir_.lanes != 0);
  }

  template <typename Add>
  void expand_into_steps(const Loop& loop, const std::vector<std::int64_t>& steps, Add&& add) const {
    const Expr extent = loop.end - loop.begin;
    auto rest = extent.as_constant();
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const std::int64_t step = steps[i];
      const bool last = i + 1 == steps.size();
      if (rest && *rest < step && !(last && *rest > 0)) continue;
      const bool whole = rest ? *rest % step == 0 : leaves_nothing(loop, extent, step);
      const bool masked = loop.lanes && !rest && schedule_.masked_tiles && i > 0 && !last && step - steps[i + 1] == ir_.lanes &&
                          !ir_.facts.proves_divides(ir_.lanes, extent);
      const bool partial = !whole && ((last && step > 1) || masked);
      add(step, partial);
      if (whole) break;
      if (rest) *rest = partial ? 0 : *rest % step;
    }
  }

  LinearIR& ir_;
  const Schedule& schedule_;
  std::int64_t rows_ = 1;      ///< of the tile around
  bool masked_lanes_ = false;  ///< of the version around
  bool changed_ = false;
};

}  // namespace

bool expand_versions(LinearIR& ir, const Schedule& schedule) { return Expansion(ir, schedule).run(); }

}  // namespace burin::linear
