// The passes of canonicalize(). Each is run until none of them finds anything more to do; each
// returns whether it changed the graph, and leaves nodes that nobody reads behind.

#pragma once

#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "burin/graph.h"
#include "support/pass_pipeline.h"

namespace burin {

/// One round, in order.
const PassPipeline<Graph>& canonicalization();

/// Nodes over constants become constants:
///
///     %s = sqrt 64.0                 ->   8.0
///
/// Splats (Expand, ConstantOfShape) stay as they are where a dense tensor would be large, as does
/// what is larger than both its inputs and 64 MiB.
bool fold_constants(Graph& graph);

/// Integers whose values inference knows are read from nowhere, so that what computed them is dead:
///
///     %1 = shape %x                  ->   %5 = [B, S, 12, 64]    (a value without producer)
///     %2 = gather %1, 0 ...               %6 = reshape %x, %5
///     %5 = concat %2, ...
///     %6 = reshape %x, %5
///
/// Only symbols that the shapes of the graph's inputs determine may occur in such a value.
bool resolve_known_integers(Graph& graph);

/// Reshape and Expand read the shape of their result in full, without -1 and 0 for a dimension of
/// %x:
///
///     %1 = reshape %x, [0, 0, 12, -1]   ->   %1 = reshape %x, [B, S, 12, 64], allowzero=1
bool spell_out_shapes(Graph& graph);

/// Drops nodes that give what they take: Identity, Cast to the same precision, Reshape and Expand
/// to the same shape, Transpose, Slice and Pad that leave everything in place, Concat of one
/// tensor.
bool remove_identities(Graph& graph);

/// A Reshape looks through what only names dimensions anew; Transposes, Expands and Unsqueezes are
/// merged with their like:
///
///     %1 = unsqueeze %x ; %2 = reshape %1, s      ->   %2 = reshape %x, s
///     %1 = transpose %x, p ; %2 = transpose %1, q ->   %2 = transpose %x, q after p
bool merge_movements(Graph& graph);

/// A Transpose that works on merged dimensions works on the dimensions themselves:
///
///     %1 = reshape %x, [12*B, S, 64]         ->   %3 = transpose %x, perm=[0, 1, 3, 2]
///     %2 = transpose %1, perm=[0, 2, 1]                           (%x: f32[B, 12, S, 64])
///     %3 = reshape %2, [B, 12, 64, S]
bool find_transposes(Graph& graph);

/// A ConstantOfShape is an Expand of a scalar constant: one kind of splat for all that follows.
bool splats_to_expands(Graph& graph);

/// A triangle of one number, as masks are made of, is a comparison of positions:
///
///     %1 = expand 1, [S, S]             ->   %2 = unsqueeze (range 0, S, 1), axes=[1]
///     %2 = trilu %1, upper=0                 %3 = less_equal (range 0, S, 1), %2
///                                            %4 = where %3, 1, 0
bool triangles_to_comparisons(Graph& graph);

/// Comparisons of integers whose result is always the same are splats, such as the bound of a mask
/// that hides nothing:
///
///     %1 = range 0, S, 1               ->   %2 = expand true, [S]
///     %2 = greater_equal %1, 0
bool decide_comparisons(Graph& graph);

/// Element-wise operations work on what an Expand repeats; where their own broadcasting does the
/// same, the Expand is gone:
///
///     %1 = expand %mask, [B, 1, S, S]   ->   %2 = mul %mask, lowest     : [B, 1, 1, S]
///     %2 = mul %1, lowest                    %4 = add %scores, %2
///     %4 = add %scores, %2
bool sink_expands(Graph& graph);

/// Merges constants with the same contents, and nodes that compute the same.
bool merge_equal(Graph& graph);

// ---- Shared by the passes ----

/// Collects "read this instead of that", then changes all readers at once.
class Redirects {
 public:
  void add(ValueId from, ValueId to) { targets_[from] = to; }
  /// True if somebody read one of the values. An output of the graph takes the place and the name
  /// along; where that cannot be (it would be an input, a constant, or a second output with another
  /// name) it stays as it is.
  bool apply(Graph& graph) const;
  /// What is read instead of `id`; itself, if nothing was said.
  ValueId target(ValueId id) const;

 private:
  std::unordered_map<ValueId, ValueId> targets_;
};

/// The symbols that the shapes of the graph's inputs determine.
std::set<std::string> bound_symbols(const Graph& graph);
bool uses_only(const std::vector<Expr>& expressions, const std::set<std::string>& symbols);
/// The dimensions as numbers, if all of them are.
std::optional<Dims> constant_dims(const Shape& shape);
/// A value of small integers that are known: a constant if they all are numbers.
ValueId add_known_integers(Graph& graph, const std::string& name, Precision precision,
                           const std::vector<Expr>& elements, bool is_scalar);
/// The same elements in these dimensions, which may be 0. With a name they are name.reshape and name.shape.
ValueId add_reshape(Graph& graph, ValueId x, const Shape& to,
                    const std::optional<std::string>& name = {});
/// Whether the shape operand of a Reshape or Expand says the result's shape without a look at %x.
bool states_whole_shape(const Graph& graph, const Node& node);
/// The node that makes `id`; nullptr for inputs and constants.
const Node* producer(const Graph& graph, ValueId id);
/// A movement that only gives dimensions another name (Reshape, Squeeze, ...): its result lies where its input lies.
bool only_renames(OpKind op);

}  // namespace burin
