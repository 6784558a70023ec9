#include "plugin.h"

#include <limits>

namespace {

/// A copy of a tensor with a gap behind each row and another behind each outer dimension. The gaps
/// hold NaN: a kernel that reads them shows it.
struct Strided {
  std::vector<float> memory;
  burin::TensorDesc desc;
};

Strided strided(const burin::Tensor& tensor) {
  constexpr std::int64_t kGap = 3;
  Strided out;
  out.desc.shape = tensor.dims();
  const std::size_t rank = tensor.dims().size();
  out.desc.strides.assign(rank, 1);
  for (std::size_t d = rank; d-- > 1;)
    out.desc.strides[d - 1] = out.desc.strides[d] * tensor.dims()[d] + kGap;
  const std::int64_t size = rank == 0 ? 1 : out.desc.strides[0] * tensor.dims()[0];
  out.memory.assign(static_cast<std::size_t>(size), std::numeric_limits<float>::quiet_NaN());
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    std::int64_t rest = i, position = 0;
    for (std::size_t d = rank; d-- > 0; rest /= tensor.dims()[d])
      position += rest % tensor.dims()[d] * out.desc.strides[d];
    out.memory[static_cast<std::size_t>(position)] = tensor.as<float>()[i];
  }
  return out;
}

}  // namespace

Plugin::Plugin(const burin::Graph& carved) : graph_(carved) {
  for (const burin::NodeId id : carved.order()) {
    const burin::Node& node = carved.node(id);
    if (node.op == burin::OpKind::Subgraph) compiled_.emplace(id, burin::compile(*node.body));
  }
}

std::vector<burin::Tensor> Plugin::run(const std::vector<burin::Tensor>& inputs, int workers,
                                       burin::Executor& executor) const {
  Values values;
  for (std::size_t i = 0; i < inputs.size(); ++i) values[graph_.inputs[i]] = inputs[i];
  for (const burin::NodeId id : graph_.order()) {
    const burin::Node& node = graph_.node(id);
    std::vector<burin::Tensor> operands;
    for (const burin::ValueId v : node.inputs)
      operands.push_back(graph_.is_constant(v) ? *graph_.value(v).constant : values.at(v));
    const auto compiled = compiled_.find(id);
    const std::vector<burin::Tensor> results =
        compiled == compiled_.end() ? run_other(node, operands)
                                    : run_compiled(compiled->second, operands, workers, executor);
    for (std::size_t i = 0; i < results.size(); ++i) values[node.outputs[i]] = results[i];
  }
  std::vector<burin::Tensor> outputs;
  for (const burin::ValueId v : graph_.outputs) outputs.push_back(values.at(v));
  return outputs;
}

std::vector<burin::Tensor> Plugin::run_compiled(const burin::CompiledSubgraph& subgraph,
                                                const std::vector<burin::Tensor>& inputs,
                                                int workers, burin::Executor& executor) {
  std::vector<Strided> copies;
  std::vector<burin::TensorDesc> shapes;
  for (const burin::Tensor& t : inputs) {
    copies.push_back(strided(t));
    shapes.push_back(copies.back().desc);
  }
  std::vector<const void*> in;
  for (const Strided& copy : copies) in.push_back(copy.memory.data());
  burin::Invocation invocation = subgraph.bind(shapes, {}, workers);
  std::vector<burin::Tensor> outputs;
  std::vector<void*> out;
  for (const burin::Dims& dims : invocation.output_shapes()) {
    outputs.push_back(burin::Tensor::zeros(burin::Precision::f32, dims));
    out.push_back(outputs.back().mutable_data());
  }
  invocation.run(in, out, executor);
  return outputs;
}

std::vector<burin::Tensor> Plugin::run_other(const burin::Node& node,
                                             const std::vector<burin::Tensor>& inputs) const {
  burin::GraphBuilder builder("other");
  std::vector<burin::ValueId> operands;
  for (std::size_t i = 0; i < inputs.size(); ++i) operands.push_back(builder.constant(inputs[i]));
  builder.output(builder.op(node.op, operands, node.attributes));
  return burin::interpret(builder.build(), {});
}
