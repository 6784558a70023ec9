#include "plugins/onnxruntime/claims.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "burin/error.h"
#include "plugins/onnxruntime/clusters.h"
#include "plugins/onnxruntime/position_cone.h"

namespace burin::ort {
namespace {

using Nodes = std::set<std::size_t>;

class Finder {
 public:
  Finder(const frontend::OnnxModel& model, frontend::OnnxKnownPart imported)
      : index_(model), imported_(std::move(imported)), known_(imported_), clusters_(index_), carved_(imported_.graph) {
    for (const auto& [node, reason] : imported_.left) claims_.left.push_back({{node}, reason});
  }

  Claims run() {
    canonicalize(carved_);
    TokenizeReport report = tokenize(carved_);
    for (const Rejection& r : report.rejected) claims_.left.push_back(r);
    for (const CarvedSubgraph& s : report.subgraphs) claim(s);
    return std::move(claims_);
  }

 private:
  void claim(const CarvedSubgraph& s) {
    const Nodes nodes = members(s);
    if (const auto reason = try_claim(s, nodes)) claims_.left.push_back({names(nodes), *reason});
  }

  /// Gives the reason where it is none.
  std::optional<std::string> try_claim(const CarvedSubgraph& s, const Nodes& nodes) {
    if (nodes.empty()) return s.name + ": what it is made of is needed elsewhere, too";
    if (auto reason = clusters_.why_not(nodes)) return reason;
    const std::vector<std::size_t> list(nodes.begin(), nodes.end());
    auto part = make_part(index_, known_, list, s.kind == "sdpa" ? position_cone(index_, known_, nodes) : std::vector<std::size_t>{});
    if (const auto* reason = std::get_if<std::string>(&part)) return *reason;
    clusters_.merge(nodes);
    claims_.claims.push_back({s.name, list, std::get<Part>(std::move(part))});
    return std::nullopt;
  }

  /// The model's nodes that a Subgraph stands for, without those that others need as well: what they give must come
  /// from the Subgraph, or from outside of it.
  Nodes members(const CarvedSubgraph& s) const {
    Nodes nodes;
    for (const std::string& name : s.nodes)
      if (const std::size_t origin = index_.origin(name); origin != ModelIndex::kNoNode) nodes.insert(origin);
    const std::set<std::string> results = results_of(s.node);
    for (;;) {
      const auto needed_elsewhere = std::find_if(nodes.begin(), nodes.end(), [&](std::size_t i) {
        const auto& outputs = index_.node(i).outputs;
        return std::any_of(outputs.begin(), outputs.end(), [&](const std::string& output) {
          return !output.empty() && !results.contains(output) && index_.leaves(output, nodes);
        });
      });
      if (needed_elsewhere == nodes.end()) return nodes;
      nodes.erase(needed_elsewhere);
    }
  }

  /// Names of what the Subgraph gives, also in other dimensions.
  std::set<std::string> results_of(NodeId subgraph) const {
    std::set<std::string> results;
    const auto users = carved_.users();
    for (const ValueId output : carved_.node(subgraph).outputs) {
      results.insert(carved_.value(output).name);
      for (const NodeId user : users[output])
        if (carved_.node(user).op == OpKind::Reshape) results.insert(carved_.value(carved_.node(user).outputs[0]).name);
    }
    return results;
  }

  std::vector<std::string> names(const Nodes& nodes) const {
    std::vector<std::string> result;
    for (const std::size_t i : nodes) result.push_back(index_.node(i).name);
    return result;
  }

  ModelIndex index_;
  frontend::OnnxKnownPart imported_;
  KnownValues known_;
  Clusters clusters_;
  Graph carved_;
  Claims claims_;
};

}  // namespace

Claims find_claims(const frontend::OnnxModel& model, const std::map<std::string, frontend::OnnxInput>& types) {
  return Finder(model, frontend::import_known(model, types)).run();
}

}  // namespace burin::ort
