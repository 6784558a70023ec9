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
bool AxisView::split(std::vector<Axis>& axes, std::size_t at, const Shape& to,
                     std::size_t dimension) {
  const Axis whole = axes[at];
  if (whole.is_repeated()) return false;
  Expr product = 1;
  std::size_t end = dimension;
  while (end < to.size() && !equal(product, whole.size)) product *= to[end++];
  if (!equal(product, whole.size) || end - dimension < 2) return false;
  const std::size_t extra = end - dimension - 1;
  for (Axis& axis : axes)
    if (!axis.is_repeated() && axis.source > whole.source) axis.source += extra;
  std::vector<Axis> pieces;
  for (std::size_t d = dimension; d < end; ++d)
    pieces.push_back({to[d], whole.source + (d - dimension)});
  source_.erase(source_.begin() + static_cast<std::ptrdiff_t>(whole.source));
  source_.insert(source_.begin() + static_cast<std::ptrdiff_t>(whole.source),
                 to.begin() + static_cast<std::ptrdiff_t>(dimension),
                 to.begin() + static_cast<std::ptrdiff_t>(end));
  axes.erase(axes.begin() + static_cast<std::ptrdiff_t>(at));
  axes.insert(axes.begin() + static_cast<std::ptrdiff_t>(at), pieces.begin(), pieces.end());
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
        if (group.empty() && axes[next].size != Expr(1) && !equal(axes[next].size, to[d]))
          (void)split(axes, next, to,
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

bool AxisView::apply(const Graph& graph, const Node& node) {
  const Shape& to = graph.value(node.outputs[0]).shape;
  switch (node.op) {
    case OpKind::Transpose: return transpose(node.ints_attribute("perm"));
    case OpKind::Reshape:
    case OpKind::Flatten:
    case OpKind::Squeeze:
    case OpKind::Unsqueeze: return reshape(to);
    case OpKind::Expand: return expand(to);
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
