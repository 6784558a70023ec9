// The inference of results: which function serves which operation, and what all of them share.

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <string>

#include "burin/error.h"
#include "burin/graph.h"
#include "graph/infer_context.h"

namespace burin {
namespace {

/// The results of the body, in the words of the graph around it.
void infer_subgraph(InferContext& context) {
  const auto& body = context.node().body;
  if (body == nullptr) context.fail("it has no body");
  if (body->inputs.size() != context.input_count())
    context.fail("its body takes {} inputs; {} are given", body->inputs.size(),
                 context.input_count());
  if (body->outputs.size() != context.output_count())
    context.fail("its body gives {} outputs, not {}", body->outputs.size(), context.output_count());

  // Each symbol of the body is what stands in its place where an input is that symbol.
  std::map<std::string, Expr> symbols;
  const auto bind = [&](const Expr& formal, const Expr& actual) {
    if (const auto symbol = formal.as_symbol()) symbols.emplace(*symbol, actual);
  };
  for (std::size_t i = 0; i < body->inputs.size(); ++i) {
    if (!context.has(i)) context.fail("input {} is missing", i);
    const Value& formal = body->value(body->inputs[i]);
    const Value& actual = context.in(i);
    if (formal.precision != actual.precision || formal.shape.size() != actual.shape.size())
      context.fail("{} does not fit the body's input '{}' {}{}", context.describe(i), formal.name,
                   to_string(formal.precision), to_string(formal.shape));
    for (std::size_t d = 0; d < formal.shape.size(); ++d) bind(formal.shape[d], actual.shape[d]);
    if (formal.elements && actual.elements && formal.elements->size() == actual.elements->size())
      for (std::size_t e = 0; e < formal.elements->size(); ++e)
        bind((*formal.elements)[e], (*actual.elements)[e]);
  }
  for (std::size_t i = 0; i < body->inputs.size(); ++i) {
    const Shape& formal = body->value(body->inputs[i]).shape;
    for (std::size_t d = 0; d < formal.size(); ++d)
      context.unify(context.shape(i)[d], formal[d].substitute(symbols),
                    fmt::format("dimension {} of {}", d, context.describe(i)));
  }
  const auto substitute = [&](const std::vector<Expr>& expressions) {
    std::vector<Expr> result;
    for (const Expr& e : expressions) result.push_back(e.substitute(symbols));
    return result;
  };
  for (std::size_t i = 0; i < body->outputs.size(); ++i) {
    const Value& output = body->value(body->outputs[i]);
    Elements elements;
    if (output.elements) elements = substitute(*output.elements);
    context.set(output.precision, substitute(output.shape), std::move(elements), i);
  }
}

struct Entry {
  OpKind op;
  InferFunction function;
};

constexpr Entry kEntries[] = {
    {OpKind::Abs, infer_numeric_unary},
    {OpKind::Neg, infer_numeric_unary},
    {OpKind::Sqrt, infer_float_unary},
    {OpKind::Rsqrt, infer_float_unary},
    {OpKind::Reciprocal, infer_float_unary},
    {OpKind::Square, infer_numeric_unary},
    {OpKind::Exp, infer_float_unary},
    {OpKind::Exp2, infer_float_unary},
    {OpKind::Log, infer_float_unary},
    {OpKind::Tanh, infer_float_unary},
    {OpKind::Sigmoid, infer_float_unary},
    {OpKind::Erf, infer_numeric_unary},
    {OpKind::Relu, infer_numeric_unary},
    {OpKind::LeakyRelu, infer_float_unary},
    {OpKind::Elu, infer_float_unary},
    {OpKind::Gelu, infer_float_unary},
    {OpKind::Silu, infer_float_unary},
    {OpKind::Softplus, infer_float_unary},
    {OpKind::HardSigmoid, infer_float_unary},
    {OpKind::HardSwish, infer_float_unary},
    {OpKind::Floor, infer_float_unary},
    {OpKind::Ceil, infer_float_unary},
    {OpKind::Round, infer_float_unary},
    {OpKind::Sign, infer_numeric_unary},
    {OpKind::Sin, infer_float_unary},
    {OpKind::Cos, infer_float_unary},
    {OpKind::Not, infer_not},
    {OpKind::IsNaN, infer_float_test},
    {OpKind::IsInf, infer_float_test},
    {OpKind::Cast, infer_cast},
    {OpKind::Identity, infer_same},
    {OpKind::Add, infer_arithmetic},
    {OpKind::Sub, infer_arithmetic},
    {OpKind::Mul, infer_arithmetic},
    {OpKind::Div, infer_arithmetic},
    {OpKind::Pow, infer_pow},
    {OpKind::Min, infer_arithmetic},
    {OpKind::Max, infer_arithmetic},
    {OpKind::Mod, infer_arithmetic},
    {OpKind::PRelu, infer_prelu},
    {OpKind::And, infer_logical},
    {OpKind::Or, infer_logical},
    {OpKind::Xor, infer_logical},
    {OpKind::Equal, infer_compare},
    {OpKind::Less, infer_compare},
    {OpKind::LessOrEqual, infer_compare},
    {OpKind::Greater, infer_compare},
    {OpKind::GreaterOrEqual, infer_compare},
    {OpKind::Where, infer_where},
    {OpKind::Clip, infer_clip},
    {OpKind::ReduceSum, infer_reduce},
    {OpKind::ReduceMean, infer_reduce},
    {OpKind::ReduceMax, infer_reduce},
    {OpKind::ReduceMin, infer_reduce},
    {OpKind::ReduceProd, infer_reduce},
    {OpKind::ReduceL2, infer_reduce},
    {OpKind::ArgMax, infer_argmax},
    {OpKind::CumSum, infer_cumsum},
    {OpKind::Softmax, infer_softmax},
    {OpKind::LogSoftmax, infer_softmax},
    {OpKind::LayerNormalization, infer_layer_norm},
    {OpKind::RMSNormalization, infer_layer_norm},
    {OpKind::InstanceNormalization, infer_channel_norm},
    {OpKind::GroupNormalization, infer_channel_norm},
    {OpKind::BatchNormalization, infer_batch_norm},
    {OpKind::MatMul, infer_matmul},
    {OpKind::Gemm, infer_gemm},
    {OpKind::Brgemm, infer_brgemm},
    {OpKind::Conv, infer_conv},
    {OpKind::MaxPool, infer_pool},
    {OpKind::AveragePool, infer_pool},
    {OpKind::GlobalAveragePool, infer_global_pool},
    {OpKind::Resize, infer_resize},
    {OpKind::Transpose, infer_transpose},
    {OpKind::Reshape, infer_reshape},
    {OpKind::Squeeze, infer_squeeze},
    {OpKind::Unsqueeze, infer_unsqueeze},
    {OpKind::Flatten, infer_flatten},
    {OpKind::Expand, infer_expand},
    {OpKind::Repeat, infer_repeat},
    {OpKind::Concat, infer_concat},
    {OpKind::Split, infer_split},
    {OpKind::Slice, infer_slice},
    {OpKind::Pad, infer_pad},
    {OpKind::Tile, infer_tile},
    {OpKind::Trilu, infer_trilu},
    {OpKind::DepthToSpace, infer_depth_to_space},
    {OpKind::Gather, infer_gather},
    {OpKind::GatherElements, infer_gather_elements},
    {OpKind::GatherND, infer_gather_nd},
    {OpKind::ScatterND, infer_scatter_nd},
    {OpKind::Shape, infer_shape},
    {OpKind::Size, infer_size},
    {OpKind::ConstantOfShape, infer_constant_of_shape},
    {OpKind::Range, infer_range},
    {OpKind::Subgraph, infer_subgraph},
};

constexpr bool in_order_of_table() {
  for (std::size_t i = 0; i < std::size(kEntries); ++i)
    if (static_cast<std::size_t>(kEntries[i].op) != i) return false;
  return std::size(kEntries) == static_cast<std::size_t>(OpKind::Subgraph) + 1;
}
static_assert(in_order_of_table(),
              "each operation of ops.def needs its line here, in the same order");

/// Ids and numbers of inputs and outputs, before a function relies on them.
void check_arity(const Graph& graph, const InferContext& context) {
  const OpInfo& op = info(context.op());
  const auto given = static_cast<int>(context.input_count());
  if (given < op.min_inputs || (op.max_inputs >= 0 && given > op.max_inputs)) {
    if (op.max_inputs < 0)
      context.fail("it takes at least {} inputs; {} are given", op.min_inputs, given);
    if (op.min_inputs == op.max_inputs)
      context.fail("it takes {} inputs; {} are given", op.min_inputs, given);
    context.fail("it takes {} to {} inputs; {} are given", op.min_inputs, op.max_inputs, given);
  }
  if (context.output_count() == 0) context.fail("it has no output");
  for (std::size_t i = 0; i < context.input_count(); ++i) {
    const ValueId input = context.node().inputs[i];
    if (input == kNone) {
      // All inputs of an operation with any number of them are required.
      if (static_cast<int>(i) < op.min_inputs || op.max_inputs < 0)
        context.fail("input {} is missing", i);
    } else if (input >= graph.value_count()) {
      context.fail("input {} is value {}, which does not exist", i, input);
    }
  }
}

}  // namespace

void infer(Graph& graph, NodeId node) {
  if (node >= graph.node_count()) throw Error(fmt::format("there is no node {}", node));
  InferContext context(graph, node);
  check_arity(graph, context);
  try {
    kEntries[static_cast<std::size_t>(context.op())].function(context);
  } catch (const Error& error) {
    // Arithmetic on dimensions does not know the node.
    const std::string what = error.what();
    if (what.compare(0, context.subject().size(), context.subject()) == 0) throw;
    context.fail("{}", what);
  }
  context.commit();
}

}  // namespace burin
