#pragma once

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "burin/compile.h"
#include "tests/support/interpret_check.h"
#include "tests/unit/support/error_of.h"

namespace burin::runtime_test {

using Symbols = std::map<std::string, std::int64_t>;

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();
inline constexpr float kLowest = std::numeric_limits<float>::lowest();

/// Attention of 2 heads of 16 whose keys have a length of their own and a full mask.
inline Graph attention() {
  return parse_graph(R"(graph @attention(%q: f32[B,2,S,16], %k: f32[B,2,T,16], %v: f32[B,2,T,16],
                                         %mask: f32[B,1,S,T]) {
    %0 = transpose %k, perm=[0,1,3,2]
    %1 = matmul %q, %0
    %2 = mul %1, 0.25
    %3 = add %2, %mask
    %4 = softmax %3, axis=3
    %5 = matmul %4, %v
    return %5
  })");
}

/// `form`: that of the softmax; or "few queries", whatever their number is.
inline CompiledSubgraph compiled(const Graph& graph, const std::string& form = "") {
  constexpr std::int64_t kAnyNumber = 1000000;
  CompileOptions options;
  options.verify = true;
  if (form == "few queries")
    options.few_queries = kAnyNumber;
  else
    options.softmax_form = form;
  return compile(graph, options);
}
inline CompiledSubgraph compiled(const std::string& text) { return compiled(parse_graph(text)); }

inline std::vector<TensorDesc> shapes_of(const std::vector<Tensor>& tensors) {
  std::vector<TensorDesc> shapes;
  for (const Tensor& t : tensors) shapes.push_back({t.dims(), {}});
  return shapes;
}

inline std::vector<const void*> pointers_of(const std::vector<Tensor>& tensors) {
  std::vector<const void*> pointers;
  for (const Tensor& t : tensors) pointers.push_back(t.data());
  return pointers;
}

/// One thread for each worker, started for each task: any number of workers, whatever the machine.
class Threads : public Executor {
 public:
  explicit Threads(int threads) : threads_(threads) {}
  int concurrency() const override { return threads_; }
  void run(int workers, const Task& task) override {
    std::vector<std::thread> all;
    for (int w = 0; w < workers; ++w)
      all.emplace_back([&task, w] { task.function(task.context, w); });
    for (std::thread& t : all) t.join();
  }

 private:
  int threads_;
};

/// What a bound invocation computes from these inputs.
inline std::vector<Tensor> run_bound(Invocation& invocation, const std::vector<Tensor>& inputs,
                                     Executor* executor = nullptr) {
  std::vector<Tensor> outputs;
  std::vector<void*> out;
  for (const Dims& dims : invocation.output_shapes()) {
    outputs.push_back(Tensor::zeros(Precision::f32, dims));
    out.push_back(outputs.back().mutable_data());
  }
  if (executor != nullptr)
    invocation.run(pointers_of(inputs), out, *executor);
  else
    invocation.run(pointers_of(inputs), out);
  return outputs;
}

inline std::vector<Tensor> run(const CompiledSubgraph& subgraph, const std::vector<Tensor>& inputs,
                               int workers = 1) {
  Invocation invocation = subgraph.bind(shapes_of(inputs), {}, workers);
  Threads threads(workers);
  return run_bound(invocation, inputs, workers > 1 ? &threads : nullptr);
}

/// How many results are wrong of four threads that run invocations of their own at once, each `times` times, in turn on a
/// pool and in the thread itself. Of attention().
inline int wrong_of_concurrent(const Graph& graph, const CompiledSubgraph& compiled, int times, double tolerance) {
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      const auto inputs =
          burin::testing::random_inputs(graph, {{"B", 1 + t}, {"S", 20 + 7 * t}, {"T", 30 + 50 * t}}, 3);
      const Tensor expected = interpret(graph, inputs)[0];
      Invocation invocation = compiled.invocation(2);
      for (int i = 0; i < times; ++i) {
        invocation.rebind(shapes_of(inputs));
        const Tensor actual = run_bound(invocation, inputs, i % 2 == 0 ? &default_executor() : nullptr)[0];
        if (!(burin::testing::relative_difference(expected, actual) < tolerance)) ++wrong;
      }
    });
  for (std::thread& t : threads) t.join();
  return wrong;
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.dims() == b.dims() && std::memcmp(a.data(), b.data(), a.bytes()) == 0;
}

}  // namespace burin::runtime_test
