#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "burin/export.h"
#include "burin/expr.h"
#include "burin/type.h"

namespace burin {

/// The operations; see burin/ops.def, where each is declared with its arity and category.
enum class OpKind : std::uint16_t {
#define BURIN_OP(name, text, category, min_inputs, max_inputs) name,
#include "burin/ops.def"
};

enum class OpCategory : std::uint8_t {
  unary,
  binary,
  compare,
  ternary,
  reduce,
  normalize,
  matmul,
  spatial,
  movement,
  index,
  shape,
  subgraph
};

/// What the table says of one operation.
struct OpInfo {
  OpKind kind;
  std::string_view name;  ///< "LayerNormalization": the ONNX spelling
  std::string_view text;  ///< "layer_norm": the spelling of the text form
  OpCategory category;
  int min_inputs, max_inputs;  ///< max_inputs -1: any number
};
BURIN_EXPORT const OpInfo& info(OpKind kind);
/// The whole table, in its order.
BURIN_EXPORT std::span<const OpInfo> all_operations();
BURIN_EXPORT std::optional<OpKind> op_from_name(std::string_view onnx_name);
BURIN_EXPORT std::optional<OpKind> op_from_text(std::string_view text);
/// Element-wise with broadcasting (unary, binary, compare, ternary).
BURIN_EXPORT bool is_elementwise(OpKind kind);

using Attribute =
    std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>, Tensor>;
using Attributes = std::map<std::string, Attribute>;

using ValueId = std::uint32_t;
using NodeId = std::uint32_t;
/// An absent optional input; the producer of a graph input or constant.
inline constexpr std::uint32_t kNone = 0xffffffffU;

class Graph;

/// One SSA value: a tensor with a symbolic shape.
struct Value {
  std::string name;
  Precision precision = Precision::f32;
  Shape shape;
  NodeId producer = kNone;
  std::optional<Tensor> constant;  ///< set for constants
  /// The elements of a small integer tensor (rank 0 or 1), where they are known as expressions.
  std::optional<std::vector<Expr>> elements;
};

struct BURIN_EXPORT Node {
  OpKind op{};
  std::string name;
  std::vector<ValueId> inputs;  ///< kNone where an optional input is absent
  std::vector<ValueId> outputs;
  Attributes attributes;
  std::shared_ptr<const Graph> body;  ///< of a Subgraph
  bool erased = false;

  std::int64_t int_attribute(std::string_view key, std::int64_t fallback) const;
  double float_attribute(std::string_view key, double fallback) const;
  std::string string_attribute(std::string_view key, std::string_view fallback) const;
  std::vector<std::int64_t> ints_attribute(std::string_view key) const;  ///< empty if absent
  bool has_attribute(std::string_view key) const;
};

/// A neural-network model or a part of one: typed SSA operations with symbolic shapes.
///
/// Ids stay valid while nodes are added or erased. Not thread-safe while it is changed.
class BURIN_EXPORT Graph {
 public:
  std::string name = "graph";
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  Facts facts;

  Value& value(ValueId id) { return values_[id]; }
  const Value& value(ValueId id) const { return values_[id]; }
  Node& node(NodeId id) { return nodes_[id]; }
  const Node& node(NodeId id) const { return nodes_[id]; }
  std::size_t value_count() const { return values_.size(); }
  std::size_t node_count() const { return nodes_.size(); }  ///< erased ones included

  ValueId add_value(Value value);
  ValueId add_input(std::string name, Precision precision, Shape shape);
  ValueId add_constant(std::string name, Tensor tensor);
  /// Adds a node, makes its outputs (their names: `name`, or `name.i`) and infers their types and
  /// shapes. Throws burin::Error, naming the node, where the inputs do not fit the operation.
  NodeId add_node(OpKind op, std::string name, std::vector<ValueId> inputs,
                  Attributes attributes = {}, std::size_t output_count = 1);
  /// Adds a Subgraph node with this body; the outputs are those of the body.
  NodeId add_subgraph(std::string name, std::vector<ValueId> inputs,
                      std::shared_ptr<const Graph> body);
  /// add_node for one output; gives its value.
  ValueId add_op(OpKind op, std::string name, std::vector<ValueId> inputs,
                 Attributes attributes = {});

  /// Nodes that are alive, each after the producers of its inputs; otherwise in order of their ids.
  /// Throws burin::Error that names a node of a cycle.
  std::vector<NodeId> order() const;
  /// For each value the alive nodes that read it (a node once for each input).
  std::vector<std::vector<NodeId>> users() const;
  bool is_output(ValueId id) const;
  bool is_constant(ValueId id) const { return values_[id].constant.has_value(); }

  /// All uses (also as graph output) of `from` read `to` instead.
  void replace_uses(ValueId from, ValueId to);
  void erase_node(NodeId id);
  /// Erases nodes whose outputs nobody reads.
  void erase_dead_nodes();
  /// A symbol name that is not in use in this graph.
  Expr fresh_symbol(std::string_view hint);
  /// Symbols of the input shapes and other places, sorted.
  std::vector<std::string> symbols() const;

 private:
  NodeId append(Node node, std::size_t output_count);

  std::vector<Value> values_;
  std::vector<Node> nodes_;
  std::uint32_t next_symbol_ = 0;
};

/// Infers precision, shape and symbolic elements of the outputs of a node from its inputs; follows
/// integer tensors, so that Shape -> Gather -> Concat -> Reshape resolves to symbols. Facts that it
/// must assume go to graph.facts. Throws burin::Error that names the node.
BURIN_EXPORT void infer(Graph& graph, NodeId node);

/// Checks every invariant of the Graph (listed in graph/verifier.cpp); throws burin::Error.
BURIN_EXPORT void verify(const Graph& graph);

/// The text form. parse(print(g)) prints the same again; small constants are written out, large
/// ones as `dense<...>` with a hash and are not parsed back unless they are splats.
BURIN_EXPORT std::string print(const Graph& graph);
BURIN_EXPORT Graph parse_graph(std::string_view text);

/// The reference interpreter: plain, in double precision (i64 for integers), the oracle of all
/// tests. `inputs` in the order of graph.inputs; explicit symbols that the input shapes do not
/// determine are given by name. Results have the precision of the output values. Thread-safe.
BURIN_EXPORT std::vector<Tensor> interpret(const Graph& graph, const std::vector<Tensor>& inputs,
                                           const std::map<std::string, std::int64_t>& symbols = {});

/// Model-level clean-up before carving: constants folded, Identity and no-op Cast dropped, shape
/// arithmetic resolved to symbols, dead nodes erased. What is computed does not change.
BURIN_EXPORT void canonicalize(Graph& graph);

/// Builds a Graph node by node; a thin, public convenience over Graph.
class BURIN_EXPORT GraphBuilder {
 public:
  explicit GraphBuilder(std::string name) { graph_.name = std::move(name); }
  ValueId input(std::string name, Precision precision, Shape shape) {
    return graph_.add_input(std::move(name), precision, std::move(shape));
  }
  ValueId constant(Tensor tensor) { return graph_.add_constant("", std::move(tensor)); }
  ValueId scalar(float value) { return constant(Tensor::scalar(Precision::f32, value)); }
  ValueId op(OpKind kind, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return graph_.add_op(kind, "", std::move(inputs), std::move(attributes));
  }
  void output(ValueId id) { graph_.outputs.push_back(id); }
  /// Verifies and gives the graph away; throws burin::Error.
  Graph build() {
    verify(graph_);
    return std::move(graph_);
  }

 private:
  Graph graph_;
};

}  // namespace burin
