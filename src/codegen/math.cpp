// The formulas. Coefficients are minimax fits (tests/data/fit_coefficients.py). The largest errors
// seen, in ulp, over some 25 million arguments of all exponents (tests/unit/x64/math_test.cpp looks
// at fewer):
//
//                AVX2   AVX-512   remarks
//     exp        0.9    0.9       gradual underflow
//     exp2       0.9    1.6       gradual underflow
//     log        1.2    1.2       denormal arguments are right, too
//     tanh       1.4    1.3
//     sigmoid    1.8    1.8       results below 2^-126 may be 0
//     silu       1.9    2.0       0 for x < -88
//     erf        1.4    1.4
//     sin, cos   2      2         |x| <= 2^20; then it grows to 2^-13 at 2^22 pi; NaN beyond that
//     pow        1.6    1.6       gradual underflow
//     gelu                        within 1.5 * 2^-24 |x|: relative accuracy is lost left of 0
//                                 where 1 + erf cancels, as in the plain formula
//     gelu_tanh  1.8    1.8       for x >= 0; 2 (1 + |x|^3) for x < 0, where the plain formula
//                                 cancels; results below 2^-126 may be 0
//     exp2_softmax                relative 1.7e-7 for x <= 127; results below 2^-126 are 0 on AVX2,
//                                 right on AVX-512

#include "codegen/math.h"

#include <bit>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <span>

#include "burin/error.h"
#include "codegen/math_tables.h"

namespace burin::codegen {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr std::uint32_t kSignBit = 0x80000000U;
constexpr std::uint32_t kAllButSign = 0x7fffffffU;

constexpr float kLog2E = 0x1.715476p+0F;
constexpr float kLn2Hi = 0x1.62e4p-1F;  // few bits: n * kLn2Hi is exact
constexpr float kLn2Lo = 0x1.7f7d1cp-20F;

/// x + kRound - kRound rounds x to the nearest whole number, |x| < 2^22; the low bits of x + kRound
/// are that number. Another whole number added to it biases those bits.
constexpr float kRound = 0x1.8p23F;
/// The same for multiples of 1/16; the low four bits are the sixteenths.
constexpr float kRound16 = kRound / 16;

// 2^x by x - floor(x) in [0, 1), and by x - round(x) in [-1/2, 1/2]. That of zero is exactly 1.
constexpr float kExp2Fraction5[] = {
    1.0F, 6.931512952e-01F, 2.401645780e-01F, 5.579958856e-02F, 9.017364122e-03F, 1.867010258e-03F};
constexpr float kExp2Nearest5[] = {
    1.0F, 6.931470037e-01F, 2.402224690e-01F, 5.550710857e-02F, 9.671291336e-03F, 1.326952130e-03F};
constexpr float kExp2Fraction6[] = {1.0F,
                                    6.931470633e-01F,
                                    2.402290851e-01F,
                                    5.548618361e-02F,
                                    9.673775174e-03F,
                                    1.248228829e-03F,
                                    2.156598493e-04F};
constexpr float kExp2Nearest6[] = {1.0F,
                                   6.931471825e-01F,
                                   2.402264774e-01F,
                                   5.550359935e-02F,
                                   9.618505836e-03F,
                                   1.339080627e-03F,
                                   1.532647148e-04F};
// e^r, |r| <= ln2 / 2.
constexpr float kExp[] = {1.0F,
                          1.0F,
                          4.999999404e-01F,
                          1.666652113e-01F,
                          4.166825488e-02F,
                          8.368662558e-03F,
                          1.382146846e-03F};
// (e^-r - 1) / r
constexpr float kExpMinusRest[] = {-kExp[1], kExp[2], -kExp[3], kExp[4], -kExp[5], kExp[6]};
// e^-r / K - 1, |r| <= ln2 / 32, for the K of kPowers16.
constexpr float kExpMinusScaled[] = {0.0231235642F, -1.02312362F, 0.511578321F, -0.17052111F};
// (tanh a - a) / a^3 in a^2, 0 <= a <= kTanhSmall.
constexpr float kTanhSmall = 0.625F;
constexpr float kTanh[] = {-3.333328068e-01F, 1.333140582e-01F, -5.373651534e-02F, 2.062816732e-02F,
                           -5.692296661e-03F};
// (sin r - r) / r^3 in r^2, |r| <= 1.02 pi / 2 (n * pi may be off by that for large x).
constexpr float kSin[] = {-1.666665822e-01F, 8.333030157e-03F, -1.980684901e-04F, 2.599501840e-06F};
// (log(1 + f) - f + f^2 / 2) / f^3, sqrt(1/2) <= 1 + f <= sqrt(2).
constexpr float kLog[] = {3.333391249e-01F, -2.500133514e-01F, 1.996298879e-01F, -1.657759696e-01F,
                          1.491563916e-01F, -1.426774710e-01F, 8.698109537e-02F};
// (atanh(q) / q - 1) / q^2 in q^2, |q| <= (sqrt(2) - 1) / (sqrt(2) + 1).
constexpr float kAtanh[] = {3.333333433e-01F, 1.999977529e-01F, 1.429482847e-01F, 1.128824577e-01F};

/// A table of polynomials, a row a power, a column an interval; a row is one vector.
struct Table {
  const float* rows;
  int degree;
  float clamp;  ///< the function is 1 from here on
  float scale;  ///< the width of intervals that are all alike; else see tanh_by_table
  bool adds_argument = false;  ///< interval 0 holds the function less its argument
};
constexpr Table kErf16{&tables::kErf16[0][0], 5, 15 * 0.26171875F, 0.26171875F, true};
constexpr Table kErf8{&tables::kErf8[0][0], 6, 7 * 0.5625F, 0.5625F, true};
constexpr Table kGelu16{&tables::kGelu16[0][0], 5, 15 * 0.37109375F, 0.37109375F};
constexpr Table kGelu8{&tables::kGelu8[0][0], 6, 7 * 0.796875F, 0.796875F};
constexpr Table kPowers16{&tables::kPowers16[0][0], 0, 0, 0};
constexpr Table kTanh16{&tables::kTanh16[0][0], 5, 9.2F, 0.8125F};

class Formula {
 public:
  Formula(VBuilder& b, const TargetInfo& target) : b_(b), target_(target) {}

