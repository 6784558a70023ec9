// What ONNX Runtime's optimizer makes of transformers besides attentions (domain com.microsoft), as
// https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md states it.

#include "burin/error.h"
#include "frontend/operators.h"
#include "graph/positions.h"

namespace burin::frontend {
namespace {

using enum OpKind;

const Attributes kTanhForm = {{"approximate", std::string("tanh")}};

ValueId with_optional_sum(NodeImporter& n, ValueId x, std::size_t input) {
  return n.has_input(input) ? n.apply(Add, {x, n.input(input)}) : x;
}

void convert_bias_gelu(NodeImporter& n) {
  n.finish(Gelu, {n.apply(Add, {n.input(0), n.input(1)})});
}

/// x + bias + skip
void convert_bias_add(NodeImporter& n) {
  n.finish(Add, {n.apply(Add, {n.input(0), n.input(1)}), n.input(2)});
}

/// The first half of x + bias, times the GELU of the second.
void convert_bias_split_gelu(NodeImporter& n) {
  const ValueId sum = n.apply(Add, {n.input(0), n.input(1)});
  const Expr whole = n.last_dim(sum), half = floor_div(whole, 2);
  const std::int64_t axis = n.rank(sum) - 1;
  const ValueId value = n.slice(sum, axis, 0, half), gate = n.slice(sum, axis, half, whole);
  n.finish(Mul, {value, n.apply(Gelu, {gate})});
}

void convert_fast_gelu(NodeImporter& n) {
  n.finish(Gelu, {with_optional_sum(n, n.input(0), 1)}, kTanhForm);
}

void convert_gelu(NodeImporter& n) { n.finish(Gelu, {n.input(0)}); }

void convert_quick_gelu(NodeImporter& n) {
  const ValueId x = n.input(0);
  const ValueId alpha = n.scalar("alpha", n.float_attribute("alpha", 1.702), x);
  n.finish(Mul, {x, n.apply(Sigmoid, {n.apply(Mul, {x, alpha})})});
}

/// The sum of all that comes in is given out, too.
void finish_normalization(NodeImporter& n, OpKind kind, ValueId sum, std::vector<ValueId> scales) {
  constexpr std::size_t kSum = 3;
  const Attributes attributes = {{"axis", n.rank(sum) - 1},
                                 {"epsilon", n.float_attribute("epsilon", 1e-12)}};
  scales.insert(scales.begin(), sum);
  n.finish(kind, std::move(scales), attributes);
  if (n.is_asked(kSum)) n.finish(sum, kSum);
}

/// How many keys are none of padding; 0 where the model does not say.
ValueId unpadded_lengths(NodeImporter& n, ValueId ids, std::size_t mask) {
  if (n.has_input(mask))
    return n.apply(ReduceSum, {n.input(mask)},
                   {{"axes", std::vector<std::int64_t>{1}}, {"keepdims", std::int64_t{0}}});
  const ValueId zero = n.constant("zero", Tensor::scalar(Precision::i32, 0));
  return n.apply(Expand, {zero, n.integers("batch", {n.dim(ids, 0)})});
}

/// Words, positions and segments, each looked up in a table.
void convert_embed_layer_normalization(NodeImporter& n) {
  enum : std::size_t {
    kIds,
    kSegments,
    kWords,
    kPlaces,
    kSegmentTable,
    kScale,
    kShift,
    kMask,
    kPlaceIds
  };
  n.ignore_attribute("mask_index_type");
  const auto rows = [&](std::size_t table, ValueId indices) {
    return n.apply(Gather, {n.input(table), indices}, {{"axis", std::int64_t{0}}});
  };
  const ValueId ids = n.input(kIds);
  const Expr length = n.dim(ids, 1);
  const ValueId places =
      n.has_input(kPlaceIds) ? n.input(kPlaceIds) : add_positions(n.graph(), length, 1, 2);
  ValueId sum = n.apply(Add, {rows(kWords, ids), rows(kPlaces, places)});
  if (n.has_input(kSegments)) sum = n.apply(Add, {sum, rows(kSegmentTable, n.input(kSegments))});
  n.finish(LayerNormalization, {sum, n.input(kScale), n.input(kShift)},
           {{"axis", std::int64_t{2}}, {"epsilon", n.float_attribute("epsilon", 1e-12)}});
  const auto& outputs = n.node().outputs;
  if (outputs.size() > 1) n.finish(unpadded_lengths(n, ids, kMask), 1);
  if (outputs.size() > 2) n.finish(sum, 2);
}

void convert_skip_layer_normalization(NodeImporter& n) {
  const ValueId sum = with_optional_sum(n, n.apply(Add, {n.input(0), n.input(1)}), 4);
  std::vector<ValueId> scales = {n.input(2)};
  if (n.has_input(3)) scales.push_back(n.input(3));
  finish_normalization(n, LayerNormalization, sum, scales);
}

void convert_skip_simplified_layer_normalization(NodeImporter& n) {
  const ValueId sum = with_optional_sum(n, n.apply(Add, {n.input(0), n.input(1)}), 3);
  finish_normalization(n, RMSNormalization, sum, {n.input(2)});
}

void convert_fused_matmul(NodeImporter& n) {
  if (n.int_attribute("transBatchA", 0) != 0 || n.int_attribute("transBatchB", 0) != 0)
    throw Error("transBatchA and transBatchB are not supported");
  const auto operand = [&](std::size_t i, const char* key) {
    const ValueId x = n.input(i);
    const std::int64_t rank = n.rank(x);
    if (n.int_attribute(key, 0) == 0 || rank < 2) return x;
    std::vector<std::int64_t> perm;
    for (std::int64_t d = 0; d < rank - 2; ++d) perm.push_back(d);
    perm.insert(perm.end(), {rank - 1, rank - 2});
    return n.apply(Transpose, {x}, {{"perm", perm}});
  };
  const ValueId a = operand(0, "transA"), b = operand(1, "transB");
  const double alpha = n.float_attribute("alpha", 1);
  if (alpha == 1) return n.finish(MatMul, {a, b});
  const ValueId product = n.apply(MatMul, {a, b});
  n.finish(Mul, {product, n.scalar("alpha", alpha, product)});
}

/// A Gemm and an activation that has no attributes.
void convert_fused_gemm(NodeImporter& n) {
  const std::string activation = n.string_attribute("activation", "Identity");
  const auto kind = op_from_name(activation);
  if (!kind || info(*kind).category != OpCategory::unary || *kind == Cast)
    throw Error("activation '" + activation + "' is not supported");
  const Attributes attributes = {{"alpha", n.float_attribute("alpha", 1)},
                                 {"beta", n.float_attribute("beta", 1)},
                                 {"transA", n.int_attribute("transA", 0)},
                                 {"transB", n.int_attribute("transB", 0)}};
  n.finish(*kind, {n.apply(Gemm, n.inputs(), attributes)});
}

}  // namespace

std::vector<Operator> contrib_operators() {
  constexpr std::string_view kDomain = "com.microsoft";
  return {
      {{kDomain, "BiasAdd"}, convert_bias_add},
      {{kDomain, "BiasGelu"}, convert_bias_gelu},
      {{kDomain, "BiasSplitGelu"}, convert_bias_split_gelu},
      {{kDomain, "EmbedLayerNormalization"}, convert_embed_layer_normalization},
      {{kDomain, "FastGelu"}, convert_fast_gelu},
      {{kDomain, "FusedGemm", {}, "parameters of the activation"}, convert_fused_gemm},
      {{kDomain, "FusedMatMul", {}, "transBatchA, transBatchB"}, convert_fused_matmul},
      {{kDomain, "Gelu"}, convert_gelu},
      {{kDomain, "QuickGelu"}, convert_quick_gelu},
      {{kDomain, "SkipLayerNormalization"}, convert_skip_layer_normalization},
      {{kDomain, "SkipSimplifiedLayerNormalization"}, convert_skip_simplified_layer_normalization},
  };
}

}  // namespace burin::frontend
