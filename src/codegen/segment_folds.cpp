#include "codegen/segment_folds.h"

#include <optional>
#include <vector>

namespace burin::codegen {

using linear::Expression;
using linear::Op;

void SegmentFolds::prepare(const linear::Loop& phase) {
  linear::for_each_expression(phase.body(), [&](const Expression& e) {
    if (info(e.op).kind == linear::OpClass::segments && tables_.count(e.index) == 0) tables_[e.index] = tables_of(e.index);
  });
}

SegmentFolds::Tables SegmentFolds::tables_of(const Expr& length) {
  Tables t;
  t.length = prologue_.parameter(length);
  const VReg n = b_.op(VOp::to_f32, {reg(b_.op(VOp::splat64, {reg(t.length)}))}), lane = b_.op(VOp::to_f32, {reg(b_.op(VOp::iota, {}))});
  // (Half a lane off the multiples of the length, so that no rounding matters.)
  const VReg places = b_.op(VOp::div, {reg(b_.op(VOp::add, {reg(lane), constant(0.5F)})), reg(n)});
  const VReg first = b_.op(VOp::mul, {reg(elementwise_.floor(places)), reg(n)});
  const VReg last = b_.op(VOp::sub, {reg(b_.op(VOp::add, {reg(first), reg(n)})), constant(1)});
  t.first = b_.op(VOp::to_i32, {reg(first)});
  for (std::int64_t ahead = 1; ahead < longest(); ahead *= 2) {
    const VReg lane_ahead = b_.op(VOp::add, {reg(lane), constant(static_cast<float>(ahead))});
    t.ahead[ahead] = b_.op(VOp::to_i32, {reg(b_.op(VOp::min, {reg(lane_ahead), reg(last)}))});
    t.has_ahead[ahead] = b_.compare(Cond::le, lane_ahead, reg(last));
  }
  return t;
}

/// Step by step for all rows, since each step waits for the one in front. Those that short segments do not need are jumped over.
void SegmentFolds::emit(const Expression& e, const Tile& t) {
  constexpr std::int64_t kAlwaysTaken = 2;
  const Tables& tables = tables_.at(e.index);
  const std::optional<std::int64_t> known = e.index.as_constant();
  const std::uint32_t done = b_.new_label();
  std::vector<VReg> rows;
  for (std::int64_t r = 0; r < (values_.spans_rows(e.out, t) ? t.rows : 1); ++r) rows.push_back(values_.slot(e.in[0], r, 0));
  for (std::int64_t ahead = 1; ahead < longest(); ahead *= 2) {
    if (known && *known <= ahead) break;
    if (ahead > kAlwaysTaken && !known) b_.jump_if(Cond::le, tables.length, immediate(ahead), done);
    for (VReg& x : rows) {
      const VReg taken_in = with_lanes_ahead(e.op, x, tables, ahead);
      if (ahead > kAlwaysTaken)
        b_.into(x, VOp::mov, {reg(taken_in)});
      else
        x = taken_in;
    }
  }
  b_.label(done);
  for (std::size_t r = 0; r < rows.size(); ++r)
    values_.slot(e.out, static_cast<std::int64_t>(r), 0) = b_.op(VOp::lookup16, {reg(tables.first), reg(rows[r])});
}

VReg SegmentFolds::with_lanes_ahead(Op op, VReg x, const Tables& tables, std::int64_t ahead) {
  const VReg both = elementwise_.combine(op, x, b_.op(VOp::lookup16, {reg(tables.ahead.at(ahead)), reg(x)}));
  if (op != Op::segments_sum && op != Op::segments_prod) return both;  // the last element of a segment may count twice
  return b_.op(VOp::blend, {reg(tables.has_ahead.at(ahead)), reg(both), reg(x)});
}

}  // namespace burin::codegen
