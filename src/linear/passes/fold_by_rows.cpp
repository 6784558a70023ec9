// What is only folded down its columns is read row by row, as it lies in memory: running values of all columns of a wide panel
// are kept in the nearest cache, not in registers.
//
//     lanes _d in _d.b.._d.b + 2048 {                 lanes _d in _d.b.._d.b + 2048 {
//       %sum = fill 0 over(_d)                          store %sum.columns[_d - _d.b], 0 }
//       loop _s in 0..S {                             loop _s in 0..S {
//         %x = load %a[D*_s + _d]             ->        lanes _d in _d.b.._d.b + 2048 {
//         %sum = update_sum %sum, %x }                    %x = load %a[D*_s + _d]
//       store %y[_d], %sum }                              %sum1 = load %sum.columns[_d - _d.b]
//                                                         %sum2 = add %sum1, %x
//                                                         store %sum.columns[_d - _d.b], %sum2 } }
//                                                     lanes _d in _d.b.._d.b + 2048 {
//                                                       %sum = load %sum.columns[_d - _d.b]
//                                                       store %y[_d], %sum }

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

/// What an update does with the value so far and its operand.
std::optional<Op> step_of(Op update) {
  switch (update) {
    case Op::update_sum: return Op::add;
    case Op::update_prod: return Op::mul;
    case Op::update_max: return Op::max;
    case Op::update_min: return Op::min;
    default: return std::nullopt;
  }
}

class FoldByRows {
 public:
  explicit FoldByRows(LinearIR& ir) : ir_(ir) {}

  bool run() {
    bool changed = false;
    for_each_loop(ir_.phases, [&](Loop& items) {
      if (items.parallel && items.body().size() == 1 && items.body()[0].is_loop() && items.body()[0].loop->lanes)
        changed |= rewrite(items.body());
    });
    return changed;
  }

 private:
  /// The body of the lane loop: fills of running values, the loop over rows, the rest.
  bool rewrite(Block& block) {
    Loop& lanes = *block[0].loop;
    const auto rows = std::ranges::find_if(lanes.body(), [](const Item& item) { return item.is_loop(); });
    if (rows == lanes.body().end() || !std::all_of(lanes.body().begin(), rows, is_running) ||
        !can_fold(*rows->loop, outputs(lanes.body().begin(), rows)) ||
        std::any_of(std::next(rows), lanes.body().end(), [](const Item& item) { return item.is_loop(); }))
      return false;
    Loop first = around(lanes), last = around(lanes), inside = around(lanes);
    for (auto item = lanes.body().begin(); item != rows; ++item) keep(item->expression, lanes, first.body(), last.body());
    for (Item& item : rows->loop->body()) fold(std::move(item.expression), inside.body());
    last.body().insert(last.body().end(), std::make_move_iterator(std::next(rows)), std::make_move_iterator(lanes.body().end()));
    Loop outer = around(*rows->loop);
    outer.body().emplace_back(std::move(inside));
    block.clear();
    block.emplace_back(std::move(first));
    block.emplace_back(std::move(outer));
    block.emplace_back(std::move(last));
    return true;
  }

  static bool is_running(const Item& item) { return !item.is_loop() && item.expression.op == Op::fill && !item.expression.over.empty(); }

  static std::set<ValueId> outputs(Block::const_iterator begin, Block::const_iterator end) {
    std::set<ValueId> out;
    for (auto item = begin; item != end; ++item) out.insert(item->expression.out);
    return out;
  }

  /// `running`: the values that get memory. In the loop they are only updated.
  static bool can_fold(const Loop& rows, const std::set<ValueId>& running) {
    return !rows.lanes && !rows.condition && std::ranges::all_of(rows.body(), [&](const Item& item) {
      if (item.is_loop() || item.expression.op == Op::store) return false;
      const Expression& e = item.expression;
      const bool updates = info(e.op).kind == OpClass::update;
      if (updates && (!step_of(e.op) || !running.contains(e.out))) return false;
      return std::none_of(e.in.begin() + (updates ? 1 : 0), e.in.end(), [&](ValueId v) { return running.contains(v); });
    });
  }

  /// The same loop, empty.
  static Loop around(const Loop& loop) {
    Loop out;
    out.var = loop.var;
    out.begin = loop.begin;
    out.end = loop.end;
    out.lanes = loop.lanes;
    out.versions.push_back({loop.versions.front().step, loop.versions.front().partial, {}});
    return out;
  }

  /// A running value gets memory: filled in front, loaded behind.
  void keep(const Expression& fill, const Loop& lanes, Block& first, Block& last) {
    Memory memory;
    memory.kind = Memory::Kind::worker;
    memory.name = ir_.values[fill.out] + ".columns";
    memory.elements = ceil_div(extent_bound(lanes), ir_.lanes) * ir_.lanes;
    Column& column = columns_[fill.out];
    column.memory = ir_.new_memory(std::move(memory));
    column.index = Expr::symbol(lanes.var) - lanes.begin;
    Expression start;
    start.op = Op::fill;
    start.imm = fill.imm;
    start.out = ir_.new_value(ir_.values[fill.out]);
    const ValueId value = start.out;
    first.emplace_back(std::move(start));
    first.emplace_back(access(Op::store, column, value));
    last.emplace_back(access(Op::load, column, fill.out));
  }

  void fold(Expression e, Block& body) {
    if (info(e.op).kind != OpClass::update) {
      body.emplace_back(std::move(e));
      return;
    }
    const Column& column = columns_.at(e.out);
    const ValueId before = ir_.new_value(ir_.values[e.out]), after = ir_.new_value(ir_.values[e.out]);
    body.emplace_back(access(Op::load, column, before));
    Expression step;
    step.op = *step_of(e.op);
    step.in = {before, e.in[1]};
    step.out = after;
    body.emplace_back(std::move(step));
    body.emplace_back(access(Op::store, column, after));
  }

  struct Column {
    MemoryId memory = kNone;
    Expr index = 0;
  };

  static Expression access(Op op, const Column& column, ValueId value) {
    Expression e;
    e.op = op;
    e.memory = column.memory;
    e.index = column.index;
    if (op == Op::store)
      e.in = {value};
    else
      e.out = value;
    return e;
  }

  LinearIR& ir_;
  std::map<ValueId, Column> columns_;
};

}  // namespace

bool fold_by_rows(LinearIR& ir, const Schedule& schedule) { return schedule.fold_by_rows && FoldByRows(ir).run(); }

}  // namespace burin::linear