  VReg emit(Function f, VReg x) {
    switch (f) {
      case Function::exp: return exp(x);
      case Function::exp2: return exp2(x);
      case Function::exp2_softmax: return exp2_softmax(x);
      case Function::log: return log(x);
      case Function::tanh: return has_table16() ? tanh_by_table(x) : tanh_by_exp(x);
      case Function::sigmoid: return sigmoid(x);
      case Function::silu: return silu(x);
      case Function::erf: return by_even_intervals(x, has_table16() ? kErf16 : kErf8);
      case Function::gelu: return gelu(x);
      case Function::gelu_tanh: return gelu_tanh(x);
      case Function::sin: return sin(x);
      case Function::cos: return cos(x);
    }
    throw Error("unknown function of vcode");
  }

  VReg pow(VReg x, VReg y);

 private:
  bool has_table16() const { return target_.lanes() >= 16; }

  // Operations. A float operand is a splat constant.

  VReg c(float value) { return b_.constant_vector(value); }
  static Operand operand(VReg r) { return reg(r); }
  static Operand operand(float value) { return constant(value); }

  template <typename B>
  VReg op(VOp o, VReg a, B b) {
    return b_.op(o, {reg(a), operand(b)});
  }
  template <typename B>
  VReg add(VReg a, B b) {
    return op(VOp::add, a, b);
  }
  template <typename B>
  VReg sub(VReg a, B b) {
    return op(VOp::sub, a, b);
  }
  template <typename B>
  VReg mul(VReg a, B b) {
    return op(VOp::mul, a, b);
  }
  VReg div(VReg a, VReg b) { return op(VOp::div, a, b); }
  VReg bits(VOp o, VReg a, std::uint32_t pattern) {
    return b_.op(o, {reg(a), constant_bits(pattern)});
  }
  VReg shift(VOp o, VReg a, int by) { return b_.op(o, {reg(a)}, by); }
  VReg abs(VReg a) { return bits(VOp::and_bits, a, kAllButSign); }
  VReg minus_abs(VReg a) { return bits(VOp::or_bits, a, kSignBit); }
  VReg sign_of(VReg a) { return bits(VOp::and_bits, a, kSignBit); }
  VReg with_sign_of(VReg x, VReg magnitude) { return op(VOp::or_bits, magnitude, sign_of(x)); }

