// What a call costs that computes next to nothing, from Invocation::run to its return. Names:
// call/f32/attention/one_element/threads:1, .../batch_0/...

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "benchmarks/support/subgraphs.h"

namespace {

using namespace burin;
using namespace burin::bench;
using Symbols = std::map<std::string, std::int64_t>;

void register_call(const std::string& what, const Graph& body, const Symbols& symbols) {
  for (int threads : {1, 2})
    benchmark::RegisterBenchmark(fmt::format("call/f32/{}/threads:{}", what, threads).c_str(),
                                 [body, symbols, threads](benchmark::State& state) {
                                   Problem problem(body, symbols, threads);
                                   for (auto _ : state) problem.run();
                                 })
        ->UseRealTime();
}

}  // namespace

int main(int argc, char** argv) {
  constexpr AttentionShape kOneElement = {1, 1, 1, 1}, kEmpty = {0, 128, 12, 64};
  for (const auto& [name, shape] : {std::pair{"one_element", kOneElement}, {"batch_0", kEmpty}})
    register_call(fmt::format("attention/{}", name), attention(shape, Mask::full, true),
                  attention_symbols(shape));
  for (const std::string& kind : elementwise_kinds()) {
    const Graph body = elementwise(kind, 1, 1, true);
    register_call(kind + "/one_element", body, {{"M", 1}, {"N", 1}});
    register_call(kind + "/batch_0", body, {{"M", 0}, {"N", 768}});
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
