#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "plugins/onnxruntime/model_index.h"

namespace burin::ort {

/// The nodes of a model, some of them merged into one: whether that leaves a graph without cycles.
/// (As tokenize/contraction.h, for the model's own nodes.)
class Clusters {
 public:
  explicit Clusters(const ModelIndex& model);

  /// Why these nodes cannot be merged; nothing if they can.
  std::optional<std::string> why_not(const std::set<std::size_t>& nodes) const;
  void merge(const std::set<std::size_t>& nodes);

 private:
  const ModelIndex& model_;
  std::vector<std::size_t> cluster_;               ///< by node: the first of those that it is merged with
  std::vector<std::vector<std::size_t>> members_;  ///< by that first one
  std::vector<bool> taken_;                        ///< merged, if only by itself
};

}  // namespace burin::ort
