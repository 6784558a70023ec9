// Reductions, and operators that are formulas over them.

#include <numeric>
#include <optional>

#include <fmt/format.h>

#include "burin/error.h"
#include "frontend/operators.h"
#include "graph/positions.h"

namespace burin::frontend {
namespace {

using enum OpKind;
using Axes = std::vector<std::int64_t>;

Attributes over(Axes axes, bool keepdims = true) {
  return {{"axes", std::move(axes)}, {"keepdims", std::int64_t{keepdims}}};
}

/// Canonical; nothing where axes that are not given mean that nothing is reduced.
std::optional<Axes> reduced_axes(NodeImporter& n, std::int64_t rank) {
  Axes axes = NodeImporter::canonical_axes(n.axes_operand(), rank);
  const bool none_means_none = n.int_attribute("noop_with_empty_axes", 0) != 0;
  if (!axes.empty()) return axes;
  if (none_means_none) return std::nullopt;
  axes.resize(static_cast<std::size_t>(rank));
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}

/// Those of the graph's own, and sums with something in front or behind.
void convert_reduce(NodeImporter& n) {
  const std::string& op = n.node().op;
  ValueId x = n.input(0);
  const auto axes = reduced_axes(n, n.rank(x));
  const std::int64_t keepdims = n.int_attribute("keepdims", 1);
  if (op == "ReduceL1" || (op == "ReduceL2" && !axes)) x = n.apply(Abs, {x});
  if (op == "ReduceSumSquare") x = n.apply(Mul, {x, x});
  const Attributes attributes = {{"axes", axes.value_or(Axes{})}, {"keepdims", keepdims}};
  const OpKind kind = op_from_name(op).value_or(ReduceSum);
  if (op == "ReduceLogSum") {
    return n.finish(Log, {axes ? n.apply(kind, {x}, attributes) : x});
  }
  if (!axes) return n.finish(Identity, {x});
  if (n.value(x).precision != Precision::boolean) return n.finish(kind, {x}, attributes);
  // The least of nothing is true, the largest false: not the number 0.
  const ValueId extreme = n.apply(kind, {n.cast(x, Precision::i32)}, attributes);
  n.finish(Greater, {extreme, n.scalar("zero", 0, extreme)});
}

/// max + log(sum(exp(x - max))), so that nothing overflows; an infinite maximum stays as it is.
void convert_log_sum_exp(NodeImporter& n) {
  const ValueId x = n.input(0);
  const auto axes = reduced_axes(n, n.rank(x));
  const bool keepdims = n.int_attribute("keepdims", 1) != 0;
  if (!axes) return n.finish(Identity, {x});  // log(exp(x))
  const ValueId largest = n.apply(ReduceMax, {x}, over(*axes));
  const ValueId shift =
      n.apply(Where, {n.apply(IsInf, {largest}), n.scalar("zero", 0, x), largest});
  const ValueId powers = n.apply(Exp, {n.apply(Sub, {x, shift})});
  const ValueId sum = n.apply(ReduceSum, {powers}, over(*axes));
  if (keepdims) return n.finish(Add, {n.apply(Log, {sum}), shift});
  n.finish(Squeeze, {n.apply(Add, {n.apply(Log, {sum}), shift})}, {{"axes", *axes}});
}

/// The largest of what is ordered the other way round: -x, or -1 - x for integers, where the lowest
/// has no negative; signed ones, since others have no -1.
void convert_arg_min(NodeImporter& n) {
  const ValueId x = n.input(0);
  const auto behind_minus_one = [&](ValueId integers) {
    return n.apply(Sub, {n.scalar("minus_one", -1, integers), integers});
  };
  const ValueId reversed = is_float(n.value(x).precision)
                               ? n.apply(Neg, {x})
                               : behind_minus_one(n.cast(x, Precision::i64));
  n.finish(ArgMax, {reversed},
           {{"axis", n.axis_attribute(0, n.rank(x))},
            {"keepdims", n.int_attribute("keepdims", 1)},
            {"select_last_index", n.int_attribute("select_last_index", 0)}});
}

/// 1 where the position along the axis is that of the first maximum.
void convert_hardmax(NodeImporter& n) {
  ValueId x = n.input(0);
  const std::int64_t rank = n.rank(x);
  const std::int64_t axis = n.axis_attribute(n.opset() < 13 ? 1 : -1, rank);
  if (n.opset() < 13 && axis != rank - 1)
    throw Error("before operator set 13 only over the last axis");
  const ValueId first = n.apply(ArgMax, {x}, {{"axis", axis}, {"keepdims", std::int64_t{1}}});
  const auto dimension = static_cast<std::size_t>(axis);
  const ValueId position = add_positions(n.graph(), n.value(x).shape[dimension], dimension,
                                         static_cast<std::size_t>(rank));
  n.finish(n.cast(n.apply(Equal, {position, first}), n.value(x).precision));
}

/// x / |x|, and 0 where all are 0.
void convert_lp_normalization(NodeImporter& n) {
  const ValueId x = n.input(0);
  const Axes axis = {n.axis_attribute(-1, n.rank(x))};
  const std::int64_t p = n.int_attribute("p", 2);
  if (p != 1 && p != 2) throw Error(fmt::format("p must be 1 or 2, given {}", p));
  const ValueId norm = p == 2 ? n.apply(ReduceL2, {x}, over(axis))
                              : n.apply(ReduceSum, {n.apply(Abs, {x})}, over(axis));
  const ValueId zero = n.scalar("zero", 0, x);
  const ValueId is_zero = n.apply(Equal, {norm, zero});
  const ValueId divisor = n.apply(Where, {is_zero, n.scalar("one", 1, x), norm});
  n.finish(Div, {x, divisor});
}

/// (x - mean) / sqrt(mean of squared differences)
void convert_mean_variance_normalization(NodeImporter& n) {
  constexpr double kEpsilon = 1e-9;  // of the operator's definition, added to the root
  const ValueId x = n.input(0);
  Axes axes = n.ints_attribute("axes");
  if (!n.has_attribute("axes")) axes = {0, 2, 3};
  axes = NodeImporter::canonical_axes(axes, n.rank(x));
  const ValueId centred = n.apply(Sub, {x, n.apply(ReduceMean, {x}, over(axes))});
  const ValueId variance = n.apply(ReduceMean, {n.apply(Mul, {centred, centred})}, over(axes));
  const ValueId deviation =
      n.apply(Add, {n.apply(Sqrt, {variance}), n.scalar("epsilon", kEpsilon, x)});
  n.finish(Div, {centred, deviation});
}

}  // namespace

std::vector<Operator> reduction_operators() {
  return {
      {{"", "ArgMin"}, convert_arg_min},
      {{"", "Hardmax"}, convert_hardmax},
      {{"", "LpNormalization"}, convert_lp_normalization},
      {{"", "MeanVarianceNormalization"}, convert_mean_variance_normalization},
      {{"", "ReduceL1", {1}}, convert_reduce},
      {{"", "ReduceL2", {1}}, convert_reduce},
      {{"", "ReduceLogSum", {1}}, convert_reduce},
      {{"", "ReduceLogSumExp", {1}}, convert_log_sum_exp},
      {{"", "ReduceMax", {1}}, convert_reduce},
      {{"", "ReduceMean", {1}}, convert_reduce},
      {{"", "ReduceMin", {1}}, convert_reduce},
      {{"", "ReduceProd", {1}}, convert_reduce},
      {{"", "ReduceSum", {1}}, convert_reduce},
      {{"", "ReduceSumSquare", {1}}, convert_reduce},
  };
}

}  // namespace burin::frontend
