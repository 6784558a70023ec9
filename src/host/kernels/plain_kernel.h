#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/kernel.h"

namespace burin::host {

/// What the plain C++ kernels share: the shapes that are bound, integer operands, and errors that
/// name the node.
class PlainKernel : public Kernel {
 public:
  PlainKernel(const Graph& graph, const Node& node);

  void bind(const KernelShapes& shapes) final;
  void run(const KernelArguments& arguments) final;

 protected:
  /// Called when shapes are bound. An Error from here or from compute() gets the name of the node.
  virtual void plan() {}
  virtual void compute(const KernelArguments& arguments) = 0;

  const Node& node() const { return node_; }
  bool has_input(std::size_t i) const {
    return i < node_.inputs.size() && node_.inputs[i] != kNone;
  }
  KernelShapes shapes() const { return {inputs_, outputs_}; }
  const Dims& input_dims(std::size_t i) const { return inputs_[i]; }
  const Dims& output_dims(std::size_t i = 0) const { return outputs_[i]; }
  Precision input_precision(std::size_t i) const { return input_precisions_[i]; }
  Precision output_precision(std::size_t i = 0) const { return output_precisions_[i]; }
  std::int64_t bytes_of_output(std::size_t i = 0) const;

  /// The elements of an i64 or i32 input.
  std::vector<std::int64_t> integers(const KernelArguments& arguments, std::size_t input) const;

 private:
  template <typename F>
  void naming_the_node(const F& f) const;

  Node node_;
  std::string label_;
  std::vector<Precision> input_precisions_, output_precisions_;
  std::vector<Dims> inputs_, outputs_;
};

}  // namespace burin::host
