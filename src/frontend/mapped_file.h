#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace burin::frontend {

/// The bytes of a regular file, mapped read-only; they stay as long as the pointer does.
struct MappedFile {
  std::shared_ptr<const std::byte> data;
  std::size_t size = 0;

  std::span<const std::byte> bytes() const { return {data.get(), size}; }
};

/// Throws burin::Error that says what is wrong, without the file's name.
MappedFile map_file(const std::filesystem::path& file);

}  // namespace burin::frontend
