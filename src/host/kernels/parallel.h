#pragma once

#include <omp.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>

#include "burin/type.h"
#include "graph/interpreter_ops.h"

namespace burin::host {

/// Work below this is done before other threads have woken up.
inline constexpr std::int64_t kBytesWorthThreads = 256 * 1024;

/// Splits [0, count) among the OpenMP threads, those of oneDNN: f(first, last) for each part.
/// `bytes`: what all of it moves. An exception of any part comes out.
template <typename F>
void parallel_ranges(std::int64_t count, std::int64_t bytes, const F& f) {
  const std::int64_t wanted = std::min(count, bytes / kBytesWorthThreads + 1);
  const auto threads = static_cast<int>(std::min<std::int64_t>(wanted, omp_get_max_threads()));
  if (threads <= 1) {
    f(std::int64_t{0}, count);
    return;
  }
  std::exception_ptr failure;
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int part = 0; part < threads; ++part) {
    try {
      f(count * part / threads, count * (part + 1) / threads);
    } catch (...) {
#pragma omp critical(burin_host_failure)
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

/// The axis to split among threads: the outermost that is long enough for even parts, else the
/// longest.
inline std::size_t axis_to_split(const Dims& dims) {
  const auto is_long = [](std::int64_t dim) { return dim >= 4 * omp_get_max_threads(); };
  auto found = std::find_if(dims.begin(), dims.end(), is_long);
  if (found == dims.end()) found = std::max_element(dims.begin(), dims.end());
  return static_cast<std::size_t>(found - dims.begin());
}

/// interpreter::for_each_run, split among threads.
template <std::size_t N, typename F>
void parallel_runs(const Dims& dims, const std::array<Dims, N>& strides, std::int64_t bytes,
                   const F& f) {
  if (dims.empty()) {
    interpreter::for_each_run<N>(dims, strides, f);
    return;
  }
  const std::size_t axis = axis_to_split(dims);
  parallel_ranges(dims[axis], bytes, [&](std::int64_t first, std::int64_t last) {
    Dims part = dims;
    part[axis] = last - first;
    interpreter::for_each_run<N>(
        part, strides,
        [&](std::array<std::int64_t, N> starts, std::int64_t count, const auto& steps) {
          for (std::size_t i = 0; i < N; ++i) starts[i] += first * strides[i][axis];
          f(starts, count, steps);
        });
  });
}

}  // namespace burin::host
