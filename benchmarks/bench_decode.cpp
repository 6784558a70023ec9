// Attention of one query, or of few, over many keys. Names: decode/f32/dynamic/B1_K1024_H12_D64/threads:1; with fewer heads
// of K and V: B1_K1024_H32_KV8_D64; with more queries: B1_S4_K1024_H12_D64; with a mask: .../mask:key/threads:1. usual: the
// schedule for many queries, to compare with. GB/s counts keys and values once.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "benchmarks/support/subgraphs.h"

namespace {

using namespace burin::bench;

constexpr std::int64_t kKeys[] = {128, 512, 2048, 8192};
/// Query heads, heads of keys and values.
constexpr std::pair<std::int64_t, std::int64_t> kHeads[] = {{8, 8}, {32, 8}};
constexpr std::int64_t kHeadSizes[] = {64, 128};
constexpr std::int64_t kQueries[] = {1, 2, 4, 8, 10, 12, 16}, kKeysOfQueries[] = {1, 16, 100, 1000};

std::string name_of(const AttentionShape& s) {
  return fmt::format("B{}{}_K{}_H{}{}_D{}", s.batch, s.sequence == 1 ? "" : fmt::format("_S{}", s.sequence), s.keys, s.heads,
                     s.kv_heads == s.heads ? "" : fmt::format("_KV{}", s.kv_heads), s.head_size);
}

void register_decode(const AttentionShape& s, Mask mask, bool usual, int threads) {
  const std::string name = fmt::format("decode/f32/{}/{}{}/threads:{}", usual ? "usual" : "dynamic", name_of(s),
                                       mask == Mask::none ? "" : fmt::format("/mask:{}", to_string(mask)), threads);
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    burin::CompileOptions options;
    if (usual) options.few_queries = 0;
    Problem problem(attention(s, mask, true), attention_symbols(s), threads, options);
    for (auto _ : state) problem.run();
    const double bytes = 2.0 * sizeof(float) * static_cast<double>(s.batch * s.keys * s.kv_heads * s.head_size);
    state.counters["GB/s"] = benchmark::Counter(bytes * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  })->UseRealTime();
}

}  // namespace

int main(int argc, char** argv) {
  for (const std::int64_t keys : kKeys)
    for (const auto& [heads, kv_heads] : kHeads)
      for (const std::int64_t head_size : kHeadSizes)
        for (const int threads : {1, 2}) register_decode({1, 1, heads, head_size, keys, kv_heads}, Mask::none, false, threads);
  for (const std::int64_t queries : kQueries)
    for (const std::int64_t keys : kKeysOfQueries)
      for (const auto& [heads, kv_heads] : kHeads)
        for (const bool usual : {false, true}) register_decode({1, queries, heads, 64, keys, kv_heads}, Mask::none, usual, 1);
  for (const Mask mask : {Mask::none, Mask::key, Mask::full, Mask::head}) register_decode({1, 1, 12, 64, 1024}, mask, false, 1);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
