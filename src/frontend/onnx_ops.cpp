// How ONNX operators become nodes of the Graph: most have one of the same name and differ in
// nothing but attributes (direct_spec); the functions here rewrite the others to the form that
// burin/ops.def states.

#include <algorithm>
#include <numeric>
#include <string_view>
#include <unordered_map>

#include <fmt/format.h>

#include "burin/error.h"
#include "frontend/operators.h"

namespace burin::frontend {
namespace {

std::vector<std::int64_t> all_axes(std::int64_t rank) {
  std::vector<std::int64_t> axes(static_cast<std::size_t>(rank));
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}

void copy_attribute(NodeImporter& n, const std::string& key, Attributes& to) {
  const auto attribute = n.attribute(key);
  if (!attribute) return;
  if (const auto* i = std::get_if<std::int64_t>(&*attribute)) {
    to[key] = *i;
  } else if (const auto* f = std::get_if<double>(&*attribute)) {
    to[key] = *f;
  } else if (const auto* s = std::get_if<std::string>(&*attribute)) {
    to[key] = *s;
  } else if (const auto* ints = std::get_if<std::vector<std::int64_t>>(&*attribute)) {
    to[key] = *ints;
  } else {
    throw Error(fmt::format("attribute '{}' is of a kind that is not supported", key));
  }
}

OpKind own_op(const NodeImporter& n) { return op_from_name(n.node().op).value(); }

// ---- Constants and types ----

void convert_constant(NodeImporter& n) {
  const auto as_tensor = [](const OnnxAttribute& attribute) -> std::optional<Tensor> {
    if (const auto* t = std::get_if<Tensor>(&attribute)) return *t;
    if (const auto* i = std::get_if<std::int64_t>(&attribute)) return Tensor::from_i64({}, {*i});
    if (const auto* f = std::get_if<double>(&attribute)) return Tensor::scalar(Precision::f32, *f);
    if (const auto* ints = std::get_if<std::vector<std::int64_t>>(&attribute)) {
      return Tensor::from_i64({static_cast<std::int64_t>(ints->size())}, *ints);
    }
    if (const auto* floats = std::get_if<std::vector<double>>(&attribute)) {
      return Tensor::from_f32({static_cast<std::int64_t>(floats->size())},
                              std::vector<float>(floats->begin(), floats->end()));
    }
    return std::nullopt;
  };
  for (const char* key : {"value", "value_int", "value_ints", "value_float", "value_floats"}) {
    const auto attribute = n.attribute(key);
    const auto tensor = attribute ? as_tensor(*attribute) : std::nullopt;
    if (tensor) return n.finish(n.constant("value", *tensor));
  }
  throw Error("only dense tensors of numbers are supported as a constant");
}

void convert_constant_of_shape(NodeImporter& n) {
  Tensor value = Tensor::zeros(Precision::f32, {1});
  if (const auto attribute = n.attribute("value")) {
    const auto* tensor = std::get_if<Tensor>(&*attribute);
    if (tensor == nullptr || tensor->size() != 1) throw Error("'value' must have one element");
    value = *tensor;
  }
  n.finish(OpKind::ConstantOfShape, {n.input(0)}, {{"value", value}});
}

void convert_cast(NodeImporter& n) {
  // For 8-bit floats only.
  n.ignore_attribute("saturate");
  n.ignore_attribute("round_mode");
  const Precision to = n.node().op == "CastLike" ? n.value(n.input(1)).precision
                                                 : precision_from_onnx(n.int_attribute("to", 0));
  n.finish(OpKind::Cast, {n.input(0)}, {{"to", std::string(to_string(to))}});
}

/// In inference nothing is dropped, and the mask says so.
void convert_dropout(NodeImporter& n) {
  n.ignore_attribute("ratio");
  n.ignore_attribute("seed");
  if (n.has_input(2) && n.constant_ints(2, "training_mode") != std::vector<std::int64_t>{0}) {
    throw Error("training mode is not supported");
  }
  n.finish(OpKind::Identity, {n.input(0)});
  if (n.node().outputs.size() > 1) {
    Tensor yes = Tensor::zeros(Precision::boolean, {1});
    yes.set_int(0, 1);
    const ValueId shape = n.emit(OpKind::Shape, "shape", {n.input(0)});
    n.finish(n.emit(OpKind::ConstantOfShape, "mask", {shape}, {{"value", yes}}), 1);
  }
}

// ---- Element-wise ----

/// Min(a, b, c) -> Min(Min(a, b), c); Sum and Mean likewise through Add.
void convert_variadic(NodeImporter& n) {
  const std::string& op = n.node().op;
  const bool mean = op == "Mean";
  const OpKind kind = mean || op == "Sum" ? OpKind::Add : own_op(n);
  ValueId result = n.input(0);
  const std::size_t count = n.input_count();
  if (count == 1) return n.finish(OpKind::Identity, {result});
  for (std::size_t i = 1; i + 1 < count; ++i) {
    result = n.emit(kind, std::to_string(i), {result, n.input(i)});
  }
  if (!mean) return n.finish(kind, {result, n.input(count - 1)});
  result = n.emit(kind, "sum", {result, n.input(count - 1)});
  n.finish(OpKind::Div, {result, n.scalar("count", static_cast<double>(count), result)});
}

// ---- Axes ----

void convert_global_max_pool(NodeImporter& n) {
  std::vector<std::int64_t> axes = all_axes(n.rank(n.input(0)));
  if (axes.size() < 3) throw Error("the input needs a batch, a channel and a spatial dimension");
  axes.erase(axes.begin(), axes.begin() + 2);
  n.finish(OpKind::ReduceMax, {n.input(0)}, {{"axes", axes}, {"keepdims", std::int64_t{1}}});
}

void convert_squeeze(NodeImporter& n) {
  const ValueId x = n.input(0);
  std::vector<std::int64_t> axes = n.axes_operand();
  if (!n.has_input(1) && !n.has_attribute("axes")) {
    const Shape& shape = n.value(x).shape;
    for (std::size_t d = 0; d < shape.size(); ++d) {
      const auto size = shape[d].as_constant();
      if (!size) {
        throw Error(fmt::format("without axes all dimensions must be constant; dimension {} is {}",
                                d, shape[d].to_string()));
      }
      if (*size == 1) axes.push_back(static_cast<std::int64_t>(d));
    }
  }
  n.finish(OpKind::Squeeze, {x}, {{"axes", NodeImporter::canonical_axes(axes, n.rank(x))}});
}

void convert_unsqueeze(NodeImporter& n) {
  const ValueId x = n.input(0);
  const std::vector<std::int64_t> axes = n.axes_operand();
  const std::int64_t rank = n.rank(x) + static_cast<std::int64_t>(axes.size());
  n.finish(OpKind::Unsqueeze, {x}, {{"axes", NodeImporter::canonical_axes(axes, rank)}});
}

void convert_flatten(NodeImporter& n) {
  const std::int64_t rank = n.rank(n.input(0));
  std::int64_t axis = n.int_attribute("axis", 1);
  if (axis < 0) axis += rank;
  if (axis < 0 || axis > rank) throw Error(fmt::format("axis is out of range for rank {}", rank));
  n.finish(OpKind::Flatten, {n.input(0)}, {{"axis", axis}});
}

void convert_transpose(NodeImporter& n) {
  const ValueId x = n.input(0);
  std::vector<std::int64_t> perm = n.ints_attribute("perm");
  if (!n.has_attribute("perm")) {
    perm = all_axes(n.rank(x));
    std::reverse(perm.begin(), perm.end());
  }
  n.finish(OpKind::Transpose, {x}, {{"perm", perm}});
}

void convert_space_to_depth(NodeImporter& n) {
  const ValueId x = n.input(0);
  const std::int64_t block = n.int_attribute("blocksize", 0);
  const std::string mode = n.string_attribute("mode", "DCR");
  if (n.rank(x) != 4) throw Error("the input must have four dimensions");
  if (block <= 0) throw Error("blocksize must be positive");
  if (mode != "DCR" && mode != "CRD") throw Error(fmt::format("mode '{}' is unknown", mode));
  const Shape shape = n.value(x).shape;
  const Expr rows = floor_div(shape[2], block), columns = floor_div(shape[3], block);
  const Shape split = {shape[0], shape[1], rows, Expr(block), columns, Expr(block)};
  const std::vector<std::int64_t> perm = mode == "DCR" ? std::vector<std::int64_t>{0, 3, 5, 1, 2, 4}
                                                       : std::vector<std::int64_t>{0, 1, 3, 5, 2, 4};
  const ValueId turned = n.apply(OpKind::Transpose, {n.reshape(x, split)}, {{"perm", perm}});
  const Shape result = {shape[0], shape[1] * block * block, rows, columns};
  n.finish(n.reshape(turned, result));
}

/// Before opset 13, Softmax was over all dimensions from `axis` on (1 by default), as if flattened.
void convert_softmax(NodeImporter& n) {
  const OpKind kind = own_op(n);
  const ValueId x = n.input(0);
  const std::int64_t rank = n.rank(x);
  const std::int64_t axis =
      n.axis_attribute(n.opset() < 13 ? std::min<std::int64_t>(1, rank - 1) : -1, rank);
  if (n.opset() >= 13 || axis == rank - 1) return n.finish(kind, {x}, {{"axis", axis}});
  const ValueId shape = n.emit(OpKind::Shape, "shape", {x});
  const ValueId flat = n.emit(OpKind::Flatten, "flat", {x}, {{"axis", axis}});
  const ValueId result = n.emit(kind, "rows", {flat}, {{"axis", std::int64_t{1}}});
  n.finish(OpKind::Reshape, {result, shape});
}

/// Sizes are an input since opset 13, an attribute before. Equal parts otherwise: their number is
/// that of the outputs; since opset 18 the last may be smaller.
void convert_split(NodeImporter& n) {
  const ValueId x = n.input(0);
  const std::int64_t axis = n.axis_attribute(0, n.rank(x));
  const std::size_t count = n.node().outputs.size();
  const auto parts = static_cast<std::int64_t>(count);
  const std::vector<std::int64_t> sizes = n.ints_attribute("split");
  if (n.int_attribute("num_outputs", parts) != parts) {
    throw Error("num_outputs is not the number of the outputs");
  }
  std::vector<ValueId> inputs = {x};
  if (n.has_input(1)) {
    inputs.push_back(n.input(1));
  } else if (n.has_attribute("split")) {
    inputs.push_back(n.integers("sizes", {sizes.begin(), sizes.end()}));
  } else if (n.opset() >= 18) {
    const Expr whole = n.value(x).shape[static_cast<std::size_t>(axis)];
    const Expr part = ceil_div(whole, Expr(parts));
    if (part * Expr(parts) != whole) {
      std::vector<Expr> elements(count, part);
      elements.back() = whole - part * Expr(parts - 1);
      inputs.push_back(n.integers("sizes", elements));
    }
  }
  n.finish(OpKind::Split, inputs, {{"axis", axis}}, count);
}

// ---- Normalisation ----

/// The mean and the inverse deviation of a LayerNormalization, which models for training read.
void finish_moments(NodeImporter& n) {
  if (n.node().outputs.size() < 2) return;
  const ValueId x = n.input(0);
  const std::int64_t rank = n.rank(x);
  std::vector<std::int64_t> axes = all_axes(rank);
  axes.erase(axes.begin(), axes.begin() + n.axis_attribute(-1, rank));
  const Attributes over = {{"axes", axes}, {"keepdims", std::int64_t{1}}};
  const ValueId mean = n.apply(OpKind::ReduceMean, {x}, over);
  const ValueId centred = n.apply(OpKind::Sub, {x, mean});
  const ValueId squares = n.apply(OpKind::Mul, {centred, centred});
  const ValueId epsilon = n.scalar("epsilon", n.float_attribute("epsilon", 1e-5), x);
  const ValueId variance = n.apply(OpKind::ReduceMean, {squares}, over);
  const ValueId deviation = n.apply(OpKind::Sqrt, {n.apply(OpKind::Add, {variance, epsilon})});
  n.finish(mean, 1);
  if (n.node().outputs.size() > 2) n.finish(n.apply(OpKind::Reciprocal, {deviation}), 2);
}

/// LayerNormalization, RMSNormalization, and what ONNX Runtime calls the latter.
void convert_row_normalization(NodeImporter& n) {
  n.ignore_attribute("stash_type");  // in which precision to compute: Burin's is not lower
  n.finish(op_from_name(n.node().op).value_or(OpKind::RMSNormalization), n.inputs(),
           {{"axis", n.axis_attribute(-1, n.rank(n.input(0)))},
            {"epsilon", n.float_attribute("epsilon", 1e-5)}});
  if (n.node().op == "LayerNormalization") finish_moments(n);
}

void convert_batch_normalization(NodeImporter& n) {
  n.ignore_attribute("momentum");
  if (n.int_attribute("training_mode", 0) != 0) throw Error("training mode is not supported");
  n.finish(OpKind::BatchNormalization, n.inputs(),
           {{"epsilon", n.float_attribute("epsilon", 1e-5)}});
}

/// Before opset 21 scale and bias have an element for each group, since then for each channel.
void convert_group_normalization(NodeImporter& n) {
  n.ignore_attribute("stash_type");
  const Expr groups = n.int_attribute("num_groups", 0);
  if (!n.has_attribute("num_groups")) throw Error("attribute 'num_groups' is missing");
  std::vector<ValueId> inputs = {n.input(0), n.input(1), n.input(2)};
  if (n.opset() < 21) {
    if (n.rank(inputs[0]) < 2) throw Error("the input needs a batch and a channel dimension");
    const Expr channels = n.value(inputs[0]).shape[1];
    const ValueId spread = n.integers("spread", {groups, floor_div(channels, groups)});
    const ValueId flat = n.integers("flat", {channels});
    for (std::size_t i = 1; i < 3; ++i) {
      const std::string hint = i == 1 ? "scale" : "bias";
      const ValueId column = n.emit(OpKind::Unsqueeze, hint + ".column", {inputs[i]},
                                    {{"axes", std::vector<std::int64_t>{1}}});
      const ValueId expanded = n.emit(OpKind::Expand, hint + ".expanded", {column, spread});
      inputs[i] = n.emit(OpKind::Reshape, hint, {expanded, flat});
    }
  }
  n.finish(
      OpKind::GroupNormalization, inputs,
      {{"num_groups", *groups.as_constant()}, {"epsilon", n.float_attribute("epsilon", 1e-5)}});
}

// ---- Operators that stay as they are ----

/// The attributes that a node keeps, and those without a meaning for it.
struct Direct {
  std::string_view attributes = {};                 ///< separated by spaces
  std::optional<std::int64_t> axis = std::nullopt;  ///< there is an attribute `axis`; its default
  std::string_view ignored = {};
};

const Direct& direct_spec(const std::string& op) {
  static const Direct plain;
  static const std::unordered_map<std::string_view, Direct> specs = {
      {"LeakyRelu", {"alpha"}},
      {"Elu", {"alpha"}},
      {"Gelu", {"approximate"}},
      {"HardSigmoid", {"alpha beta"}},
      {"IsInf", {"detect_negative detect_positive"}},
      {"Mod", {"fmod"}},
      {"ArgMax", {"keepdims select_last_index", 0}},
      {"CumSum", {"exclusive reverse"}},
      {"InstanceNormalization", {"epsilon"}},
      {"Gemm", {"alpha beta transA transB"}},
      {"Conv", {"auto_pad dilations group kernel_shape pads strides"}},
      {"MaxPool", {"auto_pad ceil_mode dilations kernel_shape pads strides", {}, "storage_order"}},
      {"AveragePool", {"auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides"}},
      {"Resize",
       {"antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside "
        "extrapolation_value keep_aspect_ratio_policy mode nearest_mode"}},
      {"Reshape", {"allowzero"}},
      {"Concat", {"", 0}},
      {"Pad", {"mode"}},
      {"Trilu", {"upper"}},
      {"DepthToSpace", {"blocksize mode"}},
      {"Gather", {"", 0}},
      {"GatherElements", {"", 0}},
      {"GatherND", {"batch_dims"}},
      {"ScatterND", {"reduction"}},
      {"Shape", {"start end"}},
  };
  const auto found = specs.find(op);
  return found != specs.end() ? found->second : plain;
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> result;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (end != 0) result.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

void convert_direct(NodeImporter& n) {
  const Direct& spec = direct_spec(n.node().op);
  Attributes attributes;
  for (const std::string& key : words(spec.attributes)) copy_attribute(n, key, attributes);
  for (const std::string& key : words(spec.ignored)) n.ignore_attribute(key);
  if (spec.axis) attributes["axis"] = n.axis_attribute(*spec.axis, n.rank(n.input(0)));
  n.finish(own_op(n), n.inputs(), attributes);
}

/// The operations that ONNX has under the same name, with the same operands.
bool is_direct(OpKind op) {
  switch (op) {
    case OpKind::Rsqrt:
    case OpKind::Square:
    case OpKind::Exp2:
    case OpKind::Silu:
    case OpKind::Brgemm:
    case OpKind::Repeat:
    case OpKind::Subgraph: return false;
    default: return true;
  }
}

std::string_view refused(OpKind op) {
  switch (op) {
    case OpKind::MaxPool: return "indices of the maxima";
    case OpKind::Resize:
      return "antialias, keep_aspect_ratio_policy other than stretch, tf_crop_and_resize";
    default: return {};
  }
}

/// What has not changed since.
std::int64_t oldest_set(OpKind op) {
  switch (op) {
    case OpKind::And:
    case OpKind::Or:
    case OpKind::Xor: return 7;
    case OpKind::Not: return 1;
    default: return 11;
  }
}

/// The operands of direct operators that say shapes or axes.
std::vector<int> known_operands(OpKind op) {
  switch (op) {
    case OpKind::CumSum:
    case OpKind::Expand:
    case OpKind::Reshape:
    case OpKind::Tile: return {1};
    case OpKind::Pad: return {1, 3};
    case OpKind::Range: return {0, 1, 2};
    case OpKind::Resize: return {1, 2, 3};
    case OpKind::Slice: return {1, 2, 3, 4};
    default: return {};
  }
}

}  // namespace

std::vector<Operator> rewritten_operators() {
  return {
      {{"", "BatchNormalization", {}, "training_mode"}, convert_batch_normalization},
      {{"", "Cast"}, convert_cast},
      {{"", "CastLike"}, convert_cast},
      {{"", "Constant"}, convert_constant},
      {{"", "ConstantOfShape", {0}}, convert_constant_of_shape},
      {{"", "Dropout", {2}, "training_mode"}, convert_dropout},
      {{"", "Einsum", {}, "more than two operands"}, convert_einsum},
      {{"", "Flatten"}, convert_flatten},
      {{"", "GlobalMaxPool"}, convert_global_max_pool},
      {{"", "GroupNormalization"}, convert_group_normalization},
      {{"", "LayerNormalization"}, convert_row_normalization},
      {{"", "LogSoftmax"}, convert_softmax},
      {{"", "Max"}, convert_variadic},
      {{"", "Mean"}, convert_variadic},
      {{"", "Min"}, convert_variadic},
      {{"", "RMSNormalization"}, convert_row_normalization},
      {{"", "SimplifiedLayerNormalization"}, convert_row_normalization},
      {{"", "Softmax"}, convert_softmax},
      {{"", "SpaceToDepth"}, convert_space_to_depth},
    {{"", "Split", {1}}, convert_split},
      {{"", "Squeeze", {1}}, convert_squeeze},
      {{"", "Sum"}, convert_variadic},
      {{"", "Transpose"}, convert_transpose},
      {{"", "Unsqueeze", {1}}, convert_unsqueeze},
  };
}

std::vector<Operator> direct_operators() {
  std::vector<Operator> lines;
  for (const OpInfo& op : all_operations())
    if (is_direct(op.kind))
      lines.push_back({{"", op.name, known_operands(op.kind), refused(op.kind)},
                       convert_direct,
                       oldest_set(op.kind)});
  return lines;
}

}  // namespace burin::frontend
