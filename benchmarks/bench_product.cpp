// Products with a constant weight, and what follows them, beside oneDNN's (weight packed, post-ops fused, the primitive
// made for the very shape). Names: product/f32/dynamic/M128_K768_N3072/epilogue:bias_gelu/threads:1, and
// product/f32/onednn/... for the peer.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "benchmarks/support/subgraphs.h"
#include "host/model.h"

namespace {

using namespace burin;
using namespace burin::bench;

void count_flops(benchmark::State& state, const ProductShape& s) {
  state.counters["GFLOP/s"] = benchmark::Counter(2e-9 * static_cast<double>(s.rows * s.depth * s.columns),
                                                 benchmark::Counter::kIsIterationInvariantRate);
}

void run_compiled(benchmark::State& state, const ProductShape& s, const std::string& epilogue, int threads) {
  Problem problem(product(s, epilogue), {{"M", s.rows}}, threads);
  for (auto _ : state) problem.run();
  count_flops(state, s);
}

/// As the host runs it with tokenization off.
void run_onednn(benchmark::State& state, const ProductShape& s, const std::string& epilogue, int threads) {
  host::ModelOptions options;
  options.tokenize = false;
  options.threads = threads;
  host::Model model(product(s, epilogue), options);
  const std::vector<Tensor> inputs = random_inputs(model.graph(), {{"M", s.rows}});
  for (auto _ : state) model.run(inputs);
  count_flops(state, s);
}

}  // namespace

int main(int argc, char** argv) {
  for (const ProductShape& s : kProductShapes)
    for (const std::string& epilogue : product_epilogues())
      for (int threads : {1, 2})
        for (bool peer : {false, true}) {
          const std::string name = fmt::format("product/f32/{}/M{}_K{}_N{}/epilogue:{}/threads:{}", peer ? "onednn" : "dynamic",
                                               s.rows, s.depth, s.columns, epilogue, threads);
          benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
            (peer ? run_onednn : run_compiled)(state, s, epilogue, threads);
          })->UseRealTime();
        }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
