// Nodes that compute the same are computed once; equal constants are one constant.
//
//   %1 = exp %0
//   %2 = exp %0
//   %3 = add %1, %2
// ->
//   %1 = exp %0
//   %3 = add %1, %1

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"

namespace burin::dataflow {
namespace {

/// A small constant in words; large ones are told apart by their memory.
std::string contents(const Tensor& tensor) {
  constexpr std::size_t kSmall = 256;
  std::string key = std::string(to_string(tensor.precision())) + to_string(tensor.dims());
  if (tensor.bytes() <= kSmall) {
    key.append(reinterpret_cast<const char*>(tensor.data()), tensor.bytes());
  } else {
    key += '@' + std::to_string(reinterpret_cast<std::uintptr_t>(tensor.data()));
  }
  return key;
}

std::string contents(const Attribute& attribute) {
  struct Printer {
    std::string operator()(std::int64_t value) const { return "i" + std::to_string(value); }
    std::string operator()(double value) const {
      std::string bytes(sizeof value, '\0');
      std::memcpy(bytes.data(), &value, sizeof value);
      return "d" + bytes;
    }
    std::string operator()(const std::string& value) const { return "s" + value; }
    std::string operator()(const std::vector<std::int64_t>& values) const {
      std::string text = "l";
      for (const std::int64_t value : values) text += std::to_string(value) + ',';
      return text;
    }
    std::string operator()(const Tensor& value) const { return "t" + contents(value); }
  };
  return std::visit(Printer{}, attribute);
}

bool is_commutative(OpKind op) {
  switch (op) {
    case OpKind::Add:
    case OpKind::Mul:
    case OpKind::Min:
    case OpKind::Max:
    case OpKind::And:
    case OpKind::Or:
    case OpKind::Xor:
    case OpKind::Equal: return true;
    default: return false;
  }
}

std::string key_of(const Node& node) {
  std::vector<ValueId> inputs = node.inputs;
  if (is_commutative(node.op)) std::sort(inputs.begin(), inputs.end());
  std::string key = std::to_string(static_cast<int>(node.op)) + '(';
  for (const ValueId input : inputs) key += std::to_string(input) + ',';
  key += ')';
  for (const auto& [name, value] : node.attributes) key += name + '=' + contents(value) + ';';
  return key;
}

bool merge_constants(Graph& graph) {
  std::map<std::string, ValueId> known;
  bool changed = false;
  for (const NodeId id : graph.order()) {
    for (ValueId& input : graph.node(id).inputs) {
      if (input == kNone || !graph.is_constant(input)) continue;
      const ValueId first =
          known.emplace(contents(*graph.value(input).constant), input).first->second;
      changed = changed || first != input;
      input = first;
    }
  }
  return changed;
}

}  // namespace

bool common_subexpressions(Graph& graph) {
  bool changed = merge_constants(graph);
  std::map<std::string, NodeId> known;
  for (const NodeId id : graph.order()) {
    if (graph.node(id).op == OpKind::Subgraph) continue;
    const NodeId first = known.emplace(key_of(graph.node(id)), id).first->second;
    if (first == id) continue;
    for (std::size_t i = 0; i < graph.node(id).outputs.size(); ++i)
      replace(graph, graph.node(id).outputs[i], graph.node(first).outputs[i]);
    changed = true;
  }
  graph.erase_dead_nodes();
  return changed;
}

}  // namespace burin::dataflow