  /// a * b + c, -(a * b) + c.
  template <typename B>
  VReg fma(VReg a, B b, VReg c) {
    return b_.op(VOp::fma, {reg(a), operand(b), reg(c)});
  }
  template <typename B>
  VReg fnma(VReg a, B b, VReg c) {
    return b_.op(VOp::fnma, {reg(a), operand(b), reg(c)});
  }
  VReg fma(VReg a, VReg b, float addend) {
    return b_.op(VOp::fma, {reg(a), reg(b), addend_of(VOp::fma, addend)});
  }
  VReg fma(VReg a, float b, float addend) { return fma(a, b, c(addend)); }
  VReg fnma(VReg a, float b, float addend) { return fnma(a, b, c(addend)); }
  /// The addend as a constant operand where the operation takes one.
  Operand addend_of(VOp o, float value) {
    return info(o).flexible[2] ? constant(value) : reg(c(value));
  }

  /// coefficients[0] + x * (coefficients[1] + ...)
  VReg polynomial(VReg x, std::span<const float> coefficients) {
    VReg p = c(coefficients.back());
    for (std::size_t n = coefficients.size() - 1; n-- > 0;) p = fma(p, x, coefficients[n]);
    return p;
  }

  VReg blend(VReg mask, VReg yes, VReg no) {
    return b_.op(VOp::blend, {reg(mask), reg(yes), reg(no)});
  }
  template <typename B>
  VReg compare(Cond cond, VReg a, B b) {
    return b_.compare(cond, a, operand(b));
  }

  /// x limited to [low, high]; NaN stays NaN (min and max return their second operand then).
  VReg clamp(VReg x, float low, float high) { return min(high, max(low, x)); }
  VReg max(float low, VReg x) { return op(VOp::max, c(low), x); }
  VReg min(float high, VReg x) { return op(VOp::min, c(high), x); }
  /// x limited to [low, high]; NaN becomes one of them.
  VReg clamp_number(VReg x, float low, float high) {
    return op(VOp::min, op(VOp::max, x, low), high);
  }

  // Powers of two: 2^n from t, whose low bits hold n + bias.

  static constexpr int kBias = 127;
  VReg power_of_2(VReg t) { return shift(VOp::shl_i32, t, 23); }
  /// p * 2^n for -252 <= n <= 254 in two steps, so that both ends are right; t holds n + 2 * kBias.
  VReg scale_in_two_steps(VReg p, VReg t) {
    const VReg half = shift(VOp::shr_i32, t, 1);
    const VReg rest = op(VOp::sub_i32, t, half);
    return mul(mul(p, power_of_2(half)), power_of_2(rest));
  }

  // ---------------------------------------------------------------------------------------------

  /// 2^x by the polynomial for x - floor(x): everything else is the two instructions' affair.
  VReg exp2_by_fraction(VReg x, std::span<const float> coefficients) {
    const VReg f = b_.op(VOp::fraction, {reg(x)});
    return op(VOp::scale_exponent, polynomial(f, coefficients), x);
  }
  bool has_fraction_and_scale() const { return target_.has_fraction && target_.has_scale_exponent; }

