// Division by a constant becomes multiplication by its reciprocal: exact for powers of two, else
// within 1.5 ulp. One divided by x becomes a reciprocal.
//
//   %1 = div %0, 8                               %3 = div 1, %2
// ->
//   %1 = mul %0, 0.125                           %3 = reciprocal %2

#include <cmath>
#include <limits>

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"

namespace burin::dataflow {
namespace {

/// The reciprocals of all elements; nothing if one of them is no normal f32.
std::optional<Tensor> reciprocal(const Tensor& tensor) {
  Tensor result = Tensor::zeros(tensor.precision(), tensor.dims());
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    const double r = 1 / tensor.at(i);
    const bool normal = std::abs(r) >= std::numeric_limits<float>::min() &&
                        std::abs(r) <= std::numeric_limits<float>::max();
    if (!normal) return std::nullopt;
    result.set(i, r);
  }
  return result;
}

}  // namespace

bool divide_by_constant_to_multiply(Graph& graph) {
  bool changed = false;
  for (const NodeId id : graph.order()) {
    if (graph.node(id).op != OpKind::Div) continue;
    const ValueId a = graph.node(id).inputs[0], b = graph.node(id).inputs[1];
    const ValueId old = graph.node(id).outputs[0];
    if (!is_float(graph.value(old).precision)) continue;
    if (graph.is_constant(b)) {
      auto factor = reciprocal(*graph.value(b).constant);
      if (!factor) continue;
      const ValueId constant = graph.add_constant("", *std::move(factor));
      replace(graph, old, binary(graph, OpKind::Mul, a, constant));
    } else if (scalar(graph, a) == 1.0) {
      replace(graph, old, unary(graph, OpKind::Reciprocal, b));
    } else {
      continue;
    }
    changed = true;
  }
  graph.erase_dead_nodes();
  return changed;
}

}  // namespace burin::dataflow
