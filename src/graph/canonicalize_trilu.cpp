#include "graph/canonicalize.h"
#include "graph/positions.h"

namespace burin {
namespace {

/// A Trilu of one number, with its result's shape.
struct Triangle {
  ValueId number;
  ValueId diagonal;  ///< kNone: the main one
  bool upper;
};

std::optional<Triangle> match(const Graph& graph, const Node& node) {
  if (node.op != OpKind::Trilu) return std::nullopt;
  const Node* splat = producer(graph, node.inputs[0]);
  if (splat == nullptr || splat->op != OpKind::Expand) return std::nullopt;
  const Shape& shape = graph.value(node.outputs[0]).shape;
  for (const Expr& e : graph.value(splat->inputs[0]).shape)
    if (e != Expr(1)) return std::nullopt;
  // Batches of the same triangle would have to be repeated again.
  for (std::size_t d = 0; d + 2 < shape.size(); ++d)
    if (shape[d] != Expr(1)) return std::nullopt;
  const ValueId diagonal = node.inputs.size() > 1 ? node.inputs[1] : kNone;
  if (diagonal != kNone && graph.value(diagonal).precision != Precision::i64) return std::nullopt;
  return Triangle{splat->inputs[0], diagonal, node.int_attribute("upper", 1) != 0};
}

}  // namespace

bool triangles_to_comparisons(Graph& graph) {
  const std::set<std::string> bound = bound_symbols(graph);
  Redirects redirects;
  for (const NodeId id : graph.order()) {
    const Node node = graph.node(id);
    const auto triangle = match(graph, node);
    const Shape shape = graph.value(node.outputs[0]).shape;
    if (!triangle || !uses_only(shape, bound)) continue;
    const std::size_t rank = shape.size();
    const OpKind op = triangle->upper ? OpKind::GreaterOrEqual : OpKind::LessOrEqual;
    const ValueId kept = add_comparison_of_positions(graph, op, shape[rank - 2], shape[rank - 1],
                                                     triangle->diagonal, rank);
    const ValueId zero =
        graph.add_constant("", Tensor::scalar(graph.value(triangle->number).precision, 0));
    redirects.add(node.outputs[0],
                  graph.add_op(OpKind::Where, node.name, {kept, triangle->number, zero}));
  }
  return redirects.apply(graph);
}

}  // namespace burin
