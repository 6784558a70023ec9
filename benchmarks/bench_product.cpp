// Products with a constant weight, and what follows them. Names: product/f32/dynamic/M128_K768_N3072/epilogue:gelu/threads:1.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <thread>

#include "benchmarks/support/subgraphs.h"

int main(int argc, char** argv) {
  using namespace burin::bench;
  for (const ProductShape& s : kProductShapes)
    for (const std::string& epilogue : product_epilogues())
      for (int threads : {1, 2}) {
        const std::string name =
            fmt::format("product/f32/dynamic/M{}_K{}_N{}/epilogue:{}/threads:{}", s.rows, s.depth, s.columns, epilogue, threads);
        benchmark::RegisterBenchmark(name.c_str(), [s, epilogue, threads](benchmark::State& state) {
          Problem problem(product(s, epilogue), {{"M", s.rows}}, threads);
          for (auto _ : state) problem.run();
          state.counters["GFLOP/s"] = benchmark::Counter(2e-9 * static_cast<double>(s.rows * s.depth * s.columns),
                                                         benchmark::Counter::kIsIterationInvariantRate);
        })->UseRealTime();
      }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
