#include "codegen/x64/division.h"

#include "codegen/shuffles.h"

namespace burin::codegen::x64 {
namespace {

using Xbyak::Xmm;
using Xbyak::Ymm;
using Xbyak::Zmm;

const Xbyak::Opmask kScratch(0);

constexpr std::uint8_t kTruncate = 3 | 8;            // 8: no inexact exception
constexpr std::uint8_t kGreaterOrEqual = 0x1d;       // quiet
constexpr std::uint8_t kEvenQuarters = 0x08;
constexpr std::uint8_t kNor = 0x03;                  // vpternlog: of the first two operands
constexpr int kSign32 = 31, kSign64 = 63;

/// x + kWholeBias has the integer x, |x| <= 2^51, in its low bits.
constexpr double kWholeBias = 0x1.8p52;

Zmm zmm(const Ymm& v) { return Zmm(v.getIdx()); }

}  // namespace

/// Half of a vector, in the lower half of another.
void Division::half(const Vector& to, const Vector& from, int n) {
  if (n == 0)
    c_.vmovaps(half_of(to), half_of(from));
  else if (wide_)
    c_.vextracti64x4(Ymm(to.getIdx()), zmm(from), 1);
  else
    c_.vextracti128(Xmm(to.getIdx()), from, 1);
}

/// A quotient of doubles, which hold i32, is exact once truncated: it is nearer to no whole number than its rounding. Only
/// 2^31 does not fit, of which the machine makes the lowest number.
void Division::of_i32(const Vector& dst, const Vector& a, const Vector& b, const std::array<Vector, 2>& temps) {
  const auto [x, y] = temps;
  for (const int n : {1, 0}) {
    half(x, a, n);
    half(y, b, n);
    c_.vcvtdq2pd(x, half_of(x));
    c_.vcvtdq2pd(y, half_of(y));
    c_.vdivpd(x, x, y);
    c_.vcvttpd2dq(half_of(n == 1 ? dst : x), x);
  }
  // dst has the upper half so far.
  if (wide_) {
    c_.vinserti64x4(zmm(dst), zmm(x), Ymm(dst.getIdx()), 1);
    c_.vptestmd(kScratch, b, b);
    c_.vpmovm2d(x, kScratch);
    c_.vpandd(dst, dst, x);
  } else {
    c_.vinserti128(dst, x, Xmm(dst.getIdx()), 1);
    c_.vpxor(x, x, x);
    c_.vpcmpeqd(x, x, b);
    c_.vpandn(dst, x, dst);
  }
}

void Division::of_i64(const Vector& dst, const Vector& a, const Vector& b, const std::array<Vector, 4>& temps) {
  if (wide_) {
    i64_as_doubles_or_by_estimates(dst, a, b, temps);
    c_.vptestmq(kScratch, b, b);
    c_.vpmovm2q(temps[0], kScratch);
    c_.vpandq(dst, dst, temps[0]);
  } else {
    i64_in_words(dst, a, b, temps);
    c_.vpxor(temps[0], temps[0], temps[0]);
    c_.vpcmpeqq(temps[0], temps[0], b);
    c_.vpandn(dst, temps[0], dst);
  }
}

/// Numbers that doubles hold, which is the rule, have exact quotients there.
void Division::i64_as_doubles_or_by_estimates(const Vector& dst, const Vector& a, const Vector& b, const std::array<Vector, 4>& temps) {
  constexpr std::uint8_t kBitsOfDoubles = 53;
  const auto& x = temps[0];
  const auto& y = temps[1];
  Xbyak::Label estimates, done;
  c_.vpabsq(x, a);
  c_.vpabsq(y, b);
  c_.vporq(x, x, y);
  c_.vpsrlq(x, x, kBitsOfDoubles);
  c_.vptestmq(kScratch, x, x);
  c_.kortestw(kScratch, kScratch);
  c_.jnz(estimates);
  c_.vcvtqq2pd(x, a);
  c_.vcvtqq2pd(y, b);
  c_.vdivpd(x, x, y);
  c_.vcvttpd2qq(dst, x);
  c_.jmp(done);
  c_.L(estimates);
  i64_by_estimates(dst, a, b, temps);
  c_.L(done);
}

/// An estimate by way of doubles is off by at most 2^13; that of what it leaves by one. All is modulo 2^64, in which an
/// estimate that does not fit, for which the machine gives -2^63, is near enough, too.
void Division::i64_by_estimates(const Vector& quotient, const Vector& a, const Vector& b, const std::array<Vector, 4>& temps) {
  const auto [inverse, rest, x, sign] = temps;
  c_.vcvtqq2pd(x, b);
  splat(inverse, 1);
  c_.vdivpd(inverse, inverse, x);
  c_.vcvtqq2pd(x, a);
  c_.vmulpd(x, x, inverse);
  c_.vcvttpd2qq(quotient, x);
  c_.vpmullq(x, quotient, b);
  c_.vpsubq(rest, a, x);
  c_.vcvtqq2pd(x, rest);
  c_.vmulpd(x, x, inverse);
  c_.vcvttpd2qq(x, x);
  c_.vpaddq(quotient, quotient, x);
  c_.vpmullq(x, x, b);
  c_.vpsubq(rest, rest, x);
  // Of magnitudes: a rest below 0 takes one off the quotient, one of at least the divisor adds one.
  c_.vpsraq(x, a, kSign64);
  negate_where(rest, x);
  const auto& too_small = inverse;
  c_.vpabsq(too_small, b);
  c_.vpsubq(too_small, rest, too_small);
  c_.vpsraq(too_small, too_small, kSign64);
  c_.vpsraq(rest, rest, kSign64);
  c_.vpternlogq(too_small, rest, rest, kNor);
  c_.vpxorq(sign, a, b);
  c_.vpsraq(sign, sign, kSign64);
  negate_where(quotient, sign);
  c_.vpaddq(quotient, quotient, rest);
  c_.vpsubq(quotient, quotient, too_small);
  negate_where(quotient, sign);
}

void Division::negate_where(const Vector& x, const Vector& negative) {
  c_.vpxorq(x, x, negative);
  c_.vpsubq(x, x, negative);
}

/// The lower words of 64-bit lanes, side by side in the lower half.
void Division::low_words(const Vector& to, const Vector& from) {
  c_.vshufps(to, from, from, kEvenWords);
  c_.vpermq(to, to, kEvenQuarters);
}

/// As i32 where all are, which is the rule; otherwise the machine's own division, lane by lane.
void Division::i64_in_words(const Vector& dst, const Vector& a, const Vector& b, const std::array<Vector, 4>& temps) {
  const auto [x, y, equal, ones] = temps;
  Xbyak::Label by_lanes, done;
  low_words(x, a);
  low_words(y, b);
  c_.vpmovsxdq(dst, half_of(x));
  c_.vpcmpeqq(dst, dst, a);
  c_.vpmovsxdq(equal, half_of(y));
  c_.vpcmpeqq(equal, equal, b);
  c_.vpand(dst, dst, equal);
  c_.vpcmpeqd(ones, ones, ones);
  c_.vptest(dst, ones);
  c_.jnc(by_lanes);
  c_.vcvtdq2pd(x, half_of(x));
  c_.vcvtdq2pd(y, half_of(y));
  c_.vdivpd(x, x, y);
  c_.vroundpd(x, x, kTruncate);
  splat(y, kWholeBias);
  c_.vaddpd(x, x, y);
  c_.vpsubq(dst, x, y);
  c_.jmp(done);
  c_.L(by_lanes);
  i64_one_by_one(dst, a, b);
  c_.L(done);
}

void Division::i64_one_by_one(const Vector& dst, const Vector& a, const Vector& b) {
  constexpr int kLanes = 4, kBytes = 8, kDividends = -32, kDivisors = -64, kSavedRax = -72, kSavedRdx = -80;
  const auto &rax = c_.rax, &rdx = c_.rdx, &rsp = c_.rsp;
  c_.mov(c_.ptr[rsp + kSavedRax], rax);
  c_.mov(c_.ptr[rsp + kSavedRdx], rdx);
  c_.vmovups(c_.ptr[rsp + kDividends], a);
  c_.vmovups(c_.ptr[rsp + kDivisors], b);
  for (int n = 0; n < kLanes; ++n) {
    const auto dividend = c_.qword[rsp + (kDividends + kBytes * n)], divisor = c_.qword[rsp + (kDivisors + kBytes * n)];
    Xbyak::Label divide, store, next;
    c_.mov(rax, dividend);
    c_.cmp(divisor, 0);
    c_.je(next);
    c_.cmp(divisor, -1);  // of which the lowest number would trap
    c_.jne(divide);
    c_.neg(rax);
    c_.jmp(store);
    c_.L(divide);
    c_.cqo();
    c_.idiv(divisor);
    c_.L(store);
    c_.mov(dividend, rax);
    c_.L(next);
  }
  c_.vmovups(dst, c_.ptr[rsp + kDividends]);
  c_.mov(rax, c_.ptr[rsp + kSavedRax]);
  c_.mov(rdx, c_.ptr[rsp + kSavedRdx]);
}

void Division::magnitude_of_doubles(const Vector& x) {
  c_.vpsllq(x, x, 1);
  c_.vpsrlq(x, x, 1);
}

void Division::remainder(const Vector& dst, const Vector& a, const Vector& b, const std::array<Vector, 3>& temps) {
  constexpr int kUpperHalf = -32;
  constexpr double kAboveFloats = 0x1p128;  // stands for infinity, of which quotients are no number
  const auto [rest, divisor, temp] = temps;
  for (const int n : {1, 0}) {
    half(rest, a, n);
    half(divisor, b, n);
    c_.vcvtps2pd(rest, half_of(rest));
    c_.vcvtps2pd(divisor, half_of(divisor));
    magnitude_of_doubles(rest);
    magnitude_of_doubles(divisor);
    splat(temp, kAboveFloats);
    c_.vminpd(divisor, temp, divisor);  // a NaN is the second operand
    remainder_of_doubles(rest, divisor, dst, temp);
    c_.vcvtpd2ps(half_of(rest), rest);
    if (n == 1) c_.vmovups(c_.ptr[c_.rsp + kUpperHalf], half_of(rest));
  }
  if (wide_)
    c_.vinsertf64x4(zmm(dst), zmm(rest), c_.ptr[c_.rsp + kUpperHalf], 1);
  else
    c_.vinsertf128(dst, rest, c_.ptr[c_.rsp + kUpperHalf], 1);
  c_.vpsrld(temp, a, kSign32);
  c_.vpslld(temp, temp, kSign32);
  c_.vorps(dst, dst, temp);
}

/// Exact: a quotient of 53 bits that is not too large leaves a rest that is a double (divisors have 24 bits). It is done
/// again until no lane's rest reaches its divisor, which with quotients below 2^52 is once.
void Division::remainder_of_doubles(const Vector& rest, const Vector& divisor, const Vector& quotient, const Vector& temp) {
  Xbyak::Label again;
  c_.L(again);
  if (wide_) {
    c_.vdivpd(zmm(quotient), zmm(rest), zmm(divisor) | c_.T_rz_sae);
    c_.vrndscalepd(quotient, quotient, kTruncate);
    c_.vfnmadd231pd(rest, quotient, divisor);
    c_.vcmppd(kScratch, rest, divisor, kGreaterOrEqual);
    c_.kortestw(kScratch, kScratch);
  } else {
    // Rounded to the nearest, it may be too large: by its last bit, which is taken off where it is worth one or more, or by
    // one, where the rest is below 0.
    c_.vdivpd(quotient, rest, divisor);
    c_.vroundpd(quotient, quotient, kTruncate);
    splat(temp, 0x1p-52);
    c_.vmulpd(temp, temp, quotient);
    c_.vroundpd(temp, temp, kTruncate);
    c_.vsubpd(quotient, quotient, temp);
    c_.vfnmadd231pd(rest, quotient, divisor);
    c_.vaddpd(temp, rest, divisor);
    c_.vblendvpd(rest, rest, temp, rest);
    c_.vcmppd(temp, rest, divisor, kGreaterOrEqual);
    c_.vtestpd(temp, temp);
  }
  c_.jnz(again);
}

}  // namespace burin::codegen::x64
