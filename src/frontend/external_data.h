#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "burin/type.h"
#include "frontend/mapped_file.h"

namespace burin::frontend {

/// Where in another file the contents of a tensor lie.
struct ExternalLocation {
  std::string path;  ///< relative to the model's folder
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length;
};

/// The files beside a model that hold its weights. Each is mapped once; the tensors share the map.
///
/// A model file is not trusted: a path that leaves the folder (absolute, with "..", or through a
/// symbolic link) is refused, as is a range that the file does not have.
class ExternalData {
 public:
  /// An empty folder: no external data is allowed.
  explicit ExternalData(std::filesystem::path folder) : folder_(std::move(folder)) {}

  Tensor read(const ExternalLocation& where, Precision precision, const Dims& dims,
              const std::string& subject);

 private:
  std::filesystem::path resolve(const std::string& path) const;
  const MappedFile& map(const std::string& path);

  std::filesystem::path folder_;
  std::map<std::string, MappedFile> files_;  ///< by path as the model spells it
};

}  // namespace burin::frontend
