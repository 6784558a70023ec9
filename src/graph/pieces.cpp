#include "graph/pieces.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <tuple>

#include <fmt/format.h>

#include "burin/error.h"
#include "graph/canonicalize.h"
#include "graph/shape_math.h"

namespace burin {
namespace {

using Elements = std::vector<Expr>;

const Elements& known(const Graph& graph, const Node& node, std::size_t input) {
  const auto& elements = graph.value(node.inputs[input]).elements;
  if (!elements) throw Error(fmt::format("node '{}': bounds that are not known", node.name));
  return *elements;
}

bool has_input(const Node& node, std::size_t i) { return i < node.inputs.size() && node.inputs[i] != kNone; }

/// A value as pieces that lie one after the other, or take turns (all of them with the same step).
struct Pieces {
  std::size_t axis = 0;
  std::vector<ValueId> values;
  std::vector<PieceRange> ranges;
};

class Separation {
 public:
  explicit Separation(const Graph& from) : from_(from), to_(from), math_(to_.facts) {}

  /// The values of `taken_apart` are seen as pieces from the beginning.
  Graph run(const std::map<ValueId, std::vector<PieceRange>>& taken_apart) {
    for (const auto& [value, ranges] : taken_apart) {
      Pieces pieces{ranges.front().axis, {}, ranges};
      for (const PieceRange& r : ranges) pieces.values.push_back(add_slice(to_, value, r));
      pieces_[value] = std::move(pieces);
    }
    for (const NodeId id : from_.order()) visit(id);
    for (ValueId& output : to_.outputs) output = resolved(output);
    to_.erase_dead_nodes();
    return std::move(to_);
  }

 private:
  // ---- what a value of the old graph is ----

  ValueId resolved(ValueId v) const {
    if (v == kNone) return kNone;
    const auto it = now_.find(v);
    return it == now_.end() ? v : it->second;
  }
  const Pieces* pieces_of(ValueId v) const {
    const auto it = pieces_.find(v);
    return it == pieces_.end() ? nullptr : &it->second;
  }

  const Shape& shape(ValueId v) const { return to_.value(v).shape; }
  bool equal(const Expr& a, const Expr& b) const { return math_.equal(a, b); }

  /// Each node is made anew from what its inputs are now; most stay what they are.
  void visit(NodeId id) {
    const Node node = from_.node(id);
    if (node.op == OpKind::Split) return split(node);
    std::vector<ValueId> inputs;
    for (const ValueId v : node.inputs) inputs.push_back(resolved(v));
    if (node.op == OpKind::Slice) return define(node.outputs[0], sliced(inputs[0], ranges_of_slice(from_, node)));
    if (node.op == OpKind::Concat) return define(node.outputs[0], concat(node, inputs));
    const bool apart = std::any_of(inputs.begin(), inputs.end(), [&](ValueId v) { return pieces_of(v) != nullptr; });
    if (apart) return define(node.outputs[0], on_pieces(node, inputs));
    if (inputs == node.inputs) return;
    define(node.outputs[0], to_.add_op(node.op, node.name, inputs, node.attributes));
  }

  void define(ValueId old, ValueId now) {
    now_[old] = now;
    if (to_.value(now).name.empty()) to_.value(now).name = from_.value(old).name;
  }

  void split(const Node& node) {
    const ValueId x = resolved(node.inputs[0]);
    PieceRange range;
    range.axis = static_cast<std::size_t>(node.int_attribute("axis", 0));
    for (const ValueId output : node.outputs) {
      range.length = from_.value(output).shape[range.axis];
      define(output, part(x, range));
      range.start += range.length;
    }
  }

  ValueId sliced(ValueId x, const std::vector<PieceRange>& ranges) {
    for (const PieceRange& r : ranges) x = part(x, r);
    return x;
  }

  // ---- parts: Slices move up ----

  using Key = std::tuple<ValueId, std::size_t, std::string, std::string, std::int64_t>;

