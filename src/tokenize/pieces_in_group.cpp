#include "tokenize/pieces_in_group.h"

#include <algorithm>
#include <set>
#include <vector>

#include <fmt/format.h>

#include "burin/error.h"
#include "dataflow/dataflow.h"
#include "graph/axes.h"
#include "graph/canonicalize.h"
#include "graph/pieces.h"

namespace burin {
namespace {

bool equal(const Graph& graph, const Expr& a, const Expr& b) { return a == b || graph.facts.proves_equal(a, b); }

bool same_shape(const Graph& graph, const Shape& a, const Shape& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](const Expr& x, const Expr& y) { return equal(graph, x, y); });
}

/// The one range of a Slice along the last axis.
std::optional<PieceRange> range_of_last(const Graph& graph, const Node& slice) {
  const auto rank = graph.value(slice.inputs[0]).shape.size();
  try {
    const std::vector<PieceRange> ranges = ranges_of_slice(graph, slice);
    if (ranges.size() == 1 && ranges[0].axis + 1 == rank) return ranges[0];
  } catch (const Error&) {  // bounds that nobody knows
  }
  return std::nullopt;
}

/// One of several Slices of a value that have the same size and together take all of its last dimension.
bool is_slice_of_equals(const Graph& graph, const Node& slice, const std::vector<std::vector<NodeId>>& users) {
  const auto own = range_of_last(graph, slice);
  if (!own) return false;
  Expr taken = 0;
  std::vector<Expr> starts;
  for (const NodeId id : users[slice.inputs[0]]) {
    const Node& other = graph.node(id);
    if (other.op != OpKind::Slice) continue;
    const auto range = range_of_last(graph, other);
    if (!range || range->step != own->step || !equal(graph, range->length, own->length)) return false;
    if (std::find(starts.begin(), starts.end(), range->start) != starts.end()) continue;
    starts.push_back(range->start);
    taken += range->length;
  }
  return equal(graph, taken, graph.value(slice.inputs[0]).shape.back());
}

bool is_split_of_equals(const Graph& graph, const Node& split) {
  const auto last = static_cast<std::int64_t>(graph.value(split.inputs[0]).shape.size()) - 1;
  const Expr& first = graph.value(split.outputs[0]).shape[static_cast<std::size_t>(last)];
  return split.int_attribute("axis", 0) == last &&
         std::all_of(split.outputs.begin(), split.outputs.end(), [&](ValueId v) { return equal(graph, graph.value(v).shape.back(), first); });
}

bool is_concat_of_equals(const Graph& graph, const Node& concat) {
  const auto last = static_cast<std::int64_t>(graph.value(concat.outputs[0]).shape.size()) - 1;
  const Expr& first = graph.value(concat.inputs[0]).shape.back();
  return concat.inputs.size() > 1 && concat.int_attribute("axis", 0) == last &&
         std::all_of(concat.inputs.begin(), concat.inputs.end(), [&](ValueId v) { return equal(graph, graph.value(v).shape.back(), first); });
}

/// A Split or Concat of the last dimension, or a Slice of whole stretches of it.
bool is_along_last_dimension(const Graph& graph, const Node& node) {
  if (node.op == OpKind::Slice) {
    const auto range = range_of_last(graph, node);
    return range && range->step == 1;
  }
  const ValueId whole = node.op == OpKind::Split ? node.inputs[0] : node.outputs[0];
  const bool takes_apart_or_puts_together = node.op == OpKind::Split || (node.op == OpKind::Concat && node.inputs.size() > 1);
  return takes_apart_or_puts_together && node.int_attribute("axis", 0) + 1 == static_cast<std::int64_t>(graph.value(whole).shape.size());
}

bool is_along_last(const Graph& graph, const Node& node, ValueId wider) {
  const auto last = static_cast<std::int64_t>(graph.value(wider).shape.size()) - 1;
  return node.ints_attribute("axes") == std::vector<std::int64_t>{last};
}

/// [.., n*h] and [.., h, n].
bool splits_last(const Graph& graph, const Shape& merged, const Shape& split) {
  if (merged.empty() || split.size() != merged.size() + 1) return false;
  return same_shape(graph, Shape(merged.begin(), merged.end() - 1), Shape(split.begin(), split.end() - 2)) &&
         equal(graph, merged.back(), split.back() * split[split.size() - 2]);
}

bool any_user(const Graph& graph, ValueId v, const std::vector<std::vector<NodeId>>& users, bool (*is_one)(OpKind)) {
  return std::any_of(users[v].begin(), users[v].end(), [&](NodeId id) { return is_one(graph.node(id).op); });
}

