// A loop that goes down columns jumps from row to row, where no hardware fetches ahead. Where what it reads is in no cache,
// the first one that does asks for a row some iterations before it is needed:
//
//     lanes _d in _d.b.._d.b + 64 {               lanes _d in _d.b.._d.b + 64 {
//       loop _s in 0..S {                   ->      loop _s in 0..S {
//         %x = load %a[D*_s + _d]                     prefetch %a[D*_s + 8*D + _d]
//         %sum = update_sum %sum, %x                  %x = load %a[D*_s + _d]
//                                                     %sum = update_sum %sum, %x
//
// Behind the last row nothing is touched: it is only a hint.

#include <set>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

class PrefetchAhead {
 public:
  PrefetchAhead(LinearIR& ir, std::int64_t rows) : ir_(ir), rows_(rows) {}

  bool run() {
    for_each_block(ir_.phases, [&](Block& block, const Path& path) {
      if (path.loops.empty()) return;
      const Loop& down = *path.loops.back();
      const std::string lane = path.lane_variable();
      if (lane.empty() || down.lanes || down.parallel) return;
      for (std::size_t i = 0; i < block.size(); ++i)
        if (!block[i].is_loop() && is_first_of_row(block[i].expression, down, lane)) {
          block.insert(block.begin() + static_cast<std::ptrdiff_t>(i), Item(ahead_of(block[i].expression, down)));
          ++i;
        }
    });
    return !asked_.empty();
  }

 private:
  bool is_first_of_row(const Expression& e, const Loop& down, const std::string& lane) {
    if (e.op != Op::load || ir_.memory[e.memory].kind != Memory::Kind::input) return false;
    const auto stride = e.index.coefficient(down.var);
    if (access_mode(e, lane) != AccessMode::vector || !stride || *stride == Expr(0)) return false;
    return asked_.insert({e.memory, e.index.to_string()}).second;
  }

  Expression ahead_of(const Expression& e, const Loop& down) const {
    Expression ahead;
    ahead.op = Op::prefetch;
    ahead.memory = e.memory;
    ahead.index = e.index.substitute({{down.var, Expr::symbol(down.var) + rows_}});
    return ahead;
  }

  LinearIR& ir_;
  std::int64_t rows_;
  std::set<std::pair<MemoryId, std::string>> asked_;
};

}  // namespace

bool prefetch_ahead(LinearIR& ir, const Schedule& schedule) {
  if (!schedule.stream || schedule.rows_ahead == 0) return false;
  return PrefetchAhead(ir, schedule.rows_ahead).run();
}

}  // namespace burin::linear