  VReg exp2_softmax(VReg x) {
    if (has_fraction_and_scale()) return exp2_by_fraction(x, kExp2Fraction5);
    // At -127 the bits of 2^n are those of 0.
    return exp2_in_one_step(max(-127.0F, x), kExp2Nearest5);
  }

  /// 2^x for -127 <= x <= 128. What is below 2^-126.5 becomes 0, above 2^127.5 infinite.
  VReg exp2_in_one_step(VReg x, std::span<const float> coefficients) {
    const VReg t = add(x, kRound + kBias);
    const VReg n = sub(t, kRound + kBias);
    return mul(polynomial(sub(x, n), coefficients), power_of_2(t));
  }

  VReg exp2(VReg x) {
    if (has_fraction_and_scale()) return exp2_by_fraction(x, kExp2Fraction6);
    const VReg limited = clamp(x, -151.0F, 128.0F);
    const VReg t = add(limited, kRound + 2 * kBias);
    const VReg n = sub(t, kRound + 2 * kBias);
    return scale_in_two_steps(polynomial(sub(limited, n), kExp2Nearest6), t);
  }

  VReg exp(VReg x) { return exp_of_sum(clamp(x, -104.0F, 89.0F), kNoReg); }

  /// e^(x + correction), |x| <= 170, correction small or absent.
  VReg exp_of_sum(VReg x, VReg correction) {
    const float magic = has_fraction_and_scale() ? kRound : kRound + 2 * kBias;
    const VReg t = fma(x, kLog2E, magic);
    const VReg n = sub(t, magic);
    VReg r = fnma(n, kLn2Lo, fnma(n, kLn2Hi, x));
    if (correction != kNoReg) r = add(r, correction);
    const VReg p = polynomial(r, kExp);
    return has_fraction_and_scale() ? op(VOp::scale_exponent, p, n) : scale_in_two_steps(p, t);
  }

  /// 1 / (1 + e^-x) = 2^n / (2^n + e^-r), x = n ln 2 + r.
  VReg sigmoid(VReg x) {
    const Logistic l = logistic(x);
    return div(l.power, l.sum);
  }
  /// x / (1 + e^-x); the power last: before, a large x would overflow.
  VReg silu(VReg x) {
    if (has_table16() && target_.has_limit_magnitude && target_.has_scale_exponent)
      return div(x, one_and_exp_minus(x));
    const Logistic l = logistic(x);
    return mul(div(x, l.sum), l.power);
  }

  /// 1 + e^-x, infinite for x < -88.8; x = r - n ln 2, n a multiple of 1/16: e^-x = 2^n K * e^-r / K. The factor 2^n K is
  /// from a table whose K makes e^-r / K - 1 positive: nothing is subtracted from an infinity. (The other formula takes 1.3
  /// times as long; for sigmoid it is the more accurate one.)
  VReg one_and_exp_minus(VReg x) {
    const VReg limited = op(VOp::limit_magnitude, x, 90.0F);
    const VReg t = fma(limited, -kLog2E, kRound16);
    const VReg n = sub(t, kRound16);
    const VReg r = fma(n, kLn2Lo, fma(n, kLn2Hi, limited));
    const VReg power = op(VOp::scale_exponent, look_up(kPowers16, 0, t), n);
    const VReg rest = polynomial(r, kExpMinusScaled);
    // Of 1 and the power the larger one comes last: then the sum is rounded once.
    const VReg smaller = fma(power, rest, op(VOp::min, power, 1.0F));
    return add(op(VOp::max, power, 1.0F), smaller);
  }

  struct Logistic {
    VReg power, sum;  ///< 2^n and 2^n + e^-r
  };
  /// Beyond both ends the quotient is the limit: at -88.1, where n is -127, the bits of 2^n are
  /// those of 0, and the sum is not less than 1.
  Logistic logistic(VReg x) {
    const VReg limited = clamp(x, -88.1F, 30.0F);
    const VReg t = fma(limited, kLog2E, kRound + kBias);
    const VReg n = sub(t, kRound + kBias);
    const VReg r = fnma(n, kLn2Lo, fnma(n, kLn2Hi, limited));
    const VReg power = power_of_2(t);
    // e^-r is 1 and a small rest; what 2^n + 1 lacks goes into the rest.
    const VReg whole = add(power, 1.0F);
    const VReg lacking = sub(power, sub(whole, 1.0F));
    return {power, add(whole, fma(r, polynomial(r, kExpMinusRest), lacking))};
  }

