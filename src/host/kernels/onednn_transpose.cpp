// Transposes that move the innermost axis, as a reorder between two layouts of the same tensor.
// Others copy whole rows, which plain code does as fast, without a primitive for each shape.

#include "host/onednn_impl.h"

namespace burin::host::onednn {
namespace {

using DataType = dnnl::memory::data_type;

/// A type that is moved bit by bit; oneDNN has none of 8 bytes.
std::optional<DataType> data_type(Precision precision) {
  switch (precision) {
    case Precision::f32: return DataType::f32;
    case Precision::i32: return DataType::s32;
    case Precision::i8: return DataType::s8;
    case Precision::u8:
    case Precision::boolean: return DataType::u8;
    default: return std::nullopt;
  }
}

class TransposeKernel final : public OneDnnKernel {
 public:
  TransposeKernel(const Node& node, KernelContext& context, DataType type)
      : OneDnnKernel(node, context), type_(type), perm_(node.ints_attribute("perm")) {}

 private:
  bool plan(const KernelShapes& shapes, Plan& plan) override {
    Walk whole{shapes.inputs[0], {}};
    whole.add_broadcast(shapes.inputs[0]);
    Walk walk{shapes.outputs[0], {Dims{}}};
    for (const std::int64_t axis : perm_)
      walk.strides[0].push_back(whole.strides[0][static_cast<std::size_t>(axis)]);
    walk.add_broadcast(shapes.outputs[0]);
    walk = walk.merged();
    if (walk.dims.size() > DNNL_MAX_NDIMS) return false;
    plan.add_reorder({walk.dims, type_, walk.strides[0]}, Place::input(0),
                     {walk.dims, type_, walk.strides[1]}, Place::output());
    return true;
  }

  DataType type_;
  Dims perm_;
};

}  // namespace

std::unique_ptr<Kernel> make_transpose(const Graph& graph, const Node& node,
                                       KernelContext& context) {
  if (node.op != OpKind::Transpose) return nullptr;
  const std::vector<std::int64_t> perm = node.ints_attribute("perm");
  if (perm.empty() || perm.back() == std::ssize(perm) - 1) return nullptr;
  const auto type = data_type(graph.value(node.inputs[0]).precision);
  if (!type || graph.value(node.inputs[0]).shape.size() > DNNL_MAX_NDIMS) return nullptr;
  return std::make_unique<TransposeKernel>(node, context, *type);
}

}  // namespace burin::host::onednn
