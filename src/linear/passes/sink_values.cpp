// Values stand behind the loops that do not read them, not in front: registers are for what a loop needs.
//
//     loop _k in 0..S {                             loop _k in 0..S {
//       %c = less_equal %j, %i                        %s = fill 0 over(_k, _q)
//       %s = fill 0 over(_k, _q)                      loop _d in 0..64 { %s = update_fma %s, %a, %b }
//       loop _d in 0..64 {                    ->      %c = less_equal %j, %i
//         %s = update_fma %s, %a, %b }                %t = where %c, %s, %hidden }
//       %t = where %c, %s, %hidden }

#include <algorithm>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

class Sinking {
 public:
  explicit Sinking(LinearIR& ir) {
    for_each_expression(ir.phases, [&](const Expression& e) {
      if (info(e.op).kind == OpClass::update) updated_.insert(e.out);
    });
  }

  bool run(Block& block) {
    bool changed = false;
    // From the last on: what reads a value has moved before the value does.
    for (std::size_t i = block.size(); i-- > 0;) {
      if (block[i].is_loop())
        for (Loop::Version& v : block[i].loop->versions) changed |= run(v.body);
      else if (is_movable(block[i].expression))
        changed |= sink(block, i);
    }
    return changed;
  }

 private:
  /// Neither a variable nor what a loop could not pass by: a store.
  bool is_movable(const Expression& e) const {
    const OpClass kind = info(e.op).kind;
    return (kind == OpClass::value || e.op == Op::load) && e.over.empty() && updated_.count(e.out) == 0;
  }

  /// To its first reader, if a loop stands between.
  static bool sink(Block& block, std::size_t from) {
    const Effects moved = effects(block[from]);
    std::size_t to = from;
    for (std::size_t i = from + 1; i < block.size(); ++i) {
      const Effects passed = effects(block[i]);
      if (depends(passed, moved) || depends(moved, passed)) break;
      if (block[i].is_loop()) to = i;
    }
    if (to == from || to + 1 == block.size()) return false;
    // Behind the last loop that it can pass, others that moved there follow it.
    const auto begin = block.begin();
    std::rotate(begin + static_cast<std::ptrdiff_t>(from), begin + static_cast<std::ptrdiff_t>(from) + 1,
                begin + static_cast<std::ptrdiff_t>(to) + 1);
    return true;
  }

  std::set<ValueId> updated_;
};

}  // namespace

bool sink_values(LinearIR& ir) { return Sinking(ir).run(ir.phases); }

}  // namespace burin::linear
