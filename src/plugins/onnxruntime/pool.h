#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace burin::ort {

/// Objects that a call borrows and gives back: as many as there are calls at once, the one that was used last first.
template <typename T>
class Pool {
 public:
  /// One that is free, or what `make` makes.
  template <typename Make>
  std::unique_ptr<T> take(const Make& make) {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        std::unique_ptr<T> item = std::move(free_.back());
        free_.pop_back();
        return item;
      }
    }
    std::unique_ptr<T> item = make();
    const std::lock_guard lock(mutex_);
    free_.reserve(++made_);
    return item;
  }
  /// There is room for all that were made.
  void give_back(std::unique_ptr<T> item) noexcept {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(item));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<T>> free_;
  std::size_t made_ = 0;
};

/// Takes an object for the time of a scope.
template <typename T>
class Borrowed {
 public:
  template <typename Make>
  Borrowed(Pool<T>& pool, const Make& make) : pool_(pool), item_(pool.take(make)) {}
  ~Borrowed() { pool_.give_back(std::move(item_)); }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  T& operator*() const { return *item_; }
  T* operator->() const { return item_.get(); }

 private:
  Pool<T>& pool_;
  std::unique_ptr<T> item_;
};

}  // namespace burin::ort