  /// e^x for -104 <= x <= 0, without gradual underflow for -88 <= x <= 0; it is 0 at the lower end.
  VReg exp_in_one_step(VReg x) {
    const float magic = has_fraction_and_scale() ? kRound : kRound + kBias;
    const VReg t = fma(x, kLog2E, magic);
    const VReg n = sub(t, magic);
    const VReg p = polynomial(fnma(n, kLn2Lo, fnma(n, kLn2Hi, x)), kExp);
    return has_fraction_and_scale() ? op(VOp::scale_exponent, p, n) : mul(p, power_of_2(t));
  }

  VReg log(VReg x) {
    const VReg is_small = compare(Cond::lt, x, 0x1p-126F);  // denormal; zero and negative ones, too
    const VReg normal = blend(is_small, mul(x, 0x1p23F), x);
    // x = 2^e * (1 + f), sqrt(1/2) <= 1 + f < sqrt(2)
    const VReg shifted = bits(VOp::sub_i32, normal, std::bit_cast<std::uint32_t>(0x1.6a09e6p-1F));
    const VReg exponent = shift(VOp::sar_i32, shifted, 23);
    const VReg f = sub(op(VOp::sub_i32, normal, shift(VOp::shl_i32, exponent, 23)), 1.0F);
    VReg e = b_.op(VOp::to_f32, {reg(exponent)});
    e = blend(is_small, sub(e, 23.0F), e);

    const VReg square = mul(f, f);
    VReg r = mul(mul(polynomial(f, kLog), f), square);
    r = fma(e, kLn2Lo, r);
    r = fma(e, kLn2Hi, add(fnma(square, 0.5F, r), f));

    r = blend(compare(Cond::lt, x, kInf), r, x);  // infinity and NaN: themselves
    r = blend(compare(Cond::lt, x, 0.0F), c(kNaN), r);
    return blend(compare(Cond::eq, x, 0.0F), c(-kInf), r);
  }

  /// 1 - 2 e / (1 + e), e = e^-2|x|; a polynomial where that cancels.
  VReg tanh_by_exp(VReg x) {
    const VReg a = min(kTanh16.clamp, abs(x));
    const VReg e = exp_in_one_step(mul(a, -2.0F));
    const VReg large = fnma(div(e, add(e, 1.0F)), 2.0F, 1.0F);
    const VReg square = mul(a, a);
    const VReg small = fma(mul(a, square), polynomial(square, kTanh), a);
    return with_sign_of(x, blend(compare(Cond::lt, a, kTanhSmall), small, large));
  }

  // Odd functions that tend to 1, by a table of polynomials in the distance from a point of each
  // interval; the first such point is 0, so that small results keep all their digits.

  /// Evaluates the polynomial of the interval that the low bits of `index` name.
  VReg from_table(const Table& table, VReg index, VReg f) {
    return fma(slope_from_table(table, index, f), f, look_up(table, 0, index));
  }
  VReg slope_from_table(const Table& table, VReg index, VReg f) {
    VReg p = look_up(table, table.degree, index);
    for (int power = table.degree - 1; power > 0; --power)
      p = fma(p, f, look_up(table, power, index));
    return p;
  }
  VReg look_up(const Table& table, int row, VReg index) {
    Instruction i;
    i.mem = {b_.imm64(static_cast<std::int64_t>(std::bit_cast<std::uintptr_t>(table.rows))), kNoReg,
             1, static_cast<std::int32_t>(row * target_.vector_bytes)};
    i.op = VOp::load;
    i.dst = b_.vector();
    return b_.op(VOp::lookup16, {reg(index), reg(b_.append(i).dst)});
  }

