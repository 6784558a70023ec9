// What no other family has: rare operations and types, in double precision. Slow, but never wrong.

#include <cstring>

#include <fmt/format.h>

#include "graph/interpreter.h"
#include "graph/interpreter_ops.h"
#include "host/kernels/plain_kernel.h"

namespace burin::host {
namespace {

/// A graph of nothing but the values of one node, so that a kernel outlives the graph it was made
/// from.
class NodeAlone {
 public:
  NodeAlone(const Graph& graph, const Node& node) : node_(node) {
    for (ValueId& id : node_.inputs) id = copy(graph, id);
    for (ValueId& id : node_.outputs) id = copy(graph, id);
  }
  const Graph& graph() const { return graph_; }
  const Node& node() const { return node_; }

 private:
  ValueId copy(const Graph& graph, ValueId id) {
    if (id == kNone) return kNone;
    Value value;
    value.name = graph.value(id).name;
    value.precision = graph.value(id).precision;
    return graph_.add_value(std::move(value));
  }

  Graph graph_;
  Node node_;
};

/// A tensor over memory that someone else keeps.
Tensor borrowed(Precision precision, const Dims& dims, const void* data) {
  static const std::byte nothing{};  // an empty tensor may come without memory
  const auto* bytes = data != nullptr ? static_cast<const std::byte*>(data) : &nothing;
  const auto count = static_cast<std::size_t>(interpreter::product(dims));
  return {precision, dims, std::shared_ptr<const std::byte>(std::shared_ptr<void>(), bytes),
          count * size_of(precision)};
}

class ReferenceKernel final : public Kernel {
 public:
  bool is_interpreted() const override { return true; }

  ReferenceKernel(const Graph& graph, const Node& node) : alone_(graph, node) {}

  void bind(const KernelShapes& shapes) override {
    inputs_.assign(shapes.inputs.begin(), shapes.inputs.end());
    outputs_.assign(shapes.outputs.begin(), shapes.outputs.end());
  }

  void run(const KernelArguments& arguments) override {
    const Node& node = alone_.node();
    std::vector<PlainTensor> inputs(node.inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (node.inputs[i] != kNone)
        inputs[i] =
            PlainTensor(borrowed(precision(node.inputs[i]), inputs_[i], arguments.inputs[i]));
    const std::vector<PlainTensor> results = evaluate_node(alone_.graph(), node, inputs);
    for (std::size_t i = 0; i < results.size(); ++i)
      store(i, results[i].to_tensor(precision(node.outputs[i])), arguments.outputs[i]);
  }

 private:
  Precision precision(ValueId id) const { return alone_.graph().value(id).precision; }

  void store(std::size_t output, const Tensor& result, void* to) const {
    if (result.dims() != outputs_[output])
      interpreter::fail(fmt::format("output '{}': expected dimensions {}, computed {}",
                                    alone_.graph().value(alone_.node().outputs[output]).name,
                                    to_string(outputs_[output]), to_string(result.dims())));
    if (result.bytes() > 0) std::memcpy(to, result.data(), result.bytes());
  }

  NodeAlone alone_;
  std::vector<Dims> inputs_, outputs_;
};

}  // namespace

std::unique_ptr<Kernel> make_reference_kernel(const Graph& graph, const Node& node) {
  return std::make_unique<ReferenceKernel>(graph, node);
}

}  // namespace burin::host
