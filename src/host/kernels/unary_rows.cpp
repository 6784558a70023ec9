// Operations of one element. Each has the formula of the interpreter
// (graph/interpreter_elementwise.cpp), in single precision for f32; integers are computed as i64
// and wrap to their type.

#include <cmath>
#include <limits>
#include <numbers>

#include "graph/interpreter_ops.h"
#include "host/kernels/elementwise_rows.h"
#include "host/kernels/erf.h"

namespace burin::host {
namespace {

using Int = std::int64_t;
using interpreter::wrap_mul;
using interpreter::wrap_sub;

template <auto F>
RowFunction f32() {
  return row_function<F, float, float>();
}

/// For functions of the standard library that have no vector form, or set errno.
template <auto F>
RowFunction f32_scalar() {
  return scalar_row_function<F, float, float>();
}

float sigmoid(float x) { return 1.0F / (1.0F + std::exp(-x)); }

float gelu(float x) { return 0.5F * x * (1.0F + erf_of(x / std::numbers::sqrt2_v<float>)); }

float gelu_tanh(float x) {
  constexpr float kScale = 0.797884561F;  // sqrt(2 / pi)
  return 0.5F * x * (1.0F + std::tanh(kScale * (x + 0.044715F * x * x * x)));
}

/// To [0, 1]; NaN stays.
float unit_clip(float x) {
  const float raised = x < 0 ? 0.0F : x;
  return raised > 1 ? 1.0F : raised;
}

RowFunction f32_row(const Node& node) {
  switch (node.op) {
    case OpKind::Abs: return f32<[](float x) { return std::fabs(x); }>();
    case OpKind::Neg: return f32<[](float x) { return -x; }>();
    case OpKind::Sign:
      return f32<[](float x) { return 0 < x ? 1.0F : x < 0 ? -1.0F : x; }>();  // NaN and zero stay
    case OpKind::Relu: return f32<[](float x) { return x < 0 ? 0.0F : x; }>();
    case OpKind::LeakyRelu:
      return f32<[](const Constants& c, float x) { return x < 0 ? c.a * x : x; }>();
    case OpKind::Square: return f32<[](float x) { return x * x; }>();
    case OpKind::Floor: return f32<[](float x) { return std::floor(x); }>();
    case OpKind::Ceil: return f32<[](float x) { return std::ceil(x); }>();
    case OpKind::Round: return f32<[](float x) { return std::nearbyint(x); }>();
    case OpKind::Sqrt: return f32_scalar<[](float x) { return std::sqrt(x); }>();
    case OpKind::Rsqrt: return f32_scalar<[](float x) { return 1.0F / std::sqrt(x); }>();
    case OpKind::Reciprocal: return f32<[](float x) { return 1.0F / x; }>();
    case OpKind::Erf: return f32<erf_of>();
    case OpKind::HardSigmoid:
      return f32<[](const Constants& c, float x) { return unit_clip(c.a * x + c.b); }>();
    case OpKind::HardSwish: return f32<[](float x) { return x * unit_clip(x / 6.0F + 0.5F); }>();
    case OpKind::Exp: return f32_scalar<[](float x) { return std::exp(x); }>();
    case OpKind::Exp2: return f32_scalar<[](float x) { return std::exp2(x); }>();
    case OpKind::Log: return f32_scalar<[](float x) { return std::log(x); }>();
    case OpKind::Sin: return f32_scalar<[](float x) { return std::sin(x); }>();
    case OpKind::Cos: return f32_scalar<[](float x) { return std::cos(x); }>();
    case OpKind::Tanh: return f32_scalar<[](float x) { return std::tanh(x); }>();
    case OpKind::Sigmoid: return f32_scalar<sigmoid>();
    case OpKind::Silu: return f32_scalar<[](float x) { return x * sigmoid(x); }>();
    case OpKind::Softplus:
      return f32_scalar<[](float x) {
        return (0 < x ? x : 0.0F) + std::log1p(std::exp(-std::fabs(x)));
      }>();
    case OpKind::Elu:
      return f32_scalar<[](const Constants& c, float x) {
        return x < 0 ? c.a * std::expm1(x) : x;
      }>();
    case OpKind::Gelu:
      return node.string_attribute("approximate", "none") == "tanh" ? f32_scalar<gelu_tanh>()
                                                                    : f32<gelu>();
    case OpKind::IsNaN: return row_function<[](float x) { return x != x; }, std::uint8_t, float>();
    case OpKind::IsInf:  // the constants: whether positive, whether negative ones count
      return row_function<[](const Constants& c, float x) {
        return std::fabs(x) == std::numeric_limits<float>::infinity() && (0 < x ? c.a : c.b) != 0;
      },
                          std::uint8_t, float>();
    default: return nullptr;
  }
}

template <typename T>
RowFunction integer_row(OpKind op) {
  switch (op) {
    case OpKind::Abs: return row_function<[](Int x) { return x < 0 ? wrap_sub(0, x) : x; }, T, T>();
    case OpKind::Neg: return row_function<[](Int x) { return wrap_sub(0, x); }, T, T>();
    case OpKind::Sign: return row_function<[](Int x) { return Int{0 < x} - Int{x < 0}; }, T, T>();
    case OpKind::Relu: return row_function<[](Int x) { return x < 0 ? Int{0} : x; }, T, T>();
    case OpKind::Square: return row_function<[](Int x) { return wrap_mul(x, x); }, T, T>();
    default: return nullptr;
  }
}

}  // namespace

RowFunction unary_row(const Node& node, Precision x) {
  switch (x) {
    case Precision::f32: return f32_row(node);
    case Precision::i64: return integer_row<std::int64_t>(node.op);
    case Precision::i32: return integer_row<std::int32_t>(node.op);
    case Precision::boolean:
      if (node.op != OpKind::Not) return nullptr;
      return row_function<[](std::uint8_t b) { return b == 0; }, std::uint8_t, std::uint8_t>();
    default: return nullptr;
  }
}

}  // namespace burin::host
