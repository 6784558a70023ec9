#include "dataflow/rewrite.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "burin/error.h"

namespace burin::dataflow {

const Node* made_by(const Graph& graph, ValueId value, OpKind op) {
  if (value == kNone) return nullptr;
  const NodeId producer = graph.value(value).producer;
  if (producer == kNone || graph.node(producer).op != op) return nullptr;
  return &graph.node(producer);
}

std::vector<NodeId> users_of(const Graph& graph, ValueId value) {
  std::vector<NodeId> users;
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    if (!node.erased)
      users.insert(
          users.end(),
          static_cast<std::size_t>(std::count(node.inputs.begin(), node.inputs.end(), value)), id);
  }
  return users;
}

bool used_once(const Graph& graph, ValueId value) {
  return !graph.is_output(value) && users_of(graph, value).size() == 1;
}

NodeId only_user(const Graph& graph, ValueId value) {
  if (graph.is_output(value)) return kNone;
  const std::vector<NodeId> users = users_of(graph, value);
  const bool one = !users.empty() && std::all_of(users.begin(), users.end(), [&](NodeId user) {
    return user == users.front();
  });
  return one ? users.front() : kNone;
}

std::optional<double> scalar(const Graph& graph, ValueId value) {
  if (value == kNone) return std::nullopt;
  const Value& v = graph.value(value);
  if (!v.constant || !v.constant->dims().empty() || !is_float(v.precision)) return std::nullopt;
  return v.constant->at(0);
}

bool has_one_element(const Graph& graph, ValueId value) {
  const Shape& shape = graph.value(value).shape;
  return std::all_of(shape.begin(), shape.end(), [](const Expr& e) { return e == Expr(1); });
}

ValueId add_scalar(Graph& graph, double number, Precision precision) {
  return graph.add_constant("", Tensor::scalar(precision, number));
}

std::optional<WithScalar> with_scalar(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 2) return std::nullopt;
  if (const auto number = scalar(graph, node.inputs[1])) return WithScalar{node.inputs[0], *number};
  if (const auto number = scalar(graph, node.inputs[0])) return WithScalar{node.inputs[1], *number};
  return std::nullopt;
}

ValueId unary(Graph& graph, OpKind op, ValueId x) { return graph.add_op(op, "", {x}); }

ValueId binary(Graph& graph, OpKind op, ValueId a, ValueId b) {
  return graph.add_op(op, "", {a, b});
}

ValueId reduce(Graph& graph, OpKind op, ValueId x, const std::vector<std::int64_t>& axes) {
  return graph.add_op(op, "", {x}, {{"axes", axes}, {"keepdims", std::int64_t{1}}});
}

std::vector<std::int64_t> axes_from(const Graph& graph, ValueId x, std::int64_t first) {
  const auto rank = static_cast<std::int64_t>(graph.value(x).shape.size());
  std::vector<std::int64_t> axes;
  for (std::int64_t axis = first < 0 ? first + rank : first; axis < rank; ++axis)
    axes.push_back(axis);
  return axes;
}

ValueId standardize(Graph& graph, ValueId x, const std::vector<std::int64_t>& axes, double epsilon) {
  const ValueId centred = binary(graph, OpKind::Sub, x, reduce(graph, OpKind::ReduceMean, x, axes));
  const ValueId variance =
      reduce(graph, OpKind::ReduceMean, unary(graph, OpKind::Square, centred), axes);
  const ValueId shifted =
      binary(graph, OpKind::Add, variance, add_scalar(graph, epsilon, graph.value(x).precision));
  return binary(graph, OpKind::Mul, centred, unary(graph, OpKind::Rsqrt, shifted));
}

bool reduces_last(const Graph& graph, const Node& node) {
  const auto last = static_cast<std::int64_t>(graph.value(node.inputs[0]).shape.size()) - 1;
  return node.int_attribute("keepdims", 1) == 1 &&
         node.ints_attribute("axes") == std::vector<std::int64_t>{last};
}

ValueId transpose(Graph& graph, ValueId x, const std::vector<std::int64_t>& perm) {
  return is_identity(perm) ? x : graph.add_op(OpKind::Transpose, "", {x}, {{"perm", perm}});
}

bool is_per_row(const Graph& graph, ValueId value) {
  const Shape& shape = graph.value(value).shape;
  return shape.empty() || shape.back() == Expr(1);
}

void replace(Graph& graph, ValueId from, ValueId to) {
  const Value& old = graph.value(from);
  const Value& now = graph.value(to);
  bool same = old.precision == now.precision && old.shape.size() == now.shape.size();
  for (std::size_t i = 0; same && i < old.shape.size(); ++i)
    same = old.shape[i] == now.shape[i] || graph.facts.proves_equal(old.shape[i], now.shape[i]);
  if (!same)
    throw Error(fmt::format("'{}' {}{} cannot be replaced by a {}{}", old.name,
                            to_string(old.precision), to_string(old.shape),
                            to_string(now.precision), to_string(now.shape)));
  graph.replace_uses(from, to);
}

bool is_identity(const std::vector<std::int64_t>& perm) {
  return perm == identity_perm(perm.size());
}

std::vector<std::int64_t> identity_perm(std::size_t rank) {
  std::vector<std::int64_t> perm(rank);
  std::iota(perm.begin(), perm.end(), 0);
  return perm;
}

std::vector<std::int64_t> compose(const std::vector<std::int64_t>& first,
                                  const std::vector<std::int64_t>& second) {
  std::vector<std::int64_t> perm;
  for (const std::int64_t axis : second) perm.push_back(first[static_cast<std::size_t>(axis)]);
  return perm;
}

}  // namespace burin::dataflow
