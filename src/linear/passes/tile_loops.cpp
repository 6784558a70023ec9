// Gives each loop the step that one iteration computes at once in registers (rows or lanes), from the schedule:
//
//     loop _k in 0..S {                             loop _k in 0..S step 8 partial {
//       %acc = fill 0 over(_k, _q)                    %acc = fill 0 over(_k, _q)
//       loop _d in 0..64 {                  ->        loop _d in 0..64 {
//         %acc = update_fma %acc, %a, %b } }            %acc = update_fma %acc, %a, %b } }
//
// Along a path at most one row loop is tiled: the outermost that has a reason. Around several loops that is none: what
// they hand on would be a tile of this loop, for which their buffers have no room.

#include <algorithm>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

bool is_innermost(const Loop& loop) {
  return std::none_of(loop.body().begin(), loop.body().end(), [](const Item& i) { return i.is_loop(); });
}

bool has_several_loops(const Loop& loop) {
  return std::count_if(loop.body().begin(), loop.body().end(), [](const Item& i) { return i.is_loop(); }) > 1;
}

bool transposes(const Loop& loop, const std::string& lane) {
  return std::any_of(loop.body().begin(), loop.body().end(), [&](const Item& i) {
    if (i.is_loop() || !is_memory(i.expression)) return false;
    const auto c = i.expression.index.coefficient(loop.var);
    return access_mode(i.expression, lane) == AccessMode::across && c && *c == Expr(1);
  });
}

class Tiling {
 public:
  Tiling(LinearIR& ir, const Schedule& schedule) : ir_(ir), schedule_(schedule) {
    if (schedule.few_queries) varies_ = dependences(ir);
  }

  bool run() {
    visit(ir_.phases, "", false);
    return changed_;
  }

 private:
  void visit(Block& block, const std::string& lane, bool tiled) {
    for (Item& item : block) {
      if (!item.is_loop() || item.loop->brgemm) continue;
      Loop& loop = *item.loop;
      if (loop.lanes) set_step(loop, lane_step(loop, block));
      const bool row = !loop.lanes && !loop.parallel && !loop.condition && !is_block_loop(loop) && !tiled && loop.versions.front().step == 1;
      if (row) set_step(loop, row_step(loop, lane));
      visit(loop.body(), loop.lanes ? loop.var : lane, tiled || (row && loop.versions.front().step > 1));
    }
  }

  std::int64_t lane_step(const Loop& loop, const Block& around) const {
    if (!schedule_.few_queries || !holds_product(loop)) return schedule_.lane_steps.front();
    return folds(loop, around) ? ir_.lanes : schedule_.product_lanes;
  }

  /// Whether the products that the loop sums are folded across its lanes.
  static bool folds(const Loop& loop, const Block& around) {
    const std::set<ValueId> sums = sums_of_products(loop.body());
    return std::any_of(around.begin(), around.end(), [&](const Item& item) {
      return !item.is_loop() && info(item.expression.op).kind == OpClass::lanes && sums.contains(item.expression.in[0]);
    });
  }

  std::int64_t row_step(const Loop& loop, const std::string& lane) const {
    if (lane.empty() && schedule_.few_queries && holds_product(loop)) return row_step_around_lanes(loop);
    if (lane.empty() && (schedule_.side_by_side || schedule_.packed_rows) && !has_several_loops(loop)) return schedule_.elementwise_rows.front();
    if (lane.empty()) return 1;  // a lane loop inside computes a row at a time
    if (transposes(loop, lane)) return schedule_.transposed_rows.front();
    if (holds_product(loop)) return is_innermost(loop) || has_several_loops(loop) ? 1 : schedule_.product_rows.front();
    return is_innermost(loop) ? schedule_.elementwise_rows.front() : 1;
  }

  /// Rows whose sums are folded together are those of the right operand; of another product, rows that share it. Of
  /// several loops it is the innermost.
  std::int64_t row_step_around_lanes(const Loop& loop) const {
    const std::set<std::string>& of_operand = varies_[right_operand(loop.body())];
    const bool folded = holds_folded_product(loop);
    const auto is_row = [&](const Loop& l) { return (of_operand.count(l.var) != 0) == folded; };
    bool innermost = is_row(loop);
    for_each_loop(loop.body(), [&](const Loop& inner) { innermost &= inner.lanes || !is_row(inner); });
    if (!innermost) return 1;
    return folded ? schedule_.folded_rows.front() : schedule_.product_rows.front();
  }

  static ValueId right_operand(const Block& block) {
    ValueId found = kNone;
    for_each_expression(block, [&](const Expression& e) {
      if (e.op == Op::update_fma && found == kNone) found = e.in[2];
    });
    return found;
  }

  void set_step(Loop& loop, std::int64_t step) {
    if (loop.versions.front().step == step) return;
    loop.versions.front().step = step;
    loop.versions.front().partial = true;
    changed_ = true;
  }

  LinearIR& ir_;
  const Schedule& schedule_;
  std::vector<std::set<std::string>> varies_;
  bool changed_ = false;
};

}  // namespace

bool tile_loops(LinearIR& ir, const Schedule& schedule) { return Tiling(ir, schedule).run(); }

}  // namespace burin::linear
