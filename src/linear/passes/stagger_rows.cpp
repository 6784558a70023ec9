// Rows that are gone over several times wait for what is folded of them, and memory waits meanwhile. The times over a row go on
// together with those over its neighbours, each later time a row behind:
//
//     parallel _m.b in 0..M step 16 {                    parallel _m.b in 0..M step 16 {
//       loop _m in _m.b..min(M, _m.b + 16) {               (first of _m.b, then second of _m.b and first of _m.b + 1)
//         lanes _n in 0..N { first }                       loop _m in _m.b + 1..min(M - 1, _m.b + 15) {
//         %a = lanes_max ... }                               lanes _n in 0..N {
//       loop _m in _m.b..min(M, _m.b + 16) {                   third of _m - 1
//         lanes _n in 0..N { second }             ->           second of _m
//         %b = lanes_sum ... }                                 first of _m + 1 }
//       loop _m in _m.b..min(M, _m.b + 16) {                 %b = lanes_sum ...
//         lanes _n in 0..N { third } }                       %a = lanes_max ... }
//                                                          (third of the last but one, second and third of the last)
//
// Buffers between them have room for one row then: what one time keeps, only the next one reads, just before it is kept anew.

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

class StaggerRows {
 public:
  explicit StaggerRows(LinearIR& ir) : ir_(ir) {}

  bool run(Loop& items) {
    Block& times = items.body();
    if (times.size() < kFewest || times.size() > kMost) return false;
    const Item& first = times.front();
    if (!std::ranges::all_of(times, [&](const Item& item) { return goes_over_rows(item, first); })) return false;
    row_ = first.loop->var, block_ = Expr::symbol(items.var);
    if (!find_buffers(times)) return false;
    for (std::size_t t = 0; t < times.size(); ++t)
      if (!hands_on(times, t)) return false;
    keep_one_row(times);
    times = staggered(times, items);
    return true;
  }

 private:
  static constexpr std::size_t kFewest = 2, kMost = 3;

  /// Whether it is a time over the rows, with one lane loop as the first has.
  static bool goes_over_rows(const Item& item, const Item& first) {
    if (!item.is_loop() || !first.is_loop()) return false;
    const Loop& rows = *item.loop;
    if (rows.lanes || rows.parallel || rows.condition || !same_range(rows, *first.loop)) return false;
    const Loop *lanes = lanes_of(rows), *of_first = lanes_of(*first.loop);
    return lanes != nullptr && of_first != nullptr && same_range(*lanes, *of_first);
  }

  /// The lane loop of a time over a row; null where it is not the only one.
  static const Loop* lanes_of(const Loop& time) {
    const Loop* found = nullptr;
    for (const Item& item : time.body()) {
      if (!item.is_loop()) continue;
      if (found != nullptr || !item.loop->lanes) return nullptr;
      found = item.loop.get();
    }
    return found;
  }

  /// The scratch of the rows: by memory, the elements of a row. Nothing if an access is of another kind.
  bool find_buffers(const Block& times) {
    bool plain = true;
    for_each_expression(times, [&](const Expression& e) {
      if (!is_memory(e) || ir_.memory[e.memory].kind != Memory::Kind::worker) return;
      const auto elements = e.index.coefficient(row_);
      plain = plain && elements && !(*elements == Expr(0)) && elements_.try_emplace(e.memory, *elements).first->second == *elements;
    });
    return plain;
  }

  /// What a time keeps only the next one reads, the same elements in the same order.
  bool hands_on(const Block& times, std::size_t time) const {
    for (const MemoryId kept : effects(times[time]).stores) {
      if (!elements_.contains(kept)) continue;
      const std::set<std::string> indices = indices_of(kept, times[time]);
      for (std::size_t t = 0; t < times.size(); ++t) {
        const std::set<std::string> others = indices_of(kept, times[t]);
        if (t == time ? indices.size() != 1 : t == time + 1 ? others != indices : !others.empty()) return false;
      }
    }
    return true;
  }

  static std::set<std::string> indices_of(MemoryId memory, const Item& time) {
    std::set<std::string> indices;
    for_each_expression(static_cast<const Block&>(time.loop->body()), [&](const Expression& e) {
      if (is_memory(e) && e.memory == memory) indices.insert(e.index.to_string());
    });
    return indices;
  }

