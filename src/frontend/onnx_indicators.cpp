// Operators that compare positions: EyeLike and OneHot.

#include "burin/error.h"
#include "frontend/onnx_model.h"
#include "frontend/operators.h"
#include "graph/positions.h"

namespace burin::frontend {
namespace {

void convert_eye_like(NodeImporter& n) {
  const ValueId x = n.input(0);
  if (n.rank(x) != 2) throw Error("the input must be a matrix");
  const Precision to = n.has_attribute("dtype") ? precision_from_onnx(n.int_attribute("dtype", 0))
                                                : n.value(x).precision;
  const ValueId diagonal = n.integers("diagonal", {Expr(n.int_attribute("k", 0))});
  const ValueId is_one =
      add_comparison_of_positions(n.graph(), OpKind::Equal, n.dim(x, 0), n.dim(x, 1), diagonal);
  n.finish(OpKind::Cast, {is_one}, {{"to", std::string(to_string(to))}});
}

std::int64_t depth_of(const NodeImporter& n) {
  const Value& value = n.value(n.input(1));
  const std::vector<std::int64_t> numbers = value.constant && value.constant->size() == 1
                                                ? std::vector{value.constant->int_at(0)}
                                                : n.constant_ints(1, "the depth");
  if (numbers.size() != 1 || numbers[0] < 0) throw Error("the depth must be one number from 0 on");
  return numbers[0];
}

/// Indices count from the end where they are negative; what is out of range is off everywhere.
void convert_one_hot(NodeImporter& n) {
  const std::int64_t rank = n.rank(n.input(0)) + 1;
  const std::int64_t axis = n.axis_attribute(-1, rank);
  const auto dimension = static_cast<std::size_t>(axis);
  const std::int64_t depth = depth_of(n);
  const ValueId indices = n.apply(OpKind::Unsqueeze, {n.cast(n.input(0), Precision::i64)},
                                  {{"axes", std::vector<std::int64_t>{axis}}});
  const ValueId wrapped =
      n.apply(OpKind::Add, {indices, n.scalar("depth", static_cast<double>(depth), indices)});
  const ValueId is_negative = n.apply(OpKind::Less, {indices, n.scalar("zero", 0, indices)});
  const ValueId index = n.apply(OpKind::Where, {is_negative, wrapped, indices});
  const ValueId position =
      add_positions(n.graph(), depth, dimension, static_cast<std::size_t>(rank));
  const auto pick = [&](std::int64_t which) {
    return n.apply(OpKind::Gather, {n.input(2), n.integers("which", {Expr(which)})},
                   {{"axis", std::int64_t{0}}});
  };
  n.finish(OpKind::Where, {n.apply(OpKind::Equal, {position, index}), pick(1), pick(0)});
}

}  // namespace

std::vector<Operator> indicator_operators() {
  return {
      {{"", "EyeLike"}, convert_eye_like},
      {{"", "OneHot", {1}}, convert_one_hot},
  };
}

}  // namespace burin::frontend
