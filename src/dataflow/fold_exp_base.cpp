// The exponential of a softmax becomes a power of two: log2(e) goes into a factor that the scores
// have anyway, and into every other term that is added to them.
//
//   %1 = mul %q, 0.125
//   %2 = brgemm %1, %k
//   %3 = add %2, %mask
//   %4 = reduce_max %3
//   %5 = sub %3, %4
//   %6 = exp %5
// ->
//   %1 = mul %q, 0.18033688
//   %2 = brgemm %1, %k
//   %a = mul %mask, 1.44269502
//   %b = min %mask, -3.40282347e+38
//   %c = max %a, %b
//   %3 = add %2, %c
//   %4 = reduce_max %3
//   %5 = sub %3, %4
//   %6 = exp2 %5
//
// Min and Max keep a lowest-float mask finite: exporters' masks hold the lowest float, whose
// product with log2(e) is -inf, and a row of -inf has no maximum to subtract (NaN), where a row of
// lowest floats yields the plain average. A true -inf stays -inf.
//
// The walk goes from the maximum upwards through Add, Sub, Neg and Where to the Brgemm or to a Mul
// by one element (a soft cap, tanh(x) * c, ends there). Where it meets something else, Exp stays.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <set>
#include <vector>

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"
#include "dataflow/score.h"

namespace burin::dataflow {
namespace {

constexpr double kLog2E = std::numbers::log2e;
constexpr double kLargest = std::numeric_limits<float>::max();

bool depends_on_brgemm(const Graph& graph, ValueId value) {
  std::vector<ValueId> open = {value};
  std::set<ValueId> seen;
  while (!open.empty()) {
    const ValueId current = open.back();
    open.pop_back();
    const NodeId producer = current == kNone ? kNone : graph.value(current).producer;
    if (producer == kNone || !seen.insert(current).second) continue;
    const Node& node = graph.node(producer);
    if (node.op == OpKind::Brgemm) return true;
    open.insert(open.end(), node.inputs.begin(), node.inputs.end());
  }
  return false;
}

/// Something on the way from the Brgemm to the value may be the lowest float, as masks have it.
bool may_hold_masks(const Graph& graph, ValueId value) {
  constexpr double kOrdinary = 1e30;
  const auto is_ordinary = [&](ValueId id) {
    const auto number = scalar(graph, id);
    return number && std::abs(*number) < kOrdinary;
  };
  const NodeId producer = graph.value(value).producer;
  if (producer == kNone) return true;
  const Node& node = graph.node(producer);
  return node.op != OpKind::Brgemm &&
         std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
           return input != kNone && !is_ordinary(input) && may_hold_masks(graph, input);
         });
}

/// Multiplies a sum of terms by log2(e) without a multiplication for each element of the scores.
class Folder {
 public:
  explicit Folder(Graph& graph) : graph_(graph) {}

  /// It can be done; nothing is changed yet.
  bool can_fold(ValueId scores) {
    guards_ = false;
    return folds(scores, true) && (!guards_ || depends_on_brgemm(graph_, scores));
  }

  ValueId fold(ValueId value) {
    const Node node = graph_.node(graph_.value(value).producer);
    const auto part = [&](std::size_t i) { return fold_part(node.inputs[i]); };
    switch (node.op) {
      case OpKind::Brgemm:
        return graph_.add_op(OpKind::Brgemm, "",
                             {scale(graph_, node.inputs[0], log2e()), node.inputs[1]},
                             node.attributes);
      case OpKind::Mul: {
        const auto scaled = as_scaled(graph_, value);
        return binary(graph_, OpKind::Mul, scaled->value,
                      multiply_factors(graph_, scaled->factor, log2e()));
      }
      case OpKind::Neg: return unary(graph_, OpKind::Neg, part(0));
      case OpKind::Add: return binary(graph_, OpKind::Add, part(0), part(1));
      case OpKind::Sub:
        if (folds(node.inputs[1], false)) return binary(graph_, OpKind::Sub, part(0), part(1));
        if (graph_.is_constant(node.inputs[1]))
          return binary(graph_, OpKind::Sub, part(0), part(1));
        return binary(graph_, OpKind::Add, part(0),
                      guarded(unary(graph_, OpKind::Neg, node.inputs[1])));
      default:  // Where
        return graph_.add_op(OpKind::Where, "", {node.inputs[0], part(1), part(2)});
    }
  }

