// What a shape costs the configurator: Invocation::rebind of attention at a shape that was never seen (each iteration
// another length) and at the same shape again.

#include <benchmark/benchmark.h>

#include "benchmarks/support/subgraphs.h"

namespace {

using namespace burin;
using namespace burin::bench;

std::vector<TensorDesc> shapes(std::int64_t sequence) {
  const Dims qkv = {1, sequence, 12, 64};
  return {{qkv, {}}, {qkv, {}}, {qkv, {}}, {{1, 1, sequence, sequence}, {}}};
}

void configure(benchmark::State& state, bool never_seen) {
  constexpr std::int64_t kLongest = 4096;
  const CompiledSubgraph compiled = compile(attention(kAttentionShapes[1], Mask::full, true));
  Invocation invocation = compiled.bind(shapes(kLongest));
  std::vector<TensorDesc> desc = shapes(1);
  std::int64_t sequence = 1;
  for (auto _ : state) {
    if (never_seen) {
      sequence = sequence % kLongest + 1;
      for (TensorDesc& d : desc) d.shape[1] = sequence;
      desc[3].shape = {1, 1, sequence, sequence};
    }
    invocation.rebind(desc);
    benchmark::DoNotOptimize(invocation.output_shapes().data());
  }
}

}  // namespace

BENCHMARK_CAPTURE(configure, never_seen, true)->Name("configure/f32/never_seen");
BENCHMARK_CAPTURE(configure, same_again, false)->Name("configure/f32/same_again");
BENCHMARK_MAIN();
