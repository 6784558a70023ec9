// Where queries are few, keys and values come from far away, and rows of one head lie apart, which the hardware does not
// foresee. The rows of some keys later are asked for, into the second-level cache:
//
//     lanes _e in 0..64 {                              lanes _e in 0..64 {
//       loop _k in 0..S {                                loop _k in 0..S {
//         %x = load %v[512*_k + _e]          ->            %x = load %v[512*_k + _e]
//         %o = update_fma %o, %p, %x } }                   prefetch %v[512*_k + _e + 32768] second level
//                                                          %o = update_fma %o, %p, %x } }
//
// Where each row that is loaded serves several queries or heads, that costs nothing beside what is computed. Where it
// serves too few, it costs where the rows are in a cache: the loop goes on with it only for operands larger than that,
//
//       loop _k in 0..min(S, far) { ... prefetch ... }         far: all rows, or none
//       loop _k in 0..min(S, near) { ... }                     near: none, or all

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "graph/shape_math.h"
#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

/// Multiply-adds for each vector that is loaded, from which on it pays for operands of any size.
constexpr std::int64_t kUses = 4;
/// More than any loop has, even one over rows of no elements.
constexpr std::int64_t kAllRows = std::int64_t{1} << 40;

class PrefetchKeys {
 public:
  PrefetchKeys(LinearIR& ir, const Schedule& schedule) : ir_(ir), schedule_(schedule) {}

  bool run() {
    visit(ir_.phases);
    return changed_;
  }

 private:
  struct Enclosing {
    const Loop* loop;
    std::int64_t step;
  };

  void visit(Block& block) {
    for (std::size_t i = 0; i < block.size(); ++i) {
      std::optional<Item> next;
      if (block[i].is_loop()) {
        visit_bodies(*block[i].loop);
        next = split(*block[i].loop);
      } else {
        next = prefetch_for(block[i].expression, block);
      }
      if (next) block.insert(block.begin() + static_cast<std::ptrdiff_t>(++i), std::move(*next));
    }
  }

  void visit_bodies(Loop& loop) {
    for (Loop::Version& v : loop.versions) {
      path_.push_back({&loop, v.step});
      visit(v.body);
      path_.pop_back();
    }
  }

  std::optional<Item> prefetch_for(const Expression& e, const Block& block) {
    if (e.op != Op::load || ir_.memory[e.memory].kind != Memory::Kind::input) return std::nullopt;
    const auto lanes = std::ranges::find_if(path_, [](const Enclosing& l) { return l.loop->lanes; });
    if (lanes == path_.end() || access_mode(e, lanes->loop->var) != AccessMode::vector) return std::nullopt;
    const Loop* keys = keys_of(e);
    const std::int64_t uses = keys == nullptr ? 0 : uses_of(block, e);
    if (uses == 0 || (near_ != nullptr && (uses < kUses || !near_->contains(e.memory)))) return std::nullopt;
    if (uses < kUses) far_only_[keys].insert(e.memory);
    changed_ = true;
    return prefetch_of(e.memory, e.index.substitute({{keys->var, Expr::symbol(keys->var) + schedule_.keys_ahead}}), true);
  }

  /// The innermost loop over rows of what is loaded.
  const Loop* keys_of(const Expression& e) const {
    for (std::size_t i = path_.size(); i-- > 0;) {
      const Loop& l = *path_[i].loop;
      if (!l.lanes && !l.parallel && e.index.uses(l.var)) return &l;
    }
    return nullptr;
  }

  /// Multiply-adds of one vector that is loaded.
  std::int64_t uses_of(const Block& block, const Expression& load) const {
    std::int64_t uses = std::ranges::count_if(block, [&](const Item& item) {
      return !item.is_loop() && item.expression.op == Op::update_fma && item.expression.in[2] == load.out;
    });
    for (const auto& [loop, step] : path_)
      if (!loop->lanes && !loop->parallel && !is_block_loop(*loop) && !load.index.uses(loop->var)) uses *= step;
    return uses;
  }

  /// Leaves a loop that asks for rows of too few uses to operands that are far; gives the loop for those that are near.
  std::optional<Item> split(Loop& loop) {
    const auto found = far_only_.find(&loop);
    if (found == far_only_.end()) return std::nullopt;
    Expr bytes = 0;
    for (MemoryId m : found->second) {
      const Port& port = ir_.inputs[ir_.memory[m].index];
      bytes += product(port.shape) * static_cast<std::int64_t>(size_of(port.precision));
    }
    Loop near = loop.clone();
    for (Loop::Version& v : near.versions) drop_prefetches(v.body, found->second);
    near_ = &found->second;
    visit_bodies(near);  // other versions of the body may serve enough
    near_ = nullptr;
    // All rows, or none. Both loops begin alike, so that they share their pointers.
    const Expr is_far = less(schedule_.near_operand, bytes);
    loop.end = min(loop.end, loop.begin + select(is_far, kAllRows, 0));
    near.end = min(near.end, near.begin + select(is_far, 0, kAllRows));
    return Item(std::move(near));
  }

  static void drop_prefetches(Block& block, const std::set<MemoryId>& of) {
    std::erase_if(block, [&](const Item& item) {
      return !item.is_loop() && item.expression.op == Op::prefetch && of.contains(item.expression.memory);
    });
    for (Item& item : block)
      if (item.is_loop())
        for (Loop::Version& v : item.loop->versions) drop_prefetches(v.body, of);
  }

  LinearIR& ir_;
  const Schedule& schedule_;
  std::vector<Enclosing> path_;
  std::map<const Loop*, std::set<MemoryId>> far_only_;  ///< by loop over keys: what it asks for that serves too few
  const std::set<MemoryId>* near_ = nullptr;  ///< in the loop over what is near: what that loop has been rid of
  bool changed_ = false;
};

}  // namespace

bool prefetch_keys(LinearIR& ir, const Schedule& schedule) {
  return schedule.keys_ahead > 0 && PrefetchKeys(ir, schedule).run();
}

}  // namespace burin::linear
