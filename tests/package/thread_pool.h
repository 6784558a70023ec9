#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include <burin/executor.h>

/// A host's own threads, made once; Burin's oneTBB pool is not used.
class ThreadPool : public burin::Executor {
 public:
  explicit ThreadPool(int threads);
  ~ThreadPool() override;
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int concurrency() const override { return static_cast<int>(threads_.size()); }
  void run(int workers, const Task& task) override;
  /// How often run() handed out work: that the pool was used at all is part of the test.
  std::int64_t tasks() const { return tasks_; }

 private:
  void serve();

  std::mutex callers_;  ///< one task at a time
  std::mutex mutex_;
  std::condition_variable work_, done_;
  Task task_{};
  int next_ = 0, workers_ = 0, running_ = 0;
  bool stop_ = false;
  std::int64_t tasks_ = 0;
  std::vector<std::thread> threads_;
};
