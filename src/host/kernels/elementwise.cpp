// Element-wise operations with numpy broadcasting. Dimensions that all operands agree on are
// merged; the innermost run that is left goes to the loops of the operation.

#include <array>
#include <limits>
#include <string_view>

#include "graph/interpreter_ops.h"
#include "graph/shape_math.h"
#include "host/kernels/elementwise_rows.h"
#include "host/kernels/parallel.h"
#include "host/kernels/plain_kernel.h"

namespace burin::host {
namespace {

Constants constants_of(const Node& node) {
  const auto number = [&](std::string_view key, double fallback) {
    return static_cast<float>(node.float_attribute(key, fallback));
  };
  const auto flag = [&](std::string_view key) {
    return node.int_attribute(key, 1) != 0 ? 1.0F : 0.0F;
  };
  switch (node.op) {
    case OpKind::LeakyRelu: return {number("alpha", 0.01), 0};
    case OpKind::Elu: return {number("alpha", 1.0), 0};
    case OpKind::HardSigmoid: return {number("alpha", 0.2), number("beta", 0.5)};
    case OpKind::IsInf: return {flag("detect_positive"), flag("detect_negative")};
    default: return {};
  }
}

/// What stands for an absent bound of a Clip.
Tensor no_bound(Precision precision, bool upper) {
  Tensor bound = Tensor::zeros(precision, {});
  const auto set = [&]<typename T>(T lowest, T highest) {
    *bound.mutable_as<T>() = upper ? highest : lowest;
  };
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  using Limits32 = std::numeric_limits<std::int32_t>;
  using Limits64 = std::numeric_limits<std::int64_t>;
  if (precision == Precision::f32) set(-kInfinity, kInfinity);
  if (precision == Precision::i32) set(Limits32::min(), Limits32::max());
  if (precision == Precision::i64) set(Limits64::min(), Limits64::max());
  return bound;
}

template <std::size_t N>
class Elementwise final : public PlainKernel {
 public:
  Elementwise(const Graph& graph, const Node& node, RowFunction function)
      : PlainKernel(graph, node), function_(function), constants_(constants_of(node)) {
    for (std::size_t i = 0; i < N; ++i) {
      if (!has_input(i)) absent_[i] = no_bound(output_precision(), i == 2);
      const Precision precision = has_input(i) ? input_precision(i) : output_precision();
      element_bytes_[i] = static_cast<std::int64_t>(size_of(precision));
    }
  }

  bool works_in_place(std::size_t input) const override {
    return size_of(input_precision(input)) == size_of(output_precision()) && !is_bound(input);
  }

 private:
  /// Of a Clip: one element, whatever its rank.
  bool is_bound(std::size_t input) const { return node().op == OpKind::Clip && input > 0; }

  void plan() override {
    const Dims& dims = output_dims();
    for (std::size_t i = 0; i < N; ++i)
      strides_[i] = interpreter::broadcast_strides(is_bound(i) ? Dims{} : input_dims(i), dims);
    strides_[N] = row_major_strides(dims);
  }

  void compute(const KernelArguments& arguments) override {
    std::array<const std::byte*, N> in;
    for (std::size_t i = 0; i < N; ++i)
      in[i] = has_input(i) ? static_cast<const std::byte*>(arguments.inputs[i]) : absent_[i].data();
    auto* out = static_cast<std::byte*>(arguments.outputs[0]);
    const auto out_bytes = static_cast<std::int64_t>(size_of(output_precision()));
    parallel_runs<N + 1>(output_dims(), strides_, bytes_of_output(),
                         [&](const auto& starts, std::int64_t count, const auto& steps) {
                           Row row{count, {}, {}, out + starts[N] * out_bytes, constants_};
                           for (std::size_t i = 0; i < N; ++i) {
                             row.in[i] = in[i] + starts[i] * element_bytes_[i];
                             row.steps[i] = steps[i];
                           }
                           function_(row);
                         });
  }

  RowFunction function_;
  Constants constants_;
  std::array<Tensor, N> absent_;
  std::array<std::int64_t, N> element_bytes_{};
  std::array<Dims, N + 1> strides_;  ///< of the operands and of the output
};

template <std::size_t N>
std::unique_ptr<Kernel> with_rows(const Graph& graph, const Node& node, RowFunction function) {
  if (function == nullptr) return nullptr;
  return std::make_unique<Elementwise<N>>(graph, node, function);
}

}  // namespace

std::unique_ptr<Kernel> make_elementwise_kernel(const Graph& graph, const Node& node) {
  const auto precision = [&](std::size_t input) {
    return graph.value(node.inputs[input]).precision;
  };
  if (node.op == OpKind::Identity) return nullptr;  // a copy, whatever the type
  if (node.op == OpKind::Cast)
    return with_rows<1>(graph, node,
                        cast_row(precision(0), graph.value(node.outputs[0]).precision));
  switch (info(node.op).category) {
    case OpCategory::unary: return with_rows<1>(graph, node, unary_row(node, precision(0)));
    case OpCategory::binary:
    case OpCategory::compare:
      return with_rows<2>(graph, node, binary_row(node, precision(0), precision(1)));
    case OpCategory::ternary:
      return with_rows<3>(graph, node,
                          ternary_row(node, precision(node.op == OpKind::Where ? 1 : 0)));
    default: return nullptr;
  }
}

}  // namespace burin::host
