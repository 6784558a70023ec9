#include "graph/axes.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "burin/error.h"
#include "graph/pieces.h"

namespace burin {
namespace {

using AxisList = std::vector<AxisId>;

/// Union-find over axes, where an axis may also turn out to be a list of finer ones.
class AxisUnifier {
 public:
  AxisId make(std::string name, Expr extent) {
    axes_.push_back({std::move(name), std::move(extent)});
    parent_.push_back(static_cast<AxisId>(axes_.size() - 1));
    parts_.emplace_back();
    return parent_.back();
  }

  /// The finest known form of a list.
  AxisList resolve(const AxisList& list) {
    AxisList out;
    for (AxisId a : list) {
      const AxisId root = find(a);
      if (parts_[root].empty()) {
        out.push_back(root);
        continue;
      }
      const AxisList parts = resolve(parts_[root]);
      out.insert(out.end(), parts.begin(), parts.end());
    }
    return out;
  }

  void unify(const AxisList& a_list, const AxisList& b_list) {
    const AxisList a = resolve(a_list), b = resolve(b_list);
    if (a == b) return;
    if (a.size() == 1 && b.size() > 1) return refine(a[0], b);
    if (b.size() == 1 && a.size() > 1) return refine(b[0], a);
    if (a.size() != b.size()) throw Error("one dimension is split in two different ways");
    for (std::size_t i = 0; i < a.size(); ++i) join(a[i], b[i]);
  }

  const Axis& axis(AxisId a) const { return axes_[a]; }
  std::size_t size() const { return axes_.size(); }

 private:
  AxisId find(AxisId a) {
    while (parent_[a] != a) a = parent_[a] = parent_[parent_[a]];
    return a;
  }

  void refine(AxisId whole, const AxisList& parts) {
    if (std::find(parts.begin(), parts.end(), whole) != parts.end())
      throw Error("a dimension is split into itself");
    parts_[whole] = parts;
  }

  void join(AxisId a, AxisId b) {
    a = find(a), b = find(b);
    if (a == b) return;
    // What broadcasts is iterated at its full extent.
    axes_[std::min(a, b)].extent = broadcast(axes_[a].extent, axes_[b].extent);
    parent_[std::max(a, b)] = std::min(a, b);
  }

  std::vector<Axis> axes_;
  std::vector<AxisId> parent_;
  std::vector<AxisList> parts_;
};

class AxisAnalysis {
 public:
  explicit AxisAnalysis(const Graph& graph) : graph_(graph) {
    map_.dims.resize(graph.value_count());
    map_.reduced.resize(graph.node_count());
  }

  AxisMap run() {
    for (ValueId input : graph_.inputs) fresh_dims(input);
    for (ValueId v = 0; v < graph_.value_count(); ++v)
      if (graph_.is_constant(v) || is_known_integer(v)) fresh_dims(v);
    for (NodeId id : graph_.order()) visit(id);
    compact();
    for (NodeId id : graph_.order()) {
      check_roles(id);
      check_reduction(id);
    }
    return std::move(map_);
  }

 private:
  bool is_known_integer(ValueId v) const {
    const Value& value = graph_.value(v);
    return value.producer == kNone && value.elements && value.elements->size() == 1;
  }

  void fresh_dims(ValueId v) {
    const Shape& shape = graph_.value(v).shape;
    map_.dims[v].resize(shape.size());
    for (std::size_t d = 0; d < shape.size(); ++d)
      if (!(shape[d] == Expr(1))) map_.dims[v][d] = {unifier_.make(axis_name(shape[d], d), shape[d])};
  }

  std::string axis_name(const Expr& extent, std::size_t dimension) const {
    if (auto symbol = extent.as_symbol()) return *symbol;
    return fmt::format("d{}", dimension);
  }

