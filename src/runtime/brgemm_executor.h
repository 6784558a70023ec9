#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "burin/compile.h"

namespace burin::runtime {

/// C = A B of f32 matrices: A has rows x depth elements, B depth x columns; leading dimensions in
/// elements.
struct BrgemmShape {
  std::int64_t rows = 0, columns = 0, depth = 0;
  std::int64_t leading_a = 0, leading_b = 0, leading_c = 0;
  auto operator<=>(const BrgemmShape&) const = default;
};

/// The code for one shape. run() may be called from any number of threads.
class BrgemmKernel {
 public:
  virtual ~BrgemmKernel() = default;
  virtual void run(const float* a, const float* b, float* c) const = 0;
};

/// Computes products of matrices in memory in place of Burin's own code: makes a kernel for each
/// shape that it is asked for, and keeps those that were used last. Thread-safe.
class BrgemmExecutor {
 public:
  using Make = std::shared_ptr<const BrgemmKernel> (*)(const BrgemmShape&);
  /// An attention with whole and last blocks of queries needs four kernels, so that a few dozen
  /// shapes stay.
  static constexpr std::size_t kDefaultCapacity = 256;

  /// `make`: of shapes without an empty dimension; throws burin::Error where there is no kernel.
  explicit BrgemmExecutor(Make make, std::size_t capacity = kDefaultCapacity);

  /// From the cache, or made now. Who holds a kernel keeps it, whatever the cache does.
  std::shared_ptr<const BrgemmKernel> kernel(const BrgemmShape& shape);
  BrgemmStatistics statistics() const;

 private:
  using Entry = std::pair<const BrgemmShape, std::shared_ptr<const BrgemmKernel>>;

  const Make make_;
  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  ///< used last in front
  std::map<BrgemmShape, std::list<Entry>::iterator> by_shape_;
  BrgemmStatistics counters_;
};

/// The executor that CompileOptions::brgemm names. Throws burin::Error where this build has none of
/// that name.
BrgemmExecutor& brgemm_executor(const std::string& name);
/// Adds an executor to those, once, when the program starts: which there are depends on what is
/// linked. Gives true.
bool register_brgemm_executor(const std::string& name, BrgemmExecutor::Make make);

}  // namespace burin::runtime
