#include "linear/integer_sums.h"

#include <fmt/format.h>

#include "burin/error.h"

namespace burin::linear {
namespace {

bool sums_pairs(const Graph& body, const Node& node) {
  const Precision precision = body.value(node.inputs[0]).precision;
  return (node.op == OpKind::ReduceSum && precision == Precision::i64) || (node.op == OpKind::ReduceMean && !is_float(precision));
}

}  // namespace

Expr folded_elements(const AxisMap& axes, NodeId reduction) {
  Expr count = 1;
  for (const AxisId a : axes.reduced[reduction]) count *= axes.axes[a].extent;
  return count;
}

std::vector<Expr> lengths_of_integer_sums(const Graph& body, const AxisMap& axes) {
  std::vector<Expr> lengths;
  for (const NodeId id : body.order()) {
    const Node& node = body.node(id);
    if (info(node.op).category != OpCategory::reduce || !sums_pairs(body, node)) continue;
    const Expr length = folded_elements(axes, id);
    const auto known = length.as_constant();
    if (!known) lengths.push_back(length);
    if (known && *known > kMostSummed)
      throw Error(fmt::format("node '{}': a sum of {} integers, of more than {} there is no kernel", node.name, *known, kMostSummed));
  }
  return lengths;
}

}  // namespace burin::linear
