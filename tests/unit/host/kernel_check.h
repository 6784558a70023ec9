#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "burin/graph.h"
#include "graph/interpreter.h"
#include "host/kernel.h"
#include "tests/support/random.h"

namespace burin::host {

using testing::Random;

/// The inputs of a node; nothing where an optional one is absent.
using NodeInputs = std::vector<std::optional<Tensor>>;

/// A graph of one node whose inputs are those of the graph.
struct OneNode {
  Graph graph;
  NodeId id = kNone;

  /// The types, and the shapes unless other ones are bound later, are those of `inputs`.
  /// `constants`: inputs that are constants of the graph.
  OneNode(OpKind op, const NodeInputs& inputs, Attributes attributes = {}, std::size_t outputs = 1,
          const std::vector<std::size_t>& constants = {}) {
    std::vector<ValueId> ids(inputs.size(), kNone);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i]) continue;
      const std::string name = "in" + std::to_string(i);
      if (std::find(constants.begin(), constants.end(), i) != constants.end()) {
        ids[i] = graph.add_constant(name, *inputs[i]);
      } else {
        Shape shape(inputs[i]->dims().begin(), inputs[i]->dims().end());
        ids[i] = graph.add_input(name, inputs[i]->precision(), std::move(shape));
      }
    }
    id = graph.add_node(op, "tested", ids, std::move(attributes), outputs);
    graph.outputs = graph.node(id).outputs;
  }
  const Node& node() const { return graph.node(id); }

  std::vector<Tensor> expected(const NodeInputs& inputs) const {
    std::vector<PlainTensor> plain;
    for (const auto& input : inputs) plain.push_back(input ? PlainTensor(*input) : PlainTensor());
    const std::vector<PlainTensor> results = evaluate_node(graph, node(), plain);
    std::vector<Tensor> tensors;
    for (std::size_t i = 0; i < results.size(); ++i)
      tensors.push_back(results[i].to_tensor(graph.value(node().outputs[i]).precision));
    return tensors;
  }
};

/// Binds the kernel to the dimensions of `inputs` and runs it. `like`: tensors of the dimensions
/// and types of the outputs. Memory around the outputs must stay as it is. `in_place`: the input
/// whose memory output 0 takes.
inline std::vector<Tensor> run_kernel(Kernel& kernel, const NodeInputs& inputs,
                                      const std::vector<Tensor>& like,
                                      std::optional<std::size_t> in_place = {}) {
  constexpr std::size_t kGuard = 64;
  constexpr std::byte kUntouched{0xa5};
  std::vector<Dims> input_dims, output_dims;
  for (const auto& input : inputs) input_dims.push_back(input ? input->dims() : Dims{});
  for (const Tensor& output : like) output_dims.push_back(output.dims());
  kernel.bind({input_dims, output_dims});

  std::vector<const void*> in;
  for (const auto& input : inputs) in.push_back(input ? input->data() : nullptr);
  std::vector<std::vector<std::byte>> memory;
  std::vector<void*> out;
  for (const Tensor& output : like) {
    memory.emplace_back(output.bytes() + 2 * kGuard, kUntouched);
    out.push_back(memory.back().data() + kGuard);
  }
  if (in_place) {
    std::memcpy(out[0], in[*in_place], like[0].bytes());
    in[*in_place] = out[0];
  }
  std::vector<std::byte> scratch(kernel.scratch_bytes() + kGuard);
  void* aligned = scratch.data();
  std::size_t space = scratch.size();
  std::align(kGuard, kernel.scratch_bytes(), aligned, space);
  kernel.run({in, out, static_cast<std::byte*>(aligned)});

  std::vector<Tensor> results;
  for (std::size_t i = 0; i < like.size(); ++i) {
    const auto untouched = [&](std::byte b) { return b == kUntouched; };
    EXPECT_TRUE(std::all_of(memory[i].begin(), memory[i].begin() + kGuard, untouched) &&
                std::all_of(memory[i].end() - kGuard, memory[i].end(), untouched))
        << "wrote outside of output " << i;
    results.push_back(Tensor::zeros(like[i].precision(), like[i].dims()));
    if (like[i].bytes() > 0) std::memcpy(results.back().mutable_data(), out[i], like[i].bytes());
  }
  return results;
}

/// `tolerance`: relative to the larger of 1 and the expected magnitude; NaN equals NaN.
inline void expect_tensor(const Tensor& expected, const Tensor& given, double tolerance) {
  ASSERT_EQ(expected.dims(), given.dims());
  for (std::int64_t i = 0; i < expected.size(); ++i) {
    if (!is_float(expected.precision())) {
      ASSERT_EQ(expected.int_at(i), given.int_at(i)) << "element " << i;
      continue;
    }
    const double e = expected.at(i), g = given.at(i);
    if (e == g || (std::isnan(e) && std::isnan(g))) continue;
    ASSERT_LE(std::abs(e - g), tolerance * std::max(1.0, std::abs(e)))
        << "element " << i << ": expected " << e << ", given " << g;
  }
}

/// Runs the kernel beside the interpreter, also in place where it says that it can.
inline void expect_like_interpreter(Kernel& kernel, const OneNode& one, const NodeInputs& inputs,
                                    double tolerance = 0) {
  const std::vector<Tensor> expected = one.expected(inputs);
  const auto compare = [&](const std::vector<Tensor>& given) {
    for (std::size_t i = 0; i < expected.size(); ++i)
      expect_tensor(expected[i], given[i], tolerance);
  };
  compare(run_kernel(kernel, inputs, expected));
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i] && kernel.works_in_place(i) && inputs[i]->bytes() == expected[0].bytes())
      compare(run_kernel(kernel, inputs, expected, i));
}

// ---------------------------------------------------------------------------------------------------------
// Inputs

inline Tensor integer_tensor(Precision precision, const Dims& dims,
                             const std::vector<std::int64_t>& values) {
  Tensor tensor = Tensor::zeros(precision, dims);
  for (std::size_t i = 0; i < values.size(); ++i)
    tensor.set_int(static_cast<std::int64_t>(i), values[i]);
  return tensor;
}
inline Tensor i64_list(const std::vector<std::int64_t>& values) {
  return Tensor::from_i64({std::ssize(values)}, values);
}

/// Floats in [-limit, limit], whole numbers for other types (not negative for u8; booleans).
inline Tensor random_tensor(Random& random, Precision precision, const Dims& dims,
                            double limit = 4) {
  Tensor tensor = Tensor::zeros(precision, dims);
  const auto whole = static_cast<std::int64_t>(limit);
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    if (is_float(precision)) {
      tensor.set(i, random.real(-limit, limit));
    } else if (precision == Precision::boolean) {
      tensor.set_int(i, random.below(2));
    } else {
      tensor.set_int(i, random.between(precision == Precision::u8 ? 0 : -whole, whole));
    }
  }
  return tensor;
}

/// Each dimension in [least, most].
inline Dims random_dims(Random& random, std::size_t rank, std::int64_t least = 0,
                        std::int64_t most = 5) {
  Dims dims(rank);
  for (std::int64_t& dim : dims) dim = random.between(least, most);
  return dims;
}

}  // namespace burin::host