  /// The elements of the range, computed from parts of what the value is computed from.
  ValueId part(ValueId v, const PieceRange& r) {
    if (r.step == 1 && r.start == Expr(0) && equal(r.length, shape(v)[r.axis])) return v;
    const Key key{v, r.axis, r.start.to_string(), r.length.to_string(), r.step};
    if (const auto it = parts_.find(key); it != parts_.end()) return it->second;
    const ValueId result = make_part(v, r);
    if (!equal(shape(result)[r.axis], r.length)) throw Error(fmt::format("a piece of {} elements is not {}", shape(result)[r.axis].to_string(), r.length.to_string()));
    return parts_[key] = result;
  }

  ValueId make_part(ValueId v, const PieceRange& r) {
    if (const Pieces* pieces = pieces_of(v)) return part_of_pieces(*pieces, r);
    const NodeId producer = to_.value(v).producer;
    if (producer == kNone) return add_slice(to_, v, r);
    const Node node = to_.node(producer);
    if (is_elementwise(node.op)) return again(node, node.inputs, [&](ValueId in) { return part_of_operand(in, shape(v), r); });
    PieceRange inner = r;
    switch (node.op) {
      case OpKind::Slice: {
        const std::vector<PieceRange> own = ranges_of_slice(to_, node);
        if (own.empty()) return part(node.inputs[0], r);
        if (own.front().axis != r.axis) return sliced(part(node.inputs[0], r), own);
        inner.start = own.front().start + r.start * own.front().step;
        inner.step = own.front().step * r.step;
        return part(node.inputs[0], inner);
      }
      case OpKind::Transpose: {
        const auto perm = node.ints_attribute("perm");
        inner.axis = static_cast<std::size_t>(perm[r.axis]);
        return again(node, node.inputs, [&](ValueId in) { return part(in, inner); });
      }
      case OpKind::Unsqueeze:
      case OpKind::Squeeze: inner.axis = axis_of_operand(node, r.axis); return again(node, node.inputs, [&](ValueId in) { return part(in, inner); });
      case OpKind::Reshape: return part_of_reshape(node, r);
      case OpKind::ReduceSum:
      case OpKind::ReduceMean:
      case OpKind::ReduceMax:
      case OpKind::ReduceMin:
      case OpKind::ReduceProd:
        if (node.int_attribute("keepdims", 1) == 1) return again(node, node.inputs, [&](ValueId in) { return part(in, r); });
        break;
      default: break;
    }
    throw Error(fmt::format("node '{}': a part of what {} gives is needed", node.name, info(node.op).name));
  }

  /// The node on other operands.
  template <typename F>
  ValueId again(const Node& node, const std::vector<ValueId>& inputs, F&& operand) {
    std::vector<ValueId> operands;
    for (const ValueId in : inputs) operands.push_back(in == kNone ? kNone : operand(in));
    return to_.add_op(node.op, node.name, operands, node.attributes);
  }

  /// Of an operand of an element-wise operation, whose dimensions are right-aligned with those of the result.
  ValueId part_of_operand(ValueId in, const Shape& result, PieceRange r) {
    const std::size_t missing = result.size() - shape(in).size();
    if (r.axis < missing) return in;
    const Expr& whole = result[r.axis];
    r.axis -= missing;
    const Expr& size = shape(in)[r.axis];
    if (size == Expr(1)) return in;
    if (!equal(size, whole))
      throw Error(fmt::format("'{}' has {} elements or 1 only at a call, and is needed in pieces", to_.value(in).name, size.to_string()));
    return part(in, r);
  }

  /// Of the dimension that Unsqueeze and Squeeze call `axis`, what their operand calls it.
  static std::size_t axis_of_operand(const Node& node, std::size_t axis) {
    const auto axes = node.ints_attribute("axes");
    if (node.op == OpKind::Unsqueeze)
      return axis - static_cast<std::size_t>(std::count_if(axes.begin(), axes.end(), [&](std::int64_t a) { return a < static_cast<std::int64_t>(axis); }));
    for (const std::int64_t a : axes)
      if (a <= static_cast<std::int64_t>(axis)) ++axis;
    return axis;
  }

