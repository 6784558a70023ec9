#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "burin/compile.h"
#include "burin/graph.h"

namespace burin::runtime {

/// Compiles Subgraph bodies, and equal ones only once: layers of a model look alike, and some models use a layer, weights
/// included, several times. Bodies are equal if they differ in names alone. Not thread-safe.
class CompileOnce {
 public:
  explicit CompileOnce(CompileOptions options) : options_(std::move(options)) {}

  /// As compile(). Errors and dumps name the first of equal bodies.
  CompiledSubgraph operator()(const Graph& body);

 private:
  struct Entry {
    std::vector<Tensor> constants;
    CompiledSubgraph compiled;
  };

  CompileOptions options_;
  std::unordered_map<std::string, std::vector<Entry>> entries_;  ///< by the text without names
};

}  // namespace burin::runtime
