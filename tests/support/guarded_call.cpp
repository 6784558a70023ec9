#include "tests/support/guarded_call.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>

#include "burin/error.h"
#include "tests/support/guarded_buffer.h"

namespace burin::testing {
namespace {

using test::GuardedBuffer;
using BufferPointer = std::unique_ptr<GuardedBuffer>;

GuardedBuffer::Guard random_guard(Random& random) {
  return random.chance(0.5) ? GuardedBuffer::Guard::start : GuardedBuffer::Guard::end;
}

/// The workers one after another, in an order that no thread pool promises.
class TakingTurns final : public Executor {
 public:
  TakingTurns(int concurrency, Random& random) : concurrency_(concurrency), random_(random) {}
  int concurrency() const override { return concurrency_; }
  void run(int workers, const Task& task) override {
    std::vector<int> order(static_cast<std::size_t>(workers));
    std::iota(order.begin(), order.end(), 0);
    if (random_.chance(0.5)) std::reverse(order.begin(), order.end());
    for (int w : order) task.function(task.context, w);
  }

 private:
  int concurrency_;
  Random& random_;
};

Dims dense_strides(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (std::size_t d = dims.size(); d-- > 1;) strides[d - 1] = strides[d] * dims[d];
  return strides;
}

Dims wide_strides(const Dims& dims, Random& random) {
  Dims strides(dims.size(), 1);
  for (std::size_t d = dims.size(); d-- > 1;)
    strides[d - 1] = strides[d] * dims[d] + (random.chance(0.6) ? random.between(1, 20) : 0);
  return strides;
}

/// A copy of the tensor at the given strides; floats in the gaps are NaN.
BufferPointer place(const Tensor& t, const Dims& strides, Random& random) {
  const std::size_t element = size_of(t.precision());
  std::int64_t last = t.size() == 0 ? -1 : 0;
  if (t.size() > 0)
    for (std::size_t d = 0; d < strides.size(); ++d) last += (t.dims()[d] - 1) * strides[d];
  auto buffer = std::make_unique<GuardedBuffer>(static_cast<std::size_t>(last + 1) * element, random_guard(random));
  if (t.precision() == Precision::f32)
    for (float& x : buffer->as<float>()) x = std::numeric_limits<float>::quiet_NaN();
  Dims position(strides.size(), 0);
  for (std::int64_t i = 0; i < t.size(); ++i) {
    std::int64_t offset = 0;
    for (std::size_t d = 0; d < strides.size(); ++d) offset += position[d] * strides[d];
    std::memcpy(buffer->data() + static_cast<std::size_t>(offset) * element, t.data() + static_cast<std::size_t>(i) * element,
                element);
    for (std::size_t d = strides.size(); d-- > 0;) {
      if (++position[d] < t.dims()[d]) break;
      position[d] = 0;
    }
  }
  return buffer;
}

}  // namespace

std::vector<Tensor> guarded_call(Invocation& invocation, const Graph& graph, const std::vector<Tensor>& inputs,
                                 const CallOptions& options, Random& random, const std::map<std::string, std::int64_t>& symbols) {
  std::vector<BufferPointer> buffers;
  std::vector<TensorDesc> descriptions;
  std::vector<const void*> sources;
  for (const Tensor& t : inputs) {
    const Dims strides = options.strided ? wide_strides(t.dims(), random) : dense_strides(t.dims());
    buffers.push_back(place(t, strides, random));
    sources.push_back(buffers.back()->data());
    descriptions.push_back({t.dims(), options.strided || random.chance(0.3) ? strides : Dims{}});
  }
  invocation.rebind(descriptions, symbols);
  GuardedBuffer scratch(invocation.scratch_bytes(), random_guard(random));
  invocation.set_scratch({scratch.data(), scratch.size()});
  std::vector<BufferPointer> results;
  std::vector<void*> targets;
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    const Dims& dims = invocation.output_shapes()[i];
    const auto bytes = static_cast<std::size_t>(element_count(dims, "output")) * size_of(graph.value(graph.outputs[i]).precision);
    results.push_back(std::make_unique<GuardedBuffer>(bytes, random_guard(random)));
    targets.push_back(results.back()->data());
  }
  if (options.thread_pool) {
    invocation.run(sources, targets, default_executor());
  } else if (options.workers == 1 && random.chance(0.5)) {
    invocation.run(sources, targets);
  } else {
    TakingTurns executor(options.workers, random);
    invocation.run(sources, targets, executor);
  }
  invocation.set_scratch({});
  if (!scratch.intact()) throw Error("bytes next to the scratch were written");
  std::vector<Tensor> out;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (!results[i]->intact()) throw Error("bytes next to output " + std::to_string(i) + " were written");
    Tensor t = Tensor::zeros(graph.value(graph.outputs[i]).precision, invocation.output_shapes()[i]);
    if (t.bytes() > 0) std::memcpy(t.mutable_data(), results[i]->data(), t.bytes());
    out.push_back(std::move(t));
  }
  return out;
}

}  // namespace burin::testing
