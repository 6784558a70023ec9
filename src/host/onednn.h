#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace burin::host {

/// The host's use of oneDNN: engine, stream, and a bounded cache of primitives (least recently used
/// ones go first), shared by all kernels of a model. dnnl.hpp stays in the .cpp files
/// (onednn_impl.h).
class OneDnn {
 public:
  /// `capacity`: primitives kept.
  explicit OneDnn(std::size_t capacity = kDefaultCapacity);
  ~OneDnn();

  static constexpr std::size_t kDefaultCapacity = 256;

  struct Counters {
    std::uint64_t created = 0;  ///< primitives made (oneDNN generates code for most of them)
    std::uint64_t reused = 0;   ///< found in the cache
    std::uint64_t packed = 0;   ///< weights put into another layout
  };
  Counters counters() const;

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace burin::host
