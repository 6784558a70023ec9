#include "burin/onnx.h"

#include <fmt/format.h>

#include "burin/error.h"
#include "frontend/mapped_file.h"
#include "frontend/onnx_model.h"

namespace burin {
namespace {

/// The folder of a file that is given by a relative path, too: never empty.
std::filesystem::path folder_of(const std::filesystem::path& file) {
  return file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
}

template <typename Action>
auto naming(std::string_view subject, const Action& action) {
  try {
    return action();
  } catch (const Error& e) {
    throw Error(fmt::format("{}: {}", subject, e.what()));
  }
}

}  // namespace

Graph load_onnx(const std::filesystem::path& file, OnnxNotes* notes) {
  return naming(file.string(), [&] {
    const frontend::MappedFile mapped = frontend::map_file(file);
    return frontend::import_onnx(frontend::read_onnx_model(mapped.bytes(), folder_of(file)), notes);
  });
}

Graph load_onnx(std::span<const std::byte> bytes, const std::filesystem::path& folder,
                std::string_view name, OnnxNotes* notes) {
  return naming(
      name, [&] { return frontend::import_onnx(frontend::read_onnx_model(bytes, folder), notes); });
}

NamedTensor load_tensor_proto(const std::filesystem::path& file) {
  return naming(file.string(), [&] {
    const frontend::MappedFile mapped = frontend::map_file(file);
    return frontend::read_tensor_proto(mapped.bytes(), folder_of(file));
  });
}

}  // namespace burin
