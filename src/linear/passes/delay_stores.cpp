// The last time over a panel of columns does little but write, and memory takes no more writes at a time than it takes: the
// times in front of it leave memory idle, and it leaves the arithmetic idle. So it goes along with a time over the next panel.
// An item of work is a group of panels; `late` keeps what a panel knows when its turn has ended:
//
//     parallel _d.g in 0..D step 512 {              parallel _d.g in 0..D step 512 {
//       parallel _d.b in _d.g.. step 64 {             loop _d.b: the first panel
//         lanes _d in _d.b.._d.b + 64 {                 lanes _d in _d.b.._d.b + 64 {
//           loop _s in 0..S { sum }                       loop _s in 0..S { sum }
//           %m = div %sum, %n                             %m = div %sum, %n
//           loop _s in 0..S {                   ->        store %m.late[_d - _d.b], %m } }
//             %x = load %a[D*_s + _d]                 loop _d.b: the other whole panels
//             %y = sub %x, %m                           lanes _d in _d.b.._d.b + 64 {
//             store %y[D*_s + _d], %y                     %m1 = load %m.late[_d - _d.b]
//                                                         loop _s in 0..S {
//                                                           %x = load %a[D*_s + _d - 64]
//                                                           %y = sub %x, %m1
//                                                           store %y[D*_s + _d - 64], %y
//                                                           sum }
//                                                         %m = div %sum, %n
//                                                         store %m.late[_d - _d.b], %m } }
//                                                     loop _d.b: stores of the last one; what it asks for early is
//                                                       the next item's first panel
//                                                     loop _d.b: what is no whole panel, as before
//
// It goes along with the time that fills the buffer it reads, element by element in front of it: one buffer is enough.
// Otherwise with the one that computes most.

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

bool is_plain(const Loop& loop) {
  return !loop.lanes && !loop.parallel && !loop.condition && loop.versions.size() == 1 && loop.versions.front().step == 1 &&
         std::ranges::none_of(loop.body(), [](const Item& item) { return item.is_loop(); });
}

class DelayStores {
 public:
  /// `items`: the parallel loops of a phase. The last one is over the panels of a group.
  DelayStores(LinearIR& ir, const Schedule& schedule, const std::vector<Loop*>& items)
      : ir_(ir), schedule_(schedule), items_(items), group_(*items[items.size() - 2]) {}

  bool run() {
    if (!find_panel() || !find_last() || !find_company()) return false;
    find_kept();
    Block panels;
    const Expr start = blocks_->begin, end = lanes_->end.substitute({{blocks_->var, blocks_->end - width_}});
    const Expr whole_end = start + floor_div(end - start, width_) * width_, second = min(start + width_, whole_end);
    panels.emplace_back(run_of_panels(start, second, first_panel()));
    panels.emplace_back(run_of_panels(second, whole_end, next_panel()));
    panels.emplace_back(run_of_panels(max(start, whole_end - width_), whole_end, last_stores()));
    Loop rest = empty_blocks(whole_end, end);
    rest.body() = std::move(blocks_->body());
    panels.emplace_back(std::move(rest));
    group_.body() = std::move(panels);
    return true;
  }

 private:
  /// A parallel loop over the group's panels, one lane loop in each.
  bool find_panel() {
    if (group_.body().size() != 1 || !group_.body()[0].is_loop()) return false;
    blocks_ = group_.body()[0].loop.get();
    if (!blocks_->parallel || !(blocks_->begin == Expr::symbol(group_.var)) || blocks_->body().empty() || !blocks_->body().back().is_loop())
      return false;
    lanes_ = blocks_->body().back().loop.get();
    width_ = blocks_->versions.front().step;
    const auto loops = std::ranges::count_if(blocks_->body(), [](const Item& item) { return item.is_loop(); });
    return loops == 1 && lanes_->lanes && lanes_->versions.size() == 1 && lanes_->versions.front().step == width_;
  }

