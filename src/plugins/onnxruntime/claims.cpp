#include "plugins/onnxruntime/claims.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
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
    for (const NodeId id : carved_.order()) {
      const std::size_t origin = index_.origin(carved_.node(id).name);
      if (origin != ModelIndex::kNoNode) present_.insert(origin);
    }
    TokenizeReport report = tokenize(carved_);
    for (const Rejection& r : report.rejected) claims_.left.push_back(r);
    for (const CarvedSubgraph& s : report.subgraphs) claim(s);
    return std::move(claims_);
  }

 private:
  void claim(const CarvedSubgraph& s) {
    const Nodes nodes = members(s);
    std::set<std::string> results = results_of(s.node);
    if (!try_claim(s, without_what_is_needed_elsewhere(grown(nodes, results), results))) return;
    const Nodes fewer = without_what_is_needed_elsewhere(nodes, results_of(s.node));
    if (const auto reason = try_claim(s, fewer))
      claims_.left.push_back({names(fewer.empty() ? nodes : fewer), *reason});
  }

  /// Gives the reason where it is none.
  std::optional<std::string> try_claim(const CarvedSubgraph& s, const Nodes& nodes) {
    if (nodes.empty()) return s.name + ": what it is made of is needed elsewhere, too";
    if (auto reason = clusters_.why_not(nodes)) return reason;
    const std::vector<std::size_t> list(nodes.begin(), nodes.end());
    std::string reason;
    for (const PartOptions& options : ways_to_cut(s, nodes)) {
      auto part = make_part(index_, known_, list, options);
      if (auto* made = std::get_if<Part>(&part)) {
        clusters_.merge(nodes);
        claims_.claims.push_back({s.name, list, std::move(*made)});
        return std::nullopt;
      }
      reason = std::get<std::string>(part);
    }
    return reason;
  }

  /// The best one first.
  std::vector<PartOptions> ways_to_cut(const CarvedSubgraph& s, const Nodes& nodes) const {
    std::vector<PartOptions> ways;
    if (s.kind == "sdpa") ways.push_back({s.name, position_cone(index_, known_, nodes), true});
    if (ways.empty() || !ways.front().copied.empty()) ways.push_back({s.name, {}, true});
    ways.push_back({s.name, {}, false});
    return ways;
  }

  /// The model's nodes that a Subgraph stands for.
  Nodes members(const CarvedSubgraph& s) const {
    Nodes nodes;
    for (const std::string& name : s.nodes)
      if (const std::size_t origin = index_.origin(name); origin != ModelIndex::kNoNode) nodes.insert(origin);
    add_what_vanished(nodes);
    return nodes;
  }

  /// With the shape arithmetic on what is computed inside, and the Reshapes of results that it is for; these are
  /// results then, too:
  ///
  ///     %o = matmul %p, %v ; %shape = ... shape %o ... ; %y = reshape (transpose %o), %shape
  Nodes grown(Nodes nodes, std::set<std::string>& results) const {
    for (auto open = std::vector<std::size_t>(nodes.begin(), nodes.end()); !open.empty();) {
      const std::size_t node = open.back();
      open.pop_back();
      for (const std::string& output : index_.node(node).outputs) {
        if (output.empty() || results.contains(output)) continue;
        for (const std::size_t reader : index_.readers(output)) {
          const bool renames = renames_one_of(reader, nodes);
          if (nodes.contains(reader) || (is_present(reader) && !renames)) continue;
          if (renames) results.insert(index_.node(reader).outputs.front());
          nodes.insert(reader);
          open.push_back(reader);
        }
      }
    }
    return nodes;
  }

  bool renames_one_of(std::size_t i, const Nodes& nodes) const {
    const frontend::OnnxNode& node = index_.node(i);
    return node.domain.empty() &&
           (node.op == "Reshape" || node.op == "Squeeze" || node.op == "Unsqueeze" || node.op == "Flatten") &&
           nodes.contains(index_.producer(node.inputs.front()));
  }

  /// What is computed inside must come from the Subgraph, or must not be needed outside.
  Nodes without_what_is_needed_elsewhere(Nodes nodes, const std::set<std::string>& results) const {
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

  /// Nodes between these that canonicalization has found to compute nothing.
  void add_what_vanished(Nodes& nodes) const {
    const Nodes behind = reach(nodes, [this](std::size_t i) {
      Nodes next;
      for (const std::string& output : index_.node(i).outputs)
        next.insert(index_.readers(output).begin(), index_.readers(output).end());
      return next;
    });
    const Nodes before = reach(nodes, [this](std::size_t i) {
      Nodes next;
      for (const std::string& input : index_.node(i).inputs)
        if (const std::size_t producer = index_.producer(input); producer != ModelIndex::kNoNode) next.insert(producer);
      return next;
    });
    std::set_intersection(behind.begin(), behind.end(), before.begin(), before.end(),
                          std::inserter(nodes, nodes.end()));
  }

  /// Nodes that are not in the graph any more and can be reached from these through such nodes alone.
  template <typename Next>
  Nodes reach(const Nodes& from, const Next& next) const {
    Nodes reached;
    std::vector<std::size_t> open(from.begin(), from.end());
    while (!open.empty()) {
      const std::size_t node = open.back();
      open.pop_back();
      for (const std::size_t i : next(node))
        if (!is_present(i) && reached.insert(i).second) open.push_back(i);
    }
    return reached;
  }

  /// Something of it is left after canonicalization, or it was never read.
  bool is_present(std::size_t i) const { return present_.contains(i) || imported_.left.contains(index_.node(i).name); }

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
  Nodes present_;  ///< of which something is left after canonicalization
  Claims claims_;
};

}  // namespace

Claims find_claims(const frontend::OnnxModel& model, const std::map<std::string, frontend::OnnxInput>& types) {
  return Finder(model, frontend::import_known(model, types)).run();
}

}  // namespace burin::ort
