#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "burin/compile.h"
#include "tests/support/random.h"

namespace burin::testing {

/// How one call of a kernel is made.
struct CallOptions {
  bool strided = false;      ///< outer strides larger than dense, NaN in the gaps
  int workers = 1;
  bool thread_pool = false;  ///< on the default executor; else the workers take turns, in random order
};

/// Runs the kernel with inputs, outputs and scratch each between pages that may not be touched, flush with the one in
/// front or the one behind at random. `symbols`: those that the shapes do not determine; others are let be. Throws
/// burin::Error also where bytes next to an output or scratch were written.
std::vector<Tensor> guarded_call(Invocation& invocation, const Graph& graph, const std::vector<Tensor>& inputs,
                                 const CallOptions& options, Random& random,
                                 const std::map<std::string, std::int64_t>& symbols = {});

}  // namespace burin::testing
