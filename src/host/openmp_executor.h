#pragma once

#include "burin/executor.h"

namespace burin::host {

/// Runs kernels on the OpenMP threads that oneDNN runs on, so that the process has one pool and no two that spin
/// against each other. The reference stays valid for the life of the process.
Executor& openmp_executor();

}  // namespace burin::host
