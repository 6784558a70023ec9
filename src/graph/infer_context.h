// What the functions that infer the results of an operation share: one node, checked access to its
// inputs and attributes, arithmetic under the graph's facts, and errors that name the node.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "burin/graph.h"
#include "graph/shape_math.h"

namespace burin {

/// The elements of an integer tensor of rank 0 or 1, where they are known.
using Elements = std::optional<std::vector<Expr>>;

/// Integer tensors of at most this many elements are followed element by element.
inline constexpr std::int64_t kMaxElements = 64;

class InferContext {
 public:
  InferContext(Graph& graph, NodeId id);

  OpKind op() const { return node().op; }
  const Node& node() const { return graph_.node(id_); }
  const Graph& graph() const { return graph_; }
  const Facts& facts() const { return graph_.facts; }
  ShapeMath math() const { return ShapeMath(graph_.facts); }

  // Inputs.
  std::size_t input_count() const { return node().inputs.size(); }
  std::size_t output_count() const { return node().outputs.size(); }
  bool has(std::size_t input) const;
  const Value& in(std::size_t input) const { return graph_.value(node().inputs[input]); }
  const Shape& shape(std::size_t input) const { return in(input).shape; }
  std::int64_t rank(std::size_t input) const {
    return static_cast<std::int64_t>(shape(input).size());
  }
  /// "input 1 'name' f32[B,S]"
  std::string describe(std::size_t input) const;

  // Checks of inputs; they fail with a message.
  void require_float(std::size_t input) const;
  void require_integer(std::size_t input) const;
  void require_boolean(std::size_t input) const;
  void require_same_precision(std::size_t a, std::size_t b) const;
  void require_rank(std::size_t input, std::int64_t least, std::int64_t most) const;
  void require_scalar(std::size_t input) const;

  // Integers that an input gives, such as a target shape.
  /// The input is an integer tensor of rank 0 or 1: its elements, where they are known.
  const Elements& integers(std::size_t input) const;
  /// How many elements the rank-1 input `input` has; fails where that is not constant.
  std::int64_t integer_count(std::size_t input) const;
  /// All elements as constants, where they are.
  std::optional<std::vector<std::int64_t>> constants(std::size_t input) const;
  /// As constants, or an error.
  std::vector<std::int64_t> require_constants(std::size_t input) const;

  // Attributes.
  /// The attribute in [0, rank); counted from the end where negative. The node keeps it in this
  /// form.
  std::int64_t axis(std::string_view key, std::int64_t fallback, std::int64_t rank);
  /// The same for a list, sorted. Absent or empty: all axes if `all`, else an error.
  std::vector<std::int64_t> axes(std::int64_t rank, bool all);
  std::int64_t canonical_axis(std::int64_t axis, std::int64_t rank, std::string_view what) const;
  /// Sorts axes after having made each canonical; fails where one occurs twice.
  std::vector<std::int64_t> canonical_axes(std::vector<std::int64_t> axes, std::int64_t rank) const;
  std::vector<std::int64_t> permutation(std::string_view key, std::int64_t rank);
  void set_attribute(std::string_view key, Attribute value);
  /// A boolean attribute; fails unless it is 0 or 1.
  bool flag(std::string_view key, bool fallback) const;

  // Dimensions.
  /// Numpy's rule; nothing if the two can never be broadcast. A table that is cut to the length of
  /// a sequence, min(512, S) against S, is meant to be long enough: S <= 512 becomes a fact.
  std::optional<Expr> broadcast(const Expr& a, const Expr& b);
  /// The same for shapes; fails where they cannot be broadcast.
  Shape broadcast(const Shape& a, const Shape& b);
  /// The two must be the same: proved, assumed as a fact under the name `subject`, or an error.
  /// Gives whichever says more.
  Expr unify(const Expr& a, const Expr& b, std::string_view subject);
  void assume_divides(const Expr& divisor, const Expr& value, std::string_view subject);
  void assume_at_least(const Expr& value, std::int64_t bound, std::string_view subject);
  /// A symbol for a dimension that depends on data, of a result of rank `rank`. A node that is
  /// inferred again keeps the symbol.
  Expr unknown_dimension(std::size_t output, std::int64_t rank, std::int64_t axis);
  /// All dimensions unknown.
  Shape unknown_shape(std::size_t output, std::int64_t rank);
  /// A symbol for an integer that depends on data.
  Expr unknown_integer(std::size_t output, std::size_t count, std::size_t index);

  // Results.
  void set(Precision precision, Shape shape, Elements elements = std::nullopt,
           std::size_t output = 0);
  /// Writes the results to the graph.
  void commit();

  template <typename... Arguments>
  [[noreturn]] void fail(fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    throw_error(fmt::format(format, std::forward<Arguments>(arguments)...));
  }
  /// "node 'name' (MatMul)"
  std::string subject() const;

 private:
  struct Result {
    Precision precision{};
    Shape shape;
    Elements elements;
    bool is_set = false;
  };

  [[noreturn]] void throw_error(const std::string& what) const;
  /// Whether `cut` without its clamps is `whole`; the facts that this takes are assumed then.
  bool assume_unclamped(const Expr& cut, const Expr& whole);

  Graph& graph_;
  NodeId id_;
  std::vector<Result> results_;
};

using InferFunction = void (*)(InferContext&);

// One function for each kind of result, in the file of its category.
void infer_same(InferContext& context);  // infer_elementwise.cpp
void infer_float_unary(InferContext& context);
void infer_numeric_unary(InferContext& context);
void infer_not(InferContext& context);
void infer_float_test(InferContext& context);
void infer_cast(InferContext& context);
void infer_arithmetic(InferContext& context);
void infer_pow(InferContext& context);
void infer_prelu(InferContext& context);
void infer_logical(InferContext& context);
void infer_compare(InferContext& context);
void infer_where(InferContext& context);
void infer_clip(InferContext& context);

void infer_reduce(InferContext& context);  // infer_reduce.cpp
void infer_argmax(InferContext& context);
void infer_cumsum(InferContext& context);
void infer_softmax(InferContext& context);
void infer_layer_norm(InferContext& context);
void infer_channel_norm(InferContext& context);
void infer_batch_norm(InferContext& context);

void infer_matmul(InferContext& context);  // infer_matmul.cpp
void infer_gemm(InferContext& context);
void infer_brgemm(InferContext& context);

void infer_conv(InferContext& context);  // infer_spatial.cpp
void infer_pool(InferContext& context);
void infer_global_pool(InferContext& context);
void infer_resize(InferContext& context);
void infer_depth_to_space(InferContext& context);

void infer_transpose(InferContext& context);  // infer_movement.cpp
void infer_squeeze(InferContext& context);
void infer_unsqueeze(InferContext& context);
void infer_flatten(InferContext& context);
void infer_expand(InferContext& context);
void infer_repeat(InferContext& context);
void infer_concat(InferContext& context);
void infer_split(InferContext& context);
void infer_pad(InferContext& context);
void infer_tile(InferContext& context);
void infer_trilu(InferContext& context);

void infer_reshape(InferContext& context);  // infer_reshape.cpp
void infer_slice(InferContext& context);    // infer_slice.cpp

void infer_gather(InferContext& context);  // infer_index.cpp
void infer_gather_elements(InferContext& context);
void infer_gather_nd(InferContext& context);
void infer_scatter_nd(InferContext& context);
void infer_shape(InferContext& context);
void infer_size(InferContext& context);
void infer_constant_of_shape(InferContext& context);
void infer_range(InferContext& context);

}  // namespace burin
