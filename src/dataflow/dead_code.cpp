// Nodes whose results nobody reads go away.
//
//   %1 = exp %0
//   %2 = neg %0
//   return %2
// ->
//   %2 = neg %0
//   return %2

#include "dataflow/dataflow.h"

namespace burin::dataflow {

bool dead_code(Graph& graph) {
  const std::size_t before = graph.order().size();
  graph.erase_dead_nodes();
  return graph.order().size() != before;
}

}  // namespace burin::dataflow
