#include "thread_pool.h"

ThreadPool::ThreadPool(int threads) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { serve(); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  for (std::thread& t : threads_) t.join();
}

void ThreadPool::run(int workers, const Task& task) {
  const std::lock_guard caller(callers_);
  std::unique_lock lock(mutex_);
  task_ = task;
  next_ = 0;
  workers_ = workers;
  ++tasks_;
  work_.notify_all();
  done_.wait(lock, [&] { return next_ == workers_ && running_ == 0; });
}

void ThreadPool::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [&] { return stop_ || next_ < workers_; });
    if (stop_) return;
    const int worker = next_++;
    ++running_;
    const Task task = task_;
    lock.unlock();
    task.function(task.context, worker);
    lock.lock();
    if (--running_ == 0 && next_ == workers_) done_.notify_all();
  }
}
