// Moves out of a loop what does not change in it:
//
//     loop _k in 0..S {                       %b = load %bias[_q]
//       %b = load %bias[_q]              ->   loop _k in 0..S {
//       %t = add %x, %b }                       %t = add %x, %b }

#include <algorithm>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

class Hoisting {
 public:
  explicit Hoisting(LinearIR& ir) : ir_(ir), varies_(dependences(ir)) {}

  bool run() {
    visit(ir_.phases);
    return changed_;
  }

 private:
  void visit(Block& block) {
    for (std::size_t i = 0; i < block.size(); ++i) {
      if (!block[i].is_loop() || block[i].loop->brgemm) continue;
      for (Loop::Version& v : block[i].loop->versions) visit(v.body);
      // One phase's work items stay apart; and only before versions exist is a body's copy the only one.
      if (block[i].loop->parallel || block[i].loop->versions.size() > 1) continue;
      i += hoist_from(block, i);
    }
  }

  /// Moves the invariants of the loop at `position` in front of it; gives their number.
  std::size_t hoist_from(Block& block, std::size_t position) {
    Loop& loop = *block[position].loop;
    std::vector<Item> hoisted;
    for (std::size_t i = 0; i < loop.body().size();) {
      if (!loop.body()[i].is_loop() && is_invariant(loop.body()[i].expression, loop)) {
        hoisted.push_back(std::move(loop.body()[i]));
        loop.body().erase(loop.body().begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        ++i;
      }
    }
    changed_ |= !hoisted.empty();
    block.insert(block.begin() + static_cast<std::ptrdiff_t>(position), std::make_move_iterator(hoisted.begin()),
                 std::make_move_iterator(hoisted.end()));
    return hoisted.size();
  }

  bool is_invariant(const Expression& e, const Loop& loop) const {
    const OpClass kind = info(e.op).kind;
    if (e.op == Op::store || kind == OpClass::update || kind == OpClass::lanes || e.op == Op::fill) return false;
    if (varies_[e.out].count(loop.var) != 0 || e.index.uses(loop.var)) return false;
    const Effects inside = effects(loop.body());
    if (e.op == Op::load && inside.stores.count(e.memory) != 0) return false;
    return std::none_of(e.in.begin(), e.in.end(), [&](ValueId v) { return inside.writes.count(v) != 0; });
  }

  LinearIR& ir_;
  std::vector<std::set<std::string>> varies_;
  bool changed_ = false;
};

}  // namespace

bool hoist_invariants(LinearIR& ir) { return Hoisting(ir).run(); }

}  // namespace burin::linear
