#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "burin/graph.h"

namespace burin::host {

/// A folder of input_J.pb and, perhaps, output_J.pb in the layout of the ONNX model zoo.
struct DataSet {
  std::filesystem::path folder;
  std::vector<Tensor> inputs;                  ///< in the order of the graph's inputs
  std::vector<std::optional<Tensor>> outputs;  ///< in the order of the graph's outputs, where stored
};

/// Reads a folder, matching tensors to the graph's inputs by name. Throws burin::Error that names the file.
DataSet load_data_set(const std::filesystem::path& folder, const Graph& graph);

/// The folders set_0, set_1, ... inside of a folder.
std::vector<std::filesystem::path> stored_sets(const std::filesystem::path& folder);

/// How far two tensors are apart.
struct Difference {
  double relative = 0;  ///< largest difference over the largest magnitude of the expected tensor
  std::string worst;    ///< "output 'y', element 17: expected 1.5, given 1.25"
};
/// NaN and infinities must match; where they do not, the difference is infinite.
Difference compare(const std::string& name, const Tensor& expected, const Tensor& given);

}  // namespace burin::host
