#include "host/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "burin/error.h"
#include "graph/canonicalize.h"
#include "host/memory_plan.h"

namespace burin::host {

std::vector<ValueId> values_in_use(const Graph& graph) {
  std::set<ValueId> in_use(graph.inputs.begin(), graph.inputs.end());
  in_use.insert(graph.outputs.begin(), graph.outputs.end());
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    in_use.insert(node.inputs.begin(), node.inputs.end());
    in_use.insert(node.outputs.begin(), node.outputs.end());
  }
  in_use.erase(kNone);
  return {in_use.begin(), in_use.end()};
}

Program::Program(const Graph& graph, GraphShapes& shapes, std::vector<Step> steps)
    : graph_(graph), shapes_(shapes), steps_(std::move(steps)) {
  find_roots();
  find_last_uses();
}

void Program::find_roots() {
  root_.resize(graph_.value_count());
  for (ValueId id = 0; id < root_.size(); ++id) root_[id] = id;
  for (const NodeId id : graph_.order()) {
    const Node& node = graph_.node(id);
    if (only_renames(node.op)) root_[node.outputs[0]] = root_[node.inputs[0]];
  }
}

void Program::find_last_uses() {
  last_use_.assign(graph_.value_count(), 0);
  for (std::size_t s = 0; s < steps_.size(); ++s) {
    for (const ValueId id : steps_[s].outputs) last_use_[root_[id]] = s;
    for (const ValueId id : steps_[s].inputs)
      if (id != kNone) last_use_[root_[id]] = s;
  }
  for (const ValueId id : graph_.outputs) last_use_[root_[id]] = steps_.size();
}

std::vector<Tensor> Program::run(const std::vector<Tensor>& inputs) {
  bind(inputs);
  std::vector<Tensor> outputs = make_outputs();
  set_pointers(inputs, outputs);
  for (std::size_t s = 0; s < steps_.size(); ++s) run_step(s);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::byte* from = pointer(graph_.outputs[i]);
    if (from != outputs[i].data() && outputs[i].bytes() > 0)
      std::memcpy(outputs[i].mutable_data(), from, outputs[i].bytes());
  }
  return outputs;
}

void Program::bind(const std::vector<Tensor>& inputs) {
  for (std::size_t i = 0; i < std::min(inputs.size(), graph_.inputs.size()); ++i) {
    const Value& value = graph_.value(graph_.inputs[i]);
    if (inputs[i].precision() != value.precision)
      throw Error(fmt::format("tensor '{}': expected {}, given {}", value.name, to_string(value.precision),
                              to_string(inputs[i].precision())));
  }
  if (is_bound_ && std::equal(inputs.begin(), inputs.end(), bound_.begin(), bound_.end(),
                                  [](const Tensor& t, const Dims& dims) { return t.dims() == dims; }))
    return;
  is_bound_ = false;  // a binding that fails is none
  bound_.clear();
  shapes_.bind(inputs);
  bind_kernels();
  assign_buffers();
  lay_outputs();
  place_buffers();
  for (const Tensor& t : inputs) bound_.push_back(t.dims());
  is_bound_ = true;
  ++bindings_;
}

void Program::bind_kernels() {
  std::vector<Dims> inputs, outputs;
  for (Step& step : steps_) {
    inputs.clear();
    outputs.clear();
    for (const ValueId id : step.inputs) inputs.push_back(id == kNone ? Dims{} : shapes_.dims(id));
    for (const ValueId id : step.outputs) outputs.push_back(shapes_.dims(id));
    step.kernel->bind({inputs, outputs});
  }
}

void Program::assign_buffers() {
  buffers_.clear();
  buffer_of_.assign(graph_.value_count(), kNoBuffer);
  scratch_of_.assign(steps_.size(), kNoBuffer);
  for (std::size_t s = 0; s < steps_.size(); ++s) {
    for (std::size_t i = 0; i < steps_[s].outputs.size(); ++i) {
      const ValueId id = steps_[s].outputs[i];
      const std::size_t old = i == 0 ? buffer_to_take_over(s) : kNoBuffer;
      if (old != kNoBuffer) {
        buffer_of_[id] = old;
        buffers_[old].last = last_use_[id];
      } else {
        buffer_of_[id] = buffers_.size();
        buffers_.push_back({shapes_.bytes(id), s, last_use_[id]});
      }
    }
    if (const std::size_t bytes = steps_[s].kernel->scratch_bytes(); bytes > 0) {
      scratch_of_[s] = buffers_.size();
      buffers_.push_back({bytes, s, s});
    }
  }
}

