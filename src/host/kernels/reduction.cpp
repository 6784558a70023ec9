// Reductions of f32, and GlobalAveragePool: the mean over the spatial axes. Not on oneDNN: its code
// for other than trailing axes is the reference code, and its maximum and minimum drop NaN.

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "host/kernels/parallel.h"
#include "host/kernels/plain_kernel.h"
#include "host/onednn_impl.h"

namespace burin::host::onednn {
namespace {

struct Sum {
  static constexpr float kFirst = 0.0F;
  static float step(float a, float x) { return a + x; }
  static float join(float a, float b) { return a + b; }
  static float last(float a, float /*count*/) { return a; }
};
struct Mean : Sum {
  static float last(float a, float count) { return a / count; }
};
struct SquareRootOfSquares : Sum {
  static float step(float a, float x) { return a + x * x; }
  static float last(float a, float /*count*/) { return std::sqrt(a); }
};
struct Product : Sum {
  static constexpr float kFirst = 1.0F;
  static float step(float a, float x) { return a * x; }
  static float join(float a, float b) { return a * b; }
};
/// NaN wins.
struct Maximum : Sum {
  static constexpr float kFirst = -std::numeric_limits<float>::infinity();
  static float step(float a, float x) { return x > a || std::isnan(x) ? x : a; }
  static float join(float a, float b) { return step(a, b); }
};
struct Minimum : Sum {
  static constexpr float kFirst = std::numeric_limits<float>::infinity();
  static float step(float a, float x) { return x < a || std::isnan(x) ? x : a; }
  static float join(float a, float b) { return step(a, b); }
};

constexpr std::int64_t kLanes = 16;  ///< as many as a vector may have
using Lanes = std::array<float, kLanes>;

/// Of adjacent elements.
template <typename Reduction>
float reduce_run(const float* x, std::int64_t count) {
  Lanes partial;
  partial.fill(Reduction::kFirst);
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (std::int64_t l = 0; l < kLanes; ++l)
      partial[static_cast<std::size_t>(l)] =
          Reduction::step(partial[static_cast<std::size_t>(l)], x[i + l]);
  float result = Reduction::kFirst;
  for (const float p : partial) result = Reduction::join(result, p);
  for (; i < count; ++i) result = Reduction::step(result, x[i]);
  return result;
}

/// Of adjacent results, one element each.
template <typename Reduction>
void reduce_into(float* results, const float* x, std::int64_t count) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    Lanes lanes;  // a copy: the compiler need not ask whether results and x overlap
    std::copy_n(results + i, kLanes, lanes.begin());
    for (std::int64_t l = 0; l < kLanes; ++l)
      lanes[static_cast<std::size_t>(l)] =
          Reduction::step(lanes[static_cast<std::size_t>(l)], x[i + l]);
    std::copy_n(lanes.begin(), kLanes, results + i);
  }
  for (; i < count; ++i) results[i] = Reduction::step(results[i], x[i]);
}

template <typename Reduction>
class ReductionKernel final : public PlainKernel {
 public:
  ReductionKernel(const Graph& graph, const Node& node, Dims axes)
      : PlainKernel(graph, node), axes_(std::move(axes)) {}

 private:
  void plan() override {
    const Dims& dims = input_dims(0);
    is_reduced_.assign(dims.size(), false);
    for (const std::int64_t axis : axes_) is_reduced_[static_cast<std::size_t>(axis)] = true;
    from_ = to_ = Dims(dims.size(), 0);
    std::int64_t from = 1, to = 1;
    for (std::size_t d = dims.size(); d-- > 0; from *= dims[d]) {
      from_[d] = from;
      if (is_reduced_[d]) continue;
      to_[d] = to;
      to *= dims[d];
    }
    count_ = 1;
    for (const std::int64_t axis : axes_)
      count_ *= static_cast<float>(dims[static_cast<std::size_t>(axis)]);
  }

  void compute(const KernelArguments& arguments) override {
    const auto* x = static_cast<const float*>(arguments.inputs[0]);
    auto* y = static_cast<float*>(arguments.outputs[0]);
    const std::int64_t size = product(output_dims());
    std::fill_n(y, size, Reduction::kFirst);
    for_each_part([&](const Dims& dims, std::int64_t first_from, std::int64_t first_to) {
      reduce(dims, x + first_from, y + first_to);
    });
    std::transform(y, y + size, y, [this](float v) { return Reduction::last(v, count_); });
  }

  /// Threads take parts of an axis that stays.
  template <typename F>
  void for_each_part(const F& f) const {
    const Dims& dims = input_dims(0);
    std::size_t longest = dims.size();
    for (std::size_t d = 0; d < dims.size(); ++d)
      if (!is_reduced_[d] && (longest == dims.size() || dims[d] > dims[longest])) longest = d;
    if (longest == dims.size()) return f(dims, 0, 0);
    const std::int64_t bytes = product(dims) * std::int64_t{sizeof(float)};
    parallel_ranges(dims[longest], bytes, [&](std::int64_t first, std::int64_t last) {
      Dims part = dims;
      part[longest] = last - first;
      f(part, first * from_[longest], first * to_[longest]);
    });
  }

  void reduce(const Dims& dims, const float* x, float* y) const {
    interpreter::for_each_run<2>(
        dims, {from_, to_}, [&](const auto& starts, std::int64_t count, const auto& steps) {
          const float* from = x + starts[0];
          float* to = y + starts[1];
          if (steps[1] == 0 && steps[0] == 1) {
            *to = Reduction::join(*to, reduce_run<Reduction>(from, count));
          } else if (steps[1] == 1 && steps[0] == 1) {
            reduce_into<Reduction>(to, from, count);
          } else {
            for (std::int64_t i = 0; i < count; ++i)
              to[i * steps[1]] = Reduction::step(to[i * steps[1]], from[i * steps[0]]);
          }
        });
  }

  Dims axes_;
  std::vector<bool> is_reduced_;
  Dims from_, to_;  ///< strides; 0 along reduced axes of the result
  float count_ = 1;
};

Dims axes_of(const Graph& graph, const Node& node) {
  Dims axes = node.ints_attribute("axes");
  const auto rank = static_cast<std::int64_t>(graph.value(node.inputs[0]).shape.size());
  const std::int64_t first = node.op == OpKind::GlobalAveragePool ? 2 : 0;
  if (axes.empty())
    for (std::int64_t axis = first; axis < rank; ++axis) axes.push_back(axis);
  return axes;
}

}  // namespace

std::unique_ptr<Kernel> make_reduction(const Graph& graph, const Node& node,
                                       KernelContext& /*context*/) {
  if (!is_all_f32(graph, node)) return nullptr;
  const auto make = [&]<typename Reduction>() -> std::unique_ptr<Kernel> {
    return std::make_unique<ReductionKernel<Reduction>>(graph, node, axes_of(graph, node));
  };
  switch (node.op) {
    case OpKind::ReduceSum: return make.operator()<Sum>();
    case OpKind::ReduceMean:
    case OpKind::GlobalAveragePool: return make.operator()<Mean>();
    case OpKind::ReduceL2: return make.operator()<SquareRootOfSquares>();
    case OpKind::ReduceProd: return make.operator()<Product>();
    case OpKind::ReduceMax: return make.operator()<Maximum>();
    case OpKind::ReduceMin: return make.operator()<Minimum>();
    default: return nullptr;
  }
}

}  // namespace burin::host::onednn