  /// A Reshape that leaves the last dimension as it is, and the axis is the last one.
  bool reshapes_in_front(const Shape& from, const Shape& to, std::size_t axis) const {
    return !from.empty() && axis + 1 == to.size() && equal(from.back(), to.back());
  }

  ValueId reshape_in_front(ValueId x, Shape to) {
    to.back() = shape(x).back();
    return add_reshape(to_, x, to);
  }

  /// [.., 2*h] -> [.., h, 2]: one of the last two is every second element.
  ValueId part_of_reshape(const Node& node, const PieceRange& r) {
    const ValueId x = node.inputs[0];
    const Shape from = shape(x), to = shape(node.outputs[0]);
    if (reshapes_in_front(from, to, r.axis)) return reshape_in_front(part(x, {from.size() - 1, r.start, r.length, r.step}), to);
    const auto inner = to.back().as_constant();
    const bool splits_last = !from.empty() && inner && to.size() == from.size() + 1 && equal(from.back(), to.back() * to[to.size() - 2]) &&
                             std::equal(from.begin(), from.end() - 1, to.begin());
    if (!splits_last || r.axis + 1 != to.size() || r.length != Expr(1))
      throw Error(fmt::format("node '{}': a part of a Reshape is needed", node.name));
    const ValueId turn = part(x, {from.size() - 1, r.start, to[to.size() - 2], *inner});
    return to_.add_op(OpKind::Unsqueeze, "", {turn}, {{"axes", std::vector<std::int64_t>{static_cast<std::int64_t>(r.axis)}}});
  }

  /// Of pieces those that the range holds, or a part of one.
  ValueId part_of_pieces(const Pieces& pieces, const PieceRange& r) {
    if (pieces.axis != r.axis) {
      Pieces parts{pieces.axis, {}, pieces.ranges};
      for (const ValueId v : pieces.values) parts.values.push_back(part(v, r));
      return put_together(parts);
    }
    Pieces inside{r.axis, {}, {}};
    for (std::size_t i = 0; i < pieces.values.size(); ++i) {
      const PieceRange& own = pieces.ranges[i];
      if (own.step > 1 && r.step == own.step && equal(r.start, own.start) && equal(r.length, own.length)) return pieces.values[i];
      if (own.step != 1 || r.step != 1) continue;
      const Expr end = r.start + r.length, own_end = own.start + own.length;
      if (math_.at_most(own.start, r.start) && math_.at_most(end, own_end))
        return part(pieces.values[i], {r.axis, r.start - own.start, r.length, 1});
      if (!math_.at_most(r.start, own.start) || !math_.at_most(own_end, end)) continue;
      inside.values.push_back(pieces.values[i]);
      inside.ranges.push_back({r.axis, own.start - r.start, own.length, 1});
    }
    if (inside.values.empty()) throw Error("pieces of one dimension overlap");
    return put_together(inside);
  }

  // ---- pieces: Concats move down ----

  ValueId concat(const Node& node, const std::vector<ValueId>& inputs) {
    Pieces pieces;
    pieces.axis = static_cast<std::size_t>(node.int_attribute("axis", 0));
    Expr start = 0;
    for (const ValueId v : inputs) {
      const Expr length = shape(v)[pieces.axis];
      if (const Pieces* inner = pieces_of(v); inner != nullptr && inner->axis == pieces.axis) {
        if (inner->ranges.front().step != 1) throw Error("elements that take turns are part of a Concat");
        for (std::size_t i = 0; i < inner->values.size(); ++i) {
          pieces.values.push_back(inner->values[i]);
          pieces.ranges.push_back({pieces.axis, start + inner->ranges[i].start, inner->ranges[i].length, 1});
        }
      } else {
        pieces.values.push_back(v);
        pieces.ranges.push_back({pieces.axis, start, length, 1});
      }
      start += length;
    }
    return put_together(pieces);
  }

