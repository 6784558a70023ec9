#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "burin/onnx.h"
#include "host/model.h"
#include "tokenize/describe_report.h"
#include "tools/commands.h"

namespace burin::tools {
namespace {

struct InspectOptions {
  std::string model, dump, isa;
  bool json = false;
};

std::vector<std::string> value_texts(const Graph& body, const std::vector<ValueId>& ids) {
  std::vector<std::string> texts;
  for (ValueId v : ids)
    texts.push_back(fmt::format("{}: {}{}", body.value(v).name, to_string(body.value(v).precision), to_string(body.value(v).shape)));
  return texts;
}

nlohmann::ordered_json to_json(const InspectOptions& options, const host::Model& model) {
  nlohmann::ordered_json json = {{"model", options.model},
                                 {"inputs", value_texts(model.graph(), model.graph().inputs)},
                                 {"attentions_total", model.report().attentions_total},
                                 {"attentions_carved", model.report().attentions_carved}};
  json["subgraphs"] = nlohmann::json::array();
  for (const CarvedSubgraph& s : model.report().subgraphs) {
    const Graph& body = *model.graph().node(s.node).body;
    nlohmann::ordered_json entry = {{"name", s.name},
                                    {"kind", s.kind},
                                    {"nodes", s.nodes},
                                    {"inputs", value_texts(body, body.inputs)},
                                    {"outputs", value_texts(body, body.outputs)}};
    for (const auto& [key, value] : model.compiled(s.name)->schedule()) entry["schedule"][key] = value;
    entry["code_bytes"] = model.compiled(s.name)->code_bytes();
    entry["scratch_bytes"] = model.compiled(s.name)->scratch_bytes().to_string();
    entry["shared_scratch_bytes"] = model.compiled(s.name)->shared_scratch_bytes().to_string();
    json["subgraphs"].push_back(std::move(entry));
  }
  json["rejected"] = nlohmann::json::array();
  for (const Rejection& r : model.report().rejected) json["rejected"].push_back({{"nodes", r.nodes}, {"reason", r.reason}});
  json["standalone"] = standalone_operations(model.graph());
  return json;
}

void print_text(const nlohmann::ordered_json& json) {
  fmt::print("{}: {} of {} attentions carved\n", json["model"].get<std::string>(), json["attentions_carved"].get<int>(),
             json["attentions_total"].get<int>());
  for (const auto& input : json["inputs"]) fmt::print("  input    {}\n", input.get<std::string>());
  for (const auto& s : json["subgraphs"]) {
    fmt::print("\n{} ({}, {} nodes, {} bytes of code)\n", s["name"].get<std::string>(), s["kind"].get<std::string>(),
               s["nodes"].size(), s["code_bytes"].get<std::size_t>());
    for (const char* side : {"inputs", "outputs"})
      for (const auto& v : s[side]) fmt::print("  {:<8} {}\n", side, v.get<std::string>());
    for (const auto& [key, value] : s["schedule"].items()) fmt::print("  {:<18} {}\n", key, value.get<std::string>());
    fmt::print("  {:<18} {}\n", "scratch per worker", s["scratch_bytes"].get<std::string>());
    fmt::print("  {:<18} {}\n", "scratch per call", s["shared_scratch_bytes"].get<std::string>());
  }
}

void inspect(const InspectOptions& options) {
  host::ModelOptions model_options;
  model_options.compile.isa = options.isa;
  if (!options.dump.empty()) {
    std::filesystem::create_directories(options.dump);
    model_options.compile.dump = [folder = std::filesystem::path(options.dump)](std::string_view stage, const std::string& text) {
      std::ofstream(folder / fmt::format("{}.txt", stage)) << text;
    };
  }
  const host::Model model(load_onnx(options.model), model_options);
  const nlohmann::ordered_json json = to_json(options, model);
  if (options.json) {
    fmt::print("{}\n", json.dump(2));
  } else {
    print_text(json);
    fmt::print("\n{}", describe(model.graph(), model.report()));
  }
}

}  // namespace

void add_inspect(CLI::App& app, int& /*status*/) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* sub = app.add_subcommand("inspect", "What is carved out of a model, what is left, and why");
  sub->add_option("model", options->model, "ONNX file")->required();
  sub->add_flag("--json", options->json, "Print JSON");
  sub->add_option("--dump", options->dump, "Folder for the intermediate forms after each pass");
  sub->add_option("--isa", options->isa, "Instruction set: avx2, avx512");
  sub->callback([options] { inspect(*options); });
}

}  // namespace burin::tools
