#include "plugins/onnxruntime/executor.h"

#include <sched.h>

#include <algorithm>
#include <thread>

#include "plugins/onnxruntime/api.h"

namespace burin::ort {

void OrtExecutor::run(int workers, const Task& task) {
  // 0: as many batches as there are workers.
  check(api().KernelContext_ParallelFor(
      &context_,
      [](void* data, std::size_t worker) {
        const auto* work = static_cast<const Task*>(data);
        work->function(work->context, static_cast<int>(worker));
      },
      static_cast<std::size_t>(workers), 0, const_cast<Task*>(&task)));
}

int usable_threads() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace burin::ort
