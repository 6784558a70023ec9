#include "tokenize/carve.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "graph/canonicalize.h"

namespace burin {
namespace {

constexpr std::int64_t kSmallConstant = 64;
constexpr std::int64_t kLongestVector = 65536;

/// Numbers, and vectors such as a bias; not whole weights or masks.
bool belongs_into_body(const Tensor& constant) {
  if (constant.size() <= kSmallConstant) return true;
  const auto long_dims =
      std::count_if(constant.dims().begin(), constant.dims().end(), [](auto d) { return d != 1; });
  return long_dims == 1 && constant.size() <= kLongestVector;
}

void collect_symbols(const Graph& graph, ValueId id, std::set<std::string>& symbols) {
  for (const Expr& dimension : graph.value(id).shape) symbols.merge(dimension.symbols());
}

}  // namespace

Carver::Carver(Graph& graph, std::string name) : graph_(graph) {
  body_.name = std::move(name);
  body_.facts = graph.facts;
}

ValueId Carver::import(ValueId outside) {
  if (const auto known = imported_.find(outside); known != imported_.end()) return known->second;
  return imported_[outside] = import_anew(outside);
}

ValueId Carver::import_anew(ValueId outside) {
  const Value& value = graph_.value(outside);
  if (value.constant && belongs_into_body(*value.constant))
    return body_.add_constant(value.name, *value.constant);
  if (is_known_integer(graph_, outside)) {
    Value known;
    known.precision = value.precision;
    known.shape = value.shape;
    known.elements = value.elements;
    return body_.add_value(std::move(known));
  }
  if (is_position(graph_, outside)) {
    const Node range = graph_.node(value.producer);
    return clone(range,
                 {import(range.inputs[0]), import(range.inputs[1]), import(range.inputs[2])});
  }
  inputs_.push_back(outside);
  return body_.add_input(unused_name(value.name), value.precision, value.shape);
}

std::string Carver::unused_name(const std::string& name) const {
  const auto taken = [&](const std::string& candidate) {
    return std::any_of(body_.inputs.begin(), body_.inputs.end(),
                       [&](ValueId input) { return body_.value(input).name == candidate; });
  };
  std::string candidate = name;
  for (int n = 2; taken(candidate); ++n) candidate = fmt::format("{}.{}", name, n);
  return candidate;
}

ValueId Carver::import(ValueId outside, const AxisView& view, bool of_its_own) {
  if (!view.is_plain())
    throw Refusal{fmt::format("'{}' is no plain view", graph_.value(outside).name)};
  const ValueId source = view.is_split() ? reshape_outside(outside, view.source()) : outside;
  ValueId value = of_its_own ? import_anew(source) : import(source);

  // The axes of the source that each dimension keeps: one at most.
  constexpr std::size_t none = AxisView::Axis::kRepeated;
  std::vector<std::size_t> kept;
  for (const AxisView::Group& group : view.groups()) {
    std::size_t axis = none;
    for (const AxisView::Axis& candidate : group)
      if (!candidate.is_repeated() && (axis == none || candidate.size != Expr(1)))
        axis = candidate.source;
    const bool repeats = !group.empty() && group.back().is_repeated();
    if (repeats && axis != none && view.source()[axis] != Expr(1)) {
      const auto times = group.back().size.as_constant();
      if (!times)
        throw Refusal{fmt::format("'{}' is repeated {} times, which is no number",
                                  graph_.value(outside).name, group.back().size.to_string())};
      value = body_.add_op(OpKind::Repeat, "", {value},
                           {{"axis", static_cast<std::int64_t>(axis)}, {"times", *times}});
    }
    kept.push_back(axis);
  }

  std::vector<std::int64_t> dropped;
  std::vector<std::size_t> place(view.source().size(), none);  // of an axis behind the Squeeze
  for (std::size_t axis = 0, next = 0; axis < view.source().size(); ++axis) {
    if (std::find(kept.begin(), kept.end(), axis) == kept.end()) {
      if (view.source()[axis] != Expr(1)) throw Refusal{"a view leaves out an axis"};
      dropped.push_back(static_cast<std::int64_t>(axis));
    } else {
      place[axis] = next++;
    }
  }
  if (!dropped.empty()) value = body_.add_op(OpKind::Squeeze, "", {value}, {{"axes", dropped}});

  std::vector<std::int64_t> perm, added;
  for (std::size_t d = 0; d < kept.size(); ++d) {
    if (kept[d] == none) {
      added.push_back(static_cast<std::int64_t>(d));
    } else {
      perm.push_back(static_cast<std::int64_t>(place[kept[d]]));
    }
  }
  if (!std::is_sorted(perm.begin(), perm.end()))
    value = body_.add_op(OpKind::Transpose, "", {value}, {{"perm", perm}});
  if (!added.empty()) value = body_.add_op(OpKind::Unsqueeze, "", {value}, {{"axes", added}});
  return value;
}

ValueId Carver::import_rows(ValueId outside) {
  const Shape& shape = graph_.value(outside).shape;
  if (shape.size() == 2) return import(outside);
  Expr rows = 1;
  for (std::size_t d = 0; d + 1 < shape.size(); ++d) rows *= shape[d];
  return import(reshape_outside(outside, {rows, shape.back()}));
}

ValueId Carver::clone(const Node& node, std::vector<ValueId> inputs) {
  return body_.add_op(node.op, node.name, std::move(inputs), node.attributes);
}

ValueId Carver::reshape_outside(ValueId value, const Shape& to) {
  if (!uses_only(to, bound_symbols(graph_)))
    throw Refusal{fmt::format(
        "'{}' would have to be reshaped to {}, which the model's inputs do not determine",
        graph_.value(value).name, to_string(to))};
  return add_reshape(graph_, value, to, graph_.value(value).name);
}

NodeId Carver::finish(const std::vector<std::pair<ValueId, ValueId>>& results) {
  for (const auto& [outside, inside] : results) {
    body_.outputs.push_back(inside);
    if (body_.value(inside).name.empty()) body_.value(inside).name = graph_.value(outside).name;
  }
  body_.erase_dead_nodes();
  keep_facts_in_use();
  const std::string name = body_.name;
  const NodeId node =
      graph_.add_subgraph(name, inputs_, std::make_shared<const Graph>(std::move(body_)));
  for (std::size_t i = 0; i < results.size(); ++i) {
    const ValueId old = results[i].first;
    ValueId now = graph_.node(node).outputs[i];
    if (!same_dimensions(graph_.value(old).shape, graph_.value(now).shape, graph_.facts)) {
      graph_.value(now).name = graph_.value(old).name + ".carved";
      now = reshape_outside(now, graph_.value(old).shape);
    }
    graph_.value(now).name = graph_.value(old).name;
    graph_.replace_uses(old, now);
  }
  graph_.erase_dead_nodes();
  return node;
}

/// A body's shapes need few of the facts around it.
void Carver::keep_facts_in_use() {
  std::set<std::string> symbols;
  for (const ValueId input : body_.inputs) collect_symbols(body_, input, symbols);
  for (const NodeId node : body_.order())
    for (const ValueId output : body_.node(node).outputs) collect_symbols(body_, output, symbols);
  Facts facts;
  for (const Facts::Check& check : body_.facts.checks()) {
    if (uses_only({check.left, check.right}, symbols)) facts.assume(check);
  }
  body_.facts = std::move(facts);
}

bool same_dimensions(const Shape& a, const Shape& b, const Facts& facts) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [&](const Expr& x, const Expr& y) {
           return x == y || facts.proves_equal(x, y);
         });
}

