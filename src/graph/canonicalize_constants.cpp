#include <algorithm>
#include <cstdint>
#include <utility>

#include "burin/error.h"
#include "graph/canonicalize.h"
#include "graph/interpreter.h"

namespace burin {
namespace {

constexpr std::int64_t kMaxFoldedBytes = std::int64_t{64} << 20;
/// A splat with more elements than this stays one.
constexpr std::int64_t kMaxDenseSplat = 1024;

std::optional<std::int64_t> constant_size(const Value& value) {
  const auto dims = constant_dims(value.shape);
  if (!dims) return std::nullopt;
  try {
    return element_count(*dims, value.name);
  } catch (const Error&) {  // overflow: it is not known, but certainly too large
    return std::nullopt;
  }
}

class Folder {
 public:
  explicit Folder(Graph& graph) : graph_(graph) {}

  bool run() {
    bool changed = false;
    for (const NodeId id : graph_.order()) changed |= fold(id);
    return changed;
  }

 private:
  /// All inputs are known, and the results are neither too large nor a large splat.
  bool is_foldable(const Node& node) const {
    if (node.op == OpKind::Subgraph || node.inputs.empty()) return false;
    std::int64_t given = 0;
    for (const ValueId input : node.inputs) {
      if (input == kNone) continue;
      if (!is_known(input)) return false;
      const Value& value = graph_.value(input);
      if (value.constant) given += static_cast<std::int64_t>(value.constant->bytes());
    }
    std::int64_t made = 0;
    for (const ValueId output : node.outputs) {
      const Value& value = graph_.value(output);
      const auto size = constant_size(value);
      if (!size || *size > std::max(kMaxFoldedBytes, given)) return false;
      if (node.op == OpKind::Expand && *size > kMaxDenseSplat) return false;
      made += *size * static_cast<std::int64_t>(size_of(value.precision));
    }
    return made <= std::max(kMaxFoldedBytes, given);
  }

  /// A constant, or a splat of constants that was left as it is.
  bool is_known(ValueId id) const {
    if (graph_.is_constant(id)) return true;
    const Node* node = producer(graph_, id);
    if (node == nullptr || node->op != OpKind::Expand) return false;
    const auto size = constant_size(graph_.value(id));
    return size && *size <= kMaxFoldedBytes &&
           std::all_of(node->inputs.begin(), node->inputs.end(),
                       [&](ValueId input) { return graph_.is_constant(input); });
  }

  PlainTensor known(ValueId id) const {
    if (id == kNone) return {};
    if (graph_.is_constant(id)) return PlainTensor(*graph_.value(id).constant);
    return evaluate(*producer(graph_, id)).front();
  }

  std::vector<PlainTensor> evaluate(const Node& node) const {
    std::vector<PlainTensor> inputs;
    for (const ValueId input : node.inputs) inputs.push_back(known(input));
    return evaluate_node(graph_, node, inputs);
  }

  bool fold(NodeId id) {
    const Node& node = graph_.node(id);
    if (!is_foldable(node)) return false;
    std::vector<PlainTensor> results;
    try {
      results = evaluate(node);
    } catch (const Error&) {
      return false;  // an index out of range, say: left for whoever runs the model
    }
    const std::vector<ValueId> outputs = node.outputs;
    for (std::size_t i = 0; i < outputs.size(); ++i) make_constant(outputs[i], results[i]);
    graph_.erase_node(id);
    return true;
  }

  /// In place: those behind see a constant at once, an output of the graph keeps its name.
  void make_constant(ValueId id, const PlainTensor& contents) {
    Value& value = graph_.value(id);
    Graph scratch;  // knows what a constant looks like
    value = scratch.value(scratch.add_constant(value.name, contents.to_tensor(value.precision)));
  }

  Graph& graph_;
};

}  // namespace

bool states_whole_shape(const Graph& graph, const Node& node) {
  const auto& elements = graph.value(node.inputs[1]).elements;
  if (elements != graph.value(node.outputs[0]).shape) return false;
  return node.op == OpKind::Expand || node.int_attribute("allowzero", 0) != 0 ||
         std::all_of(elements->begin(), elements->end(),
                     [](const Expr& e) { return e.is_constant() && e != Expr(0); });
}

bool fold_constants(Graph& graph) { return Folder(graph).run(); }

bool resolve_known_integers(Graph& graph) {
  const std::set<std::string> bound = bound_symbols(graph);
  const auto users = graph.users();
  Redirects redirects;
  const auto count = static_cast<ValueId>(graph.value_count());
  for (ValueId id = 0; id < count; ++id) {
    const Value& value = graph.value(id);
    if (value.producer == kNone || users[id].empty() || !value.elements) continue;
    if (!uses_only(*value.elements, bound)) continue;
    const std::vector<Expr> elements = *value.elements;
    redirects.add(id, add_known_integers(graph, std::string(value.name), value.precision, elements,
                                         value.shape.empty()));
  }
  return redirects.apply(graph);
}

bool spell_out_shapes(Graph& graph) {
  const std::set<std::string> bound = bound_symbols(graph);
  bool changed = false;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.op != OpKind::Reshape && node.op != OpKind::Expand) continue;
    const Shape shape = graph.value(node.outputs[0]).shape;
    if (states_whole_shape(graph, node) || !uses_only(shape, bound)) continue;
    const std::string name = node.name + ".shape";
    const ValueId spelled = graph.value(node.inputs[1]).elements == shape
                                ? node.inputs[1]
                                : add_known_integers(graph, name, Precision::i64, shape, false);
    Node& changing = graph.node(id);
    changing.inputs[1] = spelled;
    // A dimension that turns out to be 0 is no wish to copy one.
    if (changing.op == OpKind::Reshape) changing.attributes["allowzero"] = std::int64_t{1};
    changed = true;
  }
  return changed;
}

}  // namespace burin