  /// One value again, of which the pieces are remembered: nobody need compute it.
  ValueId put_together(const Pieces& pieces) {
    if (pieces.values.size() == 1) return pieces.values.front();
    const auto axis = static_cast<std::int64_t>(pieces.axis);
    const std::int64_t step = pieces.ranges.front().step;
    std::vector<ValueId> values = pieces.values;
    if (step > 1)
      for (ValueId& v : values) v = to_.add_op(OpKind::Unsqueeze, "", {v}, {{"axes", std::vector<std::int64_t>{axis + 1}}});
    ValueId result = to_.add_op(OpKind::Concat, "", values, {{"axis", step > 1 ? axis + 1 : axis}});
    if (step > 1) {
      Shape merged = shape(pieces.values.front());
      merged[pieces.axis] *= step;
      result = add_reshape(to_, result, merged);
    }
    pieces_[result] = pieces;
    return result;
  }

  /// A node at least one of whose operands is in pieces.
  ValueId on_pieces(const Node& node, const std::vector<ValueId>& inputs) {
    if (is_elementwise(node.op)) return elementwise_on_pieces(node, inputs);
    const Pieces* first = pieces_of(inputs[0]);
    if (first == nullptr) throw Error(fmt::format("node '{}': {} with an operand that is put together of pieces", node.name, info(node.op).name));
    Pieces result = *first;
    const std::size_t axis = result.axis;
    const auto moved = [&](std::size_t to) {
      for (ValueId& v : result.values) v = to_.add_op(node.op, node.name, {v}, node.attributes);
      result.axis = to;
      for (PieceRange& r : result.ranges) r.axis = to;
      return put_together(result);
    };
    switch (node.op) {
      case OpKind::Transpose: {
        const auto perm = node.ints_attribute("perm");
        return moved(static_cast<std::size_t>(std::find(perm.begin(), perm.end(), static_cast<std::int64_t>(axis)) - perm.begin()));
      }
      case OpKind::Unsqueeze: {
        std::size_t to = axis;
        for (const std::int64_t a : node.ints_attribute("axes"))
          if (a <= static_cast<std::int64_t>(to)) ++to;
        return moved(to);
      }
      case OpKind::Squeeze: {
        const auto axes = node.ints_attribute("axes");
        return moved(axis - static_cast<std::size_t>(std::count_if(axes.begin(), axes.end(), [&](std::int64_t a) { return a < static_cast<std::int64_t>(axis); })));
      }
      case OpKind::Reshape: return reshape_of_pieces(node, result);
      case OpKind::ReduceSum:
      case OpKind::ReduceMean:
      case OpKind::ReduceMax:
      case OpKind::ReduceMin:
      case OpKind::ReduceProd: return reduce_pieces(node, result, [&] { return moved(axis); });
      default: break;
    }
    throw Error(fmt::format("node '{}': {} of what is put together of pieces", node.name, info(node.op).name));
  }

  /// Each piece by itself, from the same parts of all operands. Where two operands are in pieces differently, those of
  /// the one that has the most decide.
  ValueId elementwise_on_pieces(const Node& node, const std::vector<ValueId>& inputs) {
    const std::size_t rank = from_.value(node.outputs[0]).shape.size();
    Pieces result;
    for (const ValueId v : inputs) {
      const Pieces* pieces = v == kNone ? nullptr : pieces_of(v);
      if (pieces == nullptr || pieces->values.size() <= result.values.size()) continue;
      result = *pieces;
      result.axis += rank - shape(v).size();
    }
    for (PieceRange& r : result.ranges) r.axis = result.axis;
    for (std::size_t i = 0; i < result.values.size(); ++i)
      result.values[i] = again(node, inputs, [&](ValueId in) { return part_of_operand(in, from_.value(node.outputs[0]).shape, result.ranges[i]); });
    return put_together(result);
  }

