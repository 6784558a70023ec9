#include "plugins/onnxruntime/fused_kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "burin/error.h"
#include "graph/shape_math.h"
#include "plugins/onnxruntime/api.h"
#include "plugins/onnxruntime/executor.h"
#include "support/aligned_memory.h"

namespace burin::ort {
namespace {

alignas(kMemoryAlignment) std::byte no_scratch[1];
constexpr std::size_t kLargestElementBytes = 8;

std::size_t position_of(const std::string& name, const std::vector<std::string>& names) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) throw Error(fmt::format("the fused node has no '{}'", name));
  return static_cast<std::size_t>(found - names.begin());
}

bool is_empty(const Dims& dims) { return std::find(dims.begin(), dims.end(), 0) != dims.end(); }

}  // namespace

/// What one call at a time works on; kept, so that a call with the shapes of the call before binds nothing.
struct FusedKernel::Call {
  explicit Call(Invocation i, CallShapes::State s) : invocation(std::move(i)), shapes(std::move(s)) {}

  Invocation invocation;
  CallShapes::State shapes;
  bool is_bound = false;
  std::vector<Dims> dims;           ///< of the sources, as they came
  std::vector<TensorDesc> sources;  ///< as the kernel sees them
  std::vector<TensorDesc> operands;
  std::vector<const void*> data;    ///< of the sources
  /// By source: what is read of one that is empty, where its one element of a dimension that repeats is none.
  std::vector<std::vector<std::byte>> zeros;
  std::vector<const void*> inputs;  ///< of the kernel
  std::vector<void*> outputs;
};

FusedKernel::FusedKernel(const Part& part, const CompiledSubgraph& compiled, const std::vector<std::string>& inputs,
                         const std::vector<std::string>& outputs, int threads, std::shared_ptr<ScratchPool> scratch)
    : shapes_(part, compiled), compiled_(compiled), threads_(threads), scratch_(std::move(scratch)) {
  for (const std::size_t i : shapes_.sources()) {
    const PartSource& source = part.sources[i];
    sources_.push_back({position_of(source.name, inputs), source.repeated, source.tells_dimensions, source.places});
  }
  const std::vector<std::size_t>& used = shapes_.sources();
  for (const PartOperand& operand : part.operands) {
    const auto place = std::find(used.begin(), used.end(), operand.source) - used.begin();
    operands_.push_back({static_cast<std::size_t>(place), operand.view.has_value(), operand.constant});
  }
  for (const PartResult& result : part.results) results_.push_back({position_of(result.name, outputs), result.output});
}

FusedKernel::~FusedKernel() = default;

std::unique_ptr<FusedKernel::Call> FusedKernel::make_call() const {
  auto call = std::make_unique<Call>(compiled_.invocation(threads_), shapes_.state());
  call->invocation.set_scratch(no_scratch);
  call->dims.resize(sources_.size());
  call->sources.resize(sources_.size());
  call->data.resize(sources_.size());
  call->zeros.resize(sources_.size());
  call->operands.resize(operands_.size());
  call->inputs.resize(operands_.size());
  call->outputs.resize(results_.size());
  return call;
}

void FusedKernel::compute(OrtKernelContext& context) {
  const Borrowed<Call> call(calls_, [this] { return make_call(); });
  // What throws half way leaves it unbound: the dimensions of the next call are not compared with those bound.
  const bool was_bound = std::exchange(call->is_bound, false);
  if (read_sources(context, *call) || !was_bound) bind(*call);
  call->is_bound = true;
  bool computes_something = false;
  for (std::size_t i = 0; i < results_.size(); ++i) {
    const Dims& dims = call->shapes.results[i];
    OrtValue* value = nullptr;
    void* data = nullptr;
    check(api().KernelContext_GetOutput(&context, results_[i].position, dims.data(), dims.size(), &value));
    check(api().GetTensorMutableData(value, &data));
    call->outputs[results_[i].output] = data;
    computes_something = computes_something || !is_empty(dims);
  }
  if (!computes_something) return;
  for (std::size_t i = 0; i < operands_.size(); ++i)
    call->inputs[i] = operands_[i].constant ? operands_[i].constant->data() : data_of(operands_[i].source, *call);
  const Borrowed<Scratch> scratch(*scratch_, [] { return std::make_unique<Scratch>(); });
  call->invocation.set_scratch(scratch->at_least(call->invocation.scratch_bytes()));
  if (threads_ == 1) return call->invocation.run(call->inputs, call->outputs);
  OrtExecutor executor(context, threads_);
  call->invocation.run(call->inputs, call->outputs, executor);
}

const void* FusedKernel::data_of(std::size_t source, const Call& call) {
  return call.zeros[source].empty() ? call.data[source] : call.zeros[source].data();
}

/// Whether the dimensions differ from those of the call before.
bool FusedKernel::read_sources(const OrtKernelContext& context, Call& call) const {
  bool changed = false;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    const OrtValue* value = nullptr;
    check(api().KernelContext_GetInput(&context, sources_[i].position, &value));
    check(api().GetTensorData(value, &call.data[i]));
    changed = read_dimensions(sources_[i], *value, call.data[i], call.dims[i]) || changed;
  }
  return changed;
}

bool FusedKernel::read_dimensions(const Source& source, const OrtValue& value, const void* data, Dims& dims) const {
  ONNXTensorElementDataType type{};
  const std::int64_t* extents = nullptr;
  std::size_t rank = 0;
  check(api().GetTensorElementTypeAndShapeDataReference(&value, &type, &extents, &rank));
  if (!source.tells_dimensions) {
    if (std::equal(dims.begin(), dims.end(), extents, extents + rank)) return false;
    dims.assign(extents, extents + rank);
    return true;
  }
  const auto* elements = static_cast<const std::int64_t*>(data);
  std::int64_t count = 1;
  for (std::size_t d = 0; d < rank; ++d) count *= extents[d];
  bool changed = dims.size() != source.places.size();
  dims.resize(source.places.size());
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (static_cast<std::int64_t>(source.places[i]) >= count) throw Error("a list of dimensions is too short");
    changed = changed || dims[i] != elements[source.places[i]];
    dims[i] = elements[source.places[i]];
  }
  return changed;
}

void FusedKernel::bind(Call& call) const {
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    call.sources[i] = {call.dims[i], {}};
    if (!sources_[i].repeated.empty()) narrow(i, call);
  }
  shapes_.bind(call.sources, call.shapes);
  for (std::size_t i = 0; i < operands_.size(); ++i)
    call.operands[i] = operands_[i].is_view ? TensorDesc{call.shapes.views[i], {}} : call.sources[operands_[i].source];
  call.invocation.rebind(call.operands, call.shapes.symbols);
}

void FusedKernel::narrow(std::size_t i, Call& call) const {
  const Dims& dims = call.dims[i];
  Dims& shape = call.sources[i].shape;
  call.sources[i].strides = row_major_strides(dims);
  for (std::size_t d = 0; d < std::min(dims.size(), sources_[i].repeated.size()); ++d)
    if (sources_[i].repeated[d]) shape[d] = 1;
  call.zeros[i].clear();
  if (!is_empty(dims) || is_empty(shape)) return;
  std::size_t elements = 1;
  for (const std::int64_t extent : shape) elements *= static_cast<std::size_t>(extent);
  call.zeros[i].resize(elements * kLargestElementBytes);
}

}  // namespace burin::ort
