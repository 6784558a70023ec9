// Where what a kernel reads is in no cache, it is asked for before it is needed. A loop along rows asks the second-level
// cache, far ahead, so that memory works while long formulas are computed; behind the end of a row that is the next one, if
// rows are dense. A loop down columns jumps from row to row, where no hardware fetches ahead: the first one that does asks
// for a row some iterations later.
//
//     lanes _n in 0..N {                          lanes _n in 0..N {
//       %x = load %a[s*_m + _n]                     prefetch %a[s*_m + _n + 4096] second level
//                                                   %x = load %a[s*_m + _n]
//     lanes _d in _d.b.._d.b + 64 {      ->       lanes _d in _d.b.._d.b + 64 {
//       loop _s in 0..S {                           loop _s in 0..S {
//         %x = load %a[D*_s + _d]                     prefetch %a[D*_s + 8*D + _d]
//                                                     %x = load %a[D*_s + _d]
//
// What the next item of work reads again is not asked for. Behind the last element nothing is touched: it is only a hint.

#include <algorithm>
#include <set>
#include <utility>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

class PrefetchAhead {
 public:
  PrefetchAhead(LinearIR& ir, const Schedule& schedule) : ir_(ir), schedule_(schedule) {}

  bool run() {
    for_each_block(ir_.phases, [&](Block& block, const Path& path) {
      const std::string lane = path.lane_variable();
      if (lane.empty() || path.loops.back()->parallel) return;
      for (std::size_t i = 0; i < block.size(); ++i) {
        if (block[i].is_loop() || is_kept(block[i].expression, path) || !is_first(block[i].expression, *path.loops.back(), lane)) continue;
        block.insert(block.begin() + static_cast<std::ptrdiff_t>(i), Item(ahead_of(block[i].expression, *path.loops.back())));
        ++i;
      }
    });
    return !asked_.empty();
  }

 private:
  /// The first load of these elements, along the loop.
  bool is_first(const Expression& e, const Loop& loop, const std::string& lane) {
    if (e.op != Op::load || ir_.memory[e.memory].kind != Memory::Kind::input || access_mode(e, lane) != AccessMode::vector) return false;
    const auto stride = e.index.coefficient(loop.var);
    if (!stride || *stride == Expr(0) || distance(loop) == 0) return false;
    return asked_.insert({e.memory, e.index.to_string()}).second;
  }

  /// Whether the items of work in front have read this row.
  static bool is_kept(const Expression& e, const Path& path) {
    if (!path.loops.back()->lanes) return false;
    const auto counts_items = [](const Loop* loop) { return loop->parallel && !is_block_loop(*loop); };
    const auto innermost = std::find_if(path.loops.rbegin(), path.loops.rend(), counts_items);
    return innermost != path.loops.rend() && !e.index.uses((*innermost)->var);
  }

  std::int64_t distance(const Loop& loop) const { return loop.lanes ? schedule_.elements_ahead : schedule_.rows_ahead; }

  Expression ahead_of(const Expression& e, const Loop& loop) const {
    return prefetch_of(e.memory, e.index.substitute({{loop.var, Expr::symbol(loop.var) + distance(loop)}}), loop.lanes);
  }

  LinearIR& ir_;
  const Schedule& schedule_;
  std::set<std::pair<MemoryId, std::string>> asked_;
};

}  // namespace

bool prefetch_ahead(LinearIR& ir, const Schedule& schedule) {
  return schedule.stream && !schedule.side_by_side && !schedule.staggered && PrefetchAhead(ir, schedule).run();
}

}  // namespace burin::linear