  /// [.., h, n] -> [.., n*h]: n pieces that are stacked on a last axis take turns.
  ValueId reshape_of_pieces(const Node& node, const Pieces& stacked) {
    const Shape to = from_.value(node.outputs[0]).shape;
    if (stacked.axis + 1 == from_.value(node.inputs[0]).shape.size() && reshapes_in_front(from_.value(node.inputs[0]).shape, to, to.size() - 1)) {
      Pieces result = stacked;
      result.axis = to.size() - 1;
      for (ValueId& v : result.values) v = reshape_in_front(v, to);
      for (PieceRange& r : result.ranges) r.axis = result.axis;
      return put_together(result);
    }
    const std::size_t rank = shape(stacked.values.front()).size();
    const auto turns = static_cast<std::int64_t>(stacked.values.size());
    const bool single = std::all_of(stacked.ranges.begin(), stacked.ranges.end(), [](const PieceRange& r) { return r.length == Expr(1) && r.step == 1; });
    Shape merged = shape(stacked.values.front());
    merged.pop_back();
    if (!single || rank < 2 || stacked.axis + 1 != rank) throw Error(fmt::format("node '{}': a Reshape of pieces", node.name));
    const Expr length = merged.back();
    merged.back() *= turns;
    if (!std::equal(merged.begin(), merged.end(), to.begin(), to.end(), [&](const Expr& a, const Expr& b) { return equal(a, b); }))
      throw Error(fmt::format("node '{}': a Reshape of pieces", node.name));
    Pieces result{rank - 2, {}, {}};
    for (std::size_t i = 0; i < stacked.values.size(); ++i) {
      result.values.push_back(without_last_axis(stacked.values[i]));
      result.ranges.push_back({rank - 2, static_cast<std::int64_t>(i), length, turns});
    }
    return put_together(result);
  }

  ValueId without_last_axis(ValueId v) {
    const std::vector<std::int64_t> axes = {static_cast<std::int64_t>(shape(v).size()) - 1};
    const Node* maker = producer(to_, v);
    if (maker != nullptr && maker->op == OpKind::Unsqueeze && maker->ints_attribute("axes") == axes) return maker->inputs[0];
    return to_.add_op(OpKind::Squeeze, "", {v}, {{"axes", axes}});
  }

  /// Folded along the axis of the pieces: each by itself, then their results.
  template <typename F>
  ValueId reduce_pieces(const Node& node, const Pieces& pieces, F&& each_by_itself) {
    const auto axes = node.ints_attribute("axes");
    if (node.int_attribute("keepdims", 1) != 1) throw Error(fmt::format("node '{}': drops an axis that is in pieces", node.name));
    if (std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(pieces.axis)) == axes.end()) return each_by_itself();
    const bool mean = node.op == OpKind::ReduceMean;
    if (mean && std::any_of(pieces.ranges.begin(), pieces.ranges.end(), [&](const PieceRange& r) { return !equal(r.length, pieces.ranges.front().length); }))
      throw Error(fmt::format("node '{}': the mean of pieces of different sizes", node.name));
    ValueId result = kNone;
    for (const ValueId v : pieces.values) {
      const ValueId folded = to_.add_op(node.op, node.name, {v}, node.attributes);
      result = result == kNone ? folded : to_.add_op(combination(node.op), "", {result, folded});
    }
    if (!mean) return result;
    const ValueId share = to_.add_constant("", Tensor::scalar(to_.value(result).precision, 1.0 / static_cast<double>(pieces.values.size())));
    return to_.add_op(OpKind::Mul, "", {result, share});
  }

