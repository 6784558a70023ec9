#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "burin/error.h"
#include "burin/onnx.h"
#include "graph/interpreter.h"
#include "host/model.h"
#include "tools/commands.h"
#include "host/data_set.h"

namespace burin::tools {
namespace {

using host::DataSet;
using host::Difference;

struct RunOptions {
  std::string model, tokenize = "on", precision = "f32", isa;
  std::vector<std::string> data, dims, ranges;
  int threads = 1;
  double tolerance = 1e-4;
  bool check = false, json = false;
};

/// "name=value" pairs of the command line.
std::map<std::string, std::string> pairs(const std::vector<std::string>& words, const char* option) {
  std::map<std::string, std::string> out;
  for (const std::string& w : words) {
    const auto at = w.find('=');
    if (at == std::string::npos || at == 0) throw Error(fmt::format("{} {}: expected NAME=VALUE", option, w));
    out[w.substr(0, at)] = w.substr(at + 1);
  }
  return out;
}

std::int64_t to_integer(const std::string& word, const std::string& what) {
  std::size_t used = 0;
  std::int64_t value = 0;
  try {
    value = std::stoll(word, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  if (used != word.size() || word.empty()) throw Error(fmt::format("{}: expected a number, given '{}'", what, word));
  return value;
}

/// Inputs of the given dimensions: normal numbers for floats; ids for integers from `--range NAME=LOW:HIGH` (the upper
/// end left out), ones without a range.
std::vector<Tensor> random_inputs(const Graph& graph, const RunOptions& options) {
  std::map<std::string, std::int64_t> symbols;
  for (const auto& [name, word] : pairs(options.dims, "--dim")) symbols[name] = to_integer(word, "--dim " + name);
  const auto ranges = pairs(options.ranges, "--range");
  std::mt19937_64 random(0);
  std::vector<Tensor> inputs;
  for (ValueId id : graph.inputs) {
    const Value& v = graph.value(id);
    Dims dims;
    for (const Expr& e : v.shape) {
      for (const std::string& s : e.symbols())
        if (symbols.count(s) == 0) throw Error(fmt::format("input '{}': give --dim {}=N", v.name, s));
      dims.push_back(e.evaluate(symbols));
    }
    Tensor t = Tensor::zeros(v.precision, dims);
    std::int64_t low = 1, high = 2;
    if (auto it = ranges.find(v.name); it != ranges.end()) {
      const auto colon = it->second.find(':');
      if (colon == std::string::npos) throw Error(fmt::format("--range {}: expected LOW:HIGH", v.name));
      low = to_integer(it->second.substr(0, colon), "--range");
      high = to_integer(it->second.substr(colon + 1), "--range");
      if (high <= low) throw Error(fmt::format("--range {}: {} is not below {}", v.name, low, high));
    }
    std::normal_distribution<double> normal;
    std::uniform_int_distribution<std::int64_t> uniform(low, high - 1);
    for (std::int64_t i = 0; i < t.size(); ++i) {
      if (is_float(v.precision))
        t.set(i, normal(random));
      else
        t.set_int(i, uniform(random));
    }
    inputs.push_back(std::move(t));
  }
  return inputs;
}

/// One line of the report.
struct SetResult {
  std::string name;
  Difference difference;
  bool compared = false;
  bool ok = true;
};

void add_difference(SetResult& result, const Difference& d, double tolerance) {
  result.compared = true;
  if (d.relative > result.difference.relative || result.difference.worst.empty()) result.difference = d;
  if (!(d.relative <= tolerance)) result.ok = false;
}

class Runner {
 public:
  explicit Runner(const RunOptions& options)
      : options_(options), source_(load_onnx(options.model)), model_(source_, model_options(options)) {
    events_ = codegen_statistics().events;
  }

  std::vector<SetResult> run() {
    std::vector<SetResult> results;
    for (const std::string& folder : options_.data) {
      const DataSet set = host::load_data_set(folder, model_.graph());
      results.push_back(run_set(folder, set.inputs, set.outputs));
    }
    if (options_.data.empty()) results.push_back(run_set("random", random_inputs(model_.graph(), options_), {}));
    return results;
  }

  nlohmann::ordered_json to_json(const std::vector<SetResult>& results) const {
    nlohmann::ordered_json json = {{"model", options_.model},
                                   {"codegen_events_after_compile", codegen_statistics().events - events_},
                                   {"subgraphs_run", model_.subgraphs_run()},
                                   {"sets", nlohmann::json::array()}};
    for (const SetResult& r : results)
      json["sets"].push_back({{"data", r.name}, {"max_relative_difference", r.difference.relative}, {"ok", r.ok}});
    return json;
  }

 private:
  static host::ModelOptions model_options(const RunOptions& options) {
    if (options.precision != "f32") throw Error(fmt::format("--precision {}: only f32 is built so far", options.precision));
    if (options.tokenize != "on" && options.tokenize != "off")
      throw Error(fmt::format("--tokenize {}: expected on or off", options.tokenize));
    if (options.threads < 1) throw Error(fmt::format("--threads {}: expected at least 1", options.threads));
    host::ModelOptions out;
    out.tokenize = options.tokenize == "on";
    out.threads = options.threads;
    out.compile.isa = options.isa;
    return out;
  }

  SetResult run_set(const std::string& name, const std::vector<Tensor>& inputs,
                    const std::vector<std::optional<Tensor>>& expected) {
    SetResult result;
    result.name = name;
    const std::vector<Tensor> outputs = model_.run(inputs);
    auto output_name = [&](std::size_t i) { return model_.graph().value(model_.graph().outputs[i]).name; };
    for (std::size_t i = 0; i < expected.size(); ++i)
      if (expected[i]) add_difference(result, host::compare(output_name(i), *expected[i], outputs[i]), options_.tolerance);
    if (options_.check) {
      const std::vector<Tensor> reference = interpret(source_, inputs);
      for (std::size_t i = 0; i < reference.size(); ++i)
        add_difference(result, host::compare(output_name(i), reference[i], outputs[i]), options_.tolerance);
    }
    return result;
  }

  const RunOptions& options_;
  Graph source_;
  host::Model model_;
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
      fmt::print("{}: largest relative difference {:.3g}, {}\n", r.name, r.difference.relative, r.ok ? "ok" : "FAILED");
    else
      fmt::print("{}: ran, nothing to compare with\n", r.name);
    if (!r.ok) fmt::print("  {}\n", r.difference.worst);
  }
  fmt::print("{} calls of compiled subgraphs, {} code-generation events after compile\n",
             json["subgraphs_run"].get<std::uint64_t>(), json["codegen_events_after_compile"].get<std::uint64_t>());
}

}  // namespace

void add_run(CLI::App& app, int& status) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* sub = app.add_subcommand("run", "Run a whole model, compiled once, at one or several shapes");
  sub->add_option("model", options->model, "ONNX file")->required();
  sub->add_option("--data", options->data, "Folder with input_J.pb and output_J.pb (repeatable)");
  sub->add_option("--dim", options->dims, "Dimension of random inputs, NAME=N (repeatable)");
  sub->add_option("--range", options->ranges, "Range of a random integer input, NAME=LOW:HIGH (repeatable)");
  sub->add_option("--tokenize", options->tokenize, "on or off");
  sub->add_option("--threads", options->threads, "Threads of the compiled subgraphs");
  sub->add_option("--precision", options->precision, "f32");
  sub->add_option("--isa", options->isa, "Instruction set: avx2, avx512");
  sub->add_option("--tolerance", options->tolerance, "Largest difference allowed, relative to the largest magnitude");
  sub->add_flag("--check", options->check, "Also compare with the double-precision reference");
  sub->add_flag("--json", options->json, "Print JSON");
  sub->callback([options, &status] { run(*options, status); });
}

}  // namespace burin::tools