  /// The last loop does nothing but store outputs, and nothing else does.
  bool find_last() {
    Block& body = lanes_->body();
    if (body.empty() || !body.back().is_loop() || !is_plain(*body.back().loop)) return false;
    last_ = body.back().loop.get();
    const auto is_output = [&](MemoryId m) { return ir_.memory[m].kind == Memory::Kind::output; };
    const std::set<MemoryId> late = effects(body.back()).stores;
    const bool updates = std::ranges::any_of(last_->body(), [](const Item& item) { return info(item.expression.op).kind == OpClass::update; });
    return !updates && !late.empty() && std::ranges::all_of(late, is_output) &&
           std::none_of(body.begin(), std::prev(body.end()), [&](const Item& item) { return std::ranges::any_of(effects(item).stores, is_output); });
  }

  /// The earlier loop that the last one goes along with.
  bool find_company() {
    for (Item& item : lanes_->body())
      if (item.is_loop() && item.loop.get() != last_ && is_plain(*item.loop) && same_range(*item.loop, *last_) &&
          (company_ == nullptr || operations_in(item.loop->body()) >= operations_in(company_->body())))
        company_ = item.loop.get();
    bool one = company_ != nullptr;
    for (const Item& item : last_->body())
      if (item.expression.op == Op::load && ir_.memory[item.expression.memory].kind == Memory::Kind::worker) one = one && fills(item.expression);
    return one;
  }

  /// Whether one loop alone stores what is loaded, at the same element: then it is that loop.
  bool fills(const Expression& load) {
    Loop* found = nullptr;
    for (Item& item : lanes_->body()) {
      if (effects(item).stores.count(load.memory) == 0) continue;
      if (found != nullptr || !item.is_loop() || !is_plain(*item.loop) || !same_range(*item.loop, *last_)) return false;
      found = item.loop.get();
    }
    if (found == nullptr || (filled_ != nullptr && filled_ != found)) return false;
    company_ = filled_ = found;
    return std::ranges::all_of(found->body(), [&](const Item& item) {
      return item.expression.op != Op::store || item.expression.memory != load.memory || item.expression.index == load.index;
    });
  }

  /// What the last loop reads of the panel's values gets memory.
  void find_kept() {
    const std::set<ValueId> words = words_of(ir_);
    for (const Item& item : lanes_->body())
      if (!item.is_loop() && item.expression.out != kNone && effects(lanes_->body().back()).reads.count(item.expression.out) != 0)
        kept_.try_emplace(item.expression.out, kNone);
    for (auto& [value, memory] : kept_) {
      Memory m;
      m.kind = Memory::Kind::worker;
      m.name = ir_.values[value] + ".late";
      m.precision = words.contains(value) ? Precision::i32 : Precision::f32;
      m.elements = width_;
      memory = ir_.new_memory(std::move(m));
    }
  }

  Loop empty_blocks(const Expr& begin, const Expr& end) const {
    Loop out;
    out.var = blocks_->var;
    out.begin = begin;
    out.end = end;
    out.versions.push_back({width_, true, {}});
    return out;
  }

  /// Whole panels: what is in front of the lanes, and these.
  Loop run_of_panels(const Expr& begin, const Expr& end, Block body) const {
    Loop panels = empty_blocks(begin, end), lanes;
    lanes.var = lanes_->var;
    lanes.begin = Expr::symbol(blocks_->var);
    lanes.end = lanes.begin + width_;
    lanes.lanes = true;
    lanes.versions.push_back({width_, false, std::move(body)});
    for (const Item& item : blocks_->body())
      if (!item.is_loop()) panels.body().push_back(item.clone());
    panels.body().emplace_back(std::move(lanes));
    return panels;
  }

  Block first_panel() const {
    Block body = all_but_last();
    for (const auto& [value, memory] : kept_) body.emplace_back(store_of(memory, in_panel(), value));
    return body;
  }

  Block next_panel() {
    std::map<ValueId, ValueId> late;
    Block body = load_kept(late), rest = first_panel();
    const std::size_t company = position_of(company_);
    Block& together = rest[company].loop->body();
    Block stores = stores_of(late, {{lanes_->var, Expr::symbol(lanes_->var) - width_}, {blocks_->var, Expr::symbol(blocks_->var) - width_}});
    together.insert(together.begin(), std::make_move_iterator(stores.begin()), std::make_move_iterator(stores.end()));
    std::ranges::move(rest, std::back_inserter(body));
    return body;
  }

