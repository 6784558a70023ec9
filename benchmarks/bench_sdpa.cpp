// Attention: GFLOP/s counts 4*B*H*S*S*D. Names: sdpa/f32/dynamic/B1_S384_H12_D64/mask:full/threads:1; the chains of
// cheap operations between the products: .../mask:none/chain:add_mul/threads:1.

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "benchmarks/support/subgraphs.h"

namespace {

using namespace burin::bench;

void register_attention(const AttentionShape& s, Mask mask, bool dynamic, int threads, const std::vector<std::string>& chain = {}) {
  const std::string suffix = chain.empty() ? "" : fmt::format("/chain:{}", fmt::join(chain, "_"));
  const std::string name = fmt::format("sdpa/f32/{}/B{}_S{}_H{}_D{}/mask:{}{}/threads:{}", dynamic ? "dynamic" : "static", s.batch,
                                       s.sequence, s.heads, s.head_size, to_string(mask), suffix, threads);
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    Problem problem(attention(s, mask, dynamic, chain), {{"B", s.batch}, {"S", s.sequence}}, threads);
    for (auto _ : state) problem.run();
    state.counters["GFLOP/s"] = benchmark::Counter(attention_flops(s) * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  })->UseRealTime();
}

}  // namespace

int main(int argc, char** argv) {
  for (const AttentionShape& s : kAttentionShapes)
    for (Mask mask : {Mask::none, Mask::key, Mask::full, Mask::causal})
      for (int threads : {1, 2}) register_attention(s, mask, true, threads);
  for (const AttentionShape& s : kAttentionShapes) register_attention(s, Mask::none, false, 1);
  const std::vector<std::vector<std::string>> chains = {{"add"}, {"mul", "relu"}, {"add", "abs", "mul"}, {"neg", "add", "relu", "mul"}};
  for (const auto& chain : chains) register_attention(kAttentionShapes[2], Mask::none, true, 1, chain);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
