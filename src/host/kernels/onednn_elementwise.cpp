// Element-wise functions. What oneDNN has is used only where NaN comes out as ONNX has it: its exp
// gives infinity for it, its clip, min and max a number. Its add, sub, mul and div save a tenth of
// the time of plain code, and cost a primitive for each shape: they are for post-ops. One table
// serves functions that stand alone and those that are fused into products.

#include <array>
#include <utility>

#include "host/onednn_impl.h"

namespace burin::host::onednn {
namespace {

using dnnl::algorithm;

/// oneDNN's relu makes a number of NaN; its elu does not, but makes -0 of what is negative.
const std::array<Eltwise, 2> kRelu = {{{algorithm::eltwise_elu, 0.0F}, {algorithm::eltwise_abs}}};

std::vector<Eltwise> leaky_relu(float alpha) {
  if (alpha == 0.0F) return {kRelu.begin(), kRelu.end()};
  return {{algorithm::eltwise_relu, alpha}};
}

class EltwiseKernel final : public OneDnnKernel {
 public:
  EltwiseKernel(const Node& node, KernelContext& context, Eltwise operation)
      : OneDnnKernel(node, context), operation_(operation) {}

  bool works_in_place(std::size_t /*input*/) const override { return true; }

 private:
  bool plan(const KernelShapes& shapes, Plan& plan) override {
    const Desc flat = dense({product(shapes.outputs[0])});
    const Key key = Key("eltwise")
                        .add(operation_.algorithm)
                        .add(operation_.alpha)
                        .add(operation_.beta)
                        .add(flat);
    PrimitivePtr primitive = impl().primitive(key, [&] {
      return dnnl::eltwise_forward::primitive_desc(
          impl().engine, dnnl::prop_kind::forward_inference, operation_.algorithm, flat, flat,
          operation_.alpha, operation_.beta, plain_attributes(), true);
    });
    if (primitive == nullptr) return false;
    plan.add(std::move(primitive),
             {{DNNL_ARG_SRC, flat, Place::input(0)}, {DNNL_ARG_DST, flat, Place::output()}});
    return true;
  }

  Eltwise operation_;
};

/// Log is none of them: models round it to bucket numbers (T5's relative positions), where an error of
/// one unit in the last place shows, so it is the C library's.
///
/// Plain code is as fast, and needs no primitive for each shape.
bool is_as_fast_without(OpKind op) {
  return op == OpKind::Abs || op == OpKind::Square || op == OpKind::Relu ||
         op == OpKind::LeakyRelu || op == OpKind::Round;
}

}  // namespace

std::vector<Eltwise> eltwise_of(const Node& node) {
  const auto number = [&](std::string_view key, double otherwise) {
    return static_cast<float>(node.float_attribute(key, otherwise));
  };
  switch (node.op) {
    case OpKind::Abs: return {{algorithm::eltwise_abs}};
    case OpKind::Sqrt: return {{algorithm::eltwise_sqrt}};
    case OpKind::Square: return {{algorithm::eltwise_square}};
    case OpKind::Tanh: return {{algorithm::eltwise_tanh}};
    case OpKind::Sigmoid: return {{algorithm::eltwise_logistic}};
    case OpKind::Silu: return {{algorithm::eltwise_swish, 1.0F}};
    case OpKind::Softplus: return {{algorithm::eltwise_soft_relu, 1.0F}};
    case OpKind::HardSwish: return {{algorithm::eltwise_hardswish, 1.0F / 6.0F, 0.5F}};
    case OpKind::Round: return {{algorithm::eltwise_round}};
    case OpKind::Relu: return leaky_relu(0.0F);
    case OpKind::LeakyRelu: return leaky_relu(number("alpha", 0.01));
    case OpKind::Elu: return {{algorithm::eltwise_elu, number("alpha", 1.0)}};
    case OpKind::Gelu:
      return {{node.string_attribute("approximate", "none") == "tanh"
                   ? algorithm::eltwise_gelu_tanh
                   : algorithm::eltwise_gelu_erf}};
    default: return {};
  }
}

std::optional<algorithm> binary_of(OpKind op) {
  switch (op) {
    case OpKind::Add: return algorithm::binary_add;
    case OpKind::Sub: return algorithm::binary_sub;
    case OpKind::Mul: return algorithm::binary_mul;
    case OpKind::Div: return algorithm::binary_div;
    default: return std::nullopt;
  }
}

std::unique_ptr<Kernel> make_eltwise(const Graph& graph, const Node& node, KernelContext& context) {
  const std::vector<Eltwise> operations = eltwise_of(node);
  if (operations.size() != 1 || is_as_fast_without(node.op) || !is_all_f32(graph, node))
    return nullptr;
  return std::make_unique<EltwiseKernel>(node, context, operations[0]);
}

}  // namespace burin::host::onednn
