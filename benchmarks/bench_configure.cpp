// What a shape costs the configurator: Invocation::rebind at a shape that was never seen, and at
// the same shape again. Names: configure/f32/attention/never_seen, .../same_again.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <functional>

#include "benchmarks/support/subgraphs.h"

namespace {

using namespace burin;
using namespace burin::bench;

constexpr std::int64_t kLongest = 4096;

/// Sets the inputs to the shape of that number; no two numbers give the same shape.
using SetShape = std::function<void(std::vector<TensorDesc>&, std::int64_t number)>;

void set_attention(std::vector<TensorDesc>& inputs, std::int64_t number) {
  const std::int64_t batch = number / kLongest + 1, sequence = number % kLongest + 1;
  for (std::size_t i = 0; i < 3; ++i) inputs[i].shape = {batch, sequence, 12, 64};
  inputs[3].shape = {batch, 1, sequence, sequence};
}

void set_elementwise(std::vector<TensorDesc>& inputs, std::int64_t number) {
  const std::int64_t rows = number / kLongest + 1, columns = number % kLongest + 1;
  for (std::size_t i = 0; i < 2; ++i) inputs[i].shape = {rows, columns};
  inputs[2].shape = {columns};
}

void configure(benchmark::State& state, const Graph& body, const SetShape& set_shape,
               bool never_seen) {
  const CompiledSubgraph compiled = compile(body);
  std::vector<TensorDesc> inputs(body.inputs.size());
  // The longest first: scratch does not grow any more.
  std::int64_t number = kLongest - 1;
  set_shape(inputs, number);
  Invocation invocation = compiled.bind(inputs);
  for (auto _ : state) {
    if (never_seen) set_shape(inputs, ++number);
    invocation.rebind(inputs);
    benchmark::DoNotOptimize(invocation.output_shapes().data());
  }
}

void register_configure(const std::string& what, const Graph& body, const SetShape& set_shape) {
  for (bool never_seen : {true, false})
    benchmark::RegisterBenchmark(
        fmt::format("configure/f32/{}/{}", what, never_seen ? "never_seen" : "same_again").c_str(),
        [=](benchmark::State& state) { configure(state, body, set_shape, never_seen); });
}

}  // namespace

int main(int argc, char** argv) {
  register_configure("attention", attention(kAttentionShapes[1], Mask::full, true), set_attention);
  for (const std::string& kind : elementwise_kinds())
    register_configure(kind, elementwise(kind, 1, 1, true), set_elementwise);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
