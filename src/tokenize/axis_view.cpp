#include "tokenize/axis_view.h"

#include <algorithm>
#include <utility>

namespace burin {
namespace {

Expr size_of(const AxisView::Group& group) {
  Expr size = 1;
  for (const AxisView::Axis& axis : group) size *= axis.size;
  return size;
}

}  // namespace

AxisView::AxisView(const Shape& source, const Facts& facts) : facts_(&facts), source_(source) {
  for (std::size_t i = 0; i < source.size(); ++i) groups_.push_back({{source[i], i}});
}

AxisView::AxisView(Shape source, std::vector<Group> groups, const Facts& facts)
    : facts_(&facts), source_(std::move(source)), groups_(std::move(groups)) {}

bool AxisView::equal(const Expr& a, const Expr& b) const {
  return a == b || facts_->proves_equal(a, b);
}

Shape AxisView::shape() const {
  Shape shape;
  for (const Group& group : groups_) shape.push_back(size_of(group));
  return shape;
}

bool AxisView::transpose(const std::vector<std::int64_t>& perm) {
  if (perm.size() != groups_.size()) return false;
  std::vector<Group> groups;
  for (const std::int64_t axis : perm) groups.push_back(groups_[static_cast<std::size_t>(axis)]);
  groups_ = std::move(groups);
  return true;
}

/// The axis `at` of the source runs over several of the dimensions from `dimension` on: cuts it
/// into these.
bool AxisView::split(std::vector<Axis>& axes, std::size_t at, std::vector<Group>& groups,
                     const Shape& to, std::size_t dimension) {
  const Axis whole = axes[at];
  Expr product = 1;
  std::size_t end = dimension;
  while (end < to.size() && !equal(product, whole.size)) product *= to[end++];
  if (!equal(product, whole.size) || end - dimension < 2) return false;
  const auto put_in_place = [&](const std::vector<Axis>& pieces) {
    axes.erase(axes.begin() + static_cast<std::ptrdiff_t>(at));
    axes.insert(axes.begin() + static_cast<std::ptrdiff_t>(at), pieces.begin(), pieces.end());
  };
  std::vector<Axis> pieces;
  if (whole.is_repeated()) {
    for (std::size_t d = dimension; d < end; ++d) pieces.push_back({to[d]});
    put_in_place(pieces);
    return true;
  }
  const std::size_t extra = end - dimension - 1;
  const auto shift = [&](std::vector<Axis>& all) {
    for (Axis& axis : all)
      if (!axis.is_repeated() && axis.source > whole.source) axis.source += extra;
  };
  shift(axes);
  for (Group& group : groups) shift(group);
  for (std::size_t d = dimension; d < end; ++d)
    pieces.push_back({to[d], whole.source + (d - dimension)});
  source_.erase(source_.begin() + static_cast<std::ptrdiff_t>(whole.source));
  source_.insert(source_.begin() + static_cast<std::ptrdiff_t>(whole.source),
                 to.begin() + static_cast<std::ptrdiff_t>(dimension),
                 to.begin() + static_cast<std::ptrdiff_t>(end));
  put_in_place(pieces);
  split_ = true;
  return true;
}

bool AxisView::reshape(const Shape& to) {
  const AxisView before = *this;
  std::vector<Axis> axes;
  for (const Group& group : groups_) axes.insert(axes.end(), group.begin(), group.end());

  std::vector<Group> groups;
  std::size_t next = 0;
  for (std::size_t d = 0; d < to.size(); ++d) {
    Group group;
    Expr size = 1;
    const bool is_one = to[d] == Expr(1);
    if (is_one) {
      if (next < axes.size() && axes[next].size == Expr(1)) group.push_back(axes[next++]);
    } else {
      while (next < axes.size() && !equal(size, to[d])) {
        if (size == Expr(1) && axes[next].size != Expr(1) && !equal(axes[next].size, to[d]))
          (void)split(axes, next, groups, to,
                      d);  // where it fails, the axis may be one of several of this dimension
        size *= axes[next].size;
        group.push_back(axes[next++]);
      }
      if (!equal(size, to[d])) {
        *this = before;
        return false;
      }
    }
    groups.push_back(std::move(group));
  }
  for (; next < axes.size(); ++next) {
    if (axes[next].size != Expr(1)) {
      *this = before;
      return false;
    }
    if (!groups.empty()) groups.back().push_back(axes[next]);
  }
  groups_ = std::move(groups);
  return true;
}

bool AxisView::expand(const Shape& to) {
  if (to.size() < groups_.size()) return false;
  std::vector<Group> groups(to.size() - groups_.size());
  groups.insert(groups.end(), groups_.begin(), groups_.end());
  for (std::size_t d = 0; d < to.size(); ++d) {
    const Expr size = size_of(groups[d]);
    if (equal(size, to[d])) continue;
    if (size != Expr(1)) return false;
    groups[d].push_back({to[d]});
  }
  groups_ = std::move(groups);
  return true;
}

bool AxisView::repeat(std::size_t dimension, const Expr& times, bool elements) {
  if (dimension >= groups_.size()) return false;
  Group& group = groups_[dimension];
  if (times != Expr(1)) group.insert(elements ? group.end() : group.begin(), Axis{times});
  return true;
}

/// Indices 0,0,1,1,2,2 repeat elements, 0,1,2,0,1,2 the whole.
bool AxisView::gather(const Graph& graph, const Node& node) {
  const Value& indices = graph.value(node.inputs[1]);
  const auto axis = static_cast<std::size_t>(node.int_attribute("axis", 0));
  if ((!indices.elements && !indices.constant) || indices.shape.size() != 1 ||
      axis >= groups_.size())
    return false;
  const auto size = size_of(groups_[axis]).as_constant();
  const std::int64_t count = indices.shape[0].as_constant().value_or(0);
  if (!size || *size == 0 || count == 0 || count % *size != 0) return false;
  const std::int64_t times = count / *size;
  bool elements = true, whole = true;
  for (std::int64_t i = 0; i < count; ++i) {
    const Expr index = indices.constant ? Expr(indices.constant->int_at(i))
                                        : (*indices.elements)[static_cast<std::size_t>(i)];
    elements = elements && index == Expr(i / times);
    whole = whole && index == Expr(i % *size);
  }
  return (elements || whole) && repeat(axis, times, elements);
}

bool AxisView::tile(const Graph& graph, const Node& node) {
  const auto& repeats = graph.value(node.inputs[1]).elements;
  if (!repeats || repeats->size() != groups_.size()) return false;
  for (std::size_t d = 0; d < repeats->size(); ++d) repeat(d, (*repeats)[d], false);
  return true;
}

bool AxisView::concat(const Node& node) {
  const bool is_one_tensor = std::all_of(node.inputs.begin(), node.inputs.end(),
                                         [&](ValueId input) { return input == node.inputs[0]; });
  return is_one_tensor && repeat(static_cast<std::size_t>(node.int_attribute("axis", 0)),
                                 static_cast<std::int64_t>(node.inputs.size()), false);
}

bool AxisView::apply(const Graph& graph, const Node& node) {
  const Shape& to = graph.value(node.outputs[0]).shape;
  switch (node.op) {
    case OpKind::Transpose: return transpose(node.ints_attribute("perm"));
    case OpKind::Reshape:
    case OpKind::Flatten:
    case OpKind::Squeeze:
    case OpKind::Unsqueeze: return reshape(to);
    case OpKind::Expand: return expand(to);
    case OpKind::Tile: return tile(graph, node);
    case OpKind::Gather: return gather(graph, node);
    case OpKind::Concat: return concat(node);
    default: return false;
  }
}

bool AxisView::is_plain() const {
  return std::all_of(groups_.begin(), groups_.end(), [](const Group& group) {
    std::size_t axes = 0, repetitions = 0;
    for (const Axis& axis : group) {
      if (axis.is_repeated()) {
        ++repetitions;
      } else if (axis.size != Expr(1)) {
        if (repetitions > 0) return false;  // a tile: the repetition is outside
        ++axes;
      }
    }
    return axes <= 1 && repetitions <= 1;
  });
}

}  // namespace burin
