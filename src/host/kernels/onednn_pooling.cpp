// MaxPool and AveragePool.

#include "host/onednn_impl.h"

namespace burin::host::onednn {
namespace {

using dnnl::algorithm;

class PoolingKernel final : public OneDnnKernel {
 public:
  PoolingKernel(const Graph& graph, const Node& node, KernelContext& context, algorithm kind)
      : OneDnnKernel(node, context, make_reference_kernel(graph, node)), node_(node), kind_(kind) {}

 private:
  bool plan(const KernelShapes& shapes, Plan& plan) override {
    const Window w =
        window_of(node_, node_.ints_attribute("kernel_shape"), shapes.inputs[0], shapes.outputs[0]);
    const Desc source = dense(shapes.inputs[0]), target = dense(shapes.outputs[0]);
    Key key = Key("pooling").add(kind_).add(source).add(target);
    for (const Dims* dims : {&w.kernel, &w.strides, &w.dilations, &w.pads_begin, &w.pads_end})
      key.add(*dims);
    PrimitivePtr primitive = impl().primitive(key, [&] {
      return dnnl::pooling_forward::primitive_desc(
          impl().engine, dnnl::prop_kind::forward_inference, kind_, source, target, w.strides,
          w.kernel, w.dilations, w.pads_begin, w.pads_end, plain_attributes(), true);
    });
    if (primitive == nullptr) return false;
    plan.add(std::move(primitive),
             {{DNNL_ARG_SRC, source, Place::input(0)}, {DNNL_ARG_DST, target, Place::output()}});
    return true;
  }

  Node node_;
  algorithm kind_;
};

}  // namespace

std::unique_ptr<Kernel> make_pooling(const Graph& graph, const Node& node, KernelContext& context) {
  if (node.op != OpKind::MaxPool && node.op != OpKind::AveragePool) return nullptr;
  if (!is_all_f32(graph, node) || graph.value(node.inputs[0]).shape.size() > 5) return nullptr;
  if (node.op == OpKind::MaxPool)
    return std::make_unique<PoolingKernel>(graph, node, context, algorithm::pooling_max);
  if (node.int_attribute("count_include_pad", 0) == 0)
    return std::make_unique<PoolingKernel>(graph, node, context,
                                           algorithm::pooling_avg_exclude_padding);
  // For oneDNN what the last window takes from behind the padding is padding, too.
  if (node.int_attribute("ceil_mode", 0) != 0) return nullptr;
  return std::make_unique<PoolingKernel>(graph, node, context,
                                         algorithm::pooling_avg_include_padding);
}

}  // namespace burin::host::onednn