bool folds(OpKind op) {
  return op == OpKind::InstanceNormalization || op == OpKind::LayerNormalization || info(op).category == OpCategory::reduce;
}

/// In front of a normalisation over groups of channels, or back behind it.
bool names_channel_groups(const Graph& graph, const Node& reshape, const std::vector<std::vector<NodeId>>& users) {
  const Shape &from = graph.value(reshape.inputs[0]).shape, &to = graph.value(reshape.outputs[0]).shape;
  if (from.size() < 3 || to.size() < 3 || !equal(graph, from[0], to[0])) return false;
  if (any_user(graph, reshape.outputs[0], users, folds)) return true;
  for (const Node* node = producer(graph, reshape.inputs[0]); node != nullptr; node = producer(graph, node->inputs[0])) {
    if (node->op == OpKind::Reshape) return same_shape(graph, graph.value(node->inputs[0]).shape, to);
    if (!is_elementwise(node->op) && !folds(node->op)) return false;
  }
  return false;
}

bool is_reshape_of_group(const Graph& graph, const Node& reshape, const std::vector<std::vector<NodeId>>& users) {
  const Shape &from = graph.value(reshape.inputs[0]).shape, &to = graph.value(reshape.outputs[0]).shape;
  const Node* maker = producer(graph, reshape.inputs[0]);
  if (maker != nullptr && maker->op == OpKind::Concat && splits_last(graph, to, from)) return true;
  const auto takes_apart = [](OpKind op) { return op == OpKind::Slice || op == OpKind::Split; };
  if (splits_last(graph, from, to) && any_user(graph, reshape.outputs[0], users, takes_apart)) return true;
  return names_channel_groups(graph, reshape, users);
}

}  // namespace

bool moves_last_axis(const Node& node) {
  if (node.op != OpKind::Transpose) return false;
  const auto perm = node.ints_attribute("perm");
  return perm.empty() || perm.back() + 1 != static_cast<std::int64_t>(perm.size());
}

bool is_movement_of_group(const Graph& graph, const Node& node, const std::vector<std::vector<NodeId>>& users, Movement movement) {
  if (movement == Movement::none) return false;
  if (movement >= Movement::any_pieces && is_along_last_dimension(graph, node)) return true;
  switch (node.op) {
    case OpKind::Slice: return is_slice_of_equals(graph, node, users);
    case OpKind::Split: return is_split_of_equals(graph, node);
    case OpKind::Concat: return is_concat_of_equals(graph, node);
    case OpKind::Unsqueeze:
      return is_along_last(graph, node, node.outputs[0]) && any_user(graph, node.outputs[0], users, [](OpKind op) { return op == OpKind::Concat; });
    case OpKind::Squeeze: {
      const Node* maker = producer(graph, node.inputs[0]);
      return is_along_last(graph, node, node.inputs[0]) && maker != nullptr && (maker->op == OpKind::Slice || maker->op == OpKind::Split);
    }
    case OpKind::Transpose: return !moves_last_axis(node) || movement == Movement::transposes;
    case OpKind::Reshape: return is_reshape_of_group(graph, node, users);
    default: return false;
  }
}

namespace {

/// Those that are innermost in something that is computed.
std::set<AxisId> innermost_axes(const Graph& body, const AxisMap& axes) {
  std::set<AxisId> innermost;
  for (const NodeId id : body.order()) {
    const auto& dims = axes.dims[body.node(id).outputs[0]];
    if (is_elementwise(body.node(id).op) && !dims.empty() && !dims.back().empty()) innermost.insert(dims.back().back());
  }
  return innermost;
}

/// Transposes have to do with it: some value has both.
bool have_common_value(const Graph& body, const AxisMap& axes, AxisId a, AxisId b) {
  for (ValueId v = 0; v < body.value_count(); ++v) {
    const std::vector<AxisId> all = axes.of(v);
    if (std::ranges::count(all, a) > 0 && std::ranges::count(all, b) > 0) return true;
  }
  return false;
}

}  // namespace

std::optional<std::string> why_not_one_space(Graph body) {
  try {
    dataflow_pipeline().run(body);
    const AxisMap axes = analyze_axes(body);
    const std::set<AxisId> innermost = innermost_axes(body, axes);
    for (const AxisId a : innermost)
      for (const AxisId b : innermost)
        if (!have_common_value(body, axes, a, b)) return "pieces of different sizes lie in the lanes";
  } catch (const Error& error) {
    return error.what();
  }
  return std::nullopt;
}

}  // namespace burin
