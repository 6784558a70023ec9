#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace burin::testing {

/// A case of ONNX's backend tests: a small model with inputs and expected outputs.
struct OnnxCase {
  std::string name;
  std::map<std::string, std::string>
      files;  ///< "model.onnx", "test_data_set_0/input_0.pb" -> contents
};

/// A folder of such cases, a folder each.
std::vector<OnnxCase> read_case_folder(const std::filesystem::path& folder);
/// One file that holds the same: for each file a line "case/path size", and its contents.
std::vector<OnnxCase> read_case_archive(const std::filesystem::path& file);

}  // namespace burin::testing
