#include "codegen/index_values.h"

#include "codegen/tile_access.h"

namespace burin::codegen {

using linear::Expression;

/// The tile's first element is converted to f32; the others are a known number away from it.
void IndexValues::emit_float(const Expression& e, const Tile& t, std::int64_t row, std::int64_t vector) {
  const Expr row_step = step_of(e, t.rows > 1 ? t.row_variable : ""), lane_step = step_of(e, t.lane_variable);
  const Expr away = row_step * row + lane_step * (vector * target_.lanes());
  const auto distance = away.as_constant();
  if (distance && *distance != 0) {
    values_.slot(e.out, row, vector) = b_.op(VOp::add, {reg(values_.slot(e.out, 0, 0)), constant(static_cast<float>(*distance))});
    return;
  }
  const VReg first = b_.op(VOp::splat64, {reg(index_.evaluate(e.index + away))});
  values_.slot(e.out, row, vector) = along_lanes(b_.op(VOp::to_f32, {reg(first)}), lane_step);
}

void IndexValues::emit_word(const Expression& e, const Tile& t, std::int64_t row, std::int64_t vector) {
  const Expr lane_step = step_of(e, t.lane_variable);
  const Expr first = e.index + step_of(e, t.rows > 1 ? t.row_variable : "") * row + lane_step * (vector * target_.lanes());
  const auto number = first.as_constant();
  VReg x = number ? b_.op(VOp::constant, {}, static_cast<std::int32_t>(*number)) : b_.op(VOp::splat64, {reg(index_.evaluate(first))});
  if (!(lane_step == Expr(0))) {
    const VReg step = b_.op(VOp::splat64, {reg(index_.evaluate(lane_step))});
    x = b_.op(VOp::add_i32, {reg(x), reg(b_.op(VOp::mul_i32, {reg(b_.op(VOp::iota, {})), reg(step)}))});
  }
  values_.slot(e.out, row, vector) = x;
}

/// x + step * lane
VReg IndexValues::along_lanes(VReg x, const Expr& step) {
  if (step == Expr(0)) return x;
  const VReg lane = b_.op(VOp::to_f32, {reg(b_.op(VOp::iota, {}))});
  if (step == Expr(1)) return b_.op(VOp::add, {reg(x), reg(lane)});
  const VReg factor = b_.op(VOp::to_f32, {reg(b_.op(VOp::splat64, {reg(index_.evaluate(step))}))});
  return b_.op(VOp::fma, {reg(lane), reg(factor), reg(x)});
}

}  // namespace burin::codegen
