#include "tokenize/attention_layout.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "graph/shape_math.h"
#include "tokenize/carve.h"

namespace burin {
namespace {

/// Each time at least one axis is split or added.
constexpr int kMaxRounds = 64;

bool equal(const Expr& a, const Expr& b, const Facts& facts) {
  return a == b || facts.proves_equal(a, b);
}

Expr size_of(const AxisView::Group& group) {
  Expr size = 1;
  for (const AxisView::Axis& axis : group) size *= axis.size;
  return size;
}

/// The axes of the group with more than one element.
std::vector<std::size_t> long_axes(const AxisView::Group& group) {
  std::vector<std::size_t> axes;
  for (const AxisView::Axis& axis : group)
    if (axis.size != Expr(1)) axes.push_back(axis.source);
  return axes;
}

/// Each axis is in one group: one that has become long not where it had one element.
void remove_doubles(std::vector<AxisView::Group>& groups, const Shape& source) {
  std::set<std::size_t> seen;
  for (AxisView::Group& group : groups)
    std::erase_if(group, [&](const AxisView::Axis& axis) {
      const bool is_stale = axis.size == Expr(1) && source[axis.source] != Expr(1);
      return is_stale || !seen.insert(axis.source).second;
    });
}

std::ptrdiff_t offset(std::size_t i) { return static_cast<std::ptrdiff_t>(i); }

/// How many of the dimensions from `first` on have this product; 0 if none have.
std::size_t how_many(const Shape& dimensions, std::size_t first, const Expr& whole,
                     const Facts& facts) {
  Expr size = 1;
  for (std::size_t i = first; i < dimensions.size(); ++i)
    if (equal(size *= dimensions[i], whole, facts)) return i - first + 1;
  return 0;
}

/// Dimensions that split both: [16*B] and [B, 16] give [B, 16].
std::optional<Shape> common_refinement(const Shape& a, const Shape& b, const Facts& facts) {
  Shape refined;
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (const std::size_t count = how_many(b, j, a[i], facts); count > 0) {
      refined.insert(refined.end(), b.begin() + offset(j), b.begin() + offset(j + count));
      j += count, ++i;
    } else if (const std::size_t parts = how_many(a, i, b[j], facts); parts > 0) {
      refined.insert(refined.end(), a.begin() + offset(i), a.begin() + offset(i + parts));
      i += parts, ++j;
    } else {
      return std::nullopt;
    }
  }
  refined.insert(refined.end(), a.begin() + offset(i), a.end());
  refined.insert(refined.end(), b.begin() + offset(j), b.end());
  if (!equal(product(refined), product(a), facts) || !equal(product(refined), product(b), facts))
    return std::nullopt;
  return refined;
}

/// The dimensions of an operand's batch as a body can have them: heads that are repeated one by one
/// stay one dimension (a Repeat); other repetitions are dimensions of their own, along which the
/// operand broadcasts.
Shape batch_dimensions(const AxisView& view) {
  Shape dimensions;
  for (std::size_t d = 0; d + 2 < view.groups().size(); ++d) {
    Shape sizes;
    for (const AxisView::Axis& axis : view.groups()[d]) {
      if (axis.is_repeated() && !sizes.empty() && axis.size.is_constant()) {
        sizes.back() *= axis.size;
      } else {
        sizes.push_back(axis.size);
      }
    }
    if (sizes.empty()) sizes.emplace_back(1);
    dimensions.insert(dimensions.end(), sizes.begin(), sizes.end());
  }
  return dimensions;
}

}  // namespace

AttentionLayout::AttentionLayout(const Graph& graph, const AttentionMatch& match)
    : graph_(graph), match_(match) {
  axes_ = shape(graph.node(match.query_key).outputs[0]);
  for (int round = 0; round < kMaxRounds; ++round)
    if (find()) return;
  throw Refusal{"its dimensions are split again and again"};
}

bool AttentionLayout::is_result_swapped() const {
  return !views_.contains(graph_.node(match_.probability_value).inputs[0]);
}

