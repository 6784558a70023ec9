#include "plugins/onnxruntime/dump.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <fstream>

namespace burin::ort {
namespace {

void write(const std::string& folder, const std::string& name, const std::string& text) {
  std::error_code ignored;  // a dump that cannot be written stops nothing
  std::filesystem::create_directories(folder, ignored);
  std::ofstream(std::filesystem::path(folder) / name) << text;
}

std::string spell(const Claim& claim, const frontend::OnnxModel& model) {
  std::string text = fmt::format("claimed {} ({}, {} nodes)\n", claim.name, claim.part.kind, claim.nodes.size());
  for (const std::size_t i : claim.nodes) text += fmt::format("  {:<24} {}\n", model.nodes[i].op, model.nodes[i].name);
  for (const PartOperand& operand : claim.part.operands)
    if (!operand.constant)
      text += fmt::format("  in   {} {}\n", claim.part.sources[operand.source].name,
                          to_string(claim.part.sources[operand.source].shape));
  for (const PartResult& result : claim.part.results)
    text += fmt::format("  out  {} {}\n", result.name, to_string(result.shape));
  return text + "\n";
}

}  // namespace

void dump_claims(const std::string& folder, int number, const frontend::OnnxModel& model,
                 const std::vector<const Claim*>& claims, const std::vector<Rejection>& left) {
  std::size_t nodes = 0;
  for (const Claim* claim : claims) nodes += claim->nodes.size();
  std::string text = fmt::format("{} of {} nodes, as {} kernels\n\n", nodes, model.nodes.size(), claims.size());
  for (const Claim* claim : claims) text += spell(*claim, model);
  for (const Rejection& r : left) text += fmt::format("left {}\n  {}\n", fmt::join(r.nodes, ", "), r.reason);
  write(folder, fmt::format("claims_{}.txt", number), text);
}

std::function<void(std::string_view, const std::string&)> dump_forms(const std::string& folder, int number) {
  return [folder, number](std::string_view stage, const std::string& text) {
    write(folder, fmt::format("{}.{}.txt", number, stage), text);
  };
}

}  // namespace burin::ort
