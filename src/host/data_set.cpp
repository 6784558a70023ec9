#include "host/data_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "burin/error.h"
#include "burin/onnx.h"

namespace burin::host {
namespace {

std::vector<NamedTensor> load_numbered(const std::filesystem::path& folder, const char* prefix) {
  std::vector<NamedTensor> tensors;
  for (int j = 0;; ++j) {
    const std::filesystem::path file = folder / fmt::format("{}_{}.pb", prefix, j);
    if (!std::filesystem::exists(file)) return tensors;
    tensors.push_back(load_tensor_proto(file));
  }
}

/// The tensor of a name; by position where the file gives no name.
const Tensor* find(const std::vector<NamedTensor>& tensors, const std::string& name, std::size_t position) {
  for (const NamedTensor& t : tensors)
    if (t.name == name) return &t.tensor;
  return position < tensors.size() && tensors[position].name.empty() ? &tensors[position].tensor : nullptr;
}

}  // namespace

DataSet load_data_set(const std::filesystem::path& folder, const Graph& graph) {
  if (!std::filesystem::is_directory(folder)) throw Error(fmt::format("{}: no such folder", folder.string()));
  const auto inputs = load_numbered(folder, "input"), outputs = load_numbered(folder, "output");
  DataSet set{folder, {}, {}};
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    const std::string& name = graph.value(graph.inputs[i]).name;
    const Tensor* t = find(inputs, name, i);
    if (t == nullptr) throw Error(fmt::format("{}: no file holds the input '{}'", folder.string(), name));
    set.inputs.push_back(*t);
  }
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    const Tensor* t = find(outputs, graph.value(graph.outputs[i]).name, i);
    // A renamed output still is the one at its position.
    if (t == nullptr && i < outputs.size()) t = &outputs[i].tensor;
    set.outputs.push_back(t != nullptr ? std::optional(*t) : std::nullopt);
  }
  return set;
}

std::vector<std::filesystem::path> stored_sets(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> sets;
  for (int i = 0;; ++i) {
    const auto set = folder / fmt::format("set_{}", i);
    if (!std::filesystem::is_directory(set)) return sets;
    sets.push_back(set);
  }
}

Difference compare(const std::string& name, const Tensor& expected, const Tensor& given) {
  if (expected.dims() != given.dims())
    throw Error(fmt::format("output '{}': expected shape {}, given {}", name, to_string(expected.dims()), to_string(given.dims())));
  double magnitude = 0, largest = 0;
  std::int64_t worst = 0;
  for (std::int64_t i = 0; i < expected.size(); ++i) {
    const double e = expected.at(i), g = given.at(i);
    if (std::isfinite(e)) magnitude = std::max(magnitude, std::fabs(e));
    double difference = std::fabs(e - g);
    if (!std::isfinite(e) || !std::isfinite(g))
      difference = (std::isnan(e) && std::isnan(g)) || e == g ? 0 : std::numeric_limits<double>::infinity();
    if (difference > largest) largest = difference, worst = i;
  }
  Difference d;
  d.relative = largest == 0 ? 0 : magnitude > 0 ? largest / magnitude : largest;
  if (largest > 0)
    d.worst = fmt::format("output '{}', element {}: expected {}, given {}", name, worst, expected.at(worst), given.at(worst));
  return d;
}

}  // namespace burin::host