/// False if axes were added, split or swapped: then all starts anew.
bool AttentionLayout::find() try {
  views_.clear();
  place_scores();
  for (const NodeId id : match_.middle) place(graph_.node(id));
  place_result();
  for (const AttentionOperand* operand : {&match_.left, &match_.right, &match_.value})
    if (refine_by(*operand)) return false;
  return true;
} catch (const Restart&) {
  return false;
}

void AttentionLayout::place_scores() {
  const ValueId scores = graph_.node(match_.query_key).outputs[0];
  AxisView view(axes_, graph_.facts);
  if (swapped_) {
    std::vector<std::int64_t> perm(axes());
    std::iota(perm.begin(), perm.end(), 0);
    std::swap(perm[query_axis()], perm[key_axis()]);
    view.transpose(perm);
  }
  if (!view.reshape(shape(scores)))
    throw Refusal{"the scores cannot be split as what follows asks"};
  views_.emplace(scores, view);
}

void AttentionLayout::place(const Node& node) {
  if (info(node.op).category == OpCategory::movement) return place_view(node);
  if (is_elementwise(node.op)) return place_elementwise(node);
  place_reduction(node);
}

void AttentionLayout::place_view(const Node& node) {
  AxisView view = of(node.inputs[0]);
  const Shape before = view.source();
  if (!view.apply(graph_, node))
    throw Refusal{fmt::format("{} '{}' to {} mixes the dimensions {}", info(node.op).name,
                              graph_.value(node.outputs[0]).name, to_string(shape(node.outputs[0])),
                              to_string(before))};
  if (view.is_split()) adopt_split(before, view.source());
  views_.emplace(node.outputs[0], view);
}

void AttentionLayout::adopt_split(const Shape& before, const Shape& after) {
  std::size_t at = 0;
  while (before[at] == after[at]) ++at;
  if (at >= query_axis()) throw Refusal{"a Reshape splits the queries or the keys"};
  const std::size_t pieces = how_many(after, at, before[at], graph_.facts);
  Shape split(after.begin() + offset(at), after.begin() + offset(at + pieces));
  if (axes_[at] == Expr(1)) split.assign(pieces, Expr(1));
  axes_.erase(axes_.begin() + offset(at));
  axes_.insert(axes_.begin() + offset(at), split.begin(), split.end());
  throw Restart{};
}

/// The dimension has no long axis but this one, which is in no other.
bool AttentionLayout::runs_over(const AxisView& view, std::size_t dimension, std::size_t axis) {
  const std::vector<std::size_t> all = long_axes(view.groups()[dimension]);
  return all.empty() ? view.source()[axis] == Expr(1) : all == std::vector<std::size_t>{axis};
}

/// Softmax, or a reduction, over the keys. What the first of them folds are the keys.
void AttentionLayout::place_reduction(const Node& node) {
  const AxisView& view = of(node.inputs[0]);
  const bool is_softmax = node.op == OpKind::Softmax;
  const auto dimension = static_cast<std::size_t>(is_softmax ? node.int_attribute("axis", -1)
                                                             : node.ints_attribute("axes").front());
  std::vector<Group> groups = view.groups();
  if (!runs_over(view, dimension, key_axis())) {
    if (oriented_ || !runs_over(view, dimension, query_axis()))
      throw Refusal{fmt::format("{} '{}' is not over the keys", info(node.op).name,
                                graph_.value(node.outputs[0]).name)};
    swapped_ = oriented_ = true;
    std::swap(axes_[query_axis()], axes_[key_axis()]);
    throw Restart{};
  }
  oriented_ = true;
  if (is_softmax) {
    views_.emplace(node.outputs[0], view);
    return;
  }
  Shape source = view.source();
  source[key_axis()] = 1;
  for (AxisView::Axis& axis : groups[dimension])
    if (axis.source == key_axis()) axis.size = 1;
  if (node.int_attribute("keepdims", 1) == 0) groups.erase(groups.begin() + offset(dimension));
  views_.emplace(node.outputs[0], AxisView(source, groups, graph_.facts));
}

