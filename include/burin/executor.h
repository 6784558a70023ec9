#pragma once

#include "burin/export.h"

namespace burin {

/// Where kernels run in parallel: the library's own oneTBB pool, or a host's.
///
/// Implementations must be usable from several threads at once.
class BURIN_EXPORT Executor {
 public:
  /// A piece of work: `function(context, worker)`. Never throws.
  struct Task {
    void (*function)(void* context, int worker);
    void* context;
  };

  virtual ~Executor() = default;
  /// How many workers can run at once, at least 1.
  virtual int concurrency() const = 0;
  /// Runs the task once for each worker in [0, workers) and returns when all are done. What it throws propagates to the
  /// caller of Invocation::run, after the join.
  virtual void run(int workers, const Task& task) = 0;
};

/// The default: oneTBB's global pool.
/// The reference stays valid for the life of the process.
BURIN_EXPORT Executor& default_executor();

}  // namespace burin
