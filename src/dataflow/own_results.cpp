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
#include "graph/pieces.h"

namespace burin::dataflow {
namespace {

/// By a node of its own: what puts pieces together computes nothing.
ValueId made_again(Graph& graph, ValueId value) {
  const Node node = graph.node(graph.value(value).producer);
  return graph.add_op(node.op, node.name, node.inputs, node.attributes);
}

}  // namespace

bool own_results(Graph& graph) {
  bool changed = false;
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    const ValueId result = graph.outputs[i];
    const auto first = graph.outputs.begin(), here = first + static_cast<std::ptrdiff_t>(i);
    if (graph.value(result).producer != kNone && std::find(first, here, result) == here) continue;
    graph.outputs[i] = is_put_together(graph, result) ? made_again(graph, result) : unary(graph, OpKind::Identity, result);
    changed = true;
  }
  return changed;
}

}  // namespace burin::dataflow
