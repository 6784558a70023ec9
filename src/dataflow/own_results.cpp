// Each output of the body is made by a node, and stands once among the outputs: a kernel stores
// what it computes.
//
//   graph @g(%x: f32[S]) {
//     %0 = exp %x
//     return %0, %0, %x
//   }
// ->
//     %0 = exp %x
//     %1 = identity %0
//     %2 = identity %x
//     return %0, %1, %2

#include <algorithm>

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"

namespace burin::dataflow {

bool own_results(Graph& graph) {
  bool changed = false;
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    const ValueId result = graph.outputs[i];
    const auto first = graph.outputs.begin(), here = first + static_cast<std::ptrdiff_t>(i);
    if (graph.value(result).producer != kNone && std::find(first, here, result) == here) continue;
    graph.outputs[i] = unary(graph, OpKind::Identity, result);
    changed = true;
  }
  return changed;
}

}  // namespace burin::dataflow
