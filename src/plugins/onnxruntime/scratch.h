#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>

#include "plugins/onnxruntime/pool.h"

namespace burin::ort {

/// Memory for one call at a time; grows with the largest call so far.
class Scratch {
 public:
  static constexpr std::size_t kAlignment = 64;

  /// At least `bytes`, and never nothing: an empty span would mean the kernel's own memory.
  std::span<std::byte> at_least(std::size_t bytes) {
    if (memory_ == nullptr || bytes > capacity_) {
      const std::size_t lines = bytes / kAlignment + 1;
      memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, lines * kAlignment)));
      if (memory_ == nullptr) throw std::bad_alloc();
      capacity_ = lines * kAlignment;
    }
    return {memory_.get(), capacity_};
  }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::size_t capacity_ = 0;
};

/// Shared by all nodes of a session: those that one thread runs one after the other use the same memory.
using ScratchPool = Pool<Scratch>;

}  // namespace burin::ort
