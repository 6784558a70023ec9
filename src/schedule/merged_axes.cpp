#include "schedule/merged_axes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "graph/canonicalize.h"
#include "graph/pieces.h"

namespace burin {
namespace {

class Merging {
 public:
  Merging(const Graph& body, const AxisMap& axes) : body_(body), axes_(axes) {
    for (std::size_t i = 0; i < body.inputs.size(); ++i)
      strides_[body.inputs[i]] = input_strides(i, body.value(body.inputs[i]).shape);
    for (const ValueId output : body.outputs) {
      const std::vector<Expr> dense = dense_strides(body.value(output).shape);
      for (const StoredPiece& piece : stored_pieces(body, output)) {
        std::vector<Expr> strides = dense;
        if (!piece.is_whole) strides[piece.range.axis] *= piece.range.step;
        stored_.emplace_back(piece.value, std::move(strides));
      }
    }
  }

  std::vector<Expr> run(const std::vector<AxisId>& inner) const {
    std::vector<Expr> trips;
    for (const Axis& axis : axes_.axes) trips.push_back(axis.extent);
    for (const AxisId a : inner) merge_around(a, trips);
    return trips;
  }

 private:
  void merge_around(AxisId innermost, std::vector<Expr>& trips) const {
    Expr merged = trips[innermost], dense = 1;
    AxisId inner = innermost;
    while (const auto outer = axis_around(inner)) {
      const auto here = when_dense(*outer, inner);
      if (!here) return;
      dense *= *here;
      merged *= axes_.axes[*outer].extent;
      trips[innermost] = select(dense, merged, trips[innermost]);
      trips[*outer] = select(dense, 1, axes_.axes[*outer].extent);
      inner = *outer;
    }
  }

  /// The axis that the inner one lies in, in some value.
  std::optional<AxisId> axis_around(AxisId inner) const {
    for (ValueId v = 0; v < body_.value_count(); ++v) {
      const std::vector<AxisId> all = axes_.of(v);
      const auto at = std::find(all.begin(), all.end(), inner);
      if (at != all.end() && at != all.begin()) return *(at - 1);
    }
    return std::nullopt;
  }

  /// When they are one axis wherever they occur; nothing if they never are.
  std::optional<Expr> when_dense(AxisId outer, AxisId inner) const {
    for (const std::vector<AxisId>& reduced : axes_.reduced)
      if (!are_neighbours(reduced, outer, inner)) return std::nullopt;
    Expr dense = 1;
    for (ValueId v = 0; v < body_.value_count(); ++v) {
      const auto here = when_dense(v, outer, inner);
      if (!here || *here == Expr(0)) return std::nullopt;
      dense *= *here;
    }
    return dense;
  }

  /// Neither of them, or both, one behind the other.
  static bool are_neighbours(const std::vector<AxisId>& all, AxisId outer, AxisId inner) {
    const auto a = std::find(all.begin(), all.end(), outer), b = std::find(all.begin(), all.end(), inner);
    if (a == all.end() || b == all.end()) return a == b;
    return b == a + 1;
  }

  std::optional<Expr> when_dense(ValueId v, AxisId outer, AxisId inner) const {
    const std::vector<AxisId> all = axes_.of(v);
    if (!are_neighbours(all, outer, inner)) return std::nullopt;
    const auto from = dimension_of(v, outer), to = dimension_of(v, inner);
    if (!from || !to) return Expr(1);
    if (!has_all_elements(v, *from) || !has_all_elements(v, *to)) return std::nullopt;
    if (*from == *to) return Expr(1);
    Expr dense = 1;
    const Expr& extent = body_.value(v).shape[*to];
    const auto follow = [&](const std::vector<Expr>& strides) { dense *= equal(strides[*from], extent * strides[*to]); };
    if (const auto strides = strides_of_read(v)) follow(*strides);
    for (const auto& [value, strides] : stored_)
      if (value == v) follow(strides);
    return dense;
  }

  std::optional<std::size_t> dimension_of(ValueId v, AxisId axis) const {
    const auto& dims = axes_.dims[v];
    for (std::size_t d = 0; d < dims.size(); ++d)
      if (std::find(dims[d].begin(), dims[d].end(), axis) != dims[d].end()) return d;
    return std::nullopt;
  }

  /// Not so where it may be one element at a call, and others have more.
  bool has_all_elements(ValueId v, std::size_t dimension) const {
    Expr extent = 1;
    for (const AxisId a : axes_.dims[v][dimension]) extent *= axes_.axes[a].extent;
    return body_.facts.proves_equal(body_.value(v).shape[dimension], extent);
  }

  /// Of an input, a constant, or a Slice of one.
  std::optional<std::vector<Expr>> strides_of_read(ValueId v) const {
    if (const auto known = strides_.find(v); known != strides_.end()) return known->second;
    if (body_.is_constant(v)) return dense_strides(body_.value(v).shape);
    const Node* node = producer(body_, v);
    if (node == nullptr || node->op != OpKind::Slice) return std::nullopt;
    auto strides = strides_of_read(node->inputs[0]);
    if (strides)
      for (const PieceRange& r : ranges_of_slice(body_, *node)) (*strides)[r.axis] *= r.step;
    return strides;
  }

  const Graph& body_;
  const AxisMap& axes_;
  std::map<ValueId, std::vector<Expr>> strides_;
  std::vector<std::pair<ValueId, std::vector<Expr>>> stored_;
};

}  // namespace

std::vector<Expr> trips_of_axes(const Graph& body, const AxisMap& axes, const std::vector<AxisId>& inner) { return Merging(body, axes).run(inner); }

std::vector<Expr> input_strides(std::size_t input, const Shape& shape) {
  std::vector<Expr> strides;
  for (std::size_t d = 0; d < shape.size(); ++d)
    strides.push_back(d + 1 == shape.size() ? Expr(1) : Expr::symbol(fmt::format("in{}.s{}", input, d)));
  return strides;
}

std::vector<Expr> dense_strides(const Shape& shape) {
  std::vector<Expr> strides(shape.size(), Expr(1));
  for (std::size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
  return strides;
}

}  // namespace burin
