#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <limits>

#include "burin/error.h"
#include "burin/onnx.h"
#include "host/model.h"
#include "tools/commands.h"
#include "host/data_set.h"

namespace burin::tools {
namespace {

using host::DataSet;
using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

/// Of a few runs.
double best_microseconds(host::Model& model, const DataSet& set) {
  constexpr int kRuns = 20;
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kRuns; ++i) {
    const auto start = Clock::now();
    model.run(set.inputs);
    best = std::min(best, microseconds_since(start));
  }
  return best;
}

/// Carves, compiles once, runs each stored shape, checks, and says how fast it was.
void demo(const std::string& file, const std::string& data, int& status) {
  constexpr double kTolerance = 1e-4;
  const std::filesystem::path path = file;
  const auto start = Clock::now();
  host::Model model(load_onnx(path), {});
  fmt::print("{}: {} of {} attentions carved, {} subgraphs, loaded and compiled in {:.1f} ms\n", path.filename().string(),
             model.report().attentions_carved, model.report().attentions_total, model.report().subgraphs.size(),
             microseconds_since(start) / 1e3);
  for (const CarvedSubgraph& s : model.report().subgraphs)
    fmt::print("  {:<12} {:<24} {:>3} nodes in one kernel, {:>6} bytes of code\n", s.kind, s.name, s.nodes.size(),
               model.compiled(s.name)->code_bytes());

  host::ModelOptions plain_options;
  plain_options.tokenize = false;
  host::Model plain(load_onnx(path), plain_options);
  const std::uint64_t events = codegen_statistics().events;
  const auto sets = host::stored_sets(data.empty() ? path.parent_path() : std::filesystem::path(data));
  if (sets.empty()) fmt::print("no stored data (set_0, set_1, ...) beside the model: nothing to run\n");
  for (const auto& folder : sets) {
    const DataSet set = host::load_data_set(folder, model.graph());
    const std::vector<Tensor> outputs = model.run(set.inputs);
    const double carved = best_microseconds(model, set), standalone = best_microseconds(plain, set);
    double worst = 0;
    for (std::size_t i = 0; i < outputs.size(); ++i)
      if (set.outputs[i])
        worst = std::max(worst, host::compare(model.graph().value(model.graph().outputs[i]).name, *set.outputs[i], outputs[i]).relative);
    const bool ok = worst <= kTolerance;
    if (!ok) status = 1;
    fmt::print("  {} {}: largest relative difference {:.2g} ({}), {:.0f} us, {:.0f} us with stand-alone operations\n",
               folder.filename().string(), to_string(set.inputs[0].dims()), worst, ok ? "ok" : "FAILED", carved, standalone);
  }
  fmt::print("code-generation events after compile: {}\n", codegen_statistics().events - events);
}

}  // namespace

void add_demo(CLI::App& app, int& status) {
  auto file = std::make_shared<std::string>(BURIN_DEMO_MODEL);
  auto data = std::make_shared<std::string>();
  CLI::App* sub = app.add_subcommand("demo", "Compile a model once and run it at several shapes");
  sub->add_option("model", *file, "ONNX file; by default the small encoder of the repository");
  sub->add_option("--data", *data, "Folder with set_0, set_1, ...; by default the model's own folder");
  sub->callback([file, data, &status] { demo(*file, *data, status); });
}

}  // namespace burin::tools
