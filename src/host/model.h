#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "burin/compile.h"
#include "burin/graph.h"
#include "burin/tokenize.h"

namespace burin::host {

struct ModelOptions {
  bool tokenize = true;  ///< false: stand-alone operations alone, products with their post-ops fused
  int threads = 1;
  CompileOptions compile;
};

/// What a model did so far.
struct ModelStatistics {
  std::uint64_t subgraphs_run = 0;       ///< calls of compiled subgraphs
  std::uint64_t primitives_created = 0;  ///< of oneDNN
  std::uint64_t primitives_reused = 0;
  std::uint64_t bindings = 0;            ///< times that the shapes changed
  std::size_t arena_bytes = 0;           ///< of intermediate tensors and of scratch, for the shapes bound last
  std::vector<std::string> interpreted;  ///< nodes that the reference interpreter computes (slowly)
};

/// A whole model: carved and compiled once, run at any shape. Subgraphs run as machine code of Burin's, other
/// operations on oneDNN or as plain C++. Not thread-safe: one run at a time.
class Model {
 public:
  /// Takes the graph of a frontend. Throws burin::Error.
  Model(Graph graph, ModelOptions options);
  ~Model();
  Model(Model&&) noexcept;

  /// After canonicalization and carving.
  const Graph& graph() const;
  const TokenizeReport& report() const;
  /// Of a carved subgraph, by its name; null if there is none.
  const CompiledSubgraph* compiled(const std::string& name) const;

  /// `inputs` in the order of graph().inputs. Throws burin::Error that names a tensor that does not fit.
  std::vector<Tensor> run(const std::vector<Tensor>& inputs);
  ModelStatistics statistics() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace burin::host
