// Element-wise chains and groups. Names: eltwise/f32/dynamic/rms/M1024_N3072/threads:1. The row
// eltwise/f32/dynamic/add/BYTES/threads:1 is c = a + b over as many bytes as a group at one of its shapes reads and writes.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <set>

#include "benchmarks/support/elementwise_groups.h"
#include "benchmarks/support/subgraphs.h"

namespace burin::bench {
namespace {

void add_row(const std::string& form, const std::string& kind, const std::string& shape, std::function<Problem()> make, std::int64_t bytes) {
  const std::string name = fmt::format("eltwise/f32/{}/{}/{}/threads:1", form, kind, shape);
  benchmark::RegisterBenchmark(name.c_str(), [make = std::move(make), bytes](benchmark::State& state) {
    Problem problem = make();
    for (auto _ : state) problem.run();
    state.counters["bytes"] = static_cast<double>(bytes);
  })->UseRealTime();
}

void add_chains() {
  constexpr std::pair<std::int64_t, std::int64_t> kShapes[] = {{1, 16}, {64, 768}, {1024, 3072}};
  for (const std::string& kind : elementwise_kinds())
    for (const auto& [m, n] : kShapes)
      for (bool dynamic : {true, false}) {
        const std::map<std::string, std::int64_t> symbols = {{"M", m}, {"N", n}};
        const Graph body = elementwise(kind, m, n, dynamic);
        add_row(dynamic ? "dynamic" : "static", kind, fmt::format("M{}_N{}", m, n), [=] { return Problem(body, symbols, 1); },
                bytes_of(body, symbols));
      }
}

void add_groups() {
  constexpr std::int64_t kBytesOfAddition = 3 * sizeof(float);
  constexpr std::int64_t kLine = 16;  ///< elements: only whole lines are written past the caches
  std::set<std::int64_t> sizes;
  for (const ElementwiseGroup& group : elementwise_groups())
    for (const auto& symbols : group.shapes) {
      Graph body = parse_graph(group.text);
      canonicalize(body);
      const std::int64_t bytes = bytes_of(body, symbols);
      add_row("dynamic", group.name, to_string(symbols), [=] { return Problem(body, symbols, 1); }, bytes);
      if (!sizes.insert(bytes).second) continue;
      add_row("dynamic", "add", fmt::format("{}", bytes), [=] { return Problem(addition(), {{"N", (bytes / kBytesOfAddition + kLine - 1) / kLine * kLine}}, 1); }, bytes);
    }
}

}  // namespace
}  // namespace burin::bench

int main(int argc, char** argv) {
  burin::bench::add_chains();
  burin::bench::add_groups();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