  /// The first one of the block.
  void keep_one_row(Block& times) {
    const Expr rows = Expr::symbol(row_) - block_;
    for (const auto& [memory, elements] : elements_) ir_.memory[memory].elements = elements;
    for_each_expression(times, [&](Expression& e) {
      if (is_memory(e) && elements_.contains(e.memory)) e.index = e.index - elements_.at(e.memory) * rows;
    });
  }

  Block staggered(const Block& times, const Loop& items) {
    const Expr last = min(items.end - 1, block_ + items.versions.front().step - 1);
    Block out;
    const auto add = [&](const Expr& begin, const Expr& end, Block body) { out.emplace_back(loop_over(row_, begin, end, std::move(body))); };
    add(block_, block_ + 1, copy(times[0], 0));
    if (times.size() == kFewest) {
      add(block_, last, together(times, 1));
      add(last, last + 1, copy(times[1], 0));
      return out;
    }
    add(block_, min(block_ + 1, last), together(times, 1));
    add(block_ + 1, last, together(times, 2));
    add(max(block_, last - 1), last, copy(times[2], 0));
    Block rest = copy(times[1], 0);
    std::ranges::move(copy(times[2], 0), std::back_inserter(rest));
    add(last, last + 1, std::move(rest));
    return out;
  }

  /// The times from the number `latest` on back to the first, which is a row ahead of the second.
  Block together(const Block& times, std::size_t latest) {
    Block before, after;
    std::optional<Loop> lanes;
    for (std::size_t t = latest + 1; t-- > 0;) {
      Block time = copy(times[t], 1 - static_cast<std::int64_t>(t));
      const auto own = only_loop(time);
      std::move(time.begin(), own, std::back_inserter(before));
      std::move(std::next(own), time.end(), std::back_inserter(after));
      if (lanes)
        std::ranges::move(own->loop->body(), std::back_inserter(lanes->body()));
      else
        lanes = std::move(*own->loop);
    }
    before.emplace_back(std::move(*lanes));
    std::ranges::move(after, std::back_inserter(before));
    return before;
  }

  /// A time over the row so many rows further on, with values of its own. What was kept of a whole row is loaded once.
  Block copy(const Item& time, std::int64_t rows) {
    Block out = clone(time.loop->body());
    rename_values(ir_, out);
    for_each_expression(out, [&](Expression& e) { e.index = e.index.substitute({{row_, Expr::symbol(row_) + rows}}); });
    load_once(out);
    return out;
  }

  /// In front of the lanes, also what is used behind them: an earlier time, a row ahead, may keep it anew there.
  void load_once(Block& time) const {
    const auto lanes = only_loop(time);
    const std::string lane = lanes->loop->var;
    Block loads = loads_of_row(lanes->loop->body(), 0, lane), behind = loads_of_row(time, lanes - time.begin(), lane);
    std::ranges::move(behind, std::back_inserter(loads));
    time.insert(only_loop(time), std::make_move_iterator(loads.begin()), std::make_move_iterator(loads.end()));
  }

  static Block::iterator only_loop(Block& time) {
    return std::ranges::find_if(time, [](const Item& item) { return item.is_loop(); });
  }

  /// Takes them out of the block, from this item on.
  Block loads_of_row(Block& block, std::ptrdiff_t from, const std::string& lane) const {
    const auto is_of_row = [&](const Item& item) {
      return !item.is_loop() && item.expression.op == Op::load && elements_.contains(item.expression.memory) &&
             !item.expression.index.uses(lane);
    };
    const auto first = block.begin() + from, rest = std::stable_partition(first, block.end(), is_of_row);
    Block loads(std::make_move_iterator(first), std::make_move_iterator(rest));
    block.erase(first, rest);
    return loads;
  }

  LinearIR& ir_;
  std::string row_;
  Expr block_;
  std::map<MemoryId, Expr> elements_;
};

}  // namespace

bool stagger_rows(LinearIR& ir, const Schedule& schedule) {
  if (!schedule.staggered) return false;
  bool changed = false;
  for_each_loop(ir.phases, [&](Loop& loop) {
    if (loop.parallel) changed |= StaggerRows(ir).run(loop);
  });
  return changed;
}

}  // namespace burin::linear
