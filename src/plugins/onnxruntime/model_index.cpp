#include "plugins/onnxruntime/model_index.h"

#include <algorithm>

namespace burin::ort {

ModelIndex::ModelIndex(const frontend::OnnxModel& model)
    : model_(model), outputs_(model.outputs.begin(), model.outputs.end()) {
  for (std::size_t i = 0; i < model.nodes.size(); ++i) {
    names_[model.nodes[i].name] = i;
    for (const std::string& output : model.nodes[i].outputs) producers_[output] = i;
    for (const std::string& input : model.nodes[i].inputs) readers_[input].push_back(i);
  }
  for (const NamedTensor& initializer : model.initializers) initializers_[initializer.name] = &initializer.tensor;
}

std::size_t ModelIndex::producer(const std::string& value) const {
  const auto found = producers_.find(value);
  return found != producers_.end() ? found->second : kNoNode;
}

const std::vector<std::size_t>& ModelIndex::readers(const std::string& value) const {
  static const std::vector<std::size_t> none;
  const auto found = readers_.find(value);
  return found != readers_.end() ? found->second : none;
}

const Tensor* ModelIndex::initializer(const std::string& value) const {
  const auto found = initializers_.find(value);
  return found != initializers_.end() ? found->second : nullptr;
}

std::size_t ModelIndex::origin(std::string name) const {
  for (;;) {
    if (const auto found = names_.find(name); found != names_.end()) return found->second;
    const std::size_t dot = name.rfind('.');
    if (dot == std::string::npos) return kNoNode;
    name.resize(dot);
  }
}

bool ModelIndex::leaves(const std::string& value, const std::set<std::size_t>& nodes) const {
  const std::vector<std::size_t>& all = readers(value);
  return is_output(value) ||
         std::any_of(all.begin(), all.end(), [&](std::size_t reader) { return !nodes.contains(reader); });
}

}  // namespace burin::ort
