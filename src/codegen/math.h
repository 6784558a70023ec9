#pragma once

#include "codegen/vcode_builder.h"

namespace burin::codegen {

/// Transcendental functions as formulas over vector operations, one text for all instruction sets.
/// Accuracy: within 2 ulp (f32) over the whole range unless stated. Special values are those of the C library
/// (NaN in, NaN out; exp(-inf) = 0; log(negative) = NaN; ...); results that would be denormal are stated beside
/// each function in math.cpp.
enum class Function : std::uint8_t {
  exp,
  exp2,
  exp2_softmax,  ///< exp2 for arguments <= 0 inside softmax (degree-5 polynomial, relative error 1e-7; exp2(0) = 1
                 ///< exactly, -inf -> 0, NaN -> NaN)
  log,
  tanh,
  sigmoid,
  silu,  ///< x * sigmoid(x)
  erf,
  gelu,       ///< x/2 * (1 + erf(x / sqrt 2))
  gelu_tanh,  ///< its tanh approximation
  sin,
  cos,
};

/// Appends the formula; `x` is not changed. The result is a new register.
VReg emit_function(VBuilder& b, Function f, VReg x, const TargetInfo& target);
/// x^y element-wise, as std::pow.
VReg emit_pow(VBuilder& b, VReg x, VReg y, const TargetInfo& target);

}  // namespace burin::codegen
