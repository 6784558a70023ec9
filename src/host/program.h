#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "burin/graph.h"
#include "host/graph_shapes.h"
#include "host/kernel.h"
#include "support/aligned_memory.h"

namespace burin::host {

/// One operation of a program, and the values that it works on.
struct Step {
  std::unique_ptr<Kernel> kernel;
  std::vector<ValueId> inputs;  ///< kNone: an optional input that is absent
  std::vector<ValueId> outputs;
};

/// All values that the steps and the outputs of a graph need.
std::vector<ValueId> values_in_use(const Graph& graph);

/// A graph as a sequence of steps over one arena of memory.
///
/// When the shapes change, kernels are bound and memory is planned anew: tensors share the arena by their live ranges;
/// an operation works in place where its kernel can and nobody reads the input later. Outputs are computed in the
/// caller's memory.
class Program {
 public:
  /// `graph` and `shapes` (which run() binds) outlive the program.
  Program(const Graph& graph, GraphShapes& shapes, std::vector<Step> steps);

  /// Throws burin::Error that names the tensor or the node.
  std::vector<Tensor> run(const std::vector<Tensor>& inputs);

  std::uint64_t bindings() const { return bindings_; }
  /// For the shapes bound last.
  std::size_t arena_bytes() const { return arena_bytes_; }

 private:
  /// Memory that one or several values share, one after the other.
  struct Buffer {
    std::size_t bytes = 0;
    std::size_t first = 0, last = 0;   ///< steps
    std::ptrdiff_t output = -1;        ///< the output of the graph in whose memory it lies
    std::byte* pointer = nullptr;
  };
  static constexpr std::size_t kNoBuffer = static_cast<std::size_t>(-1);

  void find_roots();
  void find_last_uses();
  void bind(const std::vector<Tensor>& inputs);
  void bind_kernels();
  void assign_buffers();
  std::size_t buffer_to_take_over(std::size_t step) const;
  void lay_outputs();
  void place_buffers();
  std::vector<Tensor> make_outputs();
  void set_pointers(const std::vector<Tensor>& inputs, std::vector<Tensor>& outputs);
  void run_step(std::size_t step);
  std::byte* pointer(ValueId id) const { return id == kNone ? nullptr : pointers_[root_[id]]; }

  const Graph& graph_;
  GraphShapes& shapes_;
  std::vector<Step> steps_;
  std::vector<ValueId> root_;          ///< by value: whose memory it lies in
  std::vector<std::size_t> last_use_;  ///< by root: a step, or steps_.size() for an output

  std::vector<Dims> bound_;            ///< shapes of the inputs bound last
  bool is_bound_ = false;              ///< to these shapes
  std::vector<Buffer> buffers_;
  std::vector<std::size_t> buffer_of_;   ///< by root
  std::vector<std::size_t> scratch_of_;  ///< by step
  std::vector<std::byte*> pointers_;     ///< by root
  std::vector<const void*> step_inputs_;
  std::vector<void*> step_outputs_;
  AlignedMemory arena_;
  std::size_t arena_capacity_ = 0, arena_bytes_ = 0;
  std::uint64_t bindings_ = 0;
};

}  // namespace burin::host
