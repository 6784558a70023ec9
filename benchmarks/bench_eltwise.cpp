// Element-wise chains. Names: eltwise/f32/dynamic/rms/M1024_N3072/threads:1.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "benchmarks/support/subgraphs.h"

int main(int argc, char** argv) {
  using namespace burin::bench;
  constexpr std::pair<std::int64_t, std::int64_t> kShapes[] = {{1, 16}, {64, 768}, {1024, 3072}};
  for (const std::string& kind : elementwise_kinds())
    for (const auto& [m, n] : kShapes)
      for (bool dynamic : {true, false}) {
        const std::string name = fmt::format("eltwise/f32/{}/{}/M{}_N{}/threads:1", dynamic ? "dynamic" : "static", kind, m, n);
        benchmark::RegisterBenchmark(name.c_str(), [kind = kind, m = m, n = n, dynamic](benchmark::State& state) {
          Problem problem(elementwise(kind, m, n, dynamic), {{"M", m}, {"N", n}}, 1);
          for (auto _ : state) problem.run();
        })->UseRealTime();
      }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
