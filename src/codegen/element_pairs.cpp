#include "codegen/element_pairs.h"

#include <array>

#include "linear/pairs.h"

namespace burin::codegen {

using linear::Block;
using linear::Expression;
using linear::Loop;
using linear::MemoryId;
using linear::Op;

namespace {

bool holds_pairs(const Loop& loop) {
  bool found = false;
  for (const Loop::Version& v : loop.versions) {
    const auto check = [&](const Block& block) {
      for (std::size_t i = 0; i < block.size(); ++i) found |= linear::partner_in_pairs(block, i, loop.var).has_value();
    };
    check(v.body);
    linear::for_each_loop(v.body, [&](const Loop& inner) {
      for (const Loop::Version& w : inner.versions) check(w.body);
    });
  }
  return found;
}

}  // namespace

void ElementPairs::prepare(const Loop& loop) {
  if (holds_pairs(loop)) tables_ = tables();
}

ElementPairs::Tables ElementPairs::tables() {
  Tables p;
  if (target_.has_lookup_both) {
    constexpr std::int64_t kLaneBits = 4;  // of 16 lanes: the numbers of the second vector's lanes have one more
    const VReg lane = b_.op(VOp::iota, {});
    p.evens = b_.op(VOp::shl_i32, {reg(lane)}, 1), p.odds = b_.op(VOp::add_i32, {reg(p.evens), constant_bits(1)});
    const VReg parity = b_.op(VOp::shl_i32, {reg(b_.op(VOp::and_bits, {reg(lane), constant_bits(1)}))}, kLaneBits);
    p.first = b_.op(VOp::or_bits, {reg(b_.op(VOp::shr_i32, {reg(lane)}, 1)), reg(parity)});
    p.second = b_.op(VOp::add_i32, {reg(p.first), constant_bits(static_cast<std::uint32_t>(target_.lanes() / 2))});
    return p;
  }
  p.evens = lane_numbers(1, 0, 0), p.odds = lane_numbers(1, 0, 1);
  p.first = lane_numbers(0, 1, 0), p.second = lane_numbers(0, 1, target_.lanes() / 2);
  p.low_half = access_.first_lanes(prologue_.parameter(target_.lanes() / 2));
  const VReg parity = b_.op(VOp::and_bits, {reg(b_.op(VOp::iota, {})), constant_bits(1)});
  p.even_lanes = b_.compare(Cond::eq, b_.op(VOp::to_f32, {reg(parity)}), constant(0));
  return p;
}

/// Lane l as an i32: (l << left) >> right, modulo the lanes, plus something.
VReg ElementPairs::lane_numbers(std::int64_t left, std::int64_t right, std::int64_t plus) {
  VReg x = b_.op(VOp::iota, {});
  if (left > 0) x = b_.op(VOp::shl_i32, {reg(x)}, left);
  if (right > 0) x = b_.op(VOp::shr_i32, {reg(x)}, right);
  x = b_.op(VOp::and_bits, {reg(x), constant_bits(static_cast<std::uint32_t>(target_.lanes() - 1))});
  return plus == 0 ? x : b_.op(VOp::add_i32, {reg(x), constant_bits(static_cast<std::uint32_t>(plus))});
}

void ElementPairs::find(const Block& block, std::size_t begin, std::vector<Step>& steps, const Tile& tile) {
  pairs_.clear();
  for (std::size_t i = begin; i < begin + steps.size(); ++i) {
    const auto k = linear::partner_in_pairs(block, i, tile.lane_variable);
    const Expression& e = block[i].expression;
    if (!k || *k < begin || *k >= begin + steps.size() || access_.is_boolean(e)) continue;
    Step& own = steps[i - begin];
    const Step& other = steps[*k - begin];
    const bool is_even = (other.expression->index - e.index) == Expr(1);
    own.paired = true;
    pairs_[&e] = {is_even ? &own : &other, is_even ? &other : &own, (i < *k) == (e.op == Op::load)};
  }
}

void ElementPairs::emit(const Step& s, const Tile& t, std::int64_t row, std::int64_t vector) {
  const Pair& pair = pairs_.at(s.expression);
  if (!pair.is_done_here) return;
  s.expression->op == Op::load ? load(pair, t, row, vector) : store(pair, t, row, vector);
}

void ElementPairs::load(const Pair& pair, const Tile& t, std::int64_t row, std::int64_t vector) {
  std::array<VReg, 2> memory{};
  for (std::int64_t half = 0; half < 2; ++half) {
    Instruction i = half_of_pair(VOp::load, *pair.even, t, row, vector, half);
    i.dst = memory[static_cast<std::size_t>(half)] = b_.vector();
    b_.append(i);
  }
  const auto pick = [&](VReg lanes) {
    if (target_.has_lookup_both) return lookup_both(lanes, memory[0], memory[1]);
    const VReg low = b_.op(VOp::lookup16, {reg(lanes), reg(memory[0])}), high = b_.op(VOp::lookup16, {reg(lanes), reg(memory[1])});
    return b_.op(VOp::blend, {reg(tables_.low_half), reg(low), reg(high)});
  };
  values_.slot(pair.even->expression->out, row, vector) = pick(tables_.evens);
  values_.slot(pair.odd->expression->out, row, vector) = pick(tables_.odds);
}

void ElementPairs::store(const Pair& pair, const Tile& t, std::int64_t row, std::int64_t vector) {
  const VReg even = elementwise_.in_register(values_.element(pair.even->expression->in[0], row, vector));
  const VReg odd = elementwise_.in_register(values_.element(pair.odd->expression->in[0], row, vector));
  const bool past = pair.even->expression->past_caches && pair.odd->expression->past_caches && t.mask == kNoReg;
  for (std::int64_t half = 0; half < 2; ++half) {
    const VReg from = half == 0 ? tables_.first : tables_.second;
    Instruction i = half_of_pair(past ? VOp::store_stream : VOp::store, *pair.even, t, row, vector, half);
    i.src[0] = reg(alternating(from, even, odd));
    b_.append(i);
  }
}

/// A vector of memory: the first or the second half of a pair of vectors.
Instruction ElementPairs::half_of_pair(VOp op, const Step& even, const Tile& t, std::int64_t row, std::int64_t vector, std::int64_t half) {
  const MemoryId memory = even.expression->memory;
  const std::int64_t lanes = target_.lanes();
  const std::int64_t displacement = even.displacement + (2 * vector + half) * lanes * access_.element_bytes(memory);
  Instruction i = access(op, access_.row_address(even.base, displacement, row, even.row_stride));
  if (t.count == kNoReg || access_.is_padded(memory)) return i;
  const VReg elements = b_.op(VOp::shl64, {reg(t.count), immediate(1)});
  const VReg behind = b_.op(VOp::sub64, {reg(elements), immediate(half * lanes)});
  i.count = b_.op(VOp::max64, {reg(b_.op(VOp::min64, {reg(behind), immediate(lanes)})), immediate(0)});
  i.mask = access_.first_lanes(i.count);
  return i;
}

/// What the table says of the lanes of two vectors.
VReg ElementPairs::lookup_both(VReg table, VReg first, VReg second) {
  Instruction i;
  i.op = VOp::lookup_both;
  i.src = {reg(table), reg(first), reg(second)};
  i.temps = {b_.vector()};
  i.temp_count = 1;
  i.dst = b_.vector();
  b_.append(i);
  return i.dst;
}

VReg ElementPairs::alternating(VReg from, VReg even, VReg odd) {
  if (target_.has_lookup_both) return lookup_both(from, even, odd);
  const VReg a = b_.op(VOp::lookup16, {reg(from), reg(even)}), b = b_.op(VOp::lookup16, {reg(from), reg(odd)});
  return b_.op(VOp::blend, {reg(tables_.even_lanes), reg(a), reg(b)});
}

}  // namespace burin::codegen