void AttentionLayout::place_elementwise(const Node& node) {
  std::vector<const AxisView*> operands;
  for (const ValueId input : node.inputs)
    if (const auto known = views_.find(input); known != views_.end())
      operands.push_back(&known->second);
  views_.emplace(node.outputs[0], join(shape(node.outputs[0]), operands));
}

AxisView AttentionLayout::join(const Shape& result, const std::vector<const AxisView*>& operands) {
  Shape source(axes(), Expr(1));
  for (const AxisView* operand : operands)
    for (std::size_t a = 0; a < axes(); ++a)
      if (source[a] == Expr(1)) source[a] = operand->source()[a];

  std::vector<Group> groups(result.size());
  for (std::size_t d = 0; d < result.size(); ++d) {
    for (const AxisView* operand : operands) {
      const std::size_t missing = result.size() - operand->groups().size();
      if (d < missing) continue;
      const Group& group = operand->groups()[d - missing];
      const auto mine = long_axes(groups[d]), theirs = long_axes(group);
      if (!mine.empty() && !theirs.empty() && mine != theirs)
        throw Refusal{"one dimension runs over different axes"};
      if (groups[d].empty() || (mine.empty() && !theirs.empty())) groups[d] = group;
    }
    if (long_axes(groups[d]).empty() &&
        result[d] != Expr(1)) {  // an operand from outside has more elements
      const std::size_t axis =
          free_axis(groups[d], source, {groups.begin(), groups.begin() + offset(d)});
      source[axis] = result[d];
      groups[d] = only(axis, result[d]);
    }
    if (!equal(size_of(groups[d]), result[d], graph_.facts))
      throw Refusal{fmt::format("{} may or may not be repeated to {}",
                                size_of(groups[d]).to_string(), result[d].to_string())};
  }
  remove_doubles(groups, source);
  return {source, groups, graph_.facts};
}

/// An axis of the batch with one element so far: one of the group's, or else any, or else a new one
/// behind those of the dimensions in front.
std::size_t AttentionLayout::free_axis(const Group& group, const Shape& source,
                                       const std::vector<Group>& groups_in_front) {
  const auto is_free = [&](std::size_t axis) {
    return axis < query_axis() && source[axis] == Expr(1);
  };
  for (const AxisView::Axis& axis : group)
    if (is_free(axis.source)) return axis.source;
  for (std::size_t axis = 0; axis < query_axis(); ++axis)
    if (is_free(axis)) return axis;
  std::size_t at = 0;
  for (const Group& in_front : groups_in_front)
    for (const std::size_t axis : long_axes(in_front)) at = std::max(at, axis + 1);
  if (at > query_axis()) throw Refusal{"a dimension is added between queries and keys"};
  axes_.insert(axes_.begin() + offset(at), Expr(1));
  throw Restart{};
}

void AttentionLayout::place_result() {
  const Node& node = graph_.node(match_.probability_value);
  const bool swapped = is_result_swapped();
  const AxisView& probabilities = of(node.inputs[swapped ? 1 : 0]);
  const Shape& result = shape(node.outputs[0]);
  std::vector<Group> groups = probabilities.groups();
  const std::size_t rank = groups.size();
  const std::size_t row = rank - 2, column = rank - 1;
  if (!runs_over(probabilities, swapped ? row : column, key_axis()) ||
      !runs_over(probabilities, swapped ? column : row, query_axis()))
    throw Refusal{"the product with V does not fold the keys"};

  // V may have more batches than the probabilities.
  groups[row].clear(), groups[column].clear();
  const AxisView batch_of_probabilities(probabilities.source(), groups, graph_.facts);
  Shape batch_of_result = result;
  batch_of_result[result.size() - 2] = batch_of_result[result.size() - 1] = 1;
  const AxisView batch = join(batch_of_result, {&batch_of_probabilities});

  const Expr columns = result[result.size() - (swapped ? 2 : 1)];
  Shape source = batch.source();
  source[key_axis()] = columns;
  groups = batch.groups();
  // (A single query or key may have come to stand among the batches: where it does, nobody can tell.)
  for (Group& group : groups)
    std::erase_if(group, [&](const AxisView::Axis& axis) { return !axis.is_repeated() && axis.source >= query_axis(); });
  groups[result.size() - (swapped ? 1 : 2)] = only(query_axis(), source[query_axis()]);
  groups[result.size() - (swapped ? 2 : 1)] = only(key_axis(), columns);
  views_.emplace(node.outputs[0], AxisView(source, groups, graph_.facts));
}

