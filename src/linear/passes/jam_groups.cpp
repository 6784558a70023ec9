// Heads of a group read the same keys. Where their number is known, the sums of several heads go on side by side, so that
// keys are loaded once for all of them:
//
//     loop _k in 0..S step 8 {                              loop _k in 0..S step 4 {
//       loop _g in 0..4 {                                     loop _g.j in 0..1 {
//         %s = fill 0 over(_k, _d)                              %s = fill 0 over(_k, _d)   %s1 = ...  %s2 = ...  %s3 = ...
//         lanes _d in 0..64 {                        ->         lanes _d in 0..64 {
//           %x = load %k[64*_k + _d]                              %x = load %k[64*_k + _d]
//           %y = load %q[64*_g + _d]                              %y = load %q[256*_g.j + _d]
//           %s = update_fma %s, %y, %x }                          %s = update_fma %s, %y, %x
//         %t = lanes_sum %s                                       %y1 = load %q[256*_g.j + _d + 64]
//         store %t.buffer[16*_g + _k], %t } }                     %s1 = update_fma %s1, %y1, %x ... }
//                                                               %t = lanes_sum %s  %t1 = ...
//
// Rows of the tile become fewer for it.

#include <algorithm>
#include <map>
#include <optional>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

/// Heads side by side, and accumulators that they and the rows have together at most.
constexpr std::int64_t kHeads = 4, kAccumulators = 16;

class Jamming {
 public:
  Jamming(LinearIR& ir, const Schedule& schedule) : ir_(ir), schedule_(schedule) {}

  bool run() {
    for_each_block(ir_.phases, [&](Block& block, const Path&) {
      for (Item& item : block)
        if (item.is_loop()) visit(*item.loop);
    });
    return changed_;
  }

 private:
  bool is_row_loop(const Loop& loop) const {
    return !loop.lanes && !loop.parallel && loop.versions.front().step == schedule_.folded_rows.front() &&
           loop.versions.front().step > 1 && !is_block_loop(loop) && holds_folded_product(loop);
  }

  void visit(Loop& rows) {
    if (!is_row_loop(rows)) return;
    Block* block = &rows.body();
    while (block->size() == 1 && (*block)[0].is_loop()) {
      Loop& loop = *(*block)[0].loop;
      if (const auto count = (loop.end - loop.begin).as_constant(); count && *count > 1 && *count % kHeads == 0 && can_jam(loop)) {
        jam(loop);
        rows.versions.front().step = fewer_rows();
        changed_ = true;
        return;
      }
      block = &loop.body();
    }
  }

  /// The next step of the schedule that leaves as many accumulators as it had, or about.
  std::int64_t fewer_rows() const {
    const std::vector<std::int64_t>& steps = schedule_.folded_rows;
    const auto fits = [&](std::int64_t step) { return step * kHeads <= kAccumulators; };
    return *std::find_if(steps.begin(), std::prev(steps.end()), fits);
  }

  /// No iteration needs what another one has made.
  static bool can_jam(const Loop& loop) {
    const Effects e = effects(loop.body());
    std::set<ValueId> defined;
    for_each_expression(loop.body(), [&](const Expression& x) {
      if (info(x.op).kind != OpClass::update && x.out != kNone) defined.insert(x.out);
    });
    const auto own = [&](ValueId v) { return defined.count(v) != 0; };
    return !loop.lanes && std::ranges::all_of(e.writes, own) &&
           std::ranges::none_of(e.loads, [&](MemoryId m) { return e.stores.count(m) != 0; });
  }

  void jam(Loop& loop) {
    const std::string variable = fresh_variable(ir_, loop.var + ".j");
    const auto varies = dependences(ir_);
    const std::string head = loop.var;
    const Expr first = loop.begin + Expr::symbol(variable) * kHeads;
    loop.end = ceil_div(loop.end - loop.begin, kHeads);
    loop.begin = 0;
    loop.var = variable;
    loop.body() = jammed(loop.body(), head, first, varies);
  }

  /// Each item for all heads; loops inside hold it for all heads, too.
  Block jammed(const Block& block, const std::string& head, const Expr& first, const std::vector<std::set<std::string>>& varies) {
    Block out;
    for (const Item& item : block) {
      if (item.is_loop()) {
        Loop loop = item.loop->clone();
        loop.body() = jammed(item.loop->body(), head, first, varies);
        out.emplace_back(std::move(loop));
        continue;
      }
      const Expression& e = item.expression;
      const bool is_same = e.op != Op::store && (e.out == kNone || (varies[e.out].count(head) == 0 && info(e.op).kind != OpClass::update));
      for (std::int64_t j = 0; j < (is_same && !is_running(e) ? 1 : kHeads); ++j) {
        Expression copy = e;
        copy.index = e.index.substitute({{head, first + j}});
        std::erase(copy.over, head);
        for (ValueId& v : copy.in) v = of_head(v, j);
        if (copy.out != kNone) copy.out = is_same && !is_running(e) ? copies_[{copy.out, 0}] = copy.out : made_for(copy.out, j);
        out.emplace_back(std::move(copy));
      }
    }
    return out;
  }

  /// A variable that is updated inside.
  static bool is_running(const Expression& e) { return e.op == Op::fill && !e.over.empty(); }

  ValueId made_for(ValueId v, std::int64_t head) {
    const auto [it, fresh] = copies_.try_emplace({v, head}, v);
    if (fresh && head > 0) it->second = ir_.new_value(ir_.values[v]);
    return it->second;
  }

  /// What all heads have in common has no copies.
  ValueId of_head(ValueId v, std::int64_t head) const {
    const auto it = copies_.find({v, head});
    return it == copies_.end() ? v : it->second;
  }

  LinearIR& ir_;
  const Schedule& schedule_;
  std::map<std::pair<ValueId, std::int64_t>, ValueId> copies_;
  bool changed_ = false;
};

}  // namespace

bool jam_groups(LinearIR& ir, const Schedule& schedule) { return schedule.few_queries && Jamming(ir, schedule).run(); }

}  // namespace burin::linear
