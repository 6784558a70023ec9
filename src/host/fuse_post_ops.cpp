#include "host/fuse_post_ops.h"

#include <algorithm>
#include <set>

#include "host/onednn_impl.h"

namespace burin::host {
namespace {

/// oneDNN takes 32 post-ops; an activation is up to two of them, a Gemm brings up to three.
constexpr std::size_t kMostAbsorbed = 12;

class Fusion {
 public:
  explicit Fusion(const Graph& graph) : graph_(graph), users_(graph.users()) {}

  std::vector<FusedProduct> run() {
    std::vector<FusedProduct> products;
    for (const NodeId id : graph_.order())
      if (is_product_with_weight(graph_.node(id))) products.push_back(fuse(id));
    return products;
  }

 private:
  const Shape& shape(ValueId value) const { return graph_.value(value).shape; }

  bool is_product_with_weight(const Node& node) const {
    if (node.op != OpKind::MatMul && node.op != OpKind::Gemm) return false;
    return onednn::is_all_f32(graph_, node) && graph_.is_constant(node.inputs[1]) &&
           shape(node.inputs[1]).size() == 2 && shape(node.inputs[0]).size() >= 2;
  }

  FusedProduct fuse(NodeId id) {
    const Node& node = graph_.node(id);
    FusedProduct fused;
    fused.product = id;
    fused.result = node.outputs[0];
    fused.inputs = {node.inputs[0]};
    if (onednn::has_input(node, 2)) read(node.inputs[2], fused);
    while (fused.absorbed.size() < kMostAbsorbed) {
      const NodeId next = only_reader(fused.result);
      if (next == kNone || !absorb(next, fused)) break;
      fused.absorbed.push_back(next);
      fused.result = graph_.node(next).outputs[0];
    }
    absorbed_.insert(fused.absorbed.begin(), fused.absorbed.end());
    return fused;
  }

  void read(ValueId value, FusedProduct& fused) const {
    if (graph_.is_constant(value)) return;
    if (std::find(fused.inputs.begin(), fused.inputs.end(), value) == fused.inputs.end())
      fused.inputs.push_back(value);
  }

  /// The node that can take over a value, unless another product has it: of an Add of two products
  /// only one does.
  NodeId only_reader(ValueId value) const {
    if (users_[value].size() != 1 || graph_.is_output(value)) return kNone;
    const NodeId reader = users_[value][0];
    return absorbed_.contains(reader) ? kNone : reader;
  }

  bool absorb(NodeId id, FusedProduct& fused) const {
    const Node& node = graph_.node(id);
    if (!onednn::is_all_f32(graph_, node)) return false;
    if (!onednn::eltwise_of(node).empty()) {
      fused.post_ops.push_back({id, kNone});
      return true;
    }
    return onednn::binary_of(node.op) && absorb_binary(id, fused);
  }

  bool absorb_binary(NodeId id, FusedProduct& fused) const {
    const Node& node = graph_.node(id);
    const bool is_left = node.inputs[0] == fused.result;
    if (!is_left && node.op != OpKind::Add && node.op != OpKind::Mul) return false;
    const ValueId operand = node.inputs[is_left ? 1 : 0];
    const bool is_vector = is_row(operand, fused.result);
    if (!is_vector && !is_same_shape(operand, fused.result)) return false;
    const bool is_bias = node.op == OpKind::Add && is_vector && graph_.is_constant(operand);
    if (is_bias && fused.absorbed.empty()) {
      fused.bias = operand;
    } else {
      fused.post_ops.push_back({id, operand});
      read(operand, fused);
    }
    return true;
  }

  bool is_same_shape(ValueId a, ValueId b) const {
    return std::equal(
        shape(a).begin(), shape(a).end(), shape(b).begin(), shape(b).end(),
        [&](const Expr& m, const Expr& n) { return graph_.facts.proves_equal(m, n); });
  }

  /// One element, or as many as a row of `whole`; broadcast to its rows.
  bool is_row(ValueId operand, ValueId whole) const {
    const Shape& dims = shape(operand);
    if (dims.empty()) return true;
    if (dims.size() > shape(whole).size()) return false;
    const auto is_one = [](const Expr& e) { return e == Expr(1); };
    return std::all_of(dims.begin(), dims.end() - 1, is_one) &&
           (is_one(dims.back()) || graph_.facts.proves_equal(dims.back(), shape(whole).back()));
  }

  const Graph& graph_;
  const std::vector<std::vector<NodeId>> users_;
  std::set<NodeId> absorbed_;
};

}  // namespace

std::vector<FusedProduct> fuse_post_ops(const Graph& graph) { return Fusion(graph).run(); }

}  // namespace burin::host
