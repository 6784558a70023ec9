// Each operation computes in a precision that kernels have; casts come in where that is not the
// precision of the model, and go where two of them meet. Brgemm multiplies bf16 and adds up in f32;
// all other arithmetic is f32.
//
//   %1 = brgemm %q, %k                           : bf16[B,H,S,S]     %q, %k: bf16
//   %2 = tanh %1                                 : bf16[B,H,S,S]
//   %3 = brgemm %2, %v                           : bf16[B,H,S,D]
// ->
//   %1 = brgemm %q, %k, to="f32"                 : f32[B,H,S,S]
//   %2 = tanh %1                                 : f32[B,H,S,S]
//   %c = cast %2, to="bf16"                      : bf16[B,H,S,S]
//   %3 = brgemm %c, %v, to="f32"                 : f32[B,H,S,D]
//   %d = cast %3, to="bf16"                      : bf16[B,H,S,D]
//
// Between %1 and %2 nothing is rounded any more: results are closer to those in real numbers than
// what the model asks for. Casts of the model itself stay, unless they lose nothing: cast(cast(x,
// f32), bf16) of a bf16 x is x.

#include <map>
#include <string>

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"

namespace burin::dataflow {
namespace {

/// Every value of `from` is a value of `to`.
bool holds_all(Precision from, Precision to) {
  if (from == to || to == Precision::f64) return is_float(from);
  return to == Precision::f32 && (from == Precision::bf16 || from == Precision::f16);
}

/// Contents are moved, not computed with.
bool is_view(OpKind op) { return info(op).category == OpCategory::movement; }

class Propagation {
 public:
  explicit Propagation(Graph& graph) : graph_(graph) {}

  bool visit(NodeId id) {
    const Node& node = graph_.node(id);
    if (node.outputs.size() != 1 || is_view(node.op)) return false;
    if (node.op == OpKind::Cast) return visit_cast(id);
    return node.op == OpKind::Brgemm ? visit_brgemm(id) : visit_arithmetic(id);
  }

 private:
  bool is_narrow(ValueId value) const {
    const Precision precision = graph_.value(value).precision;
    return precision == Precision::bf16 || precision == Precision::f16;
  }

  /// The value in f32; as it was before its last rounding, if that is known.
  ValueId widen(ValueId value) {
    if (const auto known = wide_.find(value); known != wide_.end()) return known->second;
    ValueId wide;
    if (const auto& constant = graph_.value(value).constant) {
      Tensor tensor = Tensor::zeros(Precision::f32, constant->dims());
      for (std::int64_t i = 0; i < tensor.size(); ++i) tensor.set(i, constant->at(i));
      wide = graph_.add_constant("", std::move(tensor));
    } else {
      wide = cast(value, Precision::f32);
    }
    return wide_[value] = wide;
  }

  ValueId cast(ValueId value, Precision to) {
    return graph_.add_op(OpKind::Cast, "", {value}, {{"to", std::string(to_string(to))}});
  }

  /// `wide` takes the place of the node's result, through a cast.
  void replace_result(ValueId old, ValueId wide) {
    const Precision precision = graph_.value(old).precision;
    if (precision == graph_.value(wide).precision) {
      replace(graph_, old, wide);
      return;
    }
    const ValueId narrow = cast(wide, precision);
    wide_[narrow] = wide;
    replace(graph_, old, narrow);
  }

  bool visit_arithmetic(NodeId id) {
    Node node = graph_.node(id);
    bool changed = false;
    for (ValueId& input : node.inputs) {
      if (input == kNone || !is_narrow(input)) continue;
      input = widen(input);
      changed = true;
    }
    if (changed)
      replace_result(node.outputs[0],
                     graph_.add_op(node.op, node.name, node.inputs, node.attributes));
    return changed;
  }

  bool visit_brgemm(NodeId id) {
    Node node = graph_.node(id);
    if (graph_.value(node.inputs[0]).precision == Precision::f16) return visit_arithmetic(id);
    if (graph_.value(node.outputs[0]).precision != Precision::bf16) return false;
    node.attributes["to"] = std::string("f32");
    replace_result(node.outputs[0],
                   graph_.add_op(node.op, node.name, node.inputs, node.attributes));
    return true;
  }

  bool visit_cast(NodeId id) {
    const ValueId x = graph_.node(id).inputs[0], old = graph_.node(id).outputs[0];
    const Precision to = graph_.value(old).precision;
    if (graph_.value(x).precision == to) {
      replace(graph_, old, x);
      return true;
    }
    const Node* inner = made_by(graph_, x, OpKind::Cast);
    if (inner == nullptr) return false;
    const ValueId source = inner->inputs[0];
    const Precision from = graph_.value(source).precision;
    if (!holds_all(from, graph_.value(x).precision)) return false;
    replace(graph_, old, from == to ? source : cast(source, to));
    return true;
  }

  Graph& graph_;
  std::map<ValueId, ValueId>
      wide_;  ///< from a rounded value to the one in f32 that it was rounded from
};

}  // namespace

bool precision_propagation(Graph& graph) {
  Propagation propagation(graph);
  bool changed = false;
  for (const NodeId id : graph.order()) changed = propagation.visit(id) || changed;
  graph.erase_dead_nodes();
  return changed;
}

}  // namespace burin::dataflow
