#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "frontend/onnx_model.h"

namespace burin::ort {

/// Who computes and who reads the values of a model. The model outlives this object.
class ModelIndex {
 public:
  explicit ModelIndex(const frontend::OnnxModel& model);

  const frontend::OnnxModel& model() const { return model_; }
  const frontend::OnnxNode& node(std::size_t i) const { return model_.nodes[i]; }
  /// kNoNode for inputs, initializers, and values of graphs around this one.
  std::size_t producer(const std::string& value) const;
  const std::vector<std::size_t>& readers(const std::string& value) const;
  /// nullptr for what is none.
  const Tensor* initializer(const std::string& value) const;
  bool is_output(const std::string& value) const { return outputs_.contains(value); }
  /// The node that has this name, or of which a node of the Graph with this name was made ("name.hint"); kNoNode if
  /// none.
  std::size_t origin(std::string name) const;
  /// Read by a node that is none of these, or given out by the model.
  bool leaves(const std::string& value, const std::set<std::size_t>& nodes) const;

  static constexpr std::size_t kNoNode = static_cast<std::size_t>(-1);

 private:
  const frontend::OnnxModel& model_;
  std::unordered_map<std::string, std::size_t> producers_, names_;
  std::unordered_map<std::string, std::vector<std::size_t>> readers_;
  std::unordered_map<std::string, const Tensor*> initializers_;
  std::set<std::string> outputs_;
};

}  // namespace burin::ort
