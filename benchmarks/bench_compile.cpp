// The time from a Graph to machine code.

#include <benchmark/benchmark.h>

#include "benchmarks/support/subgraphs.h"

namespace {

using namespace burin;
using namespace burin::bench;

void compile_graph(benchmark::State& state, const Graph& body) {
  std::size_t bytes = 0;
  for (auto _ : state) bytes = compile(body).code_bytes();
  state.counters["code_bytes"] = static_cast<double>(bytes);
}

}  // namespace

int main(int argc, char** argv) {
  for (Mask mask : kMasks)
    benchmark::RegisterBenchmark((std::string("compile/f32/attention/mask:") + to_string(mask)).c_str(),
                                 [mask](benchmark::State& s) { compile_graph(s, attention(kAttentionShapes[1], mask, true)); });
  for (const std::string& kind : elementwise_kinds())
    benchmark::RegisterBenchmark(("compile/f32/" + kind).c_str(),
                                 [kind](benchmark::State& s) { compile_graph(s, elementwise(kind, 1, 1, true)); });
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
