#include <cmath>
#include <limits>

#include "tests/unit/host/onednn_fixture.h"

namespace burin::host {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

const std::vector<std::pair<OpKind, Attributes>> kUnary = {
    {OpKind::Sqrt, {}},
    {OpKind::Tanh, {}},      {OpKind::Sigmoid, {}},
    {OpKind::Silu, {}},      {OpKind::Softplus, {}},
    {OpKind::HardSwish, {}}, {OpKind::Elu, {{"alpha", 0.7}}},
    {OpKind::Gelu, {}},      {OpKind::Gelu, {{"approximate", std::string("tanh")}}}};

TEST(OneDnnElementwise, Unary) {
  for (const auto& [op, attributes] : kUnary) {
    SCOPED_TRACE(info(op).name);
    const bool is_partial = op == OpKind::Sqrt;
    NodeKernel kernel(one_op(op, {"A,B"}, attributes));
    for (const Dims& dims : {Dims{1, 9}, {3, 7}, {0, 4}, {16, 33}, {3, 7}})
      kernel.check({random_tensor(dims, 1, is_partial ? 0.01 : -8, 8)});
    NodeKernel scalar(one_op(op, {""}, attributes));
    scalar.check({random_tensor({}, 1, 0.1, 1)});
  }
}

TEST(OneDnnElementwise, ValuesThatAreNotNumbers) {
  for (const auto& [op, attributes] : kUnary) {
    SCOPED_TRACE(info(op).name);
    NodeKernel kernel(one_op(op, {"A"}, attributes));
    kernel.check({Tensor::from_f32({4}, {kNaN, 0.5F, 1.5F, 3.0F})});
    if (op != OpKind::Gelu) kernel.check({Tensor::from_f32({2}, {kInfinity, 2.5F})});
  }
}

TEST(OneDnnElementwise, WhatDropsNaNIsForOthers) {
  for (const OpKind op : {OpKind::Relu, OpKind::Exp, OpKind::HardSigmoid, OpKind::Erf})
    EXPECT_FALSE(NodeKernel(one_op(op, {"A"})).exists()) << info(op).name;
  for (const OpKind op : {OpKind::Min, OpKind::Max})
    EXPECT_FALSE(NodeKernel(one_op(op, {"A", "A"})).exists()) << info(op).name;
}

TEST(OneDnnElementwise, WhatPlainCodeDoesAsFastIsForOthers) {
  for (const OpKind op : {OpKind::Abs, OpKind::Square, OpKind::LeakyRelu, OpKind::Round})
    EXPECT_FALSE(NodeKernel(one_op(op, {"A"})).exists()) << info(op).name;
  for (const OpKind op : {OpKind::Add, OpKind::Sub, OpKind::Mul, OpKind::Div})
    EXPECT_FALSE(NodeKernel(one_op(op, {"A", "A"})).exists()) << info(op).name;
}

TEST(OneDnnElementwise, OtherPrecisionsAreForOthers) {
  GraphBuilder builder("doubles");
  const ValueId x = builder.input("a", Precision::f64, shape("A"));
  builder.output(builder.op(OpKind::Tanh, {x}));
  EXPECT_FALSE(NodeKernel(builder.build()).exists());
}

}  // namespace
}  // namespace burin::host