 private:
  /// The value itself can be multiplied for free. `is_root`: it has two uses, the maximum and the
  /// difference.
  bool folds(ValueId value, bool is_root) {
    const NodeId producer = graph_.value(value).producer;
    if (producer == kNone || (!is_root && !used_once(graph_, value))) return false;
    const Node& node = graph_.node(producer);
    switch (node.op) {
      case OpKind::Brgemm: return true;
      case OpKind::Mul: return factor_is_safe(value);
      case OpKind::Neg: return folds(node.inputs[0], false);
      case OpKind::Add:
      case OpKind::Sub: return any_folds(node.inputs[0], node.inputs[1]);
      case OpKind::Where: return any_folds(node.inputs[1], node.inputs[2]);
      default: return false;
    }
  }

  /// One of the two can be multiplied for free; the other one is a term, if it cannot.
  bool any_folds(ValueId a, ValueId b) {
    const bool first = folds(a, false), second = folds(b, false);
    if (!first && !graph_.is_constant(a)) guards_ = true;
    if (!second && !graph_.is_constant(b)) guards_ = true;
    return first || second;
  }

  /// A product of unmasked scores, or one that does not become larger: no overflow that was not
  /// there before.
  bool factor_is_safe(ValueId value) const {
    const auto scaled = as_scaled(graph_, value);
    if (!scaled) return false;
    if (!may_hold_masks(graph_, scaled->value)) return true;
    const auto factor = scalar(graph_, scaled->factor);
    return factor && std::abs(*factor) * kLog2E <= 1;
  }

  ValueId fold_part(ValueId value) { return folds(value, false) ? fold(value) : guarded(value); }

  /// max(term * log2(e), min(term, lowest)), at once for a constant or a choice of two.
  ValueId guarded(ValueId term) {
    if (graph_.is_constant(term))
      return graph_.add_constant("", scaled_constant(*graph_.value(term).constant));
    if (const Node* choice = made_by(graph_, term, OpKind::Where);
        choice != nullptr && graph_.is_constant(choice->inputs[1]) &&
        graph_.is_constant(choice->inputs[2])) {
      const std::vector<ValueId> in = choice->inputs;
      return graph_.add_op(OpKind::Where, "", {in[0], guarded(in[1]), guarded(in[2])});
    }
    const ValueId product = binary(graph_, OpKind::Mul, term, log2e());
    const ValueId limit = binary(graph_, OpKind::Min, term, add_scalar(graph_, -kLargest));
    return binary(graph_, OpKind::Max, product, limit);
  }

  static Tensor scaled_constant(const Tensor& tensor) {
    Tensor result = Tensor::zeros(tensor.precision(), tensor.dims());
    for (std::int64_t i = 0; i < tensor.size(); ++i) {
      const double x = tensor.at(i);
      result.set(i, std::isfinite(x) ? std::clamp(x * kLog2E, -kLargest, kLargest) : x);
    }
    return result;
  }

  ValueId log2e() { return add_scalar(graph_, kLog2E); }

  Graph& graph_;
  bool guards_ = false;  ///< a term needs Mul, Min and Max
};

/// exp(t - max(t)), where nobody else reads what is in between.
struct ShiftedExp {
  NodeId exp;
  ValueId scores;
};
std::optional<ShiftedExp> match(const Graph& graph, NodeId id) {
  const Node& exp = graph.node(id);
  if (exp.op != OpKind::Exp || graph.value(exp.outputs[0]).precision != Precision::f32)
    return std::nullopt;
  const Node* difference = made_by(graph, exp.inputs[0], OpKind::Sub);
  if (difference == nullptr || !used_once(graph, exp.inputs[0])) return std::nullopt;
  const ValueId scores = difference->inputs[0], maximum = difference->inputs[1];
  const Node* reduce = made_by(graph, maximum, OpKind::ReduceMax);
  if (reduce == nullptr || reduce->inputs[0] != scores || !reduces_last(graph, *reduce))
    return std::nullopt;
  if (!used_once(graph, maximum) || graph.is_output(scores) || users_of(graph, scores).size() != 2)
    return std::nullopt;
  return ShiftedExp{id, scores};
}

}  // namespace

bool fold_exp_base(Graph& graph) {
  bool changed = false;
  for (const NodeId id : graph.order()) {
    const auto found = match(graph, id);
    Folder folder(graph);
    if (!found || !folder.can_fold(found->scores)) continue;
    const ValueId scores = folder.fold(found->scores);
    const ValueId shifted =
        binary(graph, OpKind::Sub, scores, reduce(graph, OpKind::ReduceMax, scores, axes_from(graph, scores, -1)));
    replace(graph, graph.node(id).outputs[0], unary(graph, OpKind::Exp2, shifted));
    graph.erase_dead_nodes();
    changed = true;
  }
  return changed;
}

}  // namespace burin::dataflow
