#pragma once

#include <algorithm>
#include <cstddef>
#include <new>
#include <span>

#include "plugins/onnxruntime/pool.h"
#include "support/aligned_memory.h"

namespace burin::ort {

/// Memory for one call at a time; grows with the largest call so far.
class Scratch {
 public:
  /// At least `bytes`, and never nothing: an empty span would mean the kernel's own memory.
  std::span<std::byte> at_least(std::size_t bytes) {
    if (memory_ == nullptr || bytes > capacity_) {
      memory_ = allocate_aligned(bytes);
      if (!memory_) throw std::bad_alloc();
      capacity_ = std::max(bytes, kMemoryAlignment);
    }
    return {memory_.get(), capacity_};
  }

 private:
  AlignedMemory memory_;
  std::size_t capacity_ = 0;
};

/// Shared by all nodes of a session: those that one thread runs one after the other use the same memory.
using ScratchPool = Pool<Scratch>;

}  // namespace burin::ort
