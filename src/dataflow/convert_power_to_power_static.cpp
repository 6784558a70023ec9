// A power with a constant exponent that a few cheap operations compute.
//
//   pow(x, 1)    -> x                      pow(x, 0.5)  -> sqrt(x)
//   pow(x, 2)    -> square(x)              pow(x, -0.5) -> rsqrt(x)
//   pow(x, 3)    -> square(x) * x          pow(x, -1)   -> reciprocal(x)
//   pow(x, 4)    -> square(square(x))      pow(x, -2)   -> reciprocal(square(x))
//
// pow(-inf, 0.5) is +inf by the C library and NaN afterwards.

#include "dataflow/dataflow.h"
#include "dataflow/rewrite.h"

namespace burin::dataflow {
namespace {

/// kNone where the plain Pow stays.
ValueId static_power(Graph& graph, ValueId x, double exponent) {
  const auto square = [&](ValueId v) { return unary(graph, OpKind::Square, v); };
  if (exponent == 1) return x;
  if (exponent == 2) return square(x);
  if (exponent == 3) return binary(graph, OpKind::Mul, square(x), x);
  if (exponent == 4) return square(square(x));
  if (exponent == 0.5) return unary(graph, OpKind::Sqrt, x);
  if (exponent == -0.5) return unary(graph, OpKind::Rsqrt, x);
  if (exponent == -1) return unary(graph, OpKind::Reciprocal, x);
  if (exponent == -2) return unary(graph, OpKind::Reciprocal, square(x));
  return kNone;
}

/// The exponent of a float: a number of any type. (An integer may have dimensions of one element.)
std::optional<double> exponent_of(const Graph& graph, const Node& power) {
  const Value& exponent = graph.value(power.inputs[1]);
  if (is_float(exponent.precision)) return scalar(graph, power.inputs[1]);
  const bool is_number = exponent.constant && exponent.constant->size() == 1 && exponent.shape.size() <= graph.value(power.inputs[0]).shape.size();
  return is_number ? std::optional<double>(static_cast<double>(exponent.constant->int_at(0))) : std::nullopt;
}

}  // namespace

bool convert_power_to_power_static(Graph& graph) {
  bool changed = false;
  for (const NodeId id : graph.order()) {
    if (graph.node(id).op != OpKind::Pow) continue;
    const ValueId x = graph.node(id).inputs[0], old = graph.node(id).outputs[0];
    const auto exponent = exponent_of(graph, graph.node(id));
    if (!exponent || !is_float(graph.value(x).precision)) continue;
    const ValueId power = static_power(graph, x, *exponent);
    if (power == kNone) continue;
    replace(graph, old, power);
    changed = true;
  }
  graph.erase_dead_nodes();
  return changed;
}

}  // namespace burin::dataflow
