#pragma once

#include <map>
#include <vector>

#include <burin/compile.h>
#include <burin/graph.h>

/// What a runtime does with a model that Burin has carved: each Subgraph is compiled once; any
/// other operation is the runtime's own affair (here: burin::interpret on that operation alone).
class Plugin {
 public:
  explicit Plugin(const burin::Graph& carved);

  /// Inputs are laid out with strides of the plugin's choice before each Subgraph runs.
  std::vector<burin::Tensor> run(const std::vector<burin::Tensor>& inputs, int workers,
                                 burin::Executor& executor) const;
  std::size_t compiled_count() const { return compiled_.size(); }

 private:
  using Values = std::map<burin::ValueId, burin::Tensor>;
  static std::vector<burin::Tensor> run_compiled(const burin::CompiledSubgraph& subgraph,
                                                 const std::vector<burin::Tensor>& inputs,
                                                 int workers, burin::Executor& executor);
  std::vector<burin::Tensor> run_other(const burin::Node& node,
                                       const std::vector<burin::Tensor>& inputs) const;

  const burin::Graph& graph_;
  std::map<burin::NodeId, burin::CompiledSubgraph> compiled_;
};
