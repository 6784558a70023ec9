#include "host/kernels/plain_kernel.h"

#include <fmt/format.h>

#include "burin/error.h"
#include "graph/interpreter_ops.h"

namespace burin::host {

PlainKernel::PlainKernel(const Graph& graph, const Node& node) : node_(node) {
  const std::string& name =
      node.name.empty() && !node.outputs.empty() ? graph.value(node.outputs[0]).name : node.name;
  label_ = fmt::format("node '{}' ({})", name, info(node.op).name);
  for (const ValueId id : node.inputs)
    input_precisions_.push_back(id == kNone ? Precision::f32 : graph.value(id).precision);
  for (const ValueId id : node.outputs) output_precisions_.push_back(graph.value(id).precision);
}

template <typename F>
void PlainKernel::naming_the_node(const F& f) const {
  try {
    f();
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", label_, error.what()));
  }
}

void PlainKernel::bind(const KernelShapes& shapes) {
  inputs_.assign(shapes.inputs.begin(), shapes.inputs.end());
  outputs_.assign(shapes.outputs.begin(), shapes.outputs.end());
  naming_the_node([&] { plan(); });
}

void PlainKernel::run(const KernelArguments& arguments) {
  naming_the_node([&] { compute(arguments); });
}

std::int64_t PlainKernel::bytes_of_output(std::size_t i) const {
  return interpreter::product(outputs_[i]) *
         static_cast<std::int64_t>(size_of(output_precisions_[i]));
}

std::vector<std::int64_t> PlainKernel::integers(const KernelArguments& arguments,
                                                std::size_t input) const {
  const std::int64_t count = interpreter::product(inputs_[input]);
  if (count == 0) return {};
  const auto read = [&]<typename T>(const T* data) {
    return std::vector<std::int64_t>(data, data + count);
  };
  const void* data = arguments.inputs[input];
  switch (input_precisions_[input]) {
    case Precision::i64: return read(static_cast<const std::int64_t*>(data));
    case Precision::i32: return read(static_cast<const std::int32_t*>(data));
    default:
      interpreter::fail(fmt::format("input {}: expected i64 or i32, given {}", input,
                                    to_string(input_precisions_[input])));
  }
}

}  // namespace burin::host
