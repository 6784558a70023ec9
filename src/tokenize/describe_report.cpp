#include "tokenize/describe_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace burin {

std::map<std::string, int> standalone_operations(const Graph& graph) {
  std::map<std::string, int> count;
  for (const NodeId id : graph.order())
    if (graph.node(id).op != OpKind::Subgraph) ++count[std::string(info(graph.node(id).op).name)];
  return count;
}

std::string describe(const Graph& graph, const TokenizeReport& report) {
  std::string text;
  if (!report.subgraphs.empty()) text += "carved:\n";
  for (const CarvedSubgraph& s : report.subgraphs) text += fmt::format("  {}: {}\n", s.name, fmt::join(s.nodes, ", "));
  if (!report.rejected.empty()) text += "left:\n";
  for (const Rejection& r : report.rejected) text += fmt::format("  {}: {}\n", fmt::join(r.nodes, ", "), r.reason);
  const std::map<std::string, int> alone = standalone_operations(graph);
  if (!alone.empty()) text += "stand-alone:\n";
  for (const auto& [op, n] : alone) text += fmt::format("  {:<24} {}\n", op, n);
  return text;
}

}  // namespace burin
