// A constant matrix is read panel by panel, each as often as there are tiles of rows: the first time from memory, where
// the arithmetic waits for it. So all tiles together bring the next panel, meanwhile, into the second-level cache, each a
// part of every row of it:
//
//     parallel _n.b in 0..N step 48 {                  parallel _n.b in 0..N step 48 {
//       lanes _n in _n.b.._n.b + 48 {                    lanes _n in _n.b.._n.b + 48 {
//         loop _m in 0..M step 8 {                         loop _m in 0..M step 8 {
//           loop _k in 0..768 {                  ->          loop _k in 0..768 {
//             %w = load %c0[767*_n.b + 48*_k + _n]             prefetch %c0[768*_n.b + 48*_k + share*_m + ahead] second level once
//                                                              %w = load %c0[767*_n.b + 48*_k + _n]
//
// where share is 48 / M, rounded up, and ahead 768 * 48. Where rows are few, nothing hides that a panel comes: then they
// bring some rows of it ahead. A panel that would drive this one out is not brought, and a tile of very few rows brings
// nothing: it has no time for it. Behind the last panel nothing is touched: it is only a hint.

#include <algorithm>
#include <optional>

#include "graph/shape_math.h"
#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

/// Rows of the other operand that take less time than the next panel does to come.
constexpr std::int64_t kFewRows = 24;
/// Rows of a panel that they bring ahead. (10 rows of a model with slow memory: half the time. 32 are as good, 64 not.)
constexpr std::int64_t kRowsAhead = 16;
/// Rows of a tile beside whose arithmetic a prefetch is free.
constexpr std::int64_t kRowsOfTile = 4;

/// How a constant is read.
struct Reading {
  const Loop* panels;  ///< blocks of lanes
  const Loop* lanes;
  const Loop* rows;    ///< of the other operand: all read the same panel
  const Loop* depth;   ///< rows of the panel

  std::int64_t width() const { return panels->versions.front().step; }
};

class PrefetchPanels {
 public:
  PrefetchPanels(LinearIR& ir, const Schedule& schedule) : ir_(ir), schedule_(schedule) {}

  bool run() {
    for_each_block(ir_.phases, [&](Block& block, const Path& path) {
      Block out;
      for (Item& item : block) {
        const auto reading = item.is_loop() ? std::nullopt : reading_of(item.expression, path);
        if (reading) out.emplace_back(prefetch(item.expression, *reading));
        out.push_back(std::move(item));
      }
      block = std::move(out);
    });
    return changed_;
  }

 private:
  /// Nothing unless it is read in panels, each again for each tile of rows.
  std::optional<Reading> reading_of(const Expression& e, const Path& path) const {
    if (e.op != Op::load || ir_.memory[e.memory].kind != Memory::Kind::constant) return std::nullopt;
    Reading r{};
    r.depth = path.loops.back();
    r.lanes = find(path, [](const Loop& l) { return l.lanes; });
    if (r.lanes == nullptr || r.depth == r.lanes || access_mode(e, r.lanes->var) != AccessMode::vector) return std::nullopt;
    if (!e.index.uses(r.depth->var) || !e.index.coefficient(r.depth->var)) return std::nullopt;
    r.panels = block_loop_of(*r.lanes, path);
    r.rows = find(path, [&](const Loop& l) { return !l.lanes && !l.parallel && !is_block_loop(l) && !e.index.uses(l.var); });
    if (r.panels == nullptr || r.rows == nullptr || step_around(*r.depth, *r.rows) < kRowsOfTile) return std::nullopt;
    return r;
  }

  template <typename Predicate>
  static const Loop* find(const Path& path, const Predicate& is_it) {
    const auto found = std::ranges::find_if(path.loops, [&](const Loop* l) { return is_it(*l); });
    return found == path.loops.end() ? nullptr : *found;
  }

  /// Rows of the tile that the loop is computed for.
  static std::int64_t step_around(const Loop& depth, const Loop& rows) {
    const auto holds = [&](const Loop::Version& v) {
      return std::ranges::any_of(v.body, [&](const Item& item) { return item.loop.get() == &depth; });
    };
    const auto version = std::ranges::find_if(rows.versions, holds);
    return version == rows.versions.end() ? 0 : version->step;
  }

  Expression prefetch(const Expression& load, const Reading& r) {
    const Expr start = load.index.substitute({{r.lanes->var, Expr::symbol(r.panels->var)}});
    const Expr rows = count(*r.rows);
    // Together the rows bring all of a row of the panel.
    const Expr share = ir_.define("panel.share", ceil_div(r.width(), max(rows, 1)));
    const Expr ahead = ir_.define("panel.ahead", select(less(rows, kFewRows), *load.index.coefficient(r.depth->var) * kRowsAhead, next_panel(start, r)));
    Expression out = prefetch_of(load.memory, start + share * (Expr::symbol(r.rows->var) - r.rows->begin) + ahead, true);
    out.once = true;
    changed_ = true;
    return out;
  }

  /// How far it is, or 0: it does not come.
  Expr next_panel(const Expr& start, const Reading& r) const {
    const std::optional<std::int64_t> depth = r.depth->end.as_constant();
    return depth && r.width() * *depth <= schedule_.prefetched_panel ? *start.coefficient(r.panels->var) * r.width() : Expr(0);
  }

  /// Rows that there are, or that a block has at most.
  static Expr count(const Loop& rows) {
    Expr count = extent_bound(rows);
    for (const Expr& end : operands_of(rows.end, Expr::Function::min))
      if (!uses_loop_variable(end)) count = min(count, end);
    return count;
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
