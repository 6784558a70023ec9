// Operations that read by index, and those that make tensors out of shapes.

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "graph/infer_context.h"

namespace burin {
namespace {

/// The elements that constant indices pick.
Elements gathered(const InferContext& context, const Elements& data) {
  if (!data || context.rank(1) > 1) return std::nullopt;
  const auto indices = context.constants(1);
  if (!indices) return std::nullopt;
  std::vector<Expr> result;
  for (const std::int64_t each : *indices) {
    const auto size = static_cast<std::int64_t>(data->size());
    if (each < -size || each >= size) context.fail("index {} is out of range for {}", each, size);
    result.push_back((*data)[static_cast<std::size_t>(each < 0 ? each + size : each)]);
  }
  return result;
}

/// The scalar integer that an input is, also where it was cast to a floating-point type.
std::optional<Expr> scalar(const InferContext& context, const Graph& graph, std::size_t input) {
  const Value* value = &context.in(input);
  if (value->constant && is_float(value->precision) && value->constant->size() == 1) {
    const double number = value->constant->at(0);
    if (number == std::floor(number) && std::abs(number) < 0x1p53)
      return Expr(static_cast<std::int64_t>(number));
    return std::nullopt;
  }
  while (!value->elements && value->producer != kNone &&
         graph.node(value->producer).op == OpKind::Cast) {
    value = &graph.value(graph.node(value->producer).inputs[0]);
    if (is_float(value->precision)) return std::nullopt;
  }
  if (!value->elements || value->elements->size() != 1) return std::nullopt;
  return value->elements->front();
}

}  // namespace

void infer_gather(InferContext& context) {
  context.require_rank(0, 1, 64);
  context.require_integer(1);
  const std::int64_t axis = context.axis("axis", 0, context.rank(0));
  const Shape& data = context.shape(0);
  Shape result(data.begin(), data.begin() + axis);
  result.insert(result.end(), context.shape(1).begin(), context.shape(1).end());
  result.insert(result.end(), data.begin() + axis + 1, data.end());
  Elements elements;
  if (context.rank(0) == 1) elements = gathered(context, context.in(0).elements);
  context.set(context.in(0).precision, std::move(result), std::move(elements));
}

void infer_gather_elements(InferContext& context) {
  context.require_rank(0, 1, 64);
  context.require_integer(1);
  context.require_rank(1, context.rank(0), context.rank(0));
  context.axis("axis", 0, context.rank(0));
  Elements elements;
  if (context.rank(0) == 1) elements = gathered(context, context.in(0).elements);
  context.set(context.in(0).precision, context.shape(1), std::move(elements));
}

namespace {

/// The length of the index tuples, the last dimension of the indices.
std::int64_t tuple_length(const InferContext& context, std::int64_t most) {
  context.require_integer(1);
  context.require_rank(1, 1, 64);
  const auto length = context.shape(1).back().as_constant();
  if (!length || *length < 0 || *length > most)
    context.fail("the last dimension of {} must be known and at most {}", context.describe(1),
                 most);
  return *length;
}

}  // namespace

void infer_gather_nd(InferContext& context) {
  context.require_rank(0, 1, 64);
  context.require_rank(1, 1, 64);
  const std::int64_t batches = context.node().int_attribute("batch_dims", 0);
  if (batches < 0 || batches >= std::min(context.rank(0), context.rank(1)))
    context.fail("attribute 'batch_dims' {} is out of range", batches);
  const std::int64_t length = tuple_length(context, context.rank(0) - batches);
  const Shape& data = context.shape(0);
  Shape result(context.shape(1).begin(), context.shape(1).end() - 1);
  for (std::int64_t i = 0; i < batches; ++i) {
    const auto d = static_cast<std::size_t>(i);
    result[d] = context.unify(result[d], data[d], fmt::format("batch dimension {}", i));
  }
  result.insert(result.end(), data.begin() + batches + length, data.end());
  context.set(context.in(0).precision, std::move(result));
}

void infer_scatter_nd(InferContext& context) {
  context.require_same_precision(0, 2);
  context.require_rank(0, 1, 64);
  const std::int64_t length = tuple_length(context, context.rank(0));
  const Shape& data = context.shape(0);
  Shape updates(context.shape(1).begin(), context.shape(1).end() - 1);
  updates.insert(updates.end(), data.begin() + length, data.end());
  const auto rank = static_cast<std::int64_t>(updates.size());
  context.require_rank(2, rank, rank);
  for (std::size_t i = 0; i < updates.size(); ++i)
    context.unify(updates[i], context.shape(2)[i],
                  fmt::format("dimension {} of {}", i, context.describe(2)));
  context.set(context.in(0).precision, context.shape(0));
}

void infer_shape(InferContext& context) {
  const std::int64_t rank = context.rank(0);
  const auto clamp = [&](std::string_view key, std::int64_t fallback) {
    const std::int64_t bound = context.node().int_attribute(key, fallback);
    return std::clamp<std::int64_t>(bound < 0 ? bound + rank : bound, 0, rank);
  };
  const std::int64_t start = clamp("start", 0);
  const std::int64_t end = std::max(clamp("end", rank), start);
  const Shape& x = context.shape(0);
  context.set(Precision::i64, {Expr(end - start)},
              std::vector<Expr>(x.begin() + start, x.begin() + end));
}

void infer_size(InferContext& context) {
  context.set(Precision::i64, {}, std::vector<Expr>{product(context.shape(0))});
}

void infer_constant_of_shape(InferContext& context) {
  Tensor value = Tensor::scalar(Precision::f32, 0);
  const auto& attributes = context.node().attributes;
  if (const auto found = attributes.find("value"); found != attributes.end()) {
    const Tensor* tensor = std::get_if<Tensor>(&found->second);
    if (tensor == nullptr || tensor->size() != 1)
      context.fail("attribute 'value' must be a tensor of one element");
    value = *tensor;
  }
  const std::int64_t rank = context.integer_count(0);
  const Elements sizes = context.integers(0);
  if (!sizes) {
    context.set(value.precision(), context.unknown_shape(0, rank));
    return;
  }
  for (std::size_t i = 0; i < sizes->size(); ++i)
    context.assume_at_least((*sizes)[i], 0, fmt::format("dimension {} of the result", i));
  Elements elements;
  if (!is_float(value.precision()) && rank <= 1) {
    const auto count = rank == 0 ? std::optional<std::int64_t>(1) : (*sizes)[0].as_constant();
    if (count && *count <= kMaxElements)
      elements.emplace(static_cast<std::size_t>(*count), Expr(value.int_at(0)));
  }
  context.set(value.precision(), *sizes, std::move(elements));
}

namespace {

/// The number of steps from start to limit, if it can be said beforehand.
std::optional<Expr> range_count(const InferContext& context, const Graph& graph) {
  const auto& first = context.in(0).constant;
  const auto& second = context.in(1).constant;
  const auto& third = context.in(2).constant;
  if (is_float(context.in(0).precision) && first && second && third) {
    if (first->size() != 1 || second->size() != 1 || third->size() != 1) return std::nullopt;
    const double count = std::ceil((second->at(0) - first->at(0)) / third->at(0));
    if (!(count < 0x1p31)) context.fail("the range has too many elements, or none");
    return Expr(static_cast<std::int64_t>(std::max(count, 0.0)));
  }
  const auto start = scalar(context, graph, 0);
  const auto limit = scalar(context, graph, 1);
  const auto delta = scalar(context, graph, 2);
  if (!start || !limit || !delta) return std::nullopt;
  const auto step = delta->as_constant();
  if (!step || *step == std::numeric_limits<std::int64_t>::min()) return std::nullopt;
  if (*step == 0) context.fail("the step must not be 0");
  const Expr distance = *step > 0 ? *limit - *start : *start - *limit;
  const ShapeMath math = context.math();
  const Expr count = ceil_div(distance, std::abs(*step));
  return math.at_least(distance, 0) ? count : math.max(count, 0);
}

}  // namespace

void infer_range(InferContext& context) {
  for (const std::size_t input : {std::size_t{0}, std::size_t{1}, std::size_t{2}}) {
    context.require_scalar(input);
    context.require_same_precision(0, input);
    if (context.in(input).precision == Precision::boolean)
      context.fail("{} must be of a numeric type", context.describe(input));
  }
  const auto count = range_count(context, context.graph());
  Elements elements;
  if (const auto constant = count ? count->as_constant() : std::nullopt;
      constant && *constant <= kMaxElements && !is_float(context.in(0).precision)) {
    elements.emplace();
    const Expr& start = context.in(0).elements->front();
    const Expr& step = context.in(2).elements->front();
    for (std::int64_t i = 0; i < *constant; ++i) elements->push_back(start + Expr(i) * step);
  }
  context.set(context.in(0).precision, {count ? *count : context.unknown_dimension(0, 1, 0)},
              std::move(elements));
}

}  // namespace burin
