// Each reader of integers that are computed from positions has them for itself: positions of
// queries and of keys are two axes, and one Range that both read would make them one.
//
//   %0 = range 0, S, 1                           : i64[S]
//   %1 = unsqueeze %0, axes=[1]                  : i64[S,1]
//   %2 = less_equal %0, %1
// ->
//   %0 = range 0, S, 1                           : i64[S]
//   %1 = unsqueeze %0, axes=[1]                  : i64[S,1]
//   %3 = range 0, S, 1                           : i64[S]
//   %2 = less_equal %3, %1

#include <algorithm>
#include <set>

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"

namespace burin::dataflow {
namespace {

bool is_integer(Precision p) { return !is_float(p) && p != Precision::boolean; }

class OwnPositions {
 public:
  explicit OwnPositions(Graph& graph) : graph_(graph) {}

  bool run() {
    find_positions();
    for (const NodeId id : graph_.order())
      for (std::size_t i = 0; i < graph_.node(id).inputs.size(); ++i) {
        const ValueId input = graph_.node(id).inputs[i];
        if (!is_position(input)) continue;
        const ValueId own = owned(input);
        graph_.node(id).inputs[i] = own;
      }
    return changed_;
  }

 private:
  bool is_position(ValueId value) const { return positions_.contains(value); }

  void find_positions() {
    std::set<ValueId> computed;  // of Ranges, whatever it is: truth values become integers again
    for (const NodeId id : graph_.order()) {
      const Node& node = graph_.node(id);
      const bool reads = std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId v) { return computed.contains(v); });
      if (node.op != OpKind::Range && !reads) continue;
      computed.insert(node.outputs.begin(), node.outputs.end());
      for (const ValueId out : node.outputs)
        if (is_integer(graph_.value(out).precision)) positions_.insert(out);
    }
  }

  /// The value where it has no reader yet, or else a copy. What it is computed from has been made
  /// its own before.
  ValueId owned(ValueId value) {
    if (taken_.insert(value).second) return value;
    changed_ = true;
    const ValueId own = copy(value);
    taken_.insert(own);
    return own;
  }

  ValueId copy(ValueId value) {
    if (!is_position(value)) return value;
    const Node node = graph_.node(graph_.value(value).producer);
    std::vector<ValueId> inputs;
    for (const ValueId input : node.inputs) inputs.push_back(copy(input));
    const ValueId own = graph_.add_op(node.op, node.name, inputs, node.attributes);
    positions_.insert(own);
    return own;
  }

  Graph& graph_;
  std::set<ValueId> positions_;  ///< integers that are computed of Ranges
  std::set<ValueId> taken_;
  bool changed_ = false;
};

}  // namespace

bool own_positions(Graph& graph) { return OwnPositions(graph).run(); }

}  // namespace burin::dataflow
