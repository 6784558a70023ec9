#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "burin/graph.h"
#include "frontend/onnx_model.h"

namespace burin::frontend {

/// One ONNX node on its way into the Graph: its operands, its attributes, and where results go.
///
/// A converter reads attributes through the typed getters; an attribute that none of them asked for
/// is an error (it might change what the node computes).
class NodeImporter {
 public:
  NodeImporter(Graph& graph, const OnnxNode& node, std::int64_t opset, std::vector<ValueId> inputs)
      : graph_(graph),
        node_(node),
        opset_(opset),
        inputs_(std::move(inputs)),
        results_(node.outputs.size(), kNone) {}

  const OnnxNode& node() const { return node_; }
  std::int64_t opset() const { return opset_; }

  // Operands.
  std::size_t input_count() const { return inputs_.size(); }
  const std::vector<ValueId>& inputs() const { return inputs_; }
  bool has_input(std::size_t i) const { return i < inputs_.size() && inputs_[i] != kNone; }
  ValueId input(std::size_t i) const;  ///< throws if it is not given
  ValueId optional_input(std::size_t i) const { return has_input(i) ? inputs_[i] : kNone; }
  const Value& value(ValueId id) const { return graph_.value(id); }
  std::int64_t rank(ValueId id) const;
  /// Both throw where the value has no such dimension.
  Expr dim(ValueId x, std::size_t dimension) const;
  Expr last_dim(ValueId x) const;
  /// The elements of an integer operand that is known now; throws where it is not.
  std::vector<std::int64_t> constant_ints(std::size_t i, std::string_view what) const;

  /// What the operator's definition says; checked when shapes are bound. Throws if it cannot be.
  void assume_dim(ValueId x, std::size_t dimension, const Expr& size);

  // Attributes; each getter throws if the attribute has another kind.
  bool has_attribute(std::string_view key) const {
    return node_.attributes.contains(std::string(key));
  }
  std::int64_t int_attribute(std::string_view key, std::int64_t fallback);
  double float_attribute(std::string_view key, double fallback);
  std::string string_attribute(std::string_view key, std::string_view fallback);
  std::vector<std::int64_t> ints_attribute(std::string_view key);
  /// As it is, if it is there at all.
  std::optional<OnnxAttribute> attribute(std::string_view key);
  void ignore_attribute(std::string_view key) { attribute(key); }
  /// Throws if an attribute was not asked for.
  void check_attributes() const;

  /// The attribute `axis`, counted from the front; `rank` as ONNX bounds it.
  std::int64_t axis_attribute(std::int64_t fallback, std::int64_t rank);
  /// Axes, as given: operand 1 since opset 13 (18 for reductions other than ReduceSum), an
  /// attribute before.
  std::vector<std::int64_t> axes_operand();
  /// Axes counted from the front and sorted; throws where one is out of range or occurs twice.
  static std::vector<std::int64_t> canonical_axes(std::vector<std::int64_t> axes,
                                                  std::int64_t rank);

  // Making the graph.
  Graph& graph() { return graph_; }
  /// A helper in front of or behind the node proper, called "node.hint".
  ValueId emit(OpKind op, std::string_view hint, std::vector<ValueId> inputs,
               Attributes attributes = {});
  /// A helper that is called after its operation: a part of a formula.
  ValueId apply(OpKind op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return emit(op, info(op).text, std::move(inputs), std::move(attributes));
  }
  /// Elements [begin, end) of a dimension.
  ValueId slice(ValueId x, std::int64_t axis, const Expr& begin, const Expr& end);
  /// A 0 in the shape is one.
  ValueId reshape(ValueId x, const Shape& shape);
  /// The value with another precision; itself, if it has that.
  ValueId cast(ValueId x, Precision to);
  /// A tensor made here, of one dimension, whose elements may depend on symbols.
  ValueId integers(std::string_view hint, const std::vector<Expr>& elements);
  ValueId constant(std::string_view hint, Tensor tensor);
  /// A constant with the precision of `like` that broadcasts.
  ValueId scalar(std::string_view hint, double number, ValueId like);

  /// Whether the model names this result.
  bool is_asked(std::size_t output) const {
    return output < node_.outputs.size() && !node_.outputs[output].empty();
  }
  /// The node itself: bears the name, gives the first `output_count` results. Others that the node
  /// names are not computed; it is an error to read them.
  void finish(OpKind op, std::vector<ValueId> inputs, Attributes attributes = {},
              std::size_t output_count = 1);
  /// A value that was made here is a result.
  void finish(ValueId value, std::size_t output = 0);
  /// One for each output; kNone where it is not computed.
  const std::vector<ValueId>& results() const { return results_; }

 private:
  template <typename T>
  const T* find(std::string_view key, const char* kind);

  Graph& graph_;
  const OnnxNode& node_;
  std::int64_t opset_;
  std::vector<ValueId> inputs_;
  std::vector<ValueId> results_;
  std::vector<std::string> asked_;
};

}  // namespace burin::frontend
