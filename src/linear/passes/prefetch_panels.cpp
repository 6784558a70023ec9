// A constant matrix is read panel by panel, each as often as there are tiles of rows: the first time from memory, where
// the arithmetic waits for it. So all tiles together bring the next panel, meanwhile, into the second-level cache, each a
// part of every row of it:
//
//     parallel _n.b in 0..N step 48 {                  parallel _n.b in 0..N step 48 {
//       lanes _n in _n.b.._n.b + 48 {                    lanes _n in _n.b.._n.b + 48 {
//         loop _m in 0..M step 8 {                         loop _m in 0..M step 8 {
//           loop _k in 0..768 {                  ->          loop _k in 0..768 {
//             %w = load %c0[767*_n.b + 48*_k + _n]             prefetch %c0[768*(_n.b + 48) + 48*_k + q*_m] second level once
//                                                              %w = load %c0[767*_n.b + 48*_k + _n]
//
// where q is 48 / M, rounded up. Behind the last panel nothing is touched: it is only a hint.

#include <algorithm>
#include <optional>

#include "graph/shape_math.h"
#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

class PrefetchPanels {
 public:
  PrefetchPanels(LinearIR& ir, const Schedule& schedule) : ir_(ir), schedule_(schedule) {}

  bool run() {
    for_each_block(ir_.phases, [&](Block& block, const Path& path) {
      Block out;
      for (Item& item : block) {
        if (!item.is_loop())
          if (auto next = next_panel(item.expression, path)) out.emplace_back(std::move(*next));
        out.push_back(std::move(item));
      }
      block = std::move(out);
    });
    return changed_;
  }

 private:
  std::optional<Expression> next_panel(const Expression& e, const Path& path) {
    if (e.op != Op::load || ir_.memory[e.memory].kind != Memory::Kind::constant) return std::nullopt;
    const Loop* const lanes = find(path, [](const Loop& l) { return l.lanes; });
    const Loop* const depth = path.loops.back();
    if (lanes == nullptr || depth == lanes || !e.index.uses(depth->var) || access_mode(e, lanes->var) != AccessMode::vector) return std::nullopt;
    const Loop* const panels = find(path, [&](const Loop& l) { return lanes->begin == Expr::symbol(l.var); });
    const Loop* const rows = find(path, [&](const Loop& l) { return !l.lanes && !l.parallel && !is_block_loop(l) && !e.index.uses(l.var); });
    if (panels == nullptr || rows == nullptr) return std::nullopt;
    const std::int64_t width = panels->versions.front().step;
    if (width * depth->end.as_constant().value_or(schedule_.prefetched_panel) > schedule_.prefetched_panel) return std::nullopt;
    const Expr next = Expr::symbol(panels->var) + width;
    const Expr part = share(width, *rows) * (Expr::symbol(rows->var) - rows->begin);
    Expression prefetch = prefetch_of(e.memory, e.index.substitute({{panels->var, next}, {lanes->var, next}}) + part, true);
    prefetch.once = true;
    changed_ = true;
    return prefetch;
  }

  template <typename Predicate>
  static const Loop* find(const Path& path, const Predicate& is_it) {
    const auto found = std::ranges::find_if(path.loops, [&](const Loop* l) { return is_it(*l); });
    return found == path.loops.end() ? nullptr : *found;
  }

  /// What each row of the loop brings of a row of a panel, so that they bring all of it together.
  Expr share(std::int64_t width, const Loop& rows) {
    Expr count = extent_bound(rows);
    for (const Expr& end : operands_of(rows.end, Expr::Function::min))
      if (!uses_loop_variable(end)) count = min(count, end);
    return ir_.define("panel.share", ceil_div(width, max(count, 1)));
  }

  LinearIR& ir_;
  const Schedule& schedule_;
  bool changed_ = false;
};

}  // namespace

bool prefetch_panels(LinearIR& ir, const Schedule& schedule) {
  return schedule.prefetched_panel > 0 && PrefetchPanels(ir, schedule).run();
}

}  // namespace burin::linear
