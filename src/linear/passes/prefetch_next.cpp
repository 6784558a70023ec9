// An item of work that goes over its rows, or over its panel of columns, several times has it in a cache after the first
// time, and computes meanwhile. Where nothing is in a cache before, it asks the second-level cache for what the next item
// reads. The machine drops some of that while it waits for much else, so that all times over a panel ask for all of it:
//
//     parallel _d.b in 0..D step 64 {           parallel _d.b in 0..D step 64 {
//       lanes _d in _d.b.._d.b + 64 {             lanes _d in _d.b.._d.b + 64 {
//         loop _s in 0..S {                         loop _s in 0..S {
//           %x = load %a[D*_s + _d]                   prefetch %a[D*_s + _d + 64] second level
//           %sum = ... }                  ->          %x = load %a[D*_s + _d]
//         loop _s in 0..S {                           %sum = ... }
//           ...                                     loop _s in 0..S {
//                                                     prefetch %a[D*_s + _d + 64] second level
//                                                     ...
//
// Of a row it is the busiest of the later times. A row that is known to be short, whose next one the nearest cache gets
// (prefetch_rows), is left; an item so long that the next one does not fit asks for itself, which costs next to nothing.
// Behind the last item nothing is touched: it is only a hint.

#include <algorithm>
#include <iterator>
#include <vector>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

/// A loop and those that stand alone in one another inside of it, outermost first.
using Nest = std::vector<Loop*>;

Nest nest_of(Loop& outermost) {
  Nest nest = {&outermost};
  while (true) {
    std::vector<Loop*> inside;
    for (Item& item : nest.back()->body())
      if (item.is_loop()) inside.push_back(item.loop.get());
    if (inside.size() != 1) return nest;
    nest.push_back(inside.front());
  }
}

/// Whether it runs once or not at all.
bool is_guard(const Loop& loop) {
  const std::vector<Expr> ends = operands_of(loop.end - loop.begin, Expr::Function::min);
  return std::ranges::find(ends, Expr(1)) != ends.end();
}

bool same_space(const Nest& a, const Nest& b) {
  return std::ranges::equal(a, b, [](const Loop* x, const Loop* y) { return same_range(*x, *y); });
}

/// Those over what the first one goes over that is more than one element.
std::vector<Nest> times_over(Block& block) {
  std::vector<Nest> times;
  for (Item& item : block) {
    if (!item.is_loop() || item.loop->parallel || is_guard(*item.loop)) continue;
    Nest nest = nest_of(*item.loop);
    if (times.empty() || same_space(nest, times.front())) times.push_back(std::move(nest));
  }
  return times;
}

Expr elements(const Nest& nest) {
  Expr product = 1;
  for (const Loop* loop : nest) product *= loop->end - loop->begin;
  return product;
}

class PrefetchNext {
 public:
  PrefetchNext(const LinearIR& ir, const Schedule& schedule) : ir_(ir), schedule_(schedule) {}

  bool visit(Loop& item) {
    bool changed = false;
    for (Item& inside : item.body())
      if (inside.is_loop() && inside.loop->lanes && !inside.loop->parallel) changed |= bring_panel(*inside.loop);
    return changed || bring_row(item);
  }

 private:
  /// All times over a panel ask for all of the next one: the machine drops what it is asked for while it waits for too much.
  bool bring_panel(Loop& lanes) {
    const std::vector<Nest> times = times_over(lanes.body());
    if (times.size() < 2) return false;
    const std::int64_t width = lanes.versions.front().step;
    const Expr step = select(less_equal(elements(times.front()) * width, schedule_.fetched_item), width, 0);
    const Block prefetches = prefetches_of(times.front(), lanes, step);
    for (const Nest& time : times) ask(time, prefetches);
    return !prefetches.empty();
  }

  /// The busiest of the later times over a row asks for the next one.
  bool bring_row(Loop& item) {
    const std::vector<Nest> times = times_over(item.body());
    if (times.size() < 2) return false;
    const Expr read = elements(times.front());
    if (less(schedule_.prefetched_row, read) == Expr(0)) return false;
    const Expr step = select(less_equal(read, schedule_.fetched_item), 1, 0);
    if (step == Expr(0)) return false;
    const Block prefetches = prefetches_of(times.front(), item, step);
    ask(*std::max_element(std::next(times.begin()), times.end(), [](const Nest& a, const Nest& b) { return operations_in(a.back()->body()) < operations_in(b.back()->body()); }),
        prefetches);
    return !prefetches.empty();
  }

  /// What the first time reads, some of the counter's elements later.
  Block prefetches_of(const Nest& first, const Loop& counter, const Expr& step) const {
    const Expr next = Expr::symbol(counter.var) + step;
    Block prefetches;
    for (const Item& item : first.back()->body())
      if (!item.is_loop() && is_read_once(item.expression, counter, first))
        prefetches.emplace_back(prefetch_of(item.expression.memory, item.expression.index.substitute({{counter.var, next}}), true));
    return prefetches;
  }

  static void ask(const Nest& time, const Block& prefetches) {
    Block copies = clone(prefetches);
    Block& body = time.back()->body();
    body.insert(body.begin(), std::make_move_iterator(copies.begin()), std::make_move_iterator(copies.end()));
  }

  /// An input's vectors that belong to this item.
  bool is_read_once(const Expression& e, const Loop& counter, const Nest& nest) const {
    const Loop& lanes = counter.lanes ? counter : *nest.back();
    return lanes.lanes && loads_own_vector(ir_, e, counter, lanes.var) && e.index.uses(nest.back()->var);
  }

  const LinearIR& ir_;
  const Schedule& schedule_;
};

}  // namespace

bool prefetch_next(LinearIR& ir, const Schedule& schedule) {
  if (!schedule.stream || schedule.side_by_side || schedule.staggered || schedule.fetched_item == 0) return false;
  bool changed = false;
  for_each_loop(ir.phases, [&](Loop& loop) {
    if (loop.parallel) changed |= PrefetchNext(ir, schedule).visit(loop);
  });
  return changed;
}

}  // namespace burin::linear
