// Of a tensor that lies across the lanes a block of rows and lanes reads a line or two of each of many rows, which no hardware
// foresees. Where no cache has it, an item of work asks the second-level cache for what the next one reads, tile by tile:
//
//     parallel _m.b in 0..M step 16 {                         parallel _m.b in 0..M step 16 {
//       parallel _n.b in 0..N step 256 {                        parallel _n.b in 0..N step 256 {
//         lanes _n in _n.b..min(N, _n.b + 256) {                  lanes _n in _n.b..min(N, _n.b + 256) {
//           loop _m in _m.b..min(M, _m.b + 16) {        ->          loop _m in _m.b..min(M, _m.b + 16) {
//                                                                     prefetch %a[M*(_n - _n.b + next.n) + _m - _m.b + next.m] second level
//             %x = load %a[M*_n + _m]                                 %x = load %a[M*_n + _m]
//
// where the next item is that of the next iteration of the parallel loops. behind = max(0, min(1, _n.b + 257 - N)) is 1 in the
// last block of rows and 0 in the others: next.n is _n.b + 256 - behind*(_n.b + 256), and next.m, as far as that is not
// behind the end, too, _m.b + 16*behind. What has no element for each row and lane is read again, and left. Behind the last
// item nothing is touched: it is only a hint.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

using Replacements = std::map<std::string, Expr>;

/// Where the loops that count items stand in the next one.
Replacements next_item(const std::vector<const Loop*>& nest) {
  Replacements next;
  Expr moves = 1;  // 1 where all loops inside of this one begin anew, otherwise 0
  for (auto loop = nest.rbegin(); loop != nest.rend(); ++loop) {
    const Loop& l = **loop;
    const Expr here = Expr::symbol(l.var), step = l.versions.front().step;
    const Expr behind = &l == nest.front() ? Expr(0) : max(0, min(1, here + moves * step - l.end + 1));
    next.emplace(l.var, here + moves * step - behind * (here + step - l.begin));
    moves = behind;
  }
  return next;
}

class PrefetchNextBlock {
 public:
  explicit PrefetchNextBlock(LinearIR& ir) : ir_(ir) {}

  bool run() {
    for (Item& phase : ir_.phases) {
      const std::vector<Loop*> nest = parallel_nest(*phase.loop);
      const Replacements next = next_item({nest.begin(), nest.end()});
      for (Item& item : nest.back()->body())
        if (item.is_loop() && item.loop->lanes) visit(*item.loop, next);
    }
    return changed_;
  }

 private:
  /// The rows inside of a block of lanes.
  void visit(Loop& lanes, const Replacements& next_item) {
    for (Item& item : lanes.body()) {
      if (!item.is_loop()) continue;
      Loop& rows = *item.loop;
      Replacements next = next_item;
      for (const Loop* l : {&lanes, &rows}) next.emplace(l->var, Expr::symbol(l->var) - l->begin + l->begin.substitute(next_item));
      ask(rows, lanes.var, next);
    }
  }

  void ask(Loop& rows, const std::string& lane, const Replacements& next) {
    Block out;
    for (Item& item : rows.body()) {
      if (!item.is_loop() && is_read_once(item.expression, rows, lane)) {
        out.emplace_back(prefetch_of(item.expression.memory, item.expression.index.substitute(next), true));
        changed_ = true;
      }
      out.push_back(std::move(item));
    }
    rows.body() = std::move(out);
  }

  bool is_read_once(const Expression& e, const Loop& rows, const std::string& lane) const {
    if (e.op != Op::load || ir_.memory[e.memory].kind != Memory::Kind::input || !e.index.uses(rows.var)) return false;
    const AccessMode mode = access_mode(e, lane);
    return mode == AccessMode::vector || mode == AccessMode::across;
  }

  LinearIR& ir_;
  bool changed_ = false;
};

}  // namespace

bool prefetch_next_block(LinearIR& ir, const Schedule& schedule) { return schedule.fetch_next_block && PrefetchNextBlock(ir).run(); }

}  // namespace burin::linear
