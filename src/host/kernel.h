#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "burin/graph.h"

namespace burin::host {

class OneDnn;

/// The dimensions of one binding, in the order of the node's inputs and outputs; empty for an
/// optional input that is absent.
struct KernelShapes {
  std::span<const Dims> inputs;
  std::span<const Dims> outputs;
};

/// The memory of one run, in the same order; tensors are dense and row-major. Null for an absent
/// input.
struct KernelArguments {
  std::span<const void* const> inputs;
  std::span<void* const> outputs;
  std::byte* scratch = nullptr;  ///< scratch_bytes() of them, aligned to 64 bytes
};

/// A stand-alone operation of a model: made once for a node, bound to shapes whenever they change,
/// then run any number of times. Not thread-safe.
class Kernel {
 public:
  virtual ~Kernel() = default;
  /// All that can be done before the contents are known. Throws burin::Error.
  virtual void bind(const KernelShapes& shapes) = 0;
  /// For the shapes that are bound.
  virtual std::size_t scratch_bytes() const { return 0; }
  /// Tensors of zero elements come as any pointer.
  virtual void run(const KernelArguments& arguments) = 0;
  /// Output 0 may lie where this input lies, if both have the same size: an element is read before
  /// it is written, and never again.
  virtual bool works_in_place(std::size_t /*input*/) const { return false; }
  /// The reference interpreter computes it: slow.
  virtual bool is_interpreted() const { return false; }
};

/// What kernels share.
struct KernelContext {
  OneDnn& onednn;
  int threads = 1;
};

/// The kernel of a node: on oneDNN where it has the operation, else plain C++, else (rare
/// operations, rare types) the reference interpreter. Values that the graph knows as constants may
/// be taken from there. Subgraph nodes are not for here.
std::unique_ptr<Kernel> make_kernel(const Graph& graph, const Node& node, KernelContext& context);

// One function a family, each in the file of its name under kernels/; null where it has nothing for
// the node.
std::unique_ptr<Kernel> make_onednn_kernel(const Graph& graph, const Node& node,
                                           KernelContext& context);
std::unique_ptr<Kernel> make_movement_kernel(const Graph& graph, const Node& node);
std::unique_ptr<Kernel> make_index_kernel(const Graph& graph, const Node& node);
std::unique_ptr<Kernel> make_elementwise_kernel(const Graph& graph, const Node& node);
std::unique_ptr<Kernel> make_reference_kernel(const Graph& graph, const Node& node);

}  // namespace burin::host
