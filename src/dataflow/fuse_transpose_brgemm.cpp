// Transposes around a Brgemm become permutations of its ports, which cost nothing: a port has
// strides.
//
//   %1 = transpose %q, perm=[0,2,1,3]            : f32[B,12,S,64]
//   %2 = mul %1, 0.125                           : f32[B,12,S,64]
//   %3 = transpose %k, perm=[0,2,3,1]            : f32[B,12,64,S]
//   %4 = brgemm %2, %3                           : f32[B,12,S,S]
// ->
//   %1 = mul %q, 0.125                           : f32[B,S,12,64]
//   %4 = brgemm %1, %k, perm_a=[0,2,1,3], perm_b=[0,2,3,1]
//
// A Transpose moves behind element-wise operations whose other operands have one element, and
// behind a Repeat; a Transpose of the result moves in front of them.

#include <utility>
#include <vector>

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"

namespace burin::dataflow {
namespace {

using Permutation = std::vector<std::int64_t>;

/// The one input of an element-wise node that has more than one element; nothing if there are more.
std::optional<std::size_t> only_tensor_input(const Graph& graph, const Node& node) {
  if (!is_elementwise(node.op)) return std::nullopt;
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i] == kNone || has_one_element(graph, node.inputs[i])) continue;
    if (found ||
        graph.value(node.inputs[i]).shape.size() != graph.value(node.outputs[0]).shape.size())
      return std::nullopt;
    found = i;
  }
  return found;
}

/// The value is transpose(source, perm). What stands in between is made anew on the other side.
struct Peeled {
  ValueId source;
  Permutation perm;
};
std::optional<Peeled> peel(Graph& graph, ValueId value) {
  const NodeId producer = graph.value(value).producer;
  if (producer == kNone) return std::nullopt;
  Node node = graph.node(producer);
  if (node.op == OpKind::Transpose) {
    const Permutation perm = node.ints_attribute("perm");
    if (const auto inner = peel(graph, node.inputs[0]))
      return Peeled{inner->source, compose(inner->perm, perm)};
    return Peeled{node.inputs[0], perm};
  }
  const bool is_repeat = node.op == OpKind::Repeat;
  const auto input = is_repeat ? std::optional<std::size_t>(0) : only_tensor_input(graph, node);
  if (!input || !used_once(graph, value)) return std::nullopt;
  const auto inner = peel(graph, node.inputs[*input]);
  if (!inner) return std::nullopt;
  node.inputs[*input] = inner->source;
  if (is_repeat)
    node.attributes["axis"] = inner->perm[static_cast<std::size_t>(node.int_attribute("axis", 0))];
  return Peeled{graph.add_op(node.op, "", node.inputs, node.attributes), inner->perm};
}

Permutation permutation(const Node& brgemm, std::string_view key, std::size_t rank) {
  const Permutation perm = brgemm.ints_attribute(key);
  return perm.empty() ? identity_perm(rank) : perm;
}

void set_permutation(Attributes& attributes, const std::string& key, const Permutation& perm) {
  if (is_identity(perm)) {
    attributes.erase(key);
  } else {
    attributes[key] = perm;
  }
}

bool fuse_operands(Graph& graph, NodeId id) {
  Node brgemm = graph.node(id);
  bool changed = false;
  for (const std::size_t i : {0U, 1U}) {
    const auto peeled = peel(graph, brgemm.inputs[i]);
    if (!peeled) continue;
    const char* key = i == 0 ? "perm_a" : "perm_b";
    set_permutation(brgemm.attributes, key,
                    compose(peeled->perm, permutation(brgemm, key, peeled->perm.size())));
    brgemm.inputs[i] = peeled->source;
    changed = true;
  }
  if (changed)
    replace(graph, brgemm.outputs[0],
            graph.add_op(OpKind::Brgemm, "", brgemm.inputs, brgemm.attributes));
  return changed;
}

bool fuse_result(Graph& graph, NodeId id) {
  const Node brgemm = graph.node(id);
  std::vector<std::pair<Node, std::size_t>> between;  // with the input that the way comes in by
  ValueId value = brgemm.outputs[0];
  for (;;) {
    const NodeId user = only_user(graph, value);
    if (user == kNone) return false;
    const Node& node = graph.node(user);
    if (node.op == OpKind::Transpose) break;
    const auto input = only_tensor_input(graph, node);
    if (!input || !used_once(graph, value)) return false;
    between.emplace_back(node, *input);
    value = node.outputs[0];
  }
  const Node transpose = graph.node(only_user(graph, value));
  const std::size_t rank = graph.value(value).shape.size();
  Attributes attributes = brgemm.attributes;
  set_permutation(attributes, "perm_out",
                  compose(permutation(brgemm, "perm_out", rank), transpose.ints_attribute("perm")));
  ValueId result = graph.add_op(OpKind::Brgemm, "", brgemm.inputs, attributes);
  for (auto& [node, input] : between) {
    node.inputs[input] = result;
    result = graph.add_op(node.op, "", node.inputs, node.attributes);
  }
  replace(graph, transpose.outputs[0], result);
  return true;
}

}  // namespace

bool fuse_transpose_brgemm(Graph& graph) {
  bool changed = false;
  for (NodeId id = 0; id < graph.node_count();
       ++id) {  // those that a step adds are visited in their turn
    if (graph.node(id).erased || graph.node(id).op != OpKind::Brgemm) continue;
    if (!fuse_operands(graph, id) && !fuse_result(graph, id)) continue;
    graph.erase_dead_nodes();
    changed = true;
  }
  return changed;
}

}  // namespace burin::dataflow