  void visit(NodeId id) {
    const Node& node = graph_.node(id);
    try {
      if (is_elementwise(node.op)) return elementwise(node);
      switch (node.op) {
        case OpKind::ReduceSum:
        case OpKind::ReduceMean:
        case OpKind::ReduceMax:
        case OpKind::ReduceMin:
        case OpKind::ReduceProd: return reduce(id);
        case OpKind::MatMul:
        case OpKind::Brgemm: return product(id);
        case OpKind::Transpose: return set(node, permuted(dims_of(node, 0), node.ints_attribute("perm")));
        case OpKind::Unsqueeze:
        case OpKind::Squeeze: return regroup_unit_dims(node);
        case OpKind::Expand: return expand(node);
        case OpKind::Repeat: return repeat(node);
        case OpKind::Range: return fresh_dims(node.outputs[0]);
        case OpKind::Slice: return slice(node);
        case OpKind::Concat: return put_together(node);
        case OpKind::Reshape:
        case OpKind::Flatten:
          return is_put_together(graph_, node.outputs[0]) ? put_together(node) : reshape(node);
        default: throw Error(fmt::format("{} is no operation of one iteration space", info(node.op).name));
      }
    } catch (const Error& e) {
      throw Error(fmt::format("node '{}': {}", node.name, e.what()));
    }
  }

  const std::vector<AxisList>& dims_of(const Node& node, std::size_t input) const {
    return map_.dims[node.inputs[input]];
  }
  void set(const Node& node, std::vector<AxisList> dims) { map_.dims[node.outputs[0]] = std::move(dims); }

  /// Right-aligned, as numpy broadcasts.
  void merge_into(std::vector<AxisList>& out, const std::vector<AxisList>& in, std::size_t skip_last = 0) {
    const std::size_t n = in.size() - skip_last;
    for (std::size_t i = 0; i < n; ++i) {
      AxisList& target = out[out.size() - skip_last - n + i];
      if (in[i].empty()) continue;
      if (target.empty())
        target = in[i];
      else
        unifier_.unify(target, in[i]);
    }
  }

  void elementwise(const Node& node) {
    std::vector<AxisList> out(graph_.value(node.outputs[0]).shape.size());
    for (ValueId input : node.inputs)
      if (input != kNone) merge_into(out, map_.dims[input]);
    set(node, std::move(out));
  }

  void reduce(NodeId id) {
    const Node& node = graph_.node(id);
    std::vector<AxisList> out = dims_of(node, 0);
    const bool keep = node.int_attribute("keepdims", 1) != 0;
    const std::vector<std::int64_t> axes = node.ints_attribute("axes");
    for (std::size_t i = axes.size(); i-- > 0;) {
      const auto d = static_cast<std::size_t>(axes[i]);
      map_.reduced[id].insert(map_.reduced[id].begin(), out[d].begin(), out[d].end());
      if (keep)
        out[d].clear();
      else
        out.erase(out.begin() + axes[i]);
    }
    set(node, std::move(out));
  }

  static std::vector<AxisList> permuted(const std::vector<AxisList>& dims, const std::vector<std::int64_t>& perm) {
    if (perm.empty()) return dims;
    std::vector<AxisList> out;
    for (std::int64_t p : perm) out.push_back(dims[static_cast<std::size_t>(p)]);
    return out;
  }

  void product(NodeId id) {
    const Node& node = graph_.node(id);
    const std::vector<AxisList> a = permuted(dims_of(node, 0), node.ints_attribute("perm_a"));
    const std::vector<AxisList> b = permuted(dims_of(node, 1), node.ints_attribute("perm_b"));
    if (a.size() < 2 || b.size() < 2) throw Error("a matrix product of vectors");
    const AxisList &ka = a[a.size() - 1], &kb = b[b.size() - 2];
    if (ka.empty() != kb.empty()) throw Error("a contraction that broadcasts");
    if (!ka.empty()) unifier_.unify(ka, kb);
    std::vector<AxisList> out(std::max(a.size(), b.size()));
    merge_into(out, a, 2);
    merge_into(out, b, 2);
    out[out.size() - 2] = a[a.size() - 2];
    out[out.size() - 1] = b[b.size() - 1];
    map_.reduced[id] = ka;
    set(node, permuted(out, node.ints_attribute("perm_out")));
  }

