// A sum, difference or product of an input's element and what is known in front of both loops is computed again where a
// later loop needs it, instead of going through scratch: that costs as many loads and no store, and no place in a cache.
//
//     loop _k in 0..S {                             loop _k in 0..S {
//       %x = load %a[_k]                              %x = load %a[_k]
//       %d = sub %x, %mean                            %d = sub %x, %mean
//       %v = update_fma %v, %d, %d }        ->        %v = update_fma %v, %d, %d }
//     loop _k in 0..S {                             loop _k in 0..S {
//                                                     %x1 = load %a[_k]
//                                                     %d1 = sub %x1, %mean
//       store %y[_k], %d }                            store %y[_k], %d1 }

#include <algorithm>
#include <map>
#include <vector>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

class Recomputation {
 public:
  explicit Recomputation(LinearIR& ir) : ir_(ir) {}

  bool run() {
    find_homes(ir_.phases);
    for_each_block(ir_.phases, [&](Block& block, const Path& path) { visit(block, path); });
    return changed_;
  }

 private:
  struct Place {
    std::size_t position = 0;         ///< in the order of the text
    std::vector<const Loop*> loops;   ///< that enclose it
    bool is_in(const Loop* loop) const { return std::ranges::find(loops, loop) != loops.end(); }
  };
  struct Home : Place {
    Expression expression;
  };

  void find_homes(const Block& block) {
    for (const Item& item : block) {
      if (item.is_loop()) {
        here_.loops.push_back(item.loop.get());
        for (const Loop::Version& version : item.loop->versions) find_homes(version.body);
        here_.loops.pop_back();
        continue;
      }
      ++here_.position;
      const Expression& e = item.expression;
      if (info(e.op).kind == OpClass::update) updates_[e.out].push_back(here_);
      if (e.out != kNone) homes_.try_emplace(e.out, Home{here_, e});
    }
  }

  static bool encloses(const Home& home, const Path& use) {
    return home.loops.size() <= use.loops.size() && std::equal(home.loops.begin(), home.loops.end(), use.loops.begin());
  }

  void visit(Block& block, const Path& path) {
    std::map<ValueId, ValueId> made;
    for (std::size_t i = 0; i < block.size(); ++i) {
      if (block[i].is_loop()) continue;
      for (std::size_t k = 0; k < block[i].expression.in.size(); ++k) {
        const ValueId v = block[i].expression.in[k];
        if (made.count(v) == 0) {
          if (encloses(homes_.at(v), path) || !is_cheap(v, path)) continue;
          i += insert_copy(block, i, v, path, made);
        }
        block[i].expression.in[k] = made.at(v);
        changed_ = true;
      }
    }
  }

  bool is_cheap(ValueId v, const Path& use) const {
    const Home& home = homes_.at(v);
    const Op op = home.expression.op;
    if ((op != Op::add && op != Op::sub && op != Op::mul) || updates_.contains(v)) return false;
    const auto is_known = [&](ValueId operand) { return encloses(homes_.at(operand), use) && is_final(operand, home, use); };
    const std::vector<ValueId>& in = home.expression.in;
    const auto unknown = std::ranges::find_if_not(in, is_known);
    return unknown != in.end() && can_load_again(homes_.at(*unknown), use) &&
           std::all_of(unknown, in.end(), [&](ValueId v) { return v == *unknown || is_known(v); });
  }

  /// Whether a running value is at its use what it was at home: updated only in front of the loops of both.
  bool is_final(ValueId operand, const Home& home, const Path& use) const {
    const auto found = updates_.find(operand);
    return found == updates_.end() || std::ranges::all_of(found->second, [&](const Place& update) {
      return update.position < home.position && std::ranges::all_of(home.loops, [&](const Loop* loop) {
        return !update.is_in(loop) || std::ranges::find(use.loops, loop) != use.loops.end();
      });
    });
  }

  /// An input's element that the loops around the use name, too.
  bool can_load_again(const Home& home, const Path& use) const {
    const Expression& e = home.expression;
    if (e.op != Op::load || ir_.memory[e.memory].kind != Memory::Kind::input) return false;
    if (access_mode(e, use.lane_variable()) != AccessMode::vector) return false;
    return std::ranges::all_of(home.loops, [&](const Loop* loop) {
      return !e.index.uses(loop->var) || std::ranges::any_of(use.loops, [&](const Loop* other) {
        return same_range(*other, *loop) && other->lanes == loop->lanes;
      });
    });
  }

  /// In front of the item at `position`; gives the number of items.
  std::size_t insert_copy(Block& block, std::size_t position, ValueId v, const Path& path, std::map<ValueId, ValueId>& made) {
    std::vector<Item> copies;
    Expression copy = homes_.at(v).expression;
    for (ValueId& operand : copy.in) {
      if (encloses(homes_.at(operand), path)) continue;
      if (made.count(operand) == 0) copies.emplace_back(copy_of(homes_.at(operand).expression, path, made));
      operand = made.at(operand);
    }
    copies.emplace_back(copy_of(std::move(copy), path, made));
    const std::size_t count = copies.size();
    block.insert(block.begin() + static_cast<std::ptrdiff_t>(position), std::make_move_iterator(copies.begin()),
                 std::make_move_iterator(copies.end()));
    return count;
  }

  Expression copy_of(Expression e, const Path& path, std::map<ValueId, ValueId>& made) {
    const ValueId original = e.out;
    e.out = made[original] = ir_.new_value(ir_.values[original]);
    homes_[e.out] = Home{{0, path.loops}, e};
    return e;
  }

  LinearIR& ir_;
  std::map<ValueId, Home> homes_;
  std::map<ValueId, std::vector<Place>> updates_;
  Place here_;  ///< of the walk through the text
  bool changed_ = false;
};

}  // namespace

bool recompute_values(LinearIR& ir, const Schedule& schedule) { return schedule.recompute && Recomputation(ir).run(); }

}  // namespace burin::linear
