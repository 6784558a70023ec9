// Attention: GFLOP/s counts 4*B*H*S*K*D. Names:
// sdpa/f32/dynamic/B1_S384_H12_D64/mask:full/threads:1, with another number of keys and heads of K
// and V: B1_S384_K77_H12_KV4_D64; with operations between the products:
// .../mask:none/chain:add_mul/threads:1. sdpa/f32/onednn/...: the products by oneDNN's BRGEMM ukernel,
// all else as in sdpa/f32/dynamic/...

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "benchmarks/support/subgraphs.h"

namespace {

using namespace burin::bench;
using Chain = std::vector<std::string>;

// Shapes that no decision was made for.
constexpr std::int64_t kHeadSizes[] = {24, 40, 72, 80, 96, 128, 256};
constexpr std::int64_t kSequences[] = {1, 7, 17, 33, 61, 197, 257, 499, 777, 1333, 2049};
constexpr AttentionShape kCross[] = {
    {.batch = 1, .sequence = 128, .heads = 12, .head_size = 64, .keys = 1500},
    {.batch = 1, .sequence = 1024, .heads = 10, .head_size = 64, .keys = 77},
    {.batch = 1, .sequence = 61, .heads = 12, .head_size = 64, .keys = 777},
    {.batch = 1, .sequence = 1500, .heads = 12, .head_size = 64, .keys = 384},
    {.batch = 1, .sequence = 4096, .heads = 8, .head_size = 40, .keys = 77}};
constexpr AttentionShape kGrouped[] = {
    {.batch = 1, .sequence = 128, .heads = 14, .head_size = 64, .kv_heads = 2},
    {.batch = 1, .sequence = 384, .heads = 12, .head_size = 64, .kv_heads = 4},
    {.batch = 1, .sequence = 384, .heads = 12, .head_size = 64, .kv_heads = 1},
    {.batch = 1, .sequence = 1024, .heads = 32, .head_size = 64, .kv_heads = 8}};

std::string name_of(const AttentionShape& s) {
  return fmt::format("B{}_S{}{}_H{}{}_D{}", s.batch, s.sequence,
                     s.keys == s.sequence ? "" : fmt::format("_K{}", s.keys), s.heads,
                     s.kv_heads == s.heads ? "" : fmt::format("_KV{}", s.kv_heads), s.head_size);
}

enum class Form { dynamic, fixed, onednn };
const char* to_string(Form form) {
  return form == Form::dynamic ? "dynamic" : form == Form::fixed ? "static" : "onednn";
}

void register_attention(const AttentionShape& s, Mask mask, Form form, int threads,
                        const Chain& chain = {}) {
  const std::string suffix = chain.empty() ? "" : fmt::format("/chain:{}", fmt::join(chain, "_"));
  const std::string name =
      fmt::format("sdpa/f32/{}/{}/mask:{}{}/threads:{}", to_string(form), name_of(s),
                  to_string(mask), suffix, threads);
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    burin::CompileOptions options;
    if (form == Form::onednn) options.brgemm = "onednn";
    Problem problem(attention(s, mask, form != Form::fixed, chain), attention_symbols(s), threads, options);
    for (auto _ : state) problem.run();
    state.counters["GFLOP/s"] = benchmark::Counter(attention_flops(s) * 1e-9,
                                                   benchmark::Counter::kIsIterationInvariantRate);
  })->UseRealTime();
}

/// The shapes of the table, with all that is compared at them.
void register_table() {
  for (const AttentionShape& s : kAttentionShapes) {
    for (Mask mask : kMasks)
      for (int threads : {1, 2})
        for (Form form : {Form::dynamic, Form::onednn}) register_attention(s, mask, form, threads);
    register_attention(s, Mask::none, Form::fixed, 1);
    register_attention(s, Mask::none, Form::dynamic, 1, {"div", "tanh", "mul"});
  }
}

void register_other_shapes() {
  for (std::int64_t head_size : kHeadSizes)
    register_attention({1, 384, 12, head_size}, Mask::none, Form::dynamic, 1);
  for (std::int64_t sequence : kSequences)
    for (int threads : {1, 2}) register_attention({1, sequence, 12, 64}, Mask::none, Form::dynamic, threads);
  for (const AttentionShape& s : kCross) register_attention(s, Mask::none, Form::dynamic, 1);
  for (const AttentionShape& s : kGrouped) register_attention(s, Mask::none, Form::dynamic, 1);
}

void register_chains() {
  for (const Chain& chain :
       {Chain{"add"}, {"mul", "relu"}, {"add", "abs", "mul"}, {"neg", "add", "relu", "mul"}})
    register_attention(kAttentionShapes[2], Mask::none, Form::dynamic, 1, chain);
}

}  // namespace

int main(int argc, char** argv) {
  register_table();
  register_other_shapes();
  register_chains();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