  /// Intervals of one width, around its multiples.
  VReg by_even_intervals(VReg x, const Table& table) {
    const VReg a = min(table.clamp, abs(x));
    const VReg t = fma(a, 1 / table.scale, kRound);
    const VReg n = sub(t, kRound);
    const VReg f = fnma(n, table.scale, a);
    if (!table.adds_argument) return with_sign_of(x, from_table(table, t, f));
    const VReg rest = blend(compare(Cond::eq, n, 0.0F), a, look_up(table, 0, t));
    return with_sign_of(x, fma(slope_from_table(table, t, f), f, rest));
  }

  /// Intervals by the exponent and the first two bits behind the point of t = scale * |x| + 1/2;
  /// the last row of the table holds the points.
  VReg tanh_by_table(VReg x) {
    const VReg a = min(kTanh16.clamp, abs(x));
    const VReg index = shift(VOp::shr_i32, fma(a, kTanh16.scale, 0.5F), 21);
    const VReg f = sub(a, look_up(kTanh16, kTanh16.degree + 1, index));
    return with_sign_of(x, from_table(kTanh16, index, f));
  }

  VReg gelu(VReg x) {
    const VReg erf = by_even_intervals(x, has_table16() ? kGelu16 : kGelu8);
    const VReg half = mul(x, 0.5F);
    return fma(half, erf, half);
  }

  /// x/2 * (1 + tanh(u)) = x / (1 + e^-2u), u = sqrt(2/pi) * (x + 0.044715 x^3)
  VReg gelu_tanh(VReg x) {
    constexpr double kFactor = -2 * 0.797884560802865356 * 1.442695040888963407;
    const VReg square = mul(x, x);
    const VReg w = fma(square, static_cast<float>(0.044715 * kFactor), static_cast<float>(kFactor));
    const VReg y = mul(x, w);
    const VReg e = has_fraction_and_scale()
                       ? exp2_by_fraction(y, kExp2Fraction6)
                       : exp2_in_one_step(clamp_number(y, -126.0F, 128.0F), kExp2Nearest6);
    return div(x, add(e, 1.0F));
  }

  // Sine and cosine: r = x - h * pi with h = n or n - 1/2, then (-1)^n * sin(r).

  static constexpr float kPi[] = {0x1.921fb6p+1F, -0x1.777a5cp-24F, -0x1.ee59dap-49F};

  VReg sin(VReg x) {
    const VReg t = fma(x, 0x1.45f306p-2F, kRound);
    return signed_sine(x, t, sub(t, kRound));
  }
  VReg cos(VReg x) {
    const VReg t = add(fma(x, 0x1.45f306p-2F, 0.5F), kRound);
    return signed_sine(x, t, sub(sub(t, kRound), 0.5F));
  }
  VReg signed_sine(VReg x, VReg t, VReg h) {
    VReg r = x;
    for (const float part : kPi) r = fnma(h, part, r);
    r = op(VOp::xor_bits, r, shift(VOp::shl_i32, t, 31));
    const VReg square = mul(r, r);
    const VReg p = polynomial(square, kSin);
    const VReg s = fma(mul(square, r), p, r);
    const VReg in_range = compare(Cond::lt, abs(x), 0x1.921fb4p23F);
    return blend(in_range, s, c(kNaN));
  }

