// A factor of attention scores moves to the query side, which has S * D elements where the scores
// have S * S.
//
//   %1 = mul %k, %c                              : f32[B,H,D,S]      %c: one element
//   %2 = brgemm %q, %1                           : f32[B,H,S,S]
//   %3 = mul %2, 0.125                           : f32[B,H,S,S]
// ->
//   %1 = mul %c, 0.125                           : f32[1]
//   %2 = mul %q, %1                              : f32[B,H,S,D]
//   %3 = brgemm %2, %k                           : f32[B,H,S,S]

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"
#include "dataflow/score.h"

namespace burin::dataflow {
namespace {

ValueId factor_of(Graph& graph, const Scaled& scaled) {
  return scaled.divides ? unary(graph, OpKind::Reciprocal, scaled.factor) : scaled.factor;
}

/// The value without its factor, also under a Transpose or Repeat. The factor is kNone if there is
/// none.
struct Stripped {
  ValueId value, factor;
};
Stripped strip(Graph& graph, ValueId value) {
  if (const auto scaled = as_scaled(graph, value))
    return {scaled->value, factor_of(graph, *scaled)};
  const NodeId producer = graph.value(value).producer;
  if (producer == kNone) return {value, kNone};
  const Node node = graph.node(producer);
  if (node.op != OpKind::Transpose && node.op != OpKind::Repeat) return {value, kNone};
  const Stripped inner = strip(graph, node.inputs[0]);
  if (inner.factor == kNone) return {value, kNone};
  return {graph.add_op(node.op, "", {inner.value}, node.attributes), inner.factor};
}

bool fold_key_scale(Graph& graph, NodeId id) {
  const Node brgemm = graph.node(id);
  const Stripped key = strip(graph, brgemm.inputs[1]);
  if (key.factor == kNone) return false;
  const ValueId query = scale(graph, brgemm.inputs[0], key.factor);
  replace(graph, brgemm.outputs[0],
          graph.add_op(OpKind::Brgemm, "", {query, key.value}, brgemm.attributes));
  return true;
}

bool fold_score_scale(Graph& graph, NodeId id) {
  const Node brgemm = graph.node(id);
  const NodeId user = only_user(graph, brgemm.outputs[0]);
  if (user == kNone) return false;
  const ValueId product = graph.node(user).outputs[0];
  const auto scaled = as_scaled(graph, product);
  if (!scaled || scaled->value != brgemm.outputs[0]) return false;
  const ValueId query = scale(graph, brgemm.inputs[0], factor_of(graph, *scaled));
  replace(graph, product,
          graph.add_op(OpKind::Brgemm, "", {query, brgemm.inputs[1]}, brgemm.attributes));
  return true;
}

}  // namespace

bool fold_scale_into_query(Graph& graph) {
  bool changed = false;
  for (NodeId id = 0; id < graph.node_count();
       ++id) {  // those that a step adds are visited in their turn
    if (graph.node(id).erased || graph.node(id).op != OpKind::Brgemm ||
        !makes_scores(graph, graph.node(id)))
      continue;
    if (!fold_key_scale(graph, id) && !fold_score_scale(graph, id)) continue;
    graph.erase_dead_nodes();
    changed = true;
  }
  return changed;
}

}  // namespace burin::dataflow
