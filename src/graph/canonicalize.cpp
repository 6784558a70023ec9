#include "graph/canonicalize.h"

#include <algorithm>

#include <fmt/format.h>

#include "burin/error.h"

namespace burin {
namespace {

bool erase_dead(Graph& graph) {
  graph.erase_dead_nodes();
  return false;  // nothing that another pass could use
}

bool infer_again(Graph& graph) {
  for (const NodeId id : graph.order()) infer(graph, id);
  return false;
}

/// Frees the constants that nobody reads any more.
void drop_unread_constants(Graph& graph) {
  const auto users = graph.users();
  for (ValueId id = 0; id < graph.value_count(); ++id)
    if (users[id].empty() && !graph.is_output(id)) graph.value(id).constant.reset();
}

/// Drops facts over made-up symbols that nothing is measured in any more: nobody could check them.
void drop_stale_facts(Graph& graph) {
  std::set<std::string> alive = bound_symbols(graph);
  const auto collect = [&](const std::vector<Expr>& expressions) {
    for (const Expr& e : expressions) alive.merge(e.symbols());
  };
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    const Value& value = graph.value(id);
    if (value.producer != kNone && graph.node(value.producer).erased) continue;
    collect(value.shape);
    if (value.elements) collect(*value.elements);
  }
  Facts facts;
  for (const Facts::Check& check : graph.facts.checks()) {
    if (uses_only({check.left, check.right}, alive)) facts.assume(check);
  }
  graph.facts = std::move(facts);
}

}  // namespace

const PassPipeline<Graph>& canonicalization() {
  static const PassPipeline<Graph> pipeline = [] {
    PassPipeline<Graph> p("canonicalize", &print, &verify);
    p.add(
        {"resolve_known_integers", "shape arithmetic becomes expressions", resolve_known_integers});
    p.add({"spell_out_shapes", "target shapes without 0 and -1", spell_out_shapes});
    p.add({"remove_identities", "nodes that give what they take", remove_identities});
    p.add({"merge_movements", "Reshape, Transpose, Expand behind their like", merge_movements});
    p.add({"find_transposes", "Transpose of merged dimensions", find_transposes});
    p.add({"splats_to_expands", "ConstantOfShape as Expand", splats_to_expands});
    p.add({"triangles_to_comparisons", "Trilu of a splat compares positions",
           triangles_to_comparisons});
    p.add({"decide_comparisons", "comparisons that are always true or false", decide_comparisons});
    p.add({"sink_expands", "element-wise operations before Expand", sink_expands});
    p.add({"fold_constants", "nodes over constants", fold_constants});
    p.add({"merge_equal", "common subexpressions", merge_equal});
    p.add({"erase_dead", "nodes that nobody reads", erase_dead, true});
    p.add({"infer_again", "what the changes made known", infer_again, true});
    return p;
  }();
  return pipeline;
}

void canonicalize(Graph& graph) {
  // Each round removes nodes or brings an Expand nearer to the end, so it comes to rest by itself;
  // the bound is against a mistake in a pass.
  constexpr int kMaxRounds = 100;
  PassOptions options;
#ifdef NDEBUG
  options.verify = false;
#endif
  for (int round = 0; round < kMaxRounds; ++round) {
    const auto timings = canonicalization().run(graph, options);
    if (std::none_of(timings.begin(), timings.end(), [](const auto& t) { return t.changed; }))
      break;
  }
  drop_unread_constants(graph);
  drop_stale_facts(graph);
  verify(graph);
}

bool Redirects::apply(Graph& graph) const {
  bool changed = false;
  const auto redirect = [&](ValueId& id) {
    if (!targets_.contains(id)) return;
    id = target(id);
    changed = true;
  };
  for (NodeId id = 0; id < graph.node_count(); ++id)
    if (!graph.node(id).erased)
      for (ValueId& input : graph.node(id).inputs) redirect(input);
  for (ValueId& output : graph.outputs) {
    if (!targets_.contains(output)) continue;
    const ValueId to = target(output);
    if (graph.value(to).producer == kNone || graph.is_output(to)) continue;
    graph.value(to).name = graph.value(output).name;
    const ValueId from = output;  // the graph may give it out more than once
    std::replace(graph.outputs.begin(), graph.outputs.end(), from, to);
    changed = true;
  }
  return changed;
}

ValueId Redirects::target(ValueId id) const {
  for (auto found = targets_.find(id); found != targets_.end(); found = targets_.find(id))
    id = found->second;
  return id;
}

std::set<std::string> bound_symbols(const Graph& graph) {
  std::set<std::string> symbols;
  for (const ValueId input : graph.inputs)
    for (const Expr& dimension : graph.value(input).shape)
      if (const auto symbol = dimension.as_symbol()) symbols.insert(*symbol);
  return symbols;
}

bool uses_only(const std::vector<Expr>& expressions, const std::set<std::string>& symbols) {
  return std::all_of(expressions.begin(), expressions.end(), [&](const Expr& e) {
    const std::set<std::string> used = e.symbols();
    return std::includes(symbols.begin(), symbols.end(), used.begin(), used.end());
  });
}

std::optional<Dims> constant_dims(const Shape& shape) {
  Dims dims;
  for (const Expr& dimension : shape) {
    const auto size = dimension.as_constant();
    if (!size) return std::nullopt;
    dims.push_back(*size);
  }
  return dims;
}

ValueId add_known_integers(Graph& graph, const std::string& name, Precision precision,
                           const std::vector<Expr>& elements, bool is_scalar) {
  const auto count = static_cast<std::int64_t>(elements.size());
  if (const auto numbers = constant_dims(elements)) {
    Tensor tensor = Tensor::zeros(precision, is_scalar ? Dims{} : Dims{count});
    for (std::int64_t i = 0; i < count; ++i)
      tensor.set_int(i, (*numbers)[static_cast<std::size_t>(i)]);
    return graph.add_constant(name, std::move(tensor));
  }
  Value value;
  value.name = name;
  value.precision = precision;
  if (!is_scalar) value.shape = {Expr(count)};
  value.elements = elements;
  return graph.add_value(std::move(value));
}

ValueId add_reshape(Graph& graph, ValueId x, const Shape& to,
                    const std::optional<std::string>& name) {
  const auto part = [&](const char* suffix) { return name ? *name + suffix : std::string(); };
  const ValueId shape = add_known_integers(graph, part(".shape"), Precision::i64, to, false);
  return graph.add_op(OpKind::Reshape, part(".reshape"), {x, shape}, {{"allowzero", std::int64_t{1}}});
}

bool only_renames(OpKind op) {
  switch (op) {
    case OpKind::Reshape:
    case OpKind::Squeeze:
    case OpKind::Unsqueeze:
    case OpKind::Flatten:
    case OpKind::Identity: return true;
    default: return false;
  }
}

const Node* producer(const Graph& graph, ValueId id) {
  if (id == kNone || graph.value(id).producer == kNone) return nullptr;
  return &graph.node(graph.value(id).producer);
}

}  // namespace burin
