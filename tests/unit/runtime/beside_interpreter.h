#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "target/target_info.h"
#include "tests/support/guarded_call.h"
#include "tests/unit/runtime/runtime_support.h"

namespace burin::runtime_test {

/// Tests of kernels for an instruction set, which is the parameter.
class BesideInterpreter : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (isa_from_string(GetParam()) > host_target().isa) GTEST_SKIP() << "this machine has no " << GetParam();
  }

  /// What three workers compute, with nothing around the tensors that may be touched, is what the interpreter does.
  void expect_same(const CompiledSubgraph& kernel, const Graph& graph, const std::vector<Tensor>& inputs, bool strided, double tolerance) {
    const std::vector<Tensor> expected = interpret(graph, inputs);
    constexpr int kWorkers = 3;
    Invocation invocation = kernel.invocation(kWorkers);
    const std::vector<Tensor> actual = burin::testing::guarded_call(invocation, graph, inputs, {strided, kWorkers, false}, random_);
    for (std::size_t i = 0; i < expected.size(); ++i)
      ASSERT_LT(burin::testing::relative_difference(expected[i], actual[i]), tolerance)
          << ::testing::PrintToString(inputs[0].dims()) << (strided ? " strided" : "");
  }

 private:
  burin::testing::Random random_{1};
};

}  // namespace burin::runtime_test
