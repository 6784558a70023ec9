#include "host/subgraph_kernel.h"

#include <cstring>

#include "burin/graph.h"
#include "host/openmp_executor.h"

namespace burin::host {
namespace {

class SubgraphKernel final : public Kernel {
 public:
  SubgraphKernel(const CompiledSubgraph& compiled, const SymbolValues& symbols, int threads, std::uint64_t& calls)
      : invocation_(compiled.invocation(threads)), symbols_(symbols), threads_(threads), calls_(calls) {}

  void bind(const KernelShapes& shapes) override {
    descs_.resize(shapes.inputs.size());
    for (std::size_t i = 0; i < descs_.size(); ++i) descs_[i].shape = shapes.inputs[i];
    // Lent scratch keeps it from allocating its own; the real one comes with each run.
    invocation_.set_scratch(placeholder_);
    invocation_.rebind(descs_, symbols_);
  }

  std::size_t scratch_bytes() const override { return invocation_.scratch_bytes(); }

  void run(const KernelArguments& arguments) override {
    invocation_.set_scratch({arguments.scratch, invocation_.scratch_bytes()});
    if (threads_ > 1)
      invocation_.run(arguments.inputs, arguments.outputs, openmp_executor());
    else
      invocation_.run(arguments.inputs, arguments.outputs);
    ++calls_;
  }

 private:
  Invocation invocation_;
  const SymbolValues& symbols_;
  int threads_;
  std::uint64_t& calls_;
  std::vector<TensorDesc> descs_;
  alignas(64) inline static std::byte placeholder_[1];
};

class InterpretedSubgraph final : public Kernel {
 public:
  InterpretedSubgraph(const Graph& graph, const Node& node, const SymbolValues& symbols)
      : body_(node.body), symbols_(symbols) {
    for (const ValueId input : node.inputs) precisions_.push_back(graph.value(input).precision);
  }

  bool is_interpreted() const override { return true; }

  void bind(const KernelShapes& shapes) override { dims_.assign(shapes.inputs.begin(), shapes.inputs.end()); }

  void run(const KernelArguments& arguments) override {
    std::vector<Tensor> inputs;
    for (std::size_t i = 0; i < dims_.size(); ++i) {
      inputs.push_back(Tensor::zeros(precisions_[i], dims_[i]));
      if (inputs[i].bytes() > 0) std::memcpy(inputs[i].mutable_data(), arguments.inputs[i], inputs[i].bytes());
    }
    const std::vector<Tensor> results = interpret(*body_, inputs, symbols_);
    for (std::size_t i = 0; i < results.size(); ++i)
      if (results[i].bytes() > 0) std::memcpy(arguments.outputs[i], results[i].data(), results[i].bytes());
  }

 private:
  std::shared_ptr<const Graph> body_;
  const SymbolValues& symbols_;
  std::vector<Precision> precisions_;
  std::vector<Dims> dims_;
};

}  // namespace

std::unique_ptr<Kernel> make_subgraph_kernel(const CompiledSubgraph& compiled, const SymbolValues& symbols, int threads,
                                             std::uint64_t& calls) {
  return std::make_unique<SubgraphKernel>(compiled, symbols, threads, calls);
}

std::unique_ptr<Kernel> make_interpreted_subgraph(const Graph& graph, const Node& node, const SymbolValues& symbols) {
  return std::make_unique<InterpretedSubgraph>(graph, node, symbols);
}

}  // namespace burin::host