  static OpKind combination(OpKind reduction) {
    switch (reduction) {
      case OpKind::ReduceMax: return OpKind::Max;
      case OpKind::ReduceMin: return OpKind::Min;
      case OpKind::ReduceProd: return OpKind::Mul;
      default: return OpKind::Add;
    }
  }

  const Graph& from_;
  Graph to_;
  ShapeMath math_;
  std::map<ValueId, ValueId> now_;     ///< of the old graph's values, where it is another one
  std::map<ValueId, Pieces> pieces_;   ///< by value of the new graph
  std::map<Key, ValueId> parts_;
};

/// Only inputs are taken apart, and only outputs put together.
bool is_separated(const Graph& graph) {
  const auto users = graph.users();
  const auto only_leaves = [&](ValueId v) { return graph.is_output(v) && users[v].empty(); };
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.op == OpKind::Split) return false;
    if (node.op == OpKind::Slice) {
      const Node* maker = producer(graph, node.inputs[0]);
      if (maker != nullptr && maker->op != OpKind::Slice) return false;
    }
    if (node.op != OpKind::Concat || only_leaves(node.outputs[0])) continue;
    for (const NodeId user : users[node.outputs[0]])
      if (!is_put_together(graph, graph.node(user).outputs[0]) || !only_leaves(graph.node(user).outputs[0])) return false;
  }
  return true;
}

/// An input that is read as a whole and in pieces, with these pieces.
std::optional<std::pair<ValueId, std::vector<PieceRange>>> input_read_in_two_ways(const Graph& graph) {
  const ShapeMath math(graph.facts);
  const auto users = graph.users();
  for (const ValueId input : graph.inputs) {
    std::vector<PieceRange> ranges;
    bool whole = graph.is_output(input);
    for (const NodeId user : users[input]) {
      const std::vector<PieceRange> own = graph.node(user).op == OpKind::Slice ? ranges_of_slice(graph, graph.node(user)) : std::vector<PieceRange>{};
      if (own.empty())
        whole = true;
      else
        ranges.push_back(own.front());
    }
    if (!whole || ranges.empty()) continue;
    // Pieces that cover the dimension, in order.
    std::sort(ranges.begin(), ranges.end(), [&](const PieceRange& a, const PieceRange& b) { return math.at_most(a.start + 1, b.start); });
    ranges.erase(std::unique(ranges.begin(), ranges.end(), [](const PieceRange& a, const PieceRange& b) { return a.start == b.start && a.length == b.length; }), ranges.end());
    const std::int64_t step = ranges.front().step;
    const Expr& size = graph.value(input).shape[ranges.front().axis];
    Expr next = 0;
    for (const PieceRange& r : ranges) {
      if (r.axis != ranges.front().axis || r.step != step || !math.equal(r.start, next)) throw Error("pieces that do not cover a dimension, beside the whole of it");
      next += step > 1 ? Expr(1) : r.length;
    }
    if (!math.equal(step > 1 ? ranges.front().length * step : next, size)) throw Error("pieces that do not cover a dimension, beside the whole of it");
    return std::pair{input, ranges};
  }
  return std::nullopt;
}

/// Operands that are stacked on a new last axis, and a Reshape that merges it: they take turns along the axis before.
std::optional<std::vector<StoredPiece>> stacked_pieces(const Graph& graph, const Node& reshape) {
  const Node* concat = producer(graph, reshape.inputs[0]);
  if (concat == nullptr || concat->op != OpKind::Concat) return std::nullopt;
  const std::size_t axis = graph.value(reshape.outputs[0]).shape.size() - 1;
  const auto turns = static_cast<std::int64_t>(concat->inputs.size());
  std::vector<StoredPiece> out;
  for (const ValueId v : concat->inputs) {
    const Node* unsqueeze = producer(graph, v);
    const std::vector<std::int64_t> last = {static_cast<std::int64_t>(axis) + 1};
    if (unsqueeze == nullptr || unsqueeze->op != OpKind::Unsqueeze || unsqueeze->ints_attribute("axes") != last) return std::nullopt;
    const ValueId piece = unsqueeze->inputs[0];
    out.push_back({piece, false, {axis, static_cast<std::int64_t>(out.size()), graph.value(piece).shape[axis], turns}});
  }
  return out;
}

}  // namespace

