#include "host/kernel.h"

namespace burin::host {

std::unique_ptr<Kernel> make_kernel(const Graph& graph, const Node& node, KernelContext& context) {
  if (auto kernel = make_onednn_kernel(graph, node, context)) return kernel;
  if (auto kernel = make_elementwise_kernel(graph, node)) return kernel;
  if (auto kernel = make_movement_kernel(graph, node)) return kernel;
  if (auto kernel = make_index_kernel(graph, node)) return kernel;
  return make_reference_kernel(graph, node);
}

}  // namespace burin::host
