#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>

#include <sys/mman.h>
#include <unistd.h>

namespace burin::test {

/// Memory between two pages that may not be touched: a kernel that reads or writes one byte beyond
/// the guarded end is killed on the spot. The other end stands off its page by the rounding to
/// whole pages; a canary fills that gap, and intact() tells whether it was written to.
///
///     GuardedBuffer in(count * sizeof(float));                            // guards the end
///     GuardedBuffer out(bytes, GuardedBuffer::Guard::start);
///     std::span<float> x = in.as<float>();
class GuardedBuffer {
 public:
  enum class Guard { start, end };

  explicit GuardedBuffer(std::size_t bytes, Guard guard = Guard::end) : bytes_(bytes) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t inner = (bytes + page - 1) / page * page + (bytes == 0 ? page : 0);
    mapped_ = inner + 2 * page;
    void* p = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    mapping_ = static_cast<std::byte*>(p);
    inner_ = {mapping_ + page, inner};
    if (mprotect(inner_.data(), inner, PROT_READ | PROT_WRITE) != 0) {
      munmap(mapping_, mapped_);
      throw std::bad_alloc();
    }
    std::memset(inner_.data(), kCanary, inner);
    data_ = guard == Guard::start ? inner_.data() : inner_.data() + inner - bytes;
  }
  ~GuardedBuffer() { munmap(mapping_, mapped_); }
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;

  std::byte* data() const { return data_; }
  std::size_t size() const { return bytes_; }
  template <typename T>
  std::span<T> as() const {
    return {reinterpret_cast<T*>(data_), bytes_ / sizeof(T)};
  }
  /// Nothing was written between the buffer and the guard page that it does not touch.
  bool intact() const {
    for (const std::byte& b : inner_)
      if ((&b < data_ || &b >= data_ + bytes_) && b != std::byte{kCanary}) return false;
    return true;
  }

 private:
  static constexpr std::uint8_t kCanary = 0xa5;
  std::size_t bytes_;
  std::size_t mapped_ = 0;
  std::byte* mapping_ = nullptr;
  std::span<std::byte> inner_;  ///< the pages that may be touched
  std::byte* data_ = nullptr;
};

}  // namespace burin::test
