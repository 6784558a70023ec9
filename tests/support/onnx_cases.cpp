#include "tests/support/onnx_cases.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

#include "burin/error.h"

namespace burin::testing {
namespace {

namespace fs = std::filesystem;

std::string contents(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw Error(file.string() + ": cannot be read");
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::vector<OnnxCase> by_name(std::map<std::string, OnnxCase> cases) {
  std::vector<OnnxCase> result;
  for (auto& [name, c] : cases) {
    c.name = name;
    result.push_back(std::move(c));
  }
  return result;
}

}  // namespace

std::vector<OnnxCase> read_case_folder(const fs::path& folder) {
  std::map<std::string, OnnxCase> cases;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const fs::path path = fs::relative(entry.path(), folder);
    const fs::path name = *path.begin();
    cases[name.string()].files[fs::relative(path, name).string()] = contents(entry.path());
  }
  return by_name(std::move(cases));
}

std::vector<OnnxCase> read_case_archive(const fs::path& file) {
  std::istringstream stream(contents(file));
  std::map<std::string, OnnxCase> cases;
  std::string path;
  std::size_t size = 0;
  while (stream >> path >> size) {
    stream.ignore();  // the end of the line
    std::string bytes(size, '\0');
    if (!stream.read(bytes.data(), static_cast<std::streamsize>(size)))
      throw Error(file.string() + ": '" + path + "' is cut off");
    const std::size_t slash = path.find('/');
    cases[path.substr(0, slash)].files[path.substr(slash + 1)] = std::move(bytes);
  }
  return by_name(std::move(cases));
}

}  // namespace burin::testing
