#include <gtest/gtest.h>

#include "kernel_check.h"
#include "unit/support/error_of.h"

namespace burin::host {
namespace {

void check(OpKind op, const NodeInputs& inputs, const Attributes& attributes = {},
           std::size_t outputs = 1) {
  const OneNode one(op, inputs, attributes, outputs);
  const auto kernel = make_reference_kernel(one.graph, one.node());
  expect_like_interpreter(*kernel, one, inputs);
}

TEST(HostReference, EveryType) {
  Random random(1);
  for (const Precision p : {Precision::f32, Precision::f64, Precision::f16, Precision::bf16,
                            Precision::i64, Precision::i32, Precision::i8, Precision::u8})
    check(OpKind::Add, {random_tensor(random, p, {2, 3}), random_tensor(random, p, {3})});
}

TEST(HostReference, FormsOfNodes) {
  Random random(2);
  const Tensor x = random_tensor(random, Precision::f32, {2, 6});
  check(OpKind::Split, {x}, {{"axis", std::int64_t{1}}}, 3);                  // several outputs
  check(OpKind::Clip, {x, std::nullopt, Tensor::scalar(Precision::f32, 1)});  // an absent input
  check(OpKind::Identity, {x});  // the result is the input's memory
  check(OpKind::Exp, {random_tensor(random, Precision::f32, {0, 2})});
}

TEST(HostReference, OutlivesItsGraph) {
  const NodeInputs inputs{Tensor::from_f32({2}, {1, 2})};
  std::unique_ptr<Kernel> kernel;
  {
    const OneNode one(OpKind::Neg, inputs);
    kernel = make_reference_kernel(one.graph, one.node());
  }
  expect_tensor(Tensor::from_f32({2}, {-1, -2}), run_kernel(*kernel, inputs, {*inputs[0]})[0], 0);
}

TEST(HostReference, EmptyTensorsMayComeWithoutMemory) {
  const NodeInputs inputs{Tensor::zeros(Precision::f32, {0})};
  const OneNode one(OpKind::Neg, inputs);
  const auto kernel = make_reference_kernel(one.graph, one.node());
  const std::vector<Dims> dims{{0}};
  kernel->bind({dims, dims});
  const void* in[] = {nullptr};
  void* out[] = {nullptr};
  EXPECT_NO_THROW(kernel->run({in, out}));
}

TEST(HostReference, Errors) {
  const NodeInputs inputs{Tensor::from_f32({2}, {1, 2}), i64_list({5})};
  const OneNode one(OpKind::Gather, inputs);
  const auto kernel = make_reference_kernel(one.graph, one.node());
  EXPECT_ERROR(run_kernel(*kernel, inputs, {Tensor::zeros(Precision::f32, {1})}),
               "node 'tested' (Gather)");
  const NodeInputs good{inputs[0], i64_list({1})};
  EXPECT_ERROR(run_kernel(*kernel, good, {Tensor::zeros(Precision::f32, {2})}),
               "expected dimensions");
}

}  // namespace
}  // namespace burin::host