  Block last_stores() {
    std::map<ValueId, ValueId> late;
    Block body = load_kept(late);
    Loop loop = last_->clone();
    loop.body() = prefetches_of_next_item();
    std::ranges::move(stores_of(late, {}), std::back_inserter(loop.body()));
    body.emplace_back(std::move(loop));
    return body;
  }

  /// What the last loop asks for, of the first panel of the item behind this one, where that is another row of panels.
  Block prefetches_of_next_item() const {
    const Expr columns = group_.end - group_.begin, panel = (last_->end - last_->begin) * width_;
    const Expr is_last = less_equal(columns, schedule_.lane_group) * less_equal(panel, schedule_.fetched_item);
    std::map<std::string, Expr> next = {{lanes_->var, Expr::symbol(lanes_->var) - is_last * (Expr::symbol(blocks_->var) + width_)}};
    Expr step = is_last;
    for (std::size_t i = items_.size() - 2; i-- > 0;) {
      const Loop& outer = *items_[i];
      const Expr stands_still = i > 0 ? equal(outer.end, 1) : Expr(0);
      next[outer.var] = Expr::symbol(outer.var) + step * (1 - stands_still);
      step *= stands_still;
    }
    Block out;
    for (const Item& item : last_->body())
      if (item.expression.op == Op::prefetch && item.expression.second_level) {
        out.push_back(item.clone());
        out.back().expression.index = item.expression.index.substitute(next);
      }
    return out;
  }

  Block all_but_last() const {
    Block body = clone(lanes_->body());
    body.pop_back();
    return body;
  }

  std::size_t position_of(const Loop* loop) const {
    const Block& body = lanes_->body();
    return static_cast<std::size_t>(std::ranges::find_if(body, [&](const Item& item) { return item.loop.get() == loop; }) - body.begin());
  }

  Block load_kept(std::map<ValueId, ValueId>& late) {
    Block body;
    for (const auto& [value, memory] : kept_) body.emplace_back(load(memory, late[value] = ir_.new_value(ir_.values[value])));
    return body;
  }

  Expression load(MemoryId memory, ValueId value) const {
    Expression e;
    e.op = Op::load;
    e.memory = memory;
    e.index = in_panel();
    e.out = value;
    return e;
  }

  Expr in_panel() const { return Expr::symbol(lanes_->var) - Expr::symbol(blocks_->var); }

  /// The last loop's body, of another panel; without what it asks the second-level cache for, the panel behind: the time that it
  /// goes along with asks for that.
  Block stores_of(const std::map<ValueId, ValueId>& late, const std::map<std::string, Expr>& elsewhere) const {
    Block out;
    for (const Item& item : last_->body()) {
      Expression e = item.expression;
      if (e.op == Op::prefetch && e.second_level) continue;
      for (ValueId& v : e.in)
        if (const auto kept = late.find(v); kept != late.end()) v = kept->second;
      e.index = e.index.substitute(elsewhere);
      out.emplace_back(std::move(e));
    }
    return out;
  }

  LinearIR& ir_;
  const Schedule& schedule_;
  const std::vector<Loop*>& items_;
  Loop& group_;
  Loop* blocks_ = nullptr;   ///< over the group's panels
  Loop* lanes_ = nullptr;
  Loop* last_ = nullptr;
  Loop* company_ = nullptr;
  Loop* filled_ = nullptr;   ///< the loop that fills what the last one loads
  std::int64_t width_ = 0;
  std::map<ValueId, MemoryId> kept_;
};

}  // namespace

bool delay_stores(LinearIR& ir, const Schedule& schedule) {
  if (!schedule.delay_stores) return false;
  bool changed = false;
  for (Item& phase : ir.phases) {
    const std::vector<Loop*> nest = parallel_nest(*phase.loop);
    if (nest.size() > 1) changed |= DelayStores(ir, schedule, nest).run();
  }
  return changed;
}

}  // namespace burin::linear
