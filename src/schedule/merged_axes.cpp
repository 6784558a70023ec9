#include "schedule/merged_axes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "graph/canonicalize.h"
#include "graph/pieces.h"
#include "schedule/body_queries.h"

namespace burin {
namespace {

/// Rows from which on a copy of what is repeated costs little beside them.
constexpr std::int64_t kManyRows = 16;

class Merging {
 public:
  Merging(const Graph& body, const AxisMap& axes, AxisId lanes, bool repeats)
      : body_(body), axes_(axes), lanes_(lanes), repeats_(repeats) {
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

  MergedAxes run() {
    MergedAxes out = separate_axes(axes_);
    struct Level {
      AxisId outer = 0;
      Expr when;
    };
    std::vector<Level> levels;
    Expr merged = extent(lanes_), dense = 1, rows = 1;
    while (const auto outer = axis_around(inside_.back())) {
      const auto here = when_dense(*outer, inside_.back());
      if (!here) break;
      dense *= *here;
      if (is_lacking(*outer)) {
        out.periods.push_back({*outer, merged});
        rows = 1;
      }
      rows *= extent(*outer);
      merged *= extent(*outer);
      levels.push_back({*outer, out.periods.empty() ? dense : dense * pays(out.periods.back().elements, rows)});
      out.trips[lanes_] = select(levels.back().when, merged, out.trips[lanes_]);
      inside_.push_back(*outer);
    }
    // Rows that are too few of one axis may be enough of more.
    for (std::size_t i = levels.size(); i-- > 0;) {
      if (i + 1 < levels.size() && !out.periods.empty()) levels[i].when = max(levels[i].when, levels[i + 1].when);
      out.trips[levels[i].outer] = select(levels[i].when, 1, extent(levels[i].outer));
    }
    return out;
  }

  /// Of what is read and written.
  std::optional<Expr> when_rows_are_dense(AxisId rows) const {
    Expr dense = 1;
    const auto follow = [&](ValueId v) {
      const auto here = when_dense(v, rows, lanes_);
      if (here) dense *= *here;
      return here && !(*here == Expr(0));
    };
    for (ValueId v = 0; v < body_.value_count(); ++v)
      if (strides_of_read(v) && !follow(v)) return std::nullopt;
    for (const auto& [value, strides] : stored_)
      if (!follow(value)) return std::nullopt;
    return dense;
  }

 private:
  const Expr& extent(AxisId a) const { return axes_.axes[a].extent; }

  /// Whether a copy of what a row of so many elements reads is better than to begin anew with each row.
  static Expr pays(const Expr& elements, const Expr& rows) { return less(elements, kLongRow) * less_equal(kManyRows, rows); }

  /// Whether it is read again for each element of the axis.
  bool is_lacking(AxisId outer) const {
    for (ValueId v = 0; v < body_.value_count(); ++v)
      if (is_repeated(v, outer, inside_.back())) return true;
    return false;
  }

  bool is_repeated(ValueId v, AxisId outer, AxisId inner) const {
    const std::vector<AxisId> all = axes_.of(v);
    return has(all, inner) && !has(all, outer);
  }

  /// Whether what is read lies in the lanes alone, all elements side by side, and an element is one in memory.
  bool can_be_repeated(ValueId v) const {
    if (!repeats_ || body_.value(v).precision == Precision::i64) return false;
    if (const Node* node = producer(body_, v); node != nullptr && node->op == OpKind::Range) return false;
    if (std::ranges::any_of(stored_, [&](const auto& stored) { return stored.first == v; })) return false;
    if (!std::ranges::all_of(axes_.of(v), [&](AxisId a) { return has(inside_, a); })) return false;
    for (std::size_t d = 0; d < axes_.dims[v].size(); ++d)
      if (!has_all_elements(v, d)) return false;
    const auto strides = strides_of_read(v);
    return !strides || (*strides)[*dimension_of(v, lanes_)] == Expr(1);
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
    if (is_repeated(v, outer, inner)) return can_be_repeated(v) ? std::optional(Expr(1)) : std::nullopt;
    if (!are_neighbours(axes_.of(v), outer, inner)) return std::nullopt;
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
  const AxisId lanes_;
  const bool repeats_;
  std::vector<AxisId> inside_ = {lanes_};  ///< that the lanes run over, innermost first
  std::map<ValueId, std::vector<Expr>> strides_;
  std::vector<std::pair<ValueId, std::vector<Expr>>> stored_;
};

}  // namespace

MergedAxes merge_axes(const Graph& body, const AxisMap& axes, AxisId lanes, bool repeats) {
  return Merging(body, axes, lanes, repeats).run();
}

std::optional<Expr> when_rows_are_dense(const Graph& body, const AxisMap& axes, AxisId rows, AxisId elements) {
  return Merging(body, axes, elements, false).when_rows_are_dense(rows);
}

MergedAxes separate_axes(const AxisMap& axes) {
  MergedAxes out;
  for (const Axis& axis : axes.axes) out.trips.push_back(axis.extent);
  return out;
}

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
