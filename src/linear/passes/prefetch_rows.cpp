// A work item that goes over a row several times has it in the nearest cache after the first time,
// and computes meanwhile: the later times bring the next row, which the first time then finds.
//
//     parallel _m in 0..M {          parallel _m in 0..M {
//       lanes _n in 0..N {             lanes _n in 0..N {
//         %x = load %a[s*_m + _n]        %x = load %a[s*_m + _n]
//         %sum = ... }         ->        %sum = ... }
//       lanes _n in 0..N {             lanes _n in 0..N {
//         ...                            prefetch %a[s*(_m + select(N <= 3072, 1, 0)) + _n]
//
// Rows so long that two of them do not fit lose by that: there it is the row itself, which costs
// little. Where no cache has the rows (prefetch_next) only those do that are known to fit: what
// comes again from the second-level cache gives way to what will be read. Rows that are folded side
// by side bring as many. Behind the last row nothing is touched: it is only a hint.

#include <algorithm>
#include <vector>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

/// The loops over the row, in order.
std::vector<Loop*> times_over_row(Block& work_item) {
  std::vector<Loop*> times;
  for (Item& item : work_item) {
    if (!item.is_loop()) continue;
    Loop& loop = *item.loop;
    const bool same = times.empty() || same_range(loop, *times.front());
    if (loop.lanes && !loop.parallel && loop.versions.size() == 1 && same) times.push_back(&loop);
  }
  return times;
}

/// Loads of an input's row that belongs to the work item.
std::vector<Expression> row_loads(const LinearIR& ir, const Loop& parallel, const Loop& row) {
  std::vector<Expression> loads;
  for (const Item& item : row.body())
    if (!item.is_loop() && loads_own_vector(ir, item.expression, parallel, row.var)) loads.push_back(item.expression);
  return loads;
}

/// Of an item of several rows the second time over them, which computes most, brings those of the next item.
bool prefetch_block(const LinearIR& ir, Loop& parallel) {
  std::vector<Loop*> rows, lanes;
  for (Item& item : parallel.body()) {
    if (!item.is_loop()) continue;
    for (Item& inside : item.loop->body())
      if (inside.is_loop() && inside.loop->lanes) rows.push_back(item.loop.get()), lanes.push_back(inside.loop.get());
  }
  if (rows.size() < 2) return false;
  const std::string& row = rows.front()->var;
  const std::vector<Expression> loads = row_loads(ir, *rows.front(), *lanes.front());
  const Expr next = Expr::symbol(row) + parallel.versions.front().step;
  for (const Expression& load : loads) {
    Block& body = lanes[1]->body();
    body.insert(body.begin(), Item(prefetch_of(load.memory, load.index.substitute({{row, next}}))));
  }
  return !loads.empty();
}

bool prefetch_in(const LinearIR& ir, Loop& parallel, std::int64_t longest, bool only_known) {
  const std::vector<Loop*> times = times_over_row(parallel.body());
  if (times.size() < 2) return false;
  const std::vector<Expression> loads = row_loads(ir, parallel, *times.front());
  const Expr fits = less_equal(times.front()->end - times.front()->begin, longest);
  if (only_known && !(fits == Expr(1))) return false;
  const Expr next = Expr::symbol(parallel.var) + select(fits, 1, 0);
  for (std::size_t i = 0; i < loads.size(); ++i) {
    Block& body = times[1 + i % (times.size() - 1)]->body();
    body.insert(body.begin(), Item(prefetch_of(loads[i].memory, loads[i].index.substitute({{parallel.var, next}}))));
  }
  return !loads.empty();
}

}  // namespace

bool prefetch_rows(LinearIR& ir, const Schedule& schedule) {
  if (schedule.prefetched_row == 0 || schedule.staggered) return false;
  bool changed = false;
  for_each_loop(ir.phases, [&](Loop& loop) {
    if (!loop.parallel) return;
    changed |= schedule.side_by_side ? prefetch_block(ir, loop) : prefetch_in(ir, loop, schedule.prefetched_row, schedule.stream);
  });
  return changed;
}

}  // namespace burin::linear
