#include <algorithm>
#include <cstddef>
#include <utility>

#include "graph/canonicalize.h"
#include "graph/shape_math.h"

namespace burin {
namespace {

/// Dimensions [begin, end) of a tensor, which a Reshape makes one.
using Group = std::pair<std::size_t, std::size_t>;

class TransposeFinder {
 public:
  explicit TransposeFinder(Graph& graph) : graph_(graph), math_(graph.facts) {}

  bool run() {
    bool changed = false;
    for (const NodeId id : graph_.order())
      if (graph_.node(id).op == OpKind::Reshape) changed |= find(id);
    return changed;
  }

 private:
  bool find(NodeId id) {
    const Node& last = graph_.node(id);
    const Node* transpose = producer(graph_, last.inputs[0]);
    if (transpose == nullptr || transpose->op != OpKind::Transpose) return false;
    const Node* first = producer(graph_, transpose->inputs[0]);
    if (first == nullptr || first->op != OpKind::Reshape) return false;

    const ValueId x = first->inputs[0];
    const auto groups = merged(shape(x), shape(first->outputs[0]));
    if (!groups) return false;
    std::vector<std::int64_t> perm;
    Shape result;
    for (const std::int64_t axis : transpose->ints_attribute("perm")) {
      const auto [begin, end] = (*groups)[static_cast<std::size_t>(axis)];
      for (std::size_t d = begin; d < end; ++d) {
        perm.push_back(static_cast<std::int64_t>(d));
        result.push_back(shape(x)[d]);
      }
    }
    if (!same(result, shape(last.outputs[0]))) return false;

    Node& changing = graph_.node(id);
    changing.op = OpKind::Transpose;
    changing.inputs = {x};
    changing.attributes = {{"perm", perm}};
    return true;
  }

  const Shape& shape(ValueId id) const { return graph_.value(id).shape; }

  bool same(const Shape& a, const Shape& b) const {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [this](const Expr& p, const Expr& q) { return math_.equal(p, q); });
  }

  /// Which dimensions of `from` become each dimension of `to`; nothing if some are torn apart.
  std::optional<std::vector<Group>> merged(const Shape& from, const Shape& to) const {
    std::vector<Group> groups;
    std::size_t next = 0;
    for (const Expr& wanted : to) {
      const std::size_t begin = next;
      Expr size = 1;
      while (next < from.size() && (next == begin || !math_.equal(size, wanted)))
        size *= from[next++];
      if (!math_.equal(size, wanted)) return std::nullopt;
      groups.emplace_back(begin, next);
    }
    // Dimensions of size 1 may be left over; they belong to the last group.
    for (; next < from.size(); ++next) {
      if (groups.empty() || from[next] != Expr(1)) return std::nullopt;
      groups.back().second = next + 1;
    }
    return groups;
  }

  Graph& graph_;
  ShapeMath math_;
};

}  // namespace

bool find_transposes(Graph& graph) { return TransposeFinder(graph).run(); }

}  // namespace burin
