#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "burin/error.h"
#include "burin/onnx.h"
#include "graph/interpreter.h"
#include "host/data_set.h"
#include "host/model.h"
#include "tools/arguments.h"
#include "tools/commands.h"
#include "tools/dimensions.h"
#include "tools/random_inputs.h"

namespace burin::tools {
namespace {

using host::DataSet;
using host::Difference;

struct RunOptions {
  std::string model, tokenize = "on";
  std::vector<std::string> data, dims, ranges;
  EngineOptions engine;
  double tolerance = 1e-4;
  bool check = false, json = false;
};

/// One line of the report.
struct SetResult {
  std::string name;
  Difference difference;
  bool compared = false;
  bool ok = true;
  /// --check: largest relative differences from the other ways to compute the same.
  struct Check {
    double standalone = 0, reference = 0;
  };
  std::optional<Check> check;
};

void add_difference(SetResult& result, const Difference& d, double tolerance) {
  result.compared = true;
  if (d.relative > result.difference.relative || result.difference.worst.empty())
    result.difference = d;
  if (!(d.relative <= tolerance)) result.ok = false;
}

class Runner {
 public:
  explicit Runner(const RunOptions& options)
      : options_(options),
        source_(load_onnx(options.model)),
        model_(source_, model_options(options.engine, wants_tokens(options))) {
    if (options.check) standalone_.emplace(source_, model_options(options.engine, false));
    events_ = codegen_statistics().events;
  }

  std::vector<SetResult> run() {
    std::vector<SetResult> results;
    for (const std::string& folder : options_.data) {
      const DataSet set = host::load_data_set(folder, model_.graph());
      results.push_back(run_set(folder, set.inputs, set.outputs));
    }
    if (options_.data.empty()) run_random(results);
    return results;
  }

  nlohmann::ordered_json to_json(const std::vector<SetResult>& results) const {
    nlohmann::ordered_json json = {
        {"model", options_.model},
        {"codegen_events_after_compile", codegen_statistics().events - events_},
        {"subgraphs_run", model_.statistics().subgraphs_run},
        {"sets", nlohmann::json::array()}};
    for (const SetResult& r : results) json["sets"].push_back(set_json(r));
    return json;
  }

 private:
  static bool wants_tokens(const RunOptions& options) {
    if (options.tokenize != "on" && options.tokenize != "off")
      throw Error(fmt::format("--tokenize {}: expected on or off", options.tokenize));
    return options.tokenize == "on";
  }

  static nlohmann::ordered_json set_json(const SetResult& r) {
    nlohmann::ordered_json json = {
        {"data", r.name}, {"max_relative_difference", r.difference.relative}, {"ok", r.ok}};
    if (r.check)
      json["check"] = {{"standalone", r.check->standalone}, {"reference", r.check->reference}};
    return json;
  }

  void run_random(std::vector<SetResult>& results) {
    const std::vector<Dimension> dimensions = parse_dimensions(options_.dims);
    check_dimensions(names_of(dimensions), model_.graph());
    const Ranges ranges = parse_ranges(options_.ranges, model_.graph());
    for (const Case& c : cases_of(dimensions))
      for (const Symbols& shape : c.shapes)
        results.push_back(run_set("random", random_inputs(model_.graph(), shape, ranges), {}));
  }

  SetResult run_set(const std::string& name, const std::vector<Tensor>& inputs,
                    const std::vector<std::optional<Tensor>>& expected) {
    SetResult result;
    result.name = name;
    const std::vector<Tensor> outputs = model_.run(inputs);
    compare(result, expected, outputs);
    if (!options_.check) return result;
    result.check.emplace();
    result.check->standalone = compare(result, all(standalone_->run(inputs)), outputs);
    result.check->reference = compare(result, all(interpret(source_, inputs)), outputs);
    return result;
  }

  static std::vector<std::optional<Tensor>> all(const std::vector<Tensor>& tensors) {
    return {tensors.begin(), tensors.end()};
  }

  /// Adds what differs to the result; gives the largest relative difference.
  double compare(SetResult& result, const std::vector<std::optional<Tensor>>& expected,
                 const std::vector<Tensor>& outputs) const {
    double largest = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (!expected[i]) continue;
      const std::string& name = model_.graph().value(model_.graph().outputs[i]).name;
      const Difference d = host::compare(name, *expected[i], outputs[i]);
      add_difference(result, d, options_.tolerance);
      largest = std::max(largest, d.relative);
    }
    return largest;
  }

  const RunOptions& options_;
  Graph source_;
  host::Model model_;
  std::optional<host::Model> standalone_;  ///< for --check
  std::uint64_t events_ = 0;
};

void run(const RunOptions& options, int& status) {
  Runner runner(options);
  const std::vector<SetResult> results = runner.run();
  for (const SetResult& r : results)
    if (!r.ok) status = 1;
  const nlohmann::ordered_json json = runner.to_json(results);
  if (options.json) return fmt::print("{}\n", json.dump(2));
  for (const SetResult& r : results) {
    if (r.compared)
      fmt::print("{}: largest relative difference {:.3g}, {}\n", r.name, r.difference.relative,
                 r.ok ? "ok" : "FAILED");
    else
      fmt::print("{}: ran, nothing to compare with\n", r.name);
    if (r.check)
      fmt::print("  from stand-alone {:.3g}, from the double-precision reference {:.3g}\n",
                 r.check->standalone, r.check->reference);
    if (!r.ok) fmt::print("  {}\n", r.difference.worst);
  }
  fmt::print("{} calls of compiled subgraphs, {} code-generation events after compile\n",
             json["subgraphs_run"].get<std::uint64_t>(),
             json["codegen_events_after_compile"].get<std::uint64_t>());
}

}  // namespace

void add_run(CLI::App& app, int& status) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* sub =
      app.add_subcommand("run", "Run a whole model, compiled once, at one or several shapes");
  sub->add_option("model", options->model, "ONNX file")->required();
  sub->add_option("--data", options->data, "Folder with input_J.pb and output_J.pb (repeatable)");
  sub->add_option("--dim", options->dims,
                  "Dimension of random inputs, NAME=N, or several as for bench (repeatable)");
  sub->add_option("--range", options->ranges,
                  "Range of a random input, NAME=LOW:HIGH (repeatable)");
  sub->add_option("--tokenize", options->tokenize, "on or off");
  add_engine_options(*sub, options->engine);
  sub->add_option("--tolerance", options->tolerance,
                  "Largest difference allowed, relative to the largest magnitude");
  sub->add_flag("--check", options->check,
                "Also compare with stand-alone operations and with the double-precision reference");
  sub->add_flag("--json", options->json, "Print JSON");
  sub->callback([options, &status] { run(*options, status); });
}

}  // namespace burin::tools
