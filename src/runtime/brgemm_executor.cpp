#include "runtime/brgemm_executor.h"

#include <fmt/format.h>

#include <algorithm>

#include "burin/error.h"

namespace burin {
namespace runtime {
namespace {

using Executors = std::map<std::string, BrgemmExecutor>;

/// Grows only while the program starts.
Executors& executors() {
  static Executors all;
  return all;
}

}  // namespace

BrgemmExecutor::BrgemmExecutor(Make make, std::size_t capacity)
    : make_(make), capacity_(std::max<std::size_t>(capacity, 1)) {
  counters_.capacity = capacity_;
}

std::shared_ptr<const BrgemmKernel> BrgemmExecutor::kernel(const BrgemmShape& shape) {
  // Held while a kernel is made, too: two threads that need the same one make it once.
  const std::lock_guard lock(mutex_);
  if (const auto found = by_shape_.find(shape); found != by_shape_.end()) {
    entries_.splice(entries_.begin(), entries_, found->second);
    ++counters_.hits;
    return found->second->second;
  }
  ++counters_.misses;
  std::shared_ptr<const BrgemmKernel> made = make_(shape);
  ++counters_.created;
  entries_.emplace_front(shape, made);
  by_shape_[shape] = entries_.begin();
  if (entries_.size() > capacity_) {
    by_shape_.erase(entries_.back().first);
    entries_.pop_back();
    ++counters_.evicted;
  }
  return made;
}

BrgemmStatistics BrgemmExecutor::statistics() const {
  const std::lock_guard lock(mutex_);
  BrgemmStatistics s = counters_;
  s.held = entries_.size();
  return s;
}

BrgemmExecutor& brgemm_executor(const std::string& name) {
  const auto found = executors().find(name);
  if (found == executors().end())
    throw Error(
        fmt::format("BRGEMM executor '{}': this build of Burin has none of that name", name));
  return found->second;
}

bool register_brgemm_executor(const std::string& name, BrgemmExecutor::Make make) {
  executors().try_emplace(name, make);
  return true;
}

}  // namespace runtime

BrgemmStatistics brgemm_statistics(const std::string& executor) {
  return runtime::brgemm_executor(executor).statistics();
}

}  // namespace burin
