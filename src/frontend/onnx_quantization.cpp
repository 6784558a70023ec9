// Quantization, as https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html and its inverse state
// it, in f32.

#include <fmt/format.h>

#include "burin/error.h"
#include "frontend/onnx_model.h"
#include "frontend/operators.h"

namespace burin::frontend {
namespace {

struct Range {
  double lowest, highest;
};

Range range_of(Precision precision) {
  switch (precision) {
    case Precision::i8: return {-128, 127};
    case Precision::u8: return {0, 255};
    case Precision::i16: return {-32768, 32767};
    case Precision::u16: return {0, 65535};
    default: throw Error(fmt::format("quantization to {} is not supported", to_string(precision)));
  }
}

/// Where numbers of scale and zero point belong.
struct Granularity {
  std::int64_t rank;   ///< of x
  std::int64_t axis;   ///< as given: where one number is for all, it need not exist
  std::int64_t block;  ///< 0: a number for all, or for each element along the axis
};

Granularity granularity_of(NodeImporter& n) {
  return {n.rank(n.input(0)), n.int_attribute("axis", 1), n.int_attribute("block_size", 0)};
}

/// So that the numbers broadcast to x.
ValueId spread(NodeImporter& n, ValueId numbers, const Granularity& g) {
  const std::int64_t rank = n.rank(numbers);
  const auto axis = [&] { return NodeImporter::canonical_axes({g.axis}, g.rank).front(); };
  if (g.block > 0)
    return n.apply(OpKind::Repeat, {numbers}, {{"axis", axis()}, {"times", g.block}});
  if (rank == 0) return numbers;
  if (rank > 1) throw Error("a scale of several dimensions needs a block_size");
  if (n.value(numbers).shape[0] == Expr(1))
    return n.apply(OpKind::Squeeze, {numbers}, {{"axes", std::vector<std::int64_t>{0}}});
  const std::int64_t own = axis();
  std::vector<std::int64_t> others;
  for (std::int64_t d = 0; d < g.rank; ++d)
    if (d != own) others.push_back(d);
  return n.apply(OpKind::Unsqueeze, {numbers}, {{"axes", others}});
}

/// (x - zero point) * scale
void convert_dequantize(NodeImporter& n) {
  const ValueId x = n.input(0), scale = n.input(1);
  const Granularity g = granularity_of(n);
  const Precision to = n.has_attribute("output_dtype") && n.int_attribute("output_dtype", 0) != 0
                           ? precision_from_onnx(n.int_attribute("output_dtype", 0))
                           : n.value(scale).precision;
  ValueId steps = n.cast(x, Precision::i32);
  if (n.has_input(2)) {
    const ValueId zero = n.cast(spread(n, n.input(2), g), Precision::i32);
    steps = n.apply(OpKind::Sub, {steps, zero});
  }
  const ValueId size = n.cast(spread(n, scale, g), Precision::f32);
  const ValueId result = n.apply(OpKind::Mul, {n.cast(steps, Precision::f32), size});
  n.finish(n.cast(result, to));
}

/// round(x / scale) + zero point, within the range of the result's type
void convert_quantize(NodeImporter& n) {
  n.ignore_attribute("saturate");  // for 8-bit floats only
  if (n.int_attribute("precision", 0) != 0) throw Error("attribute 'precision' is not supported");
  const ValueId x = n.cast(n.input(0), Precision::f32);
  const Granularity g = granularity_of(n);
  const std::int64_t stated = n.int_attribute("output_dtype", 0);
  const Precision to = n.has_input(2) ? n.value(n.input(2)).precision
                       : stated != 0  ? precision_from_onnx(stated)
                                      : Precision::u8;
  const Range range = range_of(to);
  const ValueId size = n.cast(spread(n, n.input(1), g), Precision::f32);
  ValueId steps = n.apply(OpKind::Round, {n.apply(OpKind::Div, {x, size})});
  if (n.has_input(2)) {
    const ValueId zero = n.cast(spread(n, n.input(2), g), Precision::f32);
    steps = n.apply(OpKind::Add, {steps, zero});
  }
  const ValueId inside = n.apply(OpKind::Clip, {steps, n.scalar("lowest", range.lowest, steps),
                                                n.scalar("highest", range.highest, steps)});
  n.finish(n.cast(inside, to));
}

}  // namespace

std::vector<Operator> quantization_operators() {
  return {
      {{"", "DequantizeLinear"}, convert_dequantize},
      {{"", "QuantizeLinear", {}, "types of less than 8 bits, floats of 8 bits"}, convert_quantize},
  };
}

}  // namespace burin::frontend
