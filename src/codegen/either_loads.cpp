#include "codegen/either_loads.h"

namespace burin::codegen {

using linear::AccessMode;
using linear::Expression;
using linear::Loop;
using linear::Op;

void EitherLoads::prepare(const Loop& loop) {
  either_.clear();
  for (const Loop::Version& v : loop.versions)
    linear::for_each_expression(v.body, [&](const Expression& e) {
      if (e.op != Op::load || linear::access_mode(e, loop.var) != AccessMode::either) return;
      const Expr factor = *e.index.coefficient(loop.var);
      if (either_.count(factor) == 0) either_[factor] = either_of(factor);
    });
}

EitherLoads::Either EitherLoads::either_of(const Expr& factor) {
  Either either;
  either.factor = prologue_.parameter(factor);
  either.lanes = prologue_.parameter(1 + factor * (target_.lanes() - 1));
  either.mask = access_.first_lanes(either.lanes);
  const VReg all_or_nothing = b_.op(VOp::splat64, {reg(prologue_.parameter(0 - factor))});
  either.indices = b_.op(VOp::and_bits, {reg(b_.op(VOp::iota, {})), reg(all_or_nothing)});
  return either;
}

VReg EitherLoads::load(const Step& s, const Tile& t, std::int64_t row, std::int64_t vector) {
  const Expression& e = *s.expression;
  const Either& either = either_.at(step_of(e, t.lane_variable));
  VReg base = s.base;
  std::int64_t displacement = s.displacement;
  if (row > 0) {
    Instruction address = access(VOp::lea64, access_.row_address(base, displacement, row, s.row_stride));
    address.dst = base = b_.general();
    displacement = 0;
    b_.append(address);
  }
  const Memory mem = access_.row_address(base, displacement, vector, s.lane_stride * target_.lanes());
  Instruction i = access(access_.is_boolean(e) ? VOp::load_bool : VOp::load, mem);
  i.count = either.lanes, i.mask = either.mask;
  if (t.count != kNoReg) {
    const VReg others = b_.op(VOp::sub64, {reg(t.count), immediate(1)});
    i.count = b_.op(VOp::add64, {reg(b_.op(VOp::mul64, {reg(others), reg(either.factor)})), immediate(1)});
    i.mask = access_.first_lanes(i.count);
  }
  i.dst = b_.vector();
  b_.append(i);
  return b_.op(VOp::lookup16, {reg(either.indices), reg(i.dst)});
}

}  // namespace burin::codegen
