#pragma once

#include <optional>

#include "linear/linear_ir.h"

namespace burin::linear {

/// An integer in registers: an i32 is one word, an i64 two, each a value of its own. (So a vector of either has as many
/// lanes as one of f32.)
struct Words {
  ValueId low = kNone, high = kNone;
  bool is_wide() const { return high != kNone; }
};

/// Emits arithmetic of integers that wrap. Both operands of an operation have the same width.
class WordArithmetic {
 public:
  WordArithmetic(LinearIR& ir, Block& block) : ir_(ir), block_(block) {}

  Words constant(std::int64_t x, bool wide);
  Words known(const Expr& e, bool wide);

  Words add(const Words& a, const Words& b);
  Words sub(const Words& a, const Words& b);
  Words mul(const Words& a, const Words& b);
  /// See support/integer_division.h.
  Words quotient(const Words& a, const Words& b);
  /// What a division leaves: with the sign of a.
  Words remainder(const Words& a, const Words& b, const Words& quotient) { return sub(a, mul(quotient, b)); }
  /// The same with the sign of b, of which more may be known.
  Words modulo(const Words& remainder, const Words& b, std::optional<std::int64_t> known_b);
  Words power(const Words& x, std::uint64_t exponent);
  Words sign(const Words& x);
  /// The sum of words that hold sums of bytes, bytes of one place each, and of higher words. (See byte_of.)
  Words sum_of_bytes(const std::vector<ValueId>& sums, ValueId high);
  Words negate(const Words& x);
  Words abs(const Words& x);
  Words min(const Words& a, const Words& b) { return select(less(a, b), a, b); }
  Words max(const Words& a, const Words& b) { return select(less(b, a), a, b); }
  Words select(ValueId condition, const Words& a, const Words& b);

  // These give f32 0 or 1.
  ValueId less(const Words& a, const Words& b);
  ValueId equal(const Words& a, const Words& b);
  ValueId not_less(const Words& a, const Words& b) { return emit(Op::logical_not, {less(a, b)}); }
  ValueId is_not_zero(const Words& x);
  ValueId is_negative(const Words& x);

  /// Of another width: the lower word, or the sign with it.
  Words resized(const Words& x, bool wide);
  /// Truncated; the lowest number for what does not fit.
  Words from_f32(ValueId x, bool wide);
  /// Whole numbers that fit i32.
  Words from_whole_f32(ValueId x, bool wide) { return resized({emit(Op::to_i32, {x})}, wide); }
  ValueId to_f32(const Words& x);

 private:
  ValueId emit(Op op, std::vector<ValueId> in);
  ValueId number(double x);
  ValueId word(const Expr& e);

  LinearIR& ir_;
  Block& block_;
};

}  // namespace burin::linear
