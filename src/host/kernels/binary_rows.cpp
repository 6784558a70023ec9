// Operations of two elements, and comparisons. Each has the formula of the interpreter
// (graph/interpreter_elementwise.cpp), in single precision for f32; integers are computed as i64
// and wrap to their type.

#include <cmath>
#include <limits>

#include "graph/interpreter_ops.h"
#include "host/kernels/elementwise_rows.h"
#include "support/integer_division.h"

namespace burin::host {
namespace {

using Int = std::int64_t;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
using interpreter::fail;
using interpreter::wrap_add;
using interpreter::wrap_mul;
using interpreter::wrap_sub;

/// Of two elements of one type, which the result has, too.
template <auto F, typename T>
RowFunction same() {
  return row_function<F, T, T, T>();
}
/// For what throws, or has no vector form.
template <auto F, typename T>
RowFunction same_scalar() {
  return scalar_row_function<F, T, T, T>();
}

// ---------------------------------------------------------------------------------------------------------
// f32

float modulo(float a, float b) {  // has the sign of b
  const float r = std::fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

RowFunction f32_row(const Node& node) {
  switch (node.op) {
    case OpKind::Add: return same<[](float a, float b) { return a + b; }, float>();
    case OpKind::Sub: return same<[](float a, float b) { return a - b; }, float>();
    case OpKind::Mul: return same<[](float a, float b) { return a * b; }, float>();
    case OpKind::Div: return same<[](float a, float b) { return a / b; }, float>();
    case OpKind::Min:  // NaN wins
      return same<[](float a, float b) { return a != a || a < b ? a : b; }, float>();
    case OpKind::Max:
      return same<[](float a, float b) { return a != a || b < a ? a : b; }, float>();
    case OpKind::PRelu: return same<[](float x, float s) { return x < 0 ? s * x : x; }, float>();
    case OpKind::Mod:
      return node.int_attribute("fmod", 0) != 0
                 ? same_scalar<[](float a, float b) { return std::fmod(a, b); }, float>()
                 : same_scalar<modulo, float>();
    default: return nullptr;
  }
}

// ---------------------------------------------------------------------------------------------------------
// Integers

template <typename T>
RowFunction integer_row(const Node& node) {
  switch (node.op) {
    case OpKind::Add: return same<[](Int a, Int b) { return wrap_add(a, b); }, T>();
    case OpKind::Sub: return same<[](Int a, Int b) { return wrap_sub(a, b); }, T>();
    case OpKind::Mul: return same<[](Int a, Int b) { return wrap_mul(a, b); }, T>();
    case OpKind::Div: return same_scalar<[](Int a, Int b) { return quotient_of(a, b); }, T>();
    case OpKind::Min: return same<[](Int a, Int b) { return a < b ? a : b; }, T>();
    case OpKind::Max: return same<[](Int a, Int b) { return b < a ? a : b; }, T>();
    case OpKind::PRelu: return same<[](Int x, Int s) { return x < 0 ? wrap_mul(s, x) : x; }, T>();
    case OpKind::Mod:
      return node.int_attribute("fmod", 0) != 0
                 ? same_scalar<[](Int a, Int b) { return remainder_of(a, b); }, T>()
                 : same_scalar<[](Int a, Int b) { return modulo_of(a, b); }, T>();
    default: return nullptr;
  }
}

// ---------------------------------------------------------------------------------------------------------
// Powers: the result has the type of the base

/// What exponents that stand still for a whole row may be, without a call of pow; null for others.
RowFunction simple_power(float exponent) {
  if (exponent == 2.0F) return same<[](float x, float) { return x * x; }, float>();
  if (exponent == 3.0F) return same<[](float x, float) { return x * x * x; }, float>();
  if (exponent == 0.5F)  // unlike the root, 0 for -0 and infinity for -infinity
    return same_scalar<
        [](float x, float) { return x == -kInfinity ? kInfinity : std::sqrt(x + 0.0F); }, float>();
  return nullptr;
}

void float_power_row(const Row& row) {
  RowFunction function = nullptr;
  if (row.steps[1] == 0) function = simple_power(*static_cast<const float*>(row.in[1]));
  if (function == nullptr)
    function = same_scalar<[](float x, float y) { return std::pow(x, y); }, float>();
  function(row);
}

Int power(Int base, Int exponent) {
  if (exponent < 0) {
    if (base == 0) fail("integer zero to a negative power");
    return base == 1 ? 1 : base == -1 ? (exponent % 2 != 0 ? -1 : 1) : 0;
  }
  Int result = 1;
  for (; exponent != 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result = wrap_mul(result, base);
    base = wrap_mul(base, base);
  }
  return result;
}

template <typename Exponent>
RowFunction power_row(Precision base) {
  if constexpr (std::is_same_v<Exponent, float>) {
    constexpr auto rounded = [](Int x, float y) {
      return interpreter::to_integer(std::pow(static_cast<double>(x), static_cast<double>(y)));
    };
    switch (base) {
      case Precision::f32: return float_power_row;
      case Precision::i64: return scalar_row_function<rounded, std::int64_t, std::int64_t, float>();
      case Precision::i32: return scalar_row_function<rounded, std::int32_t, std::int32_t, float>();
      default: return nullptr;
    }
  } else {
    switch (base) {
      case Precision::f32:
        return scalar_row_function<[](float x, Int y) {
          return std::pow(static_cast<double>(x), static_cast<double>(y));
        },
                                   float, float, Exponent>();
      case Precision::i64:
        return scalar_row_function<power, std::int64_t, std::int64_t, Exponent>();
      case Precision::i32:
        return scalar_row_function<power, std::int32_t, std::int32_t, Exponent>();
      default: return nullptr;
    }
  }
}

RowFunction power_row(Precision base, Precision exponent) {
  switch (exponent) {
    case Precision::f32: return power_row<float>(base);
    case Precision::i64: return power_row<std::int64_t>(base);
    case Precision::i32: return power_row<std::int32_t>(base);
    default: return nullptr;
  }
}

// ---------------------------------------------------------------------------------------------------------
// Comparisons and logic

template <typename T>
RowFunction compare_row(OpKind op) {
  switch (op) {
    case OpKind::Equal: return row_function<[](T a, T b) { return a == b; }, std::uint8_t, T, T>();
    case OpKind::Less: return row_function<[](T a, T b) { return a < b; }, std::uint8_t, T, T>();
    case OpKind::LessOrEqual:
      return row_function<[](T a, T b) { return a <= b; }, std::uint8_t, T, T>();
    case OpKind::Greater: return row_function<[](T a, T b) { return b < a; }, std::uint8_t, T, T>();
    case OpKind::GreaterOrEqual:
      return row_function<[](T a, T b) { return b <= a; }, std::uint8_t, T, T>();
    default: return nullptr;
  }
}

/// Any byte but 0 is true.
RowFunction logical_row(OpKind op) {
  using Byte = std::uint8_t;
  switch (op) {
    case OpKind::And: return same<[](Byte a, Byte b) { return (a != 0) & (b != 0); }, Byte>();
    case OpKind::Or: return same<[](Byte a, Byte b) { return (a | b) != 0; }, Byte>();
    case OpKind::Xor: return same<[](Byte a, Byte b) { return (a != 0) != (b != 0); }, Byte>();
    case OpKind::Equal: return same<[](Byte a, Byte b) { return (a != 0) == (b != 0); }, Byte>();
    default: return nullptr;
  }
}

}  // namespace

RowFunction binary_row(const Node& node, Precision a, Precision b) {
  if (node.op == OpKind::Pow) return power_row(a, b);
  if (a != b) return nullptr;
  const bool compares = info(node.op).category == OpCategory::compare;
  switch (a) {
    case Precision::f32: return compares ? compare_row<float>(node.op) : f32_row(node);
    case Precision::i64:
      return compares ? compare_row<std::int64_t>(node.op) : integer_row<std::int64_t>(node);
    case Precision::i32:
      return compares ? compare_row<std::int32_t>(node.op) : integer_row<std::int32_t>(node);
    case Precision::boolean: return logical_row(node.op);
    default: return nullptr;
  }
}

}  // namespace burin::host
