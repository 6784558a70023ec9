#include "host/openmp_executor.h"

#include <omp.h>

namespace burin::host {
namespace {

class OpenMpExecutor final : public Executor {
 public:
  int concurrency() const override { return omp_get_max_threads(); }
  void run(int workers, const Task& task) override {
#pragma omp parallel for num_threads(workers) schedule(static, 1)
    for (int worker = 0; worker < workers; ++worker) task.function(task.context, worker);
  }
};

}  // namespace

Executor& openmp_executor() {
  static OpenMpExecutor executor;
  return executor;
}

}  // namespace burin::host
