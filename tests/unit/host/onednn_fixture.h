#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "burin/graph.h"
#include "host/fuse_post_ops.h"
#include "host/kernel.h"
#include "host/onednn.h"
#include "tests/support/interpret_check.h"
#include "tests/support/random.h"
#include "tests/unit/host/kernel_check.h"

namespace burin::host {

/// "B,S,64" as dimensions.
inline Shape shape(std::string_view text) {
  Shape result;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    result.push_back(Expr::parse(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

inline Tensor random_tensor(const Dims& dims, std::uint64_t seed = 1, double low = -2,
                            double high = 2) {
  testing::Random random(seed + 1000 * static_cast<std::uint64_t>(element_count(dims, "a test")));
  Tensor tensor = Tensor::zeros(Precision::f32, dims);
  for (std::int64_t i = 0; i < tensor.size(); ++i) tensor.set(i, random.real(low, high));
  return tensor;
}

/// Binds a kernel to the dimensions of all inputs and of the output, and runs it.
inline Tensor run_kernel(Kernel& kernel, const std::vector<Tensor>& inputs, const Dims& output) {
  return run_kernel(kernel, NodeInputs(inputs.begin(), inputs.end()),
                    {Tensor::zeros(Precision::f32, output)})[0];
}

/// A graph of one node, and its kernel.
class NodeKernel {
 public:
  explicit NodeKernel(Graph graph) : graph_(std::move(graph)), context_{onednn_, 1} {
    kernel_ = make_onednn_kernel(graph_, node(), context_);
  }

  const Node& node() const { return graph_.node(graph_.order().back()); }
  bool exists() const { return kernel_ != nullptr; }
  OneDnn::Counters counters() const { return onednn_.counters(); }

  /// Runs the node on the graph's inputs and compares with the interpreter, also in place where
  /// that is allowed.
  void check(const std::vector<Tensor>& inputs, double tolerance = 1e-5) {
    ASSERT_TRUE(exists());
    const Tensor expected = interpret(graph_, inputs)[0];
    const NodeInputs all = node_inputs(inputs);
    const auto difference = [&](std::optional<std::size_t> in_place) {
      return testing::relative_difference(expected,
                                          run_kernel(*kernel_, all, {expected}, in_place)[0]);
    };
    EXPECT_LE(difference({}), tolerance) << print(graph_) << to_string(expected.dims());
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (!kernel_->works_in_place(i) || all[i]->dims() != expected.dims()) continue;
      EXPECT_LE(difference(i), tolerance) << "in place of input " << i;
    }
  }

 private:
  NodeInputs node_inputs(const std::vector<Tensor>& inputs) const {
    NodeInputs result;
    for (const ValueId id : node().inputs) {
      const auto found = std::find(graph_.inputs.begin(), graph_.inputs.end(), id);
      result.push_back(found == graph_.inputs.end()
                           ? graph_.value(id).constant
                           : inputs.at(static_cast<std::size_t>(found - graph_.inputs.begin())));
    }
    return result;
  }

  Graph graph_;
  OneDnn onednn_;
  KernelContext context_;
  std::unique_ptr<Kernel> kernel_;
};

/// A graph of one operation on f32 inputs of these shapes.
inline Graph one_op(OpKind op, const std::vector<std::string>& shapes, Attributes attributes = {},
                    const std::vector<Tensor>& constants = {}) {
  GraphBuilder builder("one_op");
  std::vector<ValueId> inputs;
  for (std::size_t i = 0; i < shapes.size(); ++i)
    inputs.push_back(builder.input("x" + std::to_string(i), Precision::f32, shape(shapes[i])));
  for (const Tensor& constant : constants) inputs.push_back(builder.constant(constant));
  builder.output(builder.op(op, inputs, std::move(attributes)));
  return builder.build();
}

}  // namespace burin::host
