// Normalisations, as their formulas read.

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "graph/interpreter_ops.h"

namespace burin::interpreter {

namespace {

using Values = std::vector<double>;

/// Calls f(first, step, count) for each line of x along `axis`.
template <typename F>
void for_each_line(const Dims& dims, std::int64_t axis, const F& f) {
  const std::span<const std::int64_t> all(dims);
  const std::int64_t count = dims[static_cast<std::size_t>(axis)];
  const std::int64_t outer = product(all.first(static_cast<std::size_t>(axis)));
  const std::int64_t inner = product(all.subspan(static_cast<std::size_t>(axis) + 1));
  for (std::int64_t o = 0; o < outer; ++o)
    for (std::int64_t i = 0; i < inner; ++i) f(o * count * inner + i, inner, count);
}

/// A line that is -inf all over gives NaN: exp(-inf - -inf).
template <bool logarithm>
Results softmax(const Node& node, const Graph&, Inputs in) {
  const PlainTensor& x = *in[0];
  const double* data = x.data<double>();
  Values results(static_cast<std::size_t>(x.size()));
  for_each_line(x.dims(), resolve_axis(node.int_attribute("axis", -1), x.rank()),
                [&](std::int64_t first, std::int64_t step, std::int64_t count) {
                  const double* from = data + first;
                  double* to = results.data() + first;
                  double largest = -std::numeric_limits<double>::infinity();
                  for (std::int64_t i = 0; i < count; ++i)
                    largest = std::max(largest, from[i * step]);
                  double sum = 0;
                  for (std::int64_t i = 0; i < count; ++i)
                    sum += to[i * step] = std::exp(from[i * step] - largest);
                  for (std::int64_t i = 0; i < count; ++i)
                    to[i * step] =
                        logarithm ? from[i * step] - largest - std::log(sum) : to[i * step] / sum;
                });
  return {PlainTensor(x.dims(), std::move(results))};
}

struct Moments {
  double mean, deviation;  ///< deviation: 1 / sqrt(variance + epsilon)
};

Moments moments(const double* x, std::int64_t count, double epsilon) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += x[i];
  const double mean = sum / static_cast<double>(count);
  double squares = 0;
  for (std::int64_t i = 0; i < count; ++i) squares += (x[i] - mean) * (x[i] - mean);
  return {mean, 1.0 / std::sqrt(squares / static_cast<double>(count) + epsilon)};
}

/// (x - mean) * deviation over each of `groups` consecutive parts of x.
PlainTensor standardized(const PlainTensor& x, std::int64_t groups, double epsilon,
                         Values* means = nullptr, Values* deviations = nullptr) {
  const std::int64_t count = groups == 0 ? 0 : x.size() / groups;
  Values results(static_cast<std::size_t>(x.size()));
  for (std::int64_t g = 0; g < groups; ++g) {
    const double* from = x.data<double>() + g * count;
    const Moments m = moments(from, count, epsilon);
    for (std::int64_t i = 0; i < count; ++i)
      results[static_cast<std::size_t>(g * count + i)] = (from[i] - m.mean) * m.deviation;
    if (means != nullptr) means->push_back(m.mean);
    if (deviations != nullptr) deviations->push_back(m.deviation);
  }
  return {x.dims(), std::move(results)};
}

std::int64_t size_before(const PlainTensor& x, std::int64_t axis) {
  return product(std::span(x.dims()).first(static_cast<std::size_t>(axis)));
}

Results layer_norm(const Node& node, const Graph&, Inputs in) {
  const PlainTensor& x = *in[0];
  const std::int64_t axis = resolve_axis(node.int_attribute("axis", -1), x.rank());
  Values means, deviations;
  const PlainTensor result = standardized(
      x, size_before(x, axis), node.float_attribute("epsilon", 1e-5), &means, &deviations);
  Dims statistics = x.dims();
  std::fill(statistics.begin() + axis, statistics.end(), 1);
  return {scale_and_shift(result, *in[1], has(in, 2) ? in[2] : nullptr),
          PlainTensor(statistics, std::move(means)),
          PlainTensor(statistics, std::move(deviations))};
}

Results rms_norm(const Node& node, const Graph&, Inputs in) {
  const PlainTensor& x = *in[0];
  const double epsilon = node.float_attribute("epsilon", 1e-5);
  const std::int64_t groups =
      size_before(x, resolve_axis(node.int_attribute("axis", -1), x.rank()));
  const std::int64_t count = groups == 0 ? 0 : x.size() / groups;
  Values results(static_cast<std::size_t>(x.size()));
  for (std::int64_t g = 0; g < groups; ++g) {
    const double* from = x.data<double>() + g * count;
    double squares = 0;
    for (std::int64_t i = 0; i < count; ++i) squares += from[i] * from[i];
    const double root = std::sqrt(squares / static_cast<double>(count) + epsilon);
    for (std::int64_t i = 0; i < count; ++i)
      results[static_cast<std::size_t>(g * count + i)] = from[i] / root;
  }
  return {scale_and_shift(PlainTensor(x.dims(), std::move(results)), *in[1], nullptr)};
}

/// A parameter of [C] as it meets x of [N, C, ...].
PlainTensor per_channel(const PlainTensor& parameter, const PlainTensor& x, std::string_view what) {
  if (x.rank() < 2)
    fail(fmt::format("expected an input [N, C, ...], given {}", to_string(x.dims())));
  if (parameter.dims() != Dims{x.dims()[1]})
    fail(
        fmt::format("{}: expected [{}], given {}", what, x.dims()[1], to_string(parameter.dims())));
  Dims dims(x.dims().size() - 1, 1);
  dims[0] = parameter.size();
  return parameter.reshaped(dims);
}

Results grouped_norm(Inputs in, std::int64_t groups_per_item, double epsilon) {
  const PlainTensor& x = *in[0];
  const PlainTensor scale = per_channel(*in[1], x, "scale");
  const PlainTensor bias = per_channel(*in[2], x, "bias");
  return {scale_and_shift(standardized(x, x.dims()[0] * groups_per_item, epsilon), scale, &bias)};
}

Results instance_norm(const Node& node, const Graph&, Inputs in) {
  if (in[0]->rank() < 2)
    fail(fmt::format("expected an input [N, C, ...], given {}", to_string(in[0]->dims())));
  return grouped_norm(in, in[0]->dims()[1], node.float_attribute("epsilon", 1e-5));
}

Results group_norm(const Node& node, const Graph&, Inputs in) {
  const std::int64_t groups = node.int_attribute("num_groups", 1);
  if (in[0]->rank() < 2 || groups < 1 || in[0]->dims()[1] % groups != 0)
    fail(fmt::format("{} groups do not divide the channels of {}", groups,
                     to_string(in[0]->dims())));
  return grouped_norm(in, groups, node.float_attribute("epsilon", 1e-5));
}

/// Inputs: x, scale, bias, mean, variance.
Results batch_norm(const Node& node, const Graph&, Inputs in) {
  if (node.int_attribute("training_mode", 0) != 0) fail("training_mode is not supported");
  const double epsilon = node.float_attribute("epsilon", 1e-5);
  const PlainTensor& x = *in[0];
  for (const std::size_t i : {1, 2, 3, 4}) per_channel(*in[i], x, "scale, bias, mean and variance");
  const auto channels = static_cast<std::size_t>(x.dims()[1]);
  Values factors(channels), shifts(channels);
  for (std::size_t c = 0; c < channels; ++c) {
    factors[c] = in[1]->data<double>()[c] / std::sqrt(in[4]->data<double>()[c] + epsilon);
    shifts[c] = in[2]->data<double>()[c] - in[3]->data<double>()[c] * factors[c];
  }
  const PlainTensor shift = per_channel({in[2]->dims(), std::move(shifts)}, x, "bias");
  return {scale_and_shift(x, per_channel({in[1]->dims(), std::move(factors)}, x, "scale"), &shift)};
}

}  // namespace

void add_normalize(NodeTable& table) {
  using enum OpKind;
  table[Softmax] = softmax<false>;
  table[LogSoftmax] = softmax<true>;
  table[LayerNormalization] = layer_norm;
  table[RMSNormalization] = rms_norm;
  table[InstanceNormalization] = instance_norm;
  table[GroupNormalization] = group_norm;
  table[BatchNormalization] = batch_norm;
}

}  // namespace burin::interpreter