  /// Squeeze, Unsqueeze: dimensions of one element come or go.
  void regroup_unit_dims(const Node& node) {
    std::vector<AxisList> out = dims_of(node, 0);
    const std::vector<std::int64_t> axes = node.ints_attribute("axes");
    if (node.op == OpKind::Unsqueeze) {
      for (std::int64_t a : axes) out.insert(out.begin() + a, AxisList{});
    } else {
      for (std::size_t i = axes.size(); i-- > 0;) out.erase(out.begin() + axes[i]);
    }
    set(node, std::move(out));
  }

  void expand(const Node& node) {
    const Shape& shape = graph_.value(node.outputs[0]).shape;
    std::vector<AxisList> out(shape.size());
    merge_into(out, dims_of(node, 0));
    for (std::size_t d = 0; d < shape.size(); ++d)
      if (out[d].empty() && !(shape[d] == Expr(1))) out[d] = {unifier_.make(axis_name(shape[d], d), shape[d])};
    set(node, std::move(out));
  }

  void repeat(const Node& node) {
    std::vector<AxisList> out = dims_of(node, 0);
    const std::int64_t times = node.int_attribute("times", 1);
    if (times > 1) out[static_cast<std::size_t>(node.int_attribute("axis", 0))].push_back(unifier_.make("g", times));
    set(node, std::move(out));
  }

  /// A part of a dimension is an axis of its own.
  void slice(const Node& node) {
    std::vector<AxisList> out = dims_of(node, 0);
    for (const PieceRange& r : ranges_of_slice(graph_, node)) {
      out[r.axis].clear();
      if (!(r.length == Expr(1))) out[r.axis] = {unifier_.make(axis_name(r.length, r.axis), r.length)};
    }
    set(node, std::move(out));
  }

  /// Nobody iterates over what is only put together; pieces of the same size are iterated over together.
  void put_together(const Node& node) {
    const std::vector<StoredPiece> pieces = stored_pieces(graph_, node.outputs[0]);
    const StoredPiece& first = pieces.front();
    for (const StoredPiece& piece : pieces) {
      const std::vector<AxisList>&a = map_.dims[first.value], &b = map_.dims[piece.value];
      for (std::size_t d = 0; d < a.size(); ++d)
        if (!a[d].empty() && !b[d].empty() && (d != piece.range.axis || graph_.facts.proves_equal(first.range.length, piece.range.length)))
          unifier_.unify(a[d], b[d]);
    }
    set(node, std::vector<AxisList>(graph_.value(node.outputs[0]).shape.size()));
  }

  /// The same elements in the same order: axes are dealt out anew to the dimensions, and split where one holds a part:
  ///
  ///     [N, 320, H, W]   [n] [c] [h] [w]     ->     [N, 32, 10*H*W]   [n] [c.0] [c.1 h w]
  void reshape(const Node& node) {
    const Shape& shape = graph_.value(node.outputs[0]).shape;
    AxisList rest;
    for (std::size_t d = 0; d < dims_of(node, 0).size(); ++d) {
      const AxisList axes = unifier_.resolve(dims_of(node, 0)[d]);
      Expr extent = 1;
      for (AxisId a : axes) extent *= unifier_.axis(a).extent;
      if (!graph_.facts.proves_equal(extent, graph_.value(node.inputs[0]).shape[d])) throw Error("a Reshape of what broadcasts");
      rest.insert(rest.end(), axes.begin(), axes.end());
    }
    std::vector<AxisList> out;
    for (const Expr& extent : shape) out.push_back(take(rest, extent));
    if (!rest.empty()) throw Error("a Reshape that does not keep axes together");
    set(node, std::move(out));
  }

