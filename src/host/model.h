#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "burin/compile.h"
#include "burin/graph.h"
#include "burin/tokenize.h"

namespace burin::host {

struct ModelOptions {
  bool tokenize = true;
  int threads = 1;
  CompileOptions compile;
};

/// A whole model: carved and compiled once, run at any shape. Subgraphs run as machine code, all other operations
/// through the reference interpreter; so do subgraphs that the compiler refuses, which the report then lists with the
/// reason. Not thread-safe: one run at a time.
class Model {
 public:
  /// Takes the graph of a frontend. Throws burin::Error.
  Model(Graph graph, ModelOptions options);

  const Graph& graph() const { return graph_; }
  const TokenizeReport& report() const { return report_; }
  /// Of a carved subgraph, by its name; null where compilation was not wanted.
  const CompiledSubgraph* compiled(const std::string& name) const;

  /// `inputs` in the order of graph().inputs.
  std::vector<Tensor> run(const std::vector<Tensor>& inputs);
  /// Calls of compiled subgraphs so far.
  std::uint64_t subgraphs_run() const { return subgraphs_run_; }

 private:
  /// Gives the reason where the compiler refuses.
  std::optional<std::string> try_compile(const CarvedSubgraph& s);
  std::vector<Tensor> run_subgraph(const Node& node, const std::vector<Tensor>& inputs,
                                   const std::map<std::string, std::int64_t>& symbols);

  ModelOptions options_;
  Graph graph_;
  TokenizeReport report_;
  struct Entry {
    CompiledSubgraph compiled;
    Invocation invocation;
  };
  std::map<std::string, Entry> entries_;  ///< by name of the Subgraph node
  std::uint64_t subgraphs_run_ = 0;
};

}  // namespace burin::host
