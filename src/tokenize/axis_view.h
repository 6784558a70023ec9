#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "burin/graph.h"

namespace burin {

/// A tensor seen through views (Transpose, Reshape, Squeeze, Unsqueeze, Expand, and what repeats
/// heads: Tile, Gather by constant indices, Concat of one tensor with itself) of a source: which
/// axes of the source each of its dimensions runs over, outermost first.
///
/// Example: K of a grouped attention, repeated for the query heads:
///
///     source      [B, S, 4, 64]                {B} {S} {4} {64}
///     transpose   [B, 4, S, 64]                {B} {4} {S} {64}
///     unsqueeze   [B, 4, 1, S, 64]             {B} {4} {} {S} {64}
///     expand      [B, 4, 3, S, 64]             {B} {4} {x3} {S} {64}
///     reshape     [B, 12, S, 64]               {B} {4 x3} {S} {64}
class AxisView {
 public:
  /// One axis of the source, or a repetition.
  struct Axis {
    Expr size;
    std::size_t source = kRepeated;  ///< index into source()
    static constexpr std::size_t kRepeated = static_cast<std::size_t>(-1);
    bool is_repeated() const { return source == kRepeated; }
  };
  using Group = std::vector<Axis>;  ///< of one dimension; empty: a dimension of 1

  AxisView(const Shape& source, const Facts& facts);
  /// Axes of the source that are in no group have one element.
  AxisView(Shape source, std::vector<Group> groups, const Facts& facts);

  /// The source's axes. Those of the tensor itself, save where a reshape split one of them.
  const Shape& source() const { return source_; }
  bool is_split() const { return split_; }
  const std::vector<Group>& groups() const { return groups_; }
  Shape shape() const;

  /// Each of these gives false, and leaves the view as it is, where the result is no view of this
  /// kind.
  bool transpose(const std::vector<std::int64_t>& perm);
  bool reshape(const Shape& to);
  bool expand(const Shape& to);
  /// Each element along the dimension `times` times, one after the other; or the whole dimension.
  bool repeat(std::size_t dimension, const Expr& times, bool elements);
  /// Applies a movement node to the view of its first input.
  bool apply(const Graph& graph, const Node& node);

  /// Every dimension runs over at most one axis of the source, or over one and its repetition.
  bool is_plain() const;

 private:
  bool equal(const Expr& a, const Expr& b) const;
  bool gather(const Graph& graph, const Node& node);
  bool tile(const Graph& graph, const Node& node);
  bool concat(const Node& node);
  bool split(std::vector<Axis>& axes, std::size_t at, std::vector<Group>& groups, const Shape& to,
             std::size_t dimension);

  const Facts* facts_;
  Shape source_;
  bool split_ = false;
  std::vector<Group> groups_;
};

}  // namespace burin
