#include "frontend/mapped_file.h"

#include <cerrno>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "burin/error.h"

namespace burin::frontend {
namespace {

[[noreturn]] void fail(const char* action) {
  throw Error(std::string("cannot ") + action + ": " + std::strerror(errno));
}

/// Closes the file when the scope ends; a mapping of it stays.
class Descriptor {
 public:
  // O_NONBLOCK: opening a pipe must not wait for a writer. It is refused as no regular file.
  explicit Descriptor(const std::filesystem::path& file)
      : fd_(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (fd_ < 0) fail("open");
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { close(fd_); }
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

MappedFile map_file(const std::filesystem::path& file) {
  const Descriptor descriptor(file);
  struct stat status {};
  if (fstat(descriptor.get(), &status) != 0) fail("read");
  if (!S_ISREG(status.st_mode)) throw Error("is not a regular file");

  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return {};
  void* address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor.get(), 0);
  if (address == MAP_FAILED) fail("map");
  std::shared_ptr<const std::byte> data(
      static_cast<const std::byte*>(address),
      [size](const std::byte* mapped) { munmap(const_cast<std::byte*>(mapped), size); });
  return {.data = std::move(data), .size = size};
}

}  // namespace burin::frontend