std::vector<PieceRange> ranges_of_slice(const Graph& graph, const Node& slice) {
  const ShapeMath math(graph.facts);
  const Elements& starts = known(graph, slice, 1);
  std::vector<PieceRange> ranges;
  const Shape &from = graph.value(slice.inputs[0]).shape, &to = graph.value(slice.outputs[0]).shape;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    PieceRange r;
    const auto axis = has_input(slice, 3) ? known(graph, slice, 3)[i].as_constant() : static_cast<std::int64_t>(i);
    const auto step = has_input(slice, 4) ? known(graph, slice, 4)[i].as_constant() : std::int64_t{1};
    if (!axis || !step || *step < 1) throw Error(fmt::format("node '{}': a Slice that does not go forward", slice.name));
    r.axis = static_cast<std::size_t>(*axis < 0 ? *axis + static_cast<std::int64_t>(from.size()) : *axis);
    r.length = to[r.axis];
    r.step = r.length == Expr(1) ? 1 : *step;
    r.start = starts[i];
    if (math.at_least(-1 - r.start, 0)) r.start += from[r.axis];
    if (!math.at_least(r.start, 0)) throw Error(fmt::format("node '{}': a Slice from {} on", slice.name, r.start.to_string()));
    ranges.push_back(std::move(r));
  }
  return ranges;
}

ValueId add_slice(Graph& graph, ValueId x, const PieceRange& r) {
  const ShapeMath math(graph.facts);
  // Up to the end inference needs no proof of where the last step leads.
  const Expr behind = r.start + r.length * r.step;
  const bool to_end = r.step > 1 && math.at_most(graph.value(x).shape[r.axis], behind);
  const Expr end = to_end ? Expr(std::numeric_limits<std::int64_t>::max()) : behind - r.step + 1;
  const auto integer = [&](const Expr& e) { return add_known_integers(graph, "", Precision::i64, {e}, false); };
  return graph.add_op(OpKind::Slice, "", {x, integer(r.start), integer(end), integer(static_cast<std::int64_t>(r.axis)), integer(r.step)});
}

bool separate_pieces(Graph& graph) {
  if (is_separated(graph) && !input_read_in_two_ways(graph)) return false;
  std::map<ValueId, std::vector<PieceRange>> taken_apart;
  Graph result = Separation(graph).run(taken_apart);
  for (auto found = input_read_in_two_ways(result); found; found = input_read_in_two_ways(result)) {
    if (!taken_apart.insert(*found).second) throw Error("an input is needed as a whole, and in pieces");
    result = Separation(graph).run(taken_apart);
  }
  graph = std::move(result);
  return true;
}

std::vector<StoredPiece> stored_pieces(const Graph& graph, ValueId output) {
  const Node* node = producer(graph, output);
  std::vector<StoredPiece> whole = {{output, true, {}}};
  if (node == nullptr) return whole;
  if (node->op == OpKind::Reshape) return stacked_pieces(graph, *node).value_or(whole);
  if (node->op != OpKind::Concat) return whole;
  std::vector<StoredPiece> out;
  PieceRange range;
  range.axis = static_cast<std::size_t>(node->int_attribute("axis", 0));
  for (const ValueId v : node->inputs) {
    range.length = graph.value(v).shape[range.axis];
    out.push_back({v, false, range});
    range.start += range.length;
  }
  return out;
}

bool is_put_together(const Graph& graph, ValueId value) {
  const Node* node = producer(graph, value);
  if (node == nullptr) return false;
  if (node->op == OpKind::Concat) return true;
  return node->op == OpKind::Reshape && stacked_pieces(graph, *node).has_value();
}

}  // namespace burin
