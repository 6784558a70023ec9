#include "graph/canonicalize.h"

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

/// The positions along a dimension, as a tensor of `rank` dimensions of which the others are 1.
ValueId positions(Graph& graph, const Expr& length, std::size_t dimension, std::size_t rank) {
  const auto integer = [&](const Expr& e) {
    return add_known_integers(graph, "", Precision::i64, {e}, true);
  };
  const ValueId range = graph.add_op(OpKind::Range, "", {integer(0), integer(length), integer(1)});
  std::vector<std::int64_t> axes;
  for (std::size_t d = 0; d < rank; ++d)
    if (d != dimension) axes.push_back(static_cast<std::int64_t>(d));
  return graph.add_op(OpKind::Unsqueeze, "", {range}, {{"axes", axes}});
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
    ValueId row = positions(graph, shape[rank - 2], rank - 2, rank);
    const ValueId column = positions(graph, shape[rank - 1], rank - 1, rank);
    if (triangle->diagonal != kNone) row = graph.add_op(OpKind::Add, "", {row, triangle->diagonal});
    const ValueId kept = graph.add_op(
        triangle->upper ? OpKind::GreaterOrEqual : OpKind::LessOrEqual, "", {column, row});
    const ValueId zero =
        graph.add_constant("", Tensor::scalar(graph.value(triangle->number).precision, 0));
    redirects.add(node.outputs[0],
                  graph.add_op(OpKind::Where, node.name, {kept, triangle->number, zero}));
  }
  return redirects.apply(graph);
}

}  // namespace burin