  /// The first axes that together have this extent; the last of them is split where it has more.
  AxisList take(AxisList& rest, Expr extent) {
    AxisList out;
    while (!(extent == Expr(1))) {
      if (rest.empty()) throw Error("a Reshape that does not keep axes together");
      const AxisId a = rest.front();
      const Expr& own = unifier_.axis(a).extent;
      if (const auto left = quotient(extent, own)) {
        rest.erase(rest.begin());
        extent = *left;
        out.push_back(a);
      } else if (const auto behind = quotient(own, extent)) {
        const std::string name = unifier_.axis(a).name;
        const AxisId taken = unifier_.make(name + ".0", extent), other = unifier_.make(name + ".1", *behind);
        unifier_.unify({a}, {taken, other});
        rest.front() = other;
        out.push_back(taken);
        break;
      } else {
        throw Error("a Reshape that does not keep axes together");
      }
    }
    return out;
  }

  /// a / b where that is a whole number.
  std::optional<Expr> quotient(const Expr& a, const Expr& b) const {
    if (b == Expr(0)) return std::nullopt;
    if (graph_.facts.proves_equal(a, b)) return Expr(1);
    const Expr q = graph_.facts.simplify(floor_div(a, b));
    if (!graph_.facts.proves_equal(q * b, a)) return std::nullopt;
    return q;
  }

  /// Two dimensions of one value, or one that is folded and one that is kept, are never the same axis. They would be,
  /// where one value is read in two roles: the keys of an attention that are its queries, too.
  void check_roles(NodeId id) const {
    const Node& node = graph_.node(id);
    std::vector<AxisId> all = map_.of(node.outputs[0]);
    all.insert(all.end(), map_.reduced[id].begin(), map_.reduced[id].end());
    std::sort(all.begin(), all.end());
    const auto twice = std::adjacent_find(all.begin(), all.end());
    if (twice != all.end())
      throw Error(fmt::format("node '{}': two of its dimensions are the one axis {}; a tensor that is read in two roles must "
                              "be two inputs",
                              node.name, map_.axes[*twice].name));
  }

  /// What is folded must have all elements of its axis: a dimension that is only one element at some calls, where
  /// another value has more, would be folded as often as that has elements.
  void check_reduction(NodeId id) const {
    const Node& node = graph_.node(id);
    if (map_.reduced[id].empty()) return;
    Expr extent = 1;
    for (AxisId a : map_.reduced[id]) extent *= map_.axes[a].extent;
    const Shape& shape = graph_.value(node.inputs[0]).shape;
    Expr own = 1;
    if (info(node.op).category == OpCategory::reduce) {
      for (std::int64_t axis : node.ints_attribute("axes")) own *= shape[static_cast<std::size_t>(axis)];
    } else {
      const std::vector<std::int64_t> perm = node.ints_attribute("perm_a");
      own = shape[perm.empty() ? shape.size() - 1 : static_cast<std::size_t>(perm.back())];
    }
    if (!graph_.facts.proves_equal(own, extent))
      throw Error(fmt::format("node '{}': it folds a dimension of {} elements that broadcasts to {} elsewhere", node.name,
                              own.to_string(), extent.to_string()));
  }

  /// Renumbers the axes that remain.
  void compact() {
    std::vector<std::optional<AxisId>> number(unifier_.size());
    auto renumber = [&](AxisList& list) {
      list = unifier_.resolve(list);
      for (AxisId& a : list) {
        if (!number[a]) {
          number[a] = static_cast<AxisId>(map_.axes.size());
          map_.axes.push_back(unifier_.axis(a));
        }
        a = *number[a];
      }
    };
    for (auto& dims : map_.dims)
      for (AxisList& list : dims) renumber(list);
    for (AxisList& list : map_.reduced) renumber(list);
    // Scalars alone still are an iteration space: of one point.
    if (map_.axes.empty()) map_.axes.push_back({"one", 1});
  }

  const Graph& graph_;
  AxisUnifier unifier_;
  AxisMap map_;
};

}  // namespace

std::vector<AxisId> AxisMap::of(ValueId value) const {
  std::vector<AxisId> out;
  for (const auto& list : dims[value]) out.insert(out.end(), list.begin(), list.end());
  return out;
}

AxisMap analyze_axes(const Graph& graph) { return AxisAnalysis(graph).run(); }

}  // namespace burin