/// The buffer of an input that the step reads last, and whose size its first output has.
std::size_t Program::buffer_to_take_over(std::size_t s) const {
  const Step& step = steps_[s];
  for (std::size_t i = 0; i < step.inputs.size(); ++i) {
    const ValueId id = step.inputs[i];
    if (id == kNone || !step.kernel->works_in_place(i)) continue;
    const std::size_t buffer = buffer_of_[root_[id]];
    if (buffer == kNoBuffer || buffers_[buffer].last != s) continue;
    // What is read through another input must not change under it.
    const auto reads = std::count_if(step.inputs.begin(), step.inputs.end(),
                                     [&](ValueId other) { return other != kNone && root_[other] == root_[id]; });
    if (reads == 1 && buffers_[buffer].bytes == shapes_.bytes(step.outputs[0])) return buffer;
  }
  return kNoBuffer;
}

/// An output of the graph is computed in the caller's memory, unless it is an input or lies where another output lies.
void Program::lay_outputs() {
  for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
    const std::size_t buffer = buffer_of_[root_[graph_.outputs[i]]];
    if (buffer != kNoBuffer && buffers_[buffer].output < 0) buffers_[buffer].output = static_cast<std::ptrdiff_t>(i);
  }
}

void Program::place_buffers() {
  std::vector<MemoryRequest> requests;
  for (const Buffer& b : buffers_)
    if (b.output < 0) requests.push_back({b.bytes, b.first, b.last});
  const MemoryPlan plan = plan_memory(requests);
  arena_bytes_ = plan.bytes;
  if (plan.bytes > arena_capacity_) {
    arena_.reset();
    arena_capacity_ = 0;
    arena_ = allocate_aligned(plan.bytes);
    if (!arena_) throw Error(fmt::format("{}: {} bytes for intermediate tensors cannot be allocated", graph_.name, plan.bytes));
    arena_capacity_ = plan.bytes;
  }
  std::size_t next = 0;
  for (Buffer& b : buffers_)
    if (b.output < 0) b.pointer = arena_.get() + plan.offsets[next++];
}

std::vector<Tensor> Program::make_outputs() {
  std::vector<Tensor> outputs;
  for (const ValueId id : graph_.outputs) outputs.push_back(Tensor::zeros(graph_.value(id).precision, shapes_.dims(id)));
  return outputs;
}

void Program::set_pointers(const std::vector<Tensor>& inputs, std::vector<Tensor>& outputs) {
  pointers_.resize(graph_.value_count());
  // Kernels only read what is not theirs to write.
  const auto readable = [](const Tensor& t) { return const_cast<std::byte*>(t.data()); };
  for (std::size_t i = 0; i < inputs.size(); ++i) pointers_[graph_.inputs[i]] = readable(inputs[i]);
  for (Buffer& b : buffers_)
    if (b.output >= 0) b.pointer = outputs[static_cast<std::size_t>(b.output)].mutable_data();
  for (ValueId id = 0; id < graph_.value_count(); ++id) {
    if (buffer_of_[id] != kNoBuffer) {
      pointers_[id] = buffers_[buffer_of_[id]].pointer;
    } else if (graph_.is_constant(id)) {
      pointers_[id] = readable(*graph_.value(id).constant);
    } else if (shapes_.known(id).data() != nullptr) {
      pointers_[id] = readable(shapes_.known(id));
    }
  }
}

void Program::run_step(std::size_t s) {
  step_inputs_.clear();
  step_outputs_.clear();
  for (const ValueId id : steps_[s].inputs) step_inputs_.push_back(pointer(id));
  for (const ValueId id : steps_[s].outputs) step_outputs_.push_back(pointer(id));
  std::byte* scratch = scratch_of_[s] == kNoBuffer ? nullptr : buffers_[scratch_of_[s]].pointer;
  steps_[s].kernel->run({step_inputs_, step_outputs_, scratch});
}

}  // namespace burin::host
