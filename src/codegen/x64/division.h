#pragma once

#include <array>
#include <functional>

#include <xbyak/xbyak.h>

namespace burin::codegen::x64 {

/// What divides, as several instructions, because the machine has none for vectors of it. Destination and temporaries are
/// distinct and none of the sources, which stay as they are. What finds no register lies below the stack pointer.
class Division {
 public:
  using Vector = Xbyak::Ymm;  ///< a zmm register where vectors are wide (AVX-512)
  /// Where 64 bits with that value lie.
  using Constant = std::function<Xbyak::Address(double)>;

  Division(Xbyak::CodeGenerator& code, bool wide, Constant constant) : c_(code), wide_(wide), constant_(std::move(constant)) {}

  /// As quotient_of in support/integer_division.h.
  void of_i32(const Vector& dst, const Vector& a, const Vector& b, const std::array<Vector, 2>& temps);
  /// The same of lanes of 64 bits.
  void of_i64(const Vector& dst, const Vector& a, const Vector& b, const std::array<Vector, 4>& temps);
  /// std::fmod of floats.
  void remainder(const Vector& dst, const Vector& a, const Vector& b, const std::array<Vector, 3>& temps);

 private:
  void i64_as_doubles_or_by_estimates(const Vector& dst, const Vector& a, const Vector& b, const std::array<Vector, 4>& temps);
  void i64_by_estimates(const Vector& dst, const Vector& a, const Vector& b, const std::array<Vector, 4>& temps);
  void i64_in_words(const Vector& dst, const Vector& a, const Vector& b, const std::array<Vector, 4>& temps);
  void i64_one_by_one(const Vector& dst, const Vector& a, const Vector& b);
  void low_words(const Vector& to, const Vector& from);
  /// Lanes of 64 bits where `negative` is -1, not where it is 0.
  void negate_where(const Vector& x, const Vector& negative);
  void remainder_of_doubles(const Vector& rest, const Vector& divisor, const Vector& quotient, const Vector& temp);
  void half(const Vector& to, const Vector& from, int n);
  void magnitude_of_doubles(const Vector& x);
  void splat(const Vector& to, double x) { c_.vbroadcastsd(to, constant_(x)); }

  /// The register that holds half of a vector.
  Xbyak::Xmm half_of(const Vector& v) const { return wide_ ? Xbyak::Xmm(Xbyak::Ymm(v.getIdx())) : Xbyak::Xmm(v.getIdx()); }

  Xbyak::CodeGenerator& c_;
  bool wide_;
  Constant constant_;
};

}  // namespace burin::codegen::x64
