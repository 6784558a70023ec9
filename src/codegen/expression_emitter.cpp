#include "codegen/expression_emitter.h"

#include <fmt/format.h>

#include "burin/error.h"
#include "codegen/math.h"
#include "codegen/shuffles.h"

namespace burin::codegen {
namespace {

using linear::Op;

constexpr std::uint32_t kSignBit = 0x80000000U;
constexpr std::int64_t kWordBits = 32;
constexpr std::uint32_t kAbsBits = 0x7fffffffU;
constexpr std::uint32_t kInfinityBits = 0x7f800000U;

enum Rounding : std::int64_t { kNearest = 0, kFloor = 1, kCeil = 2, kTruncate = 3 };

std::optional<Function> function_of(Op op) {
  switch (op) {
    case Op::exp: return Function::exp;
    case Op::exp2: return Function::exp2;
    case Op::exp2_softmax: return Function::exp2_softmax;
    case Op::log: return Function::log;
    case Op::tanh: return Function::tanh;
    case Op::sigmoid: return Function::sigmoid;
    case Op::silu: return Function::silu;
    case Op::erf: return Function::erf;
    case Op::gelu: return Function::gelu;
    case Op::gelu_tanh: return Function::gelu_tanh;
    case Op::sin: return Function::sin;
    case Op::cos: return Function::cos;
    default: return std::nullopt;
  }
}

}  // namespace

Operand ElementwiseEmitter::operand(const Element& e) const { return e.constant ? constant(*e.constant) : reg(e.reg); }

VReg ElementwiseEmitter::in_register(const Element& e) {
  return e.constant ? b_.constant_vector(*e.constant) : e.reg;
}

VReg ElementwiseEmitter::floor(VReg x) { return b_.op(VOp::round, {reg(x)}, kFloor); }

VReg ElementwiseEmitter::select(VReg mask, const Element& a, const Element& b) {
  return b_.op(VOp::blend, {reg(mask), reg(in_register(a)), reg(in_register(b))});
}

VReg ElementwiseEmitter::compare(Cond cond, const Element& a, const Element& b) {
  return b_.compare(cond, in_register(a), operand(b));
}

VReg ElementwiseEmitter::truth(VReg mask) { return select(mask, {kNoReg, 1.0F}, {kNoReg, 0.0F}); }

/// minps and maxps give the second operand if either is NaN; a NaN in the first must come through as well.
VReg ElementwiseEmitter::propagate_nan(VOp op, VReg a, VReg b) {
  const VReg m = b_.op(op, {reg(a), reg(b)});
  return b_.op(VOp::blend, {reg(b_.compare(Cond::unord, a, reg(a))), reg(a), reg(m)});
}

VReg ElementwiseEmitter::emit(const linear::Expression& e, const std::vector<Element>& in) {
  switch (in.size()) {
    case 1: return unary(e, in_register(in[0]));
    case 2: return binary(e, in[0], in[1]);
    default: break;
  }
  switch (e.op) {
    case Op::where: return select(compare(Cond::ne, in[0], {kNoReg, 0.0F}), in[1], in[2]);
    case Op::fma: return fused(VOp::fma, in);
    case Op::fnma: return fused(VOp::fnma, in);
    case Op::div_i64_low: return pair_division_.low({in[0].reg, in[1].reg}, {in[2].reg, in[3].reg});
    case Op::div_i64_high: return pair_division_.high({in[0].reg, in[1].reg}, {in[2].reg, in[3].reg});
    default: throw Error(fmt::format("no code for {}", linear::info(e.op).text));
  }
}

VReg ElementwiseEmitter::fused(VOp op, const std::vector<Element>& in) {
  const Element &a = in[0].constant ? in[1] : in[0], &b = in[0].constant ? in[0] : in[1];
  return b_.op(op, {reg(in_register(a)), operand(b), reg(in_register(in[2]))});
}

VReg ElementwiseEmitter::unary(const linear::Expression& e, VReg x) {
  if (auto f = function_of(e.op)) return emit_function(b_, *f, x, target_);
  const Element zero{kNoReg, 0.0F}, one{kNoReg, 1.0F};
  switch (e.op) {
    case Op::abs: return b_.op(VOp::and_bits, {reg(x), constant_bits(kAbsBits)});
    case Op::neg: return b_.op(VOp::xor_bits, {reg(x), constant_bits(kSignBit)});
    case Op::sqrt: return b_.op(VOp::sqrt, {reg(x)});
    case Op::rsqrt: return b_.op(VOp::div, {reg(in_register(one)), reg(b_.op(VOp::sqrt, {reg(x)}))});
    case Op::reciprocal: return b_.op(VOp::div, {reg(in_register(one)), reg(x)});
    case Op::square: return b_.op(VOp::mul, {reg(x), reg(x)});
    // A NaN must come second, see propagate_nan.
    case Op::relu: return b_.op(VOp::max, {reg(in_register(zero)), reg(x)});
    case Op::leaky_relu: {
      const VReg scaled = b_.op(VOp::mul, {reg(x), constant(static_cast<float>(e.imm))});
      return select(b_.compare(Cond::lt, x, constant(0)), {scaled, {}}, {x, {}});
    }
    case Op::elu: {
      const VReg below = b_.op(VOp::sub, {reg(emit_function(b_, Function::exp, x, target_)), constant(1)});
      const VReg scaled = b_.op(VOp::mul, {reg(below), constant(static_cast<float>(e.imm))});
      return select(b_.compare(Cond::lt, x, constant(0)), {scaled, {}}, {x, {}});
    }
    case Op::softplus: {
      // max(x, 0) + log(1 + exp(-|x|)): no overflow.
      const VReg minus_abs = b_.op(VOp::or_bits, {reg(x), constant_bits(kSignBit)});
      const VReg u = b_.op(VOp::add, {reg(emit_function(b_, Function::exp, minus_abs, target_)), constant(1)});
      const VReg positive = b_.op(VOp::max, {reg(in_register(zero)), reg(x)});
      return b_.op(VOp::add, {reg(emit_function(b_, Function::log, u, target_)), reg(positive)});
    }
    case Op::hard_sigmoid:
    case Op::hard_swish: {
      const float alpha = e.op == Op::hard_swish ? 1.0F / 6.0F : static_cast<float>(e.imm);
      VReg y = b_.op(VOp::fma, {reg(x), constant(alpha), reg(b_.constant_vector(0.5F))});
      y = b_.op(VOp::max, {reg(in_register(zero)), reg(y)});
      y = b_.op(VOp::min, {reg(in_register(one)), reg(y)});
      return e.op == Op::hard_swish ? b_.op(VOp::mul, {reg(y), reg(x)}) : y;
    }
    case Op::floor: return floor(x);
    case Op::ceil: return b_.op(VOp::round, {reg(x)}, kCeil);
    case Op::round: return b_.op(VOp::round, {reg(x)}, kNearest);
    case Op::sign: {
      const VReg positive = truth(b_.compare(Cond::gt, x, constant(0)));
      const VReg below = select(b_.compare(Cond::lt, x, constant(0)), {kNoReg, -1.0F}, {positive, {}});
      return select(b_.compare(Cond::unord, x, reg(x)), {x, {}}, {below, {}});
    }
    case Op::logical_not: return truth(b_.compare(Cond::eq, x, constant(0)));
    case Op::is_nan: return truth(b_.compare(Cond::unord, x, reg(x)));
    case Op::is_inf: {
      const VReg magnitude = b_.op(VOp::and_bits, {reg(x), constant_bits(kAbsBits)});
      return truth(b_.compare(Cond::eq, magnitude, constant_bits(kInfinityBits)));
    }
    case Op::byte_of: {
      constexpr std::int64_t kByteBits = 8;
      const VReg moved = b_.op(VOp::shr_i32, {reg(x)}, kByteBits * static_cast<std::int64_t>(e.imm));
      return b_.op(VOp::and_bits, {reg(moved), constant_bits((1U << kByteBits) - 1)});
    }
    case Op::sign_word: return b_.op(VOp::sar_i32, {reg(x)}, kWordBits - 1);
    case Op::to_i32: return b_.op(VOp::to_i32, {reg(b_.op(VOp::round, {reg(x)}, kTruncate))});
    case Op::to_f32: return b_.op(VOp::to_f32, {reg(x)});
    case Op::to_bool: return truth(b_.compare(Cond::ne, x, constant(0)));
    default: throw Error(fmt::format("no code for {}", linear::info(e.op).text));
  }
}

VReg ElementwiseEmitter::binary(const linear::Expression& e, const Element& a, const Element& b) {
  auto commutative = [&](VOp op) {
    return a.constant ? b_.op(op, {reg(in_register(b)), operand(a)}) : b_.op(op, {reg(a.reg), operand(b)});
  };
  auto plain = [&](VOp op) { return b_.op(op, {reg(in_register(a)), operand(b)}); };
  switch (e.op) {
    case Op::add: return commutative(VOp::add);
    case Op::sub: return plain(VOp::sub);
    case Op::mul: return commutative(VOp::mul);
    case Op::div: return plain(VOp::div);
    case Op::pow: return emit_pow(b_, in_register(a), in_register(b), target_);
    case Op::fmod: return emit_with_temps(b_, VOp::fmod, in_register(a), in_register(b), 3);
    case Op::min:
    case Op::max: {
      const VOp op = e.op == Op::min ? VOp::min : VOp::max;
      // A constant that is a number needs no check: the other comes second and its NaN with it.
      if (b.constant) return b_.op(op, {reg(in_register(b)), operand(a)});
      if (a.constant) return b_.op(op, {reg(in_register(a)), operand(b)});
      return propagate_nan(op, a.reg, b.reg);
    }
    case Op::prelu: {
      const VReg x = in_register(a);
      const VReg scaled = b_.op(VOp::mul, {reg(x), operand(b)});
      return select(b_.compare(Cond::lt, x, constant(0)), {scaled, {}}, {x, {}});
    }
    case Op::add_i32: return plain(VOp::add_i32);
    case Op::sub_i32: return plain(VOp::sub_i32);
    case Op::mul_i32: return plain(VOp::mul_i32);
    case Op::mul_high_u32: return emit_with_temps(b_, VOp::mul_high_u32, a.reg, b.reg, 1);
    case Op::div_i32: return emit_with_temps(b_, VOp::div_i32, a.reg, b.reg, 2);
    case Op::equal_i32: return truth(b_.op(VOp::equal_i32, {reg(a.reg), reg(b.reg)}));
    case Op::less_i32: return truth(b_.op(VOp::greater_i32, {reg(b.reg), reg(a.reg)}));
    case Op::less_u32: return truth(b_.op(VOp::greater_i32, {reg(flip_sign(b.reg)), reg(flip_sign(a.reg))}));
    case Op::i64_to_f32: return i64_to_f32(a.reg, b.reg);
    case Op::logical_and: return plain(VOp::min);
    case Op::logical_or: return plain(VOp::max);
    case Op::logical_xor: return truth(compare(Cond::ne, a, b));
    case Op::equal: return truth(compare(Cond::eq, a, b));
    case Op::less: return truth(compare(Cond::lt, a, b));
    case Op::less_equal: return truth(compare(Cond::le, a, b));
    case Op::greater: return truth(compare(Cond::gt, a, b));
    case Op::greater_equal: return truth(compare(Cond::ge, a, b));
    default: throw Error(fmt::format("no code for {}", linear::info(e.op).text));
  }
}

VReg ElementwiseEmitter::flip_sign(VReg x) { return b_.op(VOp::xor_bits, {reg(x), constant_bits(kSignBit)}); }

VReg ElementwiseEmitter::i64_to_f32(VReg low, VReg high) {
  Instruction i;
  i.op = VOp::i64_to_f32;
  i.src = {reg(low), reg(high), {}};
  i.temps = {b_.vector(), b_.general()};
  i.temp_count = 2;
  i.dst = b_.vector();
  b_.append(i);
  return i.dst;
}

VReg ElementwiseEmitter::combine(Op op, VReg a, VReg b) {
  switch (op) {
    case Op::update_sum:
    case Op::lanes_sum:
    case Op::segments_sum: return b_.op(VOp::add, {reg(a), reg(b)});
    case Op::update_prod:
    case Op::lanes_prod:
    case Op::segments_prod: return b_.op(VOp::mul, {reg(a), reg(b)});
    case Op::update_sum_i32:
    case Op::lanes_sum_i32: return b_.op(VOp::add_i32, {reg(a), reg(b)});
    case Op::update_prod_i32:
    case Op::lanes_prod_i32: return b_.op(VOp::mul_i32, {reg(a), reg(b)});
    case Op::update_max_i32:
    case Op::lanes_max_i32: return b_.op(VOp::max_i32, {reg(a), reg(b)});
    case Op::update_min_i32:
    case Op::lanes_min_i32: return b_.op(VOp::min_i32, {reg(a), reg(b)});
    case Op::update_max_number:
    case Op::segments_max_number: return b_.op(VOp::max, {reg(a), reg(b)});
    case Op::update_max:
    case Op::lanes_max:
    case Op::segments_max: return propagate_nan(VOp::max, a, b);
    case Op::update_min:
    case Op::lanes_min:
    case Op::segments_min: return propagate_nan(VOp::min, a, b);
    default: throw Error(fmt::format("no code for {}", linear::info(op).text));
  }
}

void ElementwiseEmitter::update(Op op, VReg variable, const std::vector<Element>& in, VReg mask) {
  const bool masked = mask != kNoReg;
  VReg result = kNoReg;
  if (op == Op::assign) {
    result = in_register(in[0]);
  } else if (op == Op::update_fma) {
    const Element &x = in[0].constant ? in[1] : in[0], &y = in[0].constant ? in[0] : in[1];
    if (!masked) return b_.into(variable, VOp::fma_acc, {reg(in_register(x)), operand(y)});
    result = b_.op(VOp::fma, {reg(in_register(x)), operand(y), reg(variable)});
  } else if (!masked && (op == Op::update_sum || op == Op::update_max_number || op == Op::update_prod)) {
    const VOp direct = op == Op::update_sum ? VOp::add : op == Op::update_prod ? VOp::mul : VOp::max;
    return b_.into(variable, direct, {reg(variable), operand(in[0])});
  } else {
    result = combine(op, variable, in_register(in[0]));
  }
  if (masked) return b_.into(variable, VOp::blend, {reg(mask), reg(result), reg(variable)});
  b_.into(variable, VOp::mov, {reg(result)});
}

/// In the order in which fold_lanes_of_rows does it: a row gives the same sum, to the bit, however many are folded with it.
VReg ElementwiseEmitter::fold_lanes(Op op, VReg x) {
  auto swap128 = [&](VReg v, std::int64_t imm) { return b_.op(VOp::shuffle128, {reg(v), reg(v)}, imm); };
  auto swap_in = [&](VReg v, std::int64_t imm) { return b_.op(VOp::permute_in128, {reg(v)}, imm); };
  x = combine(op, x, swap_in(x, kSwap64));
  x = combine(op, x, swap_in(x, kSwap32));
  constexpr std::int64_t kZmmBytes = 64;
  if (target_.vector_bytes != kZmmBytes) return combine(op, x, swap128(x, kSwap128Avx2));
  x = combine(op, x, swap128(x, kSwap128));
  return combine(op, x, swap128(x, kSwap256));
}

/// A transpose whose steps add what they bring together, so that there are half as many vectors after each.
VReg ElementwiseEmitter::fold_lanes_of_rows(Op op, std::vector<VReg> rows) {
  const auto halve = [&](auto&& merge) {
    std::vector<VReg> half;
    for (std::size_t i = 0; i < rows.size(); i += 2) half.push_back(merge(rows[i], rows[std::min(i + 1, rows.size() - 1)]));
    rows = std::move(half);
  };
  const auto merging = [&](VOp low, VOp high, std::int64_t low_imm = 0, std::int64_t high_imm = 0) {
    return [=, this](VReg a, VReg b) {
      const VReg first = b_.op(low, {reg(a), reg(b)}, low_imm);
      return combine(op, first, b_.op(high, {reg(a), reg(b)}, high_imm));
    };
  };
  halve(merging(VOp::unpack_low32, VOp::unpack_high32));
  halve(merging(VOp::unpack_low64, VOp::unpack_high64));  // four rows in each 128 bits
  constexpr std::int64_t kBlockBytes = 16;
  const bool two_blocks = target_.vector_bytes == 2 * kBlockBytes;
  for (std::int64_t blocks = target_.vector_bytes / kBlockBytes; blocks > 1; blocks /= 2)
    halve(two_blocks ? merging(VOp::shuffle128, VOp::shuffle128, kLowHalves, kHighHalves)
                     : merging(VOp::shuffle128, VOp::shuffle128, kEvenBlocks, kOddBlocks));
  return rows.front();
}

}  // namespace burin::codegen