/// Where an operand merges batch dimensions that lie apart in its source, the body has them apart.
bool AttentionLayout::refine_by(const AttentionOperand& operand) {
  const Shape batch(axes_.begin(), axes_.end() - 2);
  for (std::size_t skip = 0; skip < operand.chain.size(); ++skip) {
    const auto view = view_of(graph_, operand, skip);
    if (!view || view->is_split()) continue;
    const auto refined = common_refinement(batch, batch_dimensions(*view), graph_.facts);
    if (!refined || refined->size() == batch.size()) return false;
    axes_.erase(axes_.begin(), axes_.end() - 2);
    axes_.insert(axes_.begin(), refined->begin(), refined->end());
    return true;
  }
  return false;
}

bool Lifting::apply(AxisView& view) const {
  return view.reshape(spread) && (perm.empty() || view.transpose(perm));
}

Shape Lifting::shape() const {
  if (perm.empty()) return spread;
  Shape shape;
  for (const std::int64_t axis : perm) shape.push_back(spread[static_cast<std::size_t>(axis)]);
  return shape;
}

Lifting lift(const Shape& operand, const std::vector<AxisView::Group>& groups, std::size_t axes,
             const Facts& facts, bool all) {
  Lifting lifting;
  std::vector<std::size_t> order;  // the axis of each dimension of `spread`
  const std::size_t missing = groups.size() - operand.size();
  for (std::size_t d = 0; d < operand.size(); ++d) {
    const AxisView::Group& group = groups[missing + d];
    const bool whole = equal(operand[d], size_of(group), facts);
    if (!whole && operand[d] != Expr(1) && long_axes(group).size() != 1)
      throw Refusal{fmt::format("{} may or may not be repeated to {}", operand[d].to_string(),
                                size_of(group).to_string())};
    for (const AxisView::Axis& axis : group) {
      order.push_back(axis.source);
      lifting.spread.push_back(whole || axis.size == Expr(1) ? axis.size : operand[d]);
    }
  }
  const std::size_t in_front = axes - order.size();
  const bool in_order =
      std::is_sorted(order.begin(), order.end()) && (order.empty() || order.front() == in_front);
  if (in_order && (!all || in_front == 0)) return lifting;

  for (std::size_t axis = 0; axis < axes; ++axis) {
    if (std::find(order.begin(), order.end(), axis) != order.end()) continue;
    order.push_back(axis);
    lifting.spread.emplace_back(1);
  }
  lifting.perm.resize(axes);
  for (std::size_t i = 0; i < axes; ++i) lifting.perm[order[i]] = static_cast<std::int64_t>(i);
  return lifting;
}

std::optional<AxisView> view_of(const Graph& graph, const AttentionOperand& operand,
                                std::size_t skip) {
  AxisView view(graph.value(source_of(graph, operand, skip)).shape, graph.facts);
  for (std::size_t i = skip; i < operand.chain.size(); ++i) {
    const Node& node = graph.node(operand.chain[i]);
    if (!is_elementwise(node.op) && !view.apply(graph, node)) return std::nullopt;
  }
  return view;
}

ValueId source_of(const Graph& graph, const AttentionOperand& operand, std::size_t skip) {
  if (skip == operand.chain.size()) return operand.value;
  const Node& first = graph.node(operand.chain[skip]);
  return first.inputs[chain_input(graph, first).value_or(0)];
}

}  // namespace burin
