#include "tokenize/cost_rule.h"

#include <algorithm>

#include <fmt/format.h>

namespace burin {
namespace {

/// Several passes over memory, or a long formula, in one node. (Alone, divisions of integers are the machine's own, one by
/// one, and so are remainders of floats; for reductions of integers there is nothing but the reference interpreter.)
bool is_heavy(const Graph& graph, const Node& node) {
  const bool of_integers = !is_float(graph.value(node.inputs[0]).precision);
  if (of_integers && info(node.op).category == OpCategory::reduce) return true;
  switch (node.op) {
    case OpKind::Mod: return true;
    case OpKind::Div: return of_integers;
    case OpKind::Softmax:
    case OpKind::LogSoftmax:
    case OpKind::LayerNormalization:
    case OpKind::RMSNormalization:
    case OpKind::GroupNormalization:
    case OpKind::InstanceNormalization:
    case OpKind::Gelu:
    case OpKind::Erf: return true;
    default: return false;
  }
}

bool computes_nothing(OpKind op) {
  return op == OpKind::Cast || op == OpKind::Identity || op == OpKind::Not || op == OpKind::Reshape ||
         op == OpKind::Squeeze || op == OpKind::Unsqueeze;
}

}  // namespace

bool is_tiny(const Shape& shape) {
  Expr size = 1;
  for (const Expr& dimension : shape) size *= dimension;
  const auto elements = size.as_constant();
  return elements && *elements < kTinyElements;
}

std::string why_tiny_is_left() {
  return fmt::format("fewer than {} elements: a call would cost more than the work", kTinyElements);
}

std::optional<std::string> why_not_worth_it(const Graph& graph, const std::vector<NodeId>& nodes) {
  const auto works = std::count_if(nodes.begin(), nodes.end(), [&](NodeId id) { return !computes_nothing(graph.node(id).op); });
  const bool heavy = std::any_of(nodes.begin(), nodes.end(), [&](NodeId id) { return is_heavy(graph, graph.node(id)); });
  if (works == 0) return "computes nothing: a kernel of its own saves nothing";
  if (works < 2 && !heavy) return "one cheap operation: a kernel of its own saves nothing";
  return std::nullopt;
}

std::optional<std::string> why_attention_is_left(const Expr& queries, const Expr& head, const Expr& value) {
  const std::int64_t largest = std::max(head.as_constant().value_or(0), value.as_constant().value_or(0));
  if (largest <= kLargestHead || queries.as_constant().value_or(kOneBlock + 1) <= kOneBlock) return std::nullopt;
  return fmt::format("heads of {} elements: products of more than {} are faster alone", largest, kLargestHead);
}

bool is_vector_of_columns(const Tensor& constant) {
  return constant.size() == 1 || constant.size() == constant.dims().back();
}

std::optional<std::string> why_product_is_left(const Graph& graph, const Node& node) {
  const Value &left = graph.value(node.inputs[0]), &weight = graph.value(node.inputs[1]);
  if (!weight.constant || left.constant) return "a product of two activations, and no attention around it";
  if (left.precision != Precision::f32) return fmt::format("works on {}; kernels are f32", to_string(left.precision));
  if (weight.shape.size() != 2 || left.shape.size() < 2) return "its operands are no matrices";
  const bool transposed = node.int_attribute("transB", 0) != 0;
  const Dims& dims = weight.constant->dims();
  if (dims[transposed ? 0 : 1] < kFewColumns)
    return fmt::format("fewer than {} columns: its vectors would be mostly empty", kFewColumns);
  if (node.int_attribute("transA", 0) != 0 || node.float_attribute("alpha", 1) != 1 || node.float_attribute("beta", 1) != 1)
    return "transposes or scales its operands";
  if (node.inputs.size() > 2 && node.inputs[2] != kNone) {
    const Value& bias = graph.value(node.inputs[2]);
    if (!bias.constant || !is_vector_of_columns(*bias.constant))
      return "its bias is no constant vector";
  }
  return std::nullopt;
}

}  // namespace burin
