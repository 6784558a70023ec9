#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include "burin/executor.h"

namespace burin {
namespace {

class TbbExecutor final : public Executor {
 public:
  int concurrency() const override { return oneapi::tbb::this_task_arena::max_concurrency(); }
  void run(int workers, const Task& task) override {
    oneapi::tbb::parallel_for(0, workers, [&](int worker) { task.function(task.context, worker); },
                              oneapi::tbb::simple_partitioner());
  }
};

}  // namespace

Executor& default_executor() {
  static TbbExecutor executor;
  return executor;
}

}  // namespace burin
