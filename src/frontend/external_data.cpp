#include "frontend/external_data.h"

#include <algorithm>

#include <fmt/format.h>

#include "burin/error.h"
#include "frontend/tensor_data.h"

namespace burin::frontend {

namespace fs = std::filesystem;

fs::path ExternalData::resolve(const std::string& path) const {
  if (folder_.empty()) throw Error("a model in memory without a folder cannot have any");
  const fs::path relative(path);
  const bool has_zero = path.find('\0') != std::string::npos;
  if (relative.empty() || has_zero || relative.is_absolute() ||
      std::find(relative.begin(), relative.end(), "..") != relative.end()) {
    throw Error("the path must be relative and stay in the model's folder");
  }
  std::error_code error;
  const fs::path root = fs::canonical(folder_, error);
  if (error) throw Error(fmt::format("folder '{}': {}", folder_.string(), error.message()));
  const fs::path file = fs::canonical(root / relative, error);
  if (error) throw Error(error.message());
  if (std::mismatch(root.begin(), root.end(), file.begin(), file.end()).first != root.end()) {
    throw Error("a symbolic link leads out of the model's folder");
  }
  return file;
}

const MappedFile& ExternalData::map(const std::string& path) {
  const auto known = files_.find(path);
  if (known != files_.end()) return known->second;
  return files_.emplace(path, map_file(resolve(path))).first->second;
}

Tensor ExternalData::read(const ExternalLocation& where, Precision precision, const Dims& dims,
                          const std::string& subject) {
  const auto fail = [&](const std::string& what) {
    std::string path = where.path;
    std::replace(path.begin(), path.end(), '\0', '?');  // it would end the message
    return Error(fmt::format("{}: external data in '{}': {}", subject, path, what));
  };
  const std::size_t bytes = byte_count(precision, dims, subject);
  if (where.length && *where.length != bytes) {
    throw fail(fmt::format("{} bytes are given, {}{} needs {}", *where.length, to_string(precision),
                           to_string(dims), bytes));
  }
  const MappedFile* file = nullptr;
  try {
    file = &map(where.path);
  } catch (const Error& e) {
    throw fail(e.what());
  }
  if (where.offset > file->size || bytes > file->size - where.offset) {
    throw fail(fmt::format("{} bytes at offset {} do not lie in a file of {} bytes", bytes,
                           where.offset, file->size));
  }
  // An aliasing pointer: the tensor keeps the whole file mapped.
  std::shared_ptr<const std::byte> data(file->data, file->data.get() + where.offset);
  return tensor_from_bytes(precision, dims, std::move(data), bytes, subject);
}

}  // namespace burin::frontend
