#pragma once

#include <onnxruntime_c_api.h>

#include "burin/executor.h"

namespace burin::ort {

/// ONNX Runtime's own intra-op threads, for the time of one call of a node.
class OrtExecutor final : public Executor {
 public:
  OrtExecutor(const OrtKernelContext& context, int threads) : context_(context), threads_(threads) {}
  int concurrency() const override { return threads_; }
  void run(int workers, const Task& task) override;

 private:
  const OrtKernelContext& context_;
  int threads_;
};

/// How many threads the process may run on. The interface does not tell how many a session has; more workers than
/// threads take turns.
int usable_threads();

}  // namespace burin::ort