bool is_known_integer(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  return value.producer == kNone && !value.constant && value.elements &&
         !is_float(value.precision) &&
         std::find(graph.inputs.begin(), graph.inputs.end(), id) == graph.inputs.end();
}

bool is_position(const Graph& graph, ValueId value) {
  const Node* node = producer(graph, value);
  return node != nullptr && node->op == OpKind::Range && !is_float(graph.value(value).precision) &&
         std::all_of(node->inputs.begin(), node->inputs.end(), [&](ValueId input) {
           return graph.is_constant(input) || is_known_integer(graph, input);
         });
}

bool has_one_element(const Graph& graph, ValueId value) {
  const Shape& shape = graph.value(value).shape;
  return std::all_of(shape.begin(), shape.end(), [](const Expr& e) { return e == Expr(1); });
}

std::string name_of(const Graph& graph, NodeId node) {
  const Node& n = graph.node(node);
  return n.name.empty() ? fmt::format("{}#{}", info(n.op).name, node) : n.name;
}

std::vector<std::string> names_of_erased(const Graph& graph, const std::vector<NodeId>& nodes) {
  std::vector<std::string> names;
  for (const NodeId node : nodes)
    if (graph.node(node).erased) names.push_back(name_of(graph, node));
  return names;
}

}  // namespace burin
