// Element-wise operators that are formulas over others.

#include "frontend/operators.h"

namespace burin::frontend {
namespace {

using enum OpKind;

ValueId swish(NodeImporter& n, ValueId x) {
  const double alpha = n.float_attribute("alpha", 1.0);
  if (alpha == 1.0) return n.apply(Silu, {x});
  const ValueId scaled = n.apply(Mul, {x, n.scalar("alpha", alpha, x)});
  return n.apply(Mul, {x, n.apply(Sigmoid, {scaled})});
}

void convert_swish(NodeImporter& n) { n.finish(swish(n, n.input(0))); }

void convert_swiglu(NodeImporter& n) { n.finish(Mul, {swish(n, n.input(0)), n.input(1)}); }

/// alpha * elu(x / alpha)
void convert_celu(NodeImporter& n) {
  const ValueId x = n.input(0);
  const ValueId alpha = n.scalar("alpha", n.float_attribute("alpha", 1.0), x);
  n.finish(Mul, {alpha, n.apply(Elu, {n.apply(Div, {x, alpha})})});
}

void convert_selu(NodeImporter& n) {
  const ValueId x = n.input(0);
  const double alpha = n.float_attribute("alpha", 1.67326319217681884765625);
  const double gamma = n.float_attribute("gamma", 1.05070102214813232421875);
  n.finish(Mul, {n.scalar("gamma", gamma, x), n.apply(Elu, {x}, {{"alpha", alpha}})});
}

void convert_softsign(NodeImporter& n) {
  const ValueId x = n.input(0);
  n.finish(Div, {x, n.apply(Add, {n.apply(Abs, {x}), n.scalar("one", 1, x)})});
}

void convert_mish(NodeImporter& n) {
  const ValueId x = n.input(0);
  n.finish(Mul, {x, n.apply(Tanh, {n.apply(Softplus, {x})})});
}

void convert_thresholded_relu(NodeImporter& n) {
  const ValueId x = n.input(0);
  const ValueId above =
      n.apply(Greater, {x, n.scalar("alpha", n.float_attribute("alpha", 1.0), x)});
  n.finish(Where, {above, x, n.scalar("zero", 0, x)});
}

void convert_shrink(NodeImporter& n) {
  const ValueId x = n.input(0);
  const double lambda = n.float_attribute("lambd", 0.5);
  const ValueId bias = n.scalar("bias", n.float_attribute("bias", 0), x);
  const ValueId above = n.apply(Greater, {x, n.scalar("lambda", lambda, x)});
  const ValueId below = n.apply(Less, {x, n.scalar("minus_lambda", -lambda, x)});
  const ValueId shrunk = n.apply(Where, {above, n.apply(Sub, {x, bias}), n.scalar("zero", 0, x)});
  n.finish(Where, {below, n.apply(Add, {x, bias}), shrunk});
}

void convert_tan(NodeImporter& n) {
  const ValueId x = n.input(0);
  n.finish(Div, {n.apply(Sin, {x}), n.apply(Cos, {x})});
}

}  // namespace

std::vector<Operator> activation_operators() {
  return {
      {{"", "Celu"}, convert_celu},
      {{"", "Mish"}, convert_mish},
      {{"", "Selu"}, convert_selu},
      {{"", "Shrink"}, convert_shrink, 9},
      {{"", "Softsign"}, convert_softsign},
      {{"", "SwiGLU"}, convert_swiglu},
      {{"", "Swish"}, convert_swish},
      {{"", "Tan"}, convert_tan},
      {{"", "ThresholdedRelu"}, convert_thresholded_relu},
  };
}

}  // namespace burin::frontend
