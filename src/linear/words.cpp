#include "linear/words.h"

namespace burin::linear {

namespace {

constexpr double kWord = 0x1p32;
constexpr int kWordBits = 32, kByteBits = 8;

}  // namespace

ValueId WordArithmetic::emit(Op op, std::vector<ValueId> in) {
  Expression e;
  e.op = op;
  e.in = std::move(in);
  const ValueId out = e.out = ir_.new_value(info(op).text);
  block_.emplace_back(std::move(e));
  return out;
}

ValueId WordArithmetic::number(double x) {
  const ValueId out = emit(Op::fill, {});
  block_.back().expression.imm = x;
  return out;
}

ValueId WordArithmetic::word(const Expr& e) {
  const ValueId out = emit(Op::integer_i32, {});
  block_.back().expression.index = e;
  return out;
}

Words WordArithmetic::constant(std::int64_t x, bool wide) {
  const auto low = static_cast<std::int32_t>(x);
  return wide ? Words{word(low), word(x >> kWordBits)} : Words{word(low)};
}

Words WordArithmetic::known(const Expr& e, bool wide) {
  return wide ? Words{word(e), word(floor_div(e, std::int64_t{1} << kWordBits))} : Words{word(e)};
}

Words WordArithmetic::add(const Words& a, const Words& b) {
  const ValueId low = emit(Op::add_i32, {a.low, b.low});
  if (!a.is_wide()) return {low};
  const ValueId carry = emit(Op::to_i32, {emit(Op::less_u32, {low, a.low})});
  return {low, emit(Op::add_i32, {emit(Op::add_i32, {a.high, b.high}), carry})};
}

Words WordArithmetic::sub(const Words& a, const Words& b) {
  const ValueId low = emit(Op::sub_i32, {a.low, b.low});
  if (!a.is_wide()) return {low};
  const ValueId borrow = emit(Op::to_i32, {emit(Op::less_u32, {a.low, b.low})});
  return {low, emit(Op::sub_i32, {emit(Op::sub_i32, {a.high, b.high}), borrow})};
}

Words WordArithmetic::mul(const Words& a, const Words& b) {
  const ValueId low = emit(Op::mul_i32, {a.low, b.low});
  if (!a.is_wide()) return {low};
  const ValueId crossed = emit(Op::add_i32, {emit(Op::mul_i32, {a.low, b.high}), emit(Op::mul_i32, {a.high, b.low})});
  return {low, emit(Op::add_i32, {emit(Op::mul_high_u32, {a.low, b.low}), crossed})};
}

Words WordArithmetic::quotient(const Words& a, const Words& b) {
  if (!a.is_wide()) return {emit(Op::div_i32, {a.low, b.low})};
  const std::vector<ValueId> in = {a.low, a.high, b.low, b.high};
  return {emit(Op::div_i64_low, in), emit(Op::div_i64_high, in)};
}

Words WordArithmetic::modulo(const Words& remainder, const Words& b, std::optional<std::int64_t> known_b) {
  ValueId has_other_sign = kNone;
  if (!known_b)
    has_other_sign = emit(Op::logical_and, {is_not_zero(remainder), emit(Op::logical_xor, {is_negative(remainder), is_negative(b)})});
  else
    has_other_sign = *known_b > 0 ? is_negative(remainder) : less(constant(0, b.is_wide()), remainder);
  return select(has_other_sign, add(remainder, b), remainder);
}

/// By squares.
Words WordArithmetic::power(const Words& x, std::uint64_t exponent) {
  if (exponent == 0) return constant(1, x.is_wide());
  if (exponent == 1) return x;
  const Words even = power(mul(x, x), exponent / 2);
  return exponent % 2 == 0 ? even : mul(even, x);
}

/// 0 or -1, and 1 of what is above 0.
Words WordArithmetic::sign(const Words& x) {
  const ValueId below = emit(Op::sign_word, {x.is_wide() ? x.high : x.low});
  const ValueId above = emit(Op::to_i32, {less(constant(0, x.is_wide()), x)});
  return resized({emit(Op::add_i32, {below, above})}, x.is_wide());
}

Words WordArithmetic::sum_of_bytes(const std::vector<ValueId>& sums, ValueId high) {
  Words total{sums.front(), high};
  for (std::size_t place = 1; place < sums.size(); ++place)
    total = add(total, mul({sums[place], word(0)}, constant(std::int64_t{1} << (kByteBits * place), true)));
  return total;
}

Words WordArithmetic::negate(const Words& x) { return sub(constant(0, x.is_wide()), x); }

Words WordArithmetic::abs(const Words& x) { return select(less(x, constant(0, x.is_wide())), negate(x), x); }

Words WordArithmetic::select(ValueId condition, const Words& a, const Words& b) {
  Words out{emit(Op::where, {condition, a.low, b.low})};
  if (a.is_wide()) out.high = emit(Op::where, {condition, a.high, b.high});
  return out;
}

ValueId WordArithmetic::less(const Words& a, const Words& b) {
  if (!a.is_wide()) return emit(Op::less_i32, {a.low, b.low});
  const ValueId same_high = emit(Op::equal_i32, {a.high, b.high});
  return emit(Op::where, {same_high, emit(Op::less_u32, {a.low, b.low}), emit(Op::less_i32, {a.high, b.high})});
}

ValueId WordArithmetic::equal(const Words& a, const Words& b) {
  const ValueId low = emit(Op::equal_i32, {a.low, b.low});
  return a.is_wide() ? emit(Op::logical_and, {low, emit(Op::equal_i32, {a.high, b.high})}) : low;
}

ValueId WordArithmetic::is_negative(const Words& x) {
  return emit(Op::less_i32, {x.is_wide() ? x.high : x.low, word(0)});
}

ValueId WordArithmetic::is_not_zero(const Words& x) {
  return emit(Op::logical_not, {equal(x, constant(0, x.is_wide()))});
}

Words WordArithmetic::resized(const Words& x, bool wide) {
  if (!wide) return {x.low};
  return x.is_wide() ? x : Words{x.low, emit(Op::sign_word, {x.low})};
}

/// Words of the magnitude, which splits without rounding, then its sign. What does not fit has a high word that does not,
/// which gives the lowest; the lower word of an infinity or NaN would be a NaN.
Words WordArithmetic::from_f32(ValueId x, bool wide) {
  if (!wide) return {emit(Op::to_i32, {x})};
  const ValueId whole = emit(Op::floor, {emit(Op::abs, {x})});
  const ValueId high = emit(Op::floor, {emit(Op::mul, {whole, number(1 / kWord)})});
  const ValueId rest = emit(Op::fnma, {high, number(kWord), whole});
  const ValueId low = emit(Op::where, {emit(Op::is_nan, {rest}), number(0), rest});
  const ValueId is_low_half = emit(Op::less, {low, number(kWord / 2)});
  const ValueId as_signed = emit(Op::where, {is_low_half, low, emit(Op::sub, {low, number(kWord)})});
  const Words magnitude{emit(Op::to_i32, {as_signed}), emit(Op::to_i32, {high})};
  return select(emit(Op::less, {x, number(0)}), negate(magnitude), magnitude);
}

ValueId WordArithmetic::to_f32(const Words& x) {
  return x.is_wide() ? emit(Op::i64_to_f32, {x.low, x.high}) : emit(Op::to_f32, {x.low});
}

}  // namespace burin::linear
