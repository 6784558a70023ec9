// A buffer that is written where another of the same size is read for the last time takes over its memory:
//
//     loop _k in 0..S {                                   loop _k in 0..S {
//       %t1 = load %t.buffer[48*_k + _q]                    %t1 = load %t.buffer[48*_k + _q]
//       %e = exp2 %t1                               ->      %e = exp2 %t1
//       store %e.buffer[48*_k + _q], %e }                   store %t.buffer[48*_k + _q], %e }
//
// Not where stores are delayed: then the new contents are read when the next panel has stored the old ones anew.

#include <algorithm>
#include <map>
#include <vector>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

class InPlace {
 public:
  explicit InPlace(LinearIR& ir) : ir_(ir) {}

  bool run() {
    bool changed = false;
    while (reuse_once()) changed = true;
    return changed;
  }

 private:
  bool is_worker(MemoryId m) const { return ir_.memory[m].kind == Memory::Kind::worker; }

  /// No loop comes by the same element twice, save for one that makes the contents anew in each iteration.
  static bool spans_all(const Expression& load, const Path& path) {
    return std::all_of(path.loops.begin(), path.loops.end(), [&](const Loop* l) {
      return l->parallel || load.index.uses(l->var) || (l->condition && effects(l->body()).stores.count(load.memory) != 0);
    });
  }

  bool reuse_once() {
    std::map<MemoryId, int> loads, stores;
    for_each_expression(static_cast<const Block&>(ir_.phases), [&](const Expression& e) {
      if (e.op == Op::load) ++loads[e.memory];
      if (e.op == Op::store) ++stores[e.memory];
    });
    bool changed = false;
    for_each_block(ir_.phases, [&](Block& block, const Path& path) {
      if (changed) return;
      std::vector<const Expression*> candidates;
      for (Item& item : block) {
        if (item.is_loop()) continue;
        Expression& e = item.expression;
        // One load in all: after it nothing reads the old contents.
        if (e.op == Op::load && is_worker(e.memory) && loads[e.memory] == 1 && spans_all(e, path)) candidates.push_back(&e);
        if (e.op != Op::store || !is_worker(e.memory) || stores[e.memory] != 1) continue;
        for (const Expression* load : candidates)
          if (load->memory != e.memory && load->index == e.index &&
              ir_.memory[load->memory].elements == ir_.memory[e.memory].elements &&
              ir_.memory[load->memory].precision == ir_.memory[e.memory].precision) {
            replace(e.memory, load->memory);
            changed = true;
            return;
          }
      }
    });
    return changed;
  }

  /// The replaced buffer stays in the table without an access; the allocation gives it no memory.
  void replace(MemoryId from, MemoryId to) {
    for_each_expression(ir_.phases, [&](Expression& e) {
      if (is_memory(e) && e.memory == from) e.memory = to;
    });
  }

  LinearIR& ir_;
};

}  // namespace

bool reuse_in_place(LinearIR& ir, const Schedule& schedule) { return !schedule.delay_stores && InPlace(ir).run(); }

}  // namespace burin::linear