  VBuilder& b_;
  const TargetInfo& target_;
};

/// |x|^y = e^(y * log|x|) with log|x| as a sum of two f32, good to 2^-44 or so; then signs and
/// special values as in C.
VReg Formula::pow(VReg x, VReg y) {
  const VReg a = abs(x);
  // a = 2^e * m, sqrt(1/2) <= m < sqrt(2); log m = 2 atanh(q), q = (m - 1) / (m + 1)
  const VReg is_small = compare(Cond::lt, a, 0x1p-126F);
  const VReg normal = blend(is_small, mul(a, 0x1p23F), a);
  const VReg shifted = bits(VOp::sub_i32, normal, std::bit_cast<std::uint32_t>(0x1.6a09e6p-1F));
  const VReg exponent = shift(VOp::sar_i32, shifted, 23);
  const VReg m = op(VOp::sub_i32, normal, shift(VOp::shl_i32, exponent, 23));
  VReg e = b_.op(VOp::to_f32, {reg(exponent)});
  e = blend(is_small, sub(e, 23.0F), e);

  const VReg numerator = sub(m, 1.0F);
  const VReg inverse = div(c(1.0F), add(m, 1.0F));
  const VReg q = mul(numerator, inverse);
  // what q lacks: (m - 1 - q * (m + 1)) / (m + 1), and m + 1 = numerator + 2
  const VReg q_low = mul(inverse, fnma(q, numerator, fnma(q, 2.0F, numerator)));

  const VReg square = mul(q, q);
  const VReg p = polynomial(square, kAtanh);
  // square_low and cube_low: what the rounded q^2 and q^3 lack
  const VReg minus_square = bits(VOp::xor_bits, square, kSignBit);
  const VReg square_low = fma(q, add(q_low, q_low), fma(q, q, minus_square));
  const VReg cube = mul(square, q);
  const VReg minus_cube = bits(VOp::xor_bits, cube, kSignBit);
  const VReg cube_low = fma(square, q_low, fma(square_low, q, fma(square, q, minus_cube)));
  const VReg tail = fma(p, cube, fma(p, cube_low, q_low));  // atanh(q) - q
  // log a = (e * ln 2 + 2 q) + 2 tail
  const float ln2 = static_cast<float>(0.693147180559945309);
  const float ln2_low = static_cast<float>(0.693147180559945309 - double{ln2});
  const VReg two_q = add(q, q);
  const VReg sum = fma(e, ln2, two_q);
  const VReg sum_low = sub(two_q, fnma(e, ln2, sum));
  const VReg low = fma(e, ln2_low, add(add(tail, tail), sum_low));
  const VReg log_high = add(sum, low);
  const VReg log_low = add(sub(sum, log_high), low);

  // log of 0, infinity and NaN
  VReg log = blend(compare(Cond::lt, a, kInf), log_high, a);
  log = blend(compare(Cond::eq, a, 0.0F), c(-kInf), log);

  const VReg product = mul(log, y);
  const VReg rounding = fma(log, y, bits(VOp::xor_bits, product, kSignBit));
  const VReg product_low = clamp_number(fma(log_low, y, rounding), -0.01F, 0.01F);
  VReg r = exp_of_sum(clamp(product, -150.0F, 130.0F), product_low);

  // |x| = 1: 1 for any y, infinite ones, too
  r = blend(compare(Cond::eq, a, 1.0F), c(1.0F), r);
  // Negative x: the sign if y is odd; NaN if y is no whole number, save for -0 and -infinity
  const VReg half = mul(y, 0.5F);
  const VReg zero = c(0.0F);
  const VReg whole = compare(Cond::eq, b_.op(VOp::round, {reg(y)}, 3), y);
  const VReg even = compare(Cond::eq, b_.op(VOp::round, {reg(half)}, 3), half);
  VReg not_whole = blend(compare(Cond::lt, x, 0.0F), c(kNaN), zero);
  not_whole = blend(compare(Cond::eq, x, -kInf), zero, not_whole);
  const VReg sign = blend(even, zero, sign_of(x));
  r = op(VOp::or_bits, r, blend(whole, sign, not_whole));
  return blend(compare(Cond::eq, y, 0.0F), c(1.0F), r);
}

}  // namespace

VReg emit_function(VBuilder& b, Function f, VReg x, const TargetInfo& target) {
  return Formula(b, target).emit(f, x);
}

VReg emit_pow(VBuilder& b, VReg x, VReg y, const TargetInfo& target) {
  return Formula(b, target).pow(x, y);
}

}  // namespace burin::codegen
