// Convolutions. They run in the layout that oneDNN likes best, with reorders in front and behind.

#include "host/onednn_impl.h"

namespace burin::host::onednn {
namespace {

using dnnl::prop_kind;

/// Output channels come in groups of their own dimension: [M, C / groups, ...] as [groups, M /
/// groups, C / groups, ...].
Dims grouped(Dims weight, std::int64_t groups) {
  if (groups == 1) return weight;
  weight[0] /= groups;
  weight.insert(weight.begin(), groups);
  return weight;
}

class ConvolutionKernel final : public OneDnnKernel {
 public:
  ConvolutionKernel(const Graph& graph, const Node& node, KernelContext& context)
      : OneDnnKernel(node, context, make_reference_kernel(graph, node)),
        node_(node),
        groups_(node.int_attribute("group", 1)) {
    const Tensor& weight = *graph.value(node.inputs[1]).constant;
    kernel_.assign(weight.dims().begin() + 2, weight.dims().end());
    weight_dims_ = grouped(weight.dims(), groups_);
    weight_.emplace(weight, dense(weight_dims_));
  }

 private:
  dnnl::primitive_desc_base describe(const KernelShapes& shapes, const Desc& weight) const {
    const Dims &x = shapes.inputs[0], &y = shapes.outputs[0];
    const Window w = window_of(node_, kernel_, x, y);
    const Desc source = any_layout(x), target = any_layout(y);
    if (!has_input(node_, 2))
      return dnnl::convolution_forward::primitive_desc(
          impl().engine, prop_kind::forward_inference, dnnl::algorithm::convolution_direct, source,
          weight, target, w.strides, w.dilations, w.pads_begin, w.pads_end, plain_attributes(),
          true);
    return dnnl::convolution_forward::primitive_desc(
        impl().engine, prop_kind::forward_inference, dnnl::algorithm::convolution_direct, source,
        weight, dense(shapes.inputs[2]), target, w.strides, w.dilations, w.pads_begin, w.pads_end,
        plain_attributes(), true);
  }

  Key key(const KernelShapes& shapes) const {
    const Window w = window_of(node_, kernel_, shapes.inputs[0], shapes.outputs[0]);
    Key key("convolution");
    for (const Dims* dims : {&shapes.inputs[0], &weight_dims_, &shapes.outputs[0], &w.strides,
                             &w.dilations, &w.pads_begin, &w.pads_end})
      key.add(*dims);
    return key.add(std::int64_t{has_input(node_, 2)});
  }

  bool plan(const KernelShapes& shapes, Plan& plan) override {
    const PrimitivePtr primitive = weight_->primitive(
        impl(), key(shapes), [&](const Desc& weight) { return describe(shapes, weight); });
    if (primitive == nullptr) return false;
    const Desc plain_source = dense(shapes.inputs[0]), plain_target = dense(shapes.outputs[0]);
    const Desc source = primitive->desc.query_md(dnnl::query::src_md);
    const Desc target = primitive->desc.query_md(dnnl::query::dst_md);

    Place from = Place::input(0), to = Place::output();
    if (source != plain_source) {
      from = plan.reserve(source);
      plan.add_reorder(plain_source, Place::input(0), source, from);
    }
    if (target != plain_target) to = plan.reserve(target);
    std::vector<Plan::Argument> arguments = {
        {DNNL_ARG_SRC, source, from}, weight_->argument(), {DNNL_ARG_DST, target, to}};
    if (has_input(node_, 2))
      arguments.push_back({DNNL_ARG_BIAS, dense(shapes.inputs[2]), Place::input(2)});
    plan.add(primitive, arguments);
    if (target != plain_target) plan.add_reorder(target, to, plain_target, Place::output());
    return true;
  }

  Node node_;
  std::int64_t groups_;
  Dims kernel_, weight_dims_;
  std::optional<ConstantWeight> weight_;
};

}  // namespace

std::unique_ptr<Kernel> make_convolution(const Graph& graph, const Node& node,
                                         KernelContext& context) {
  if (node.op != OpKind::Conv || !is_all_f32(graph, node)) return nullptr;
  const auto& weight = graph.value(node.inputs[1]).constant;
  if (!weight || weight->size() == 0 || weight->dims().size() > 5) return nullptr;
  return std::make_unique<ConvolutionKernel>(graph, node, context);
}

}  // namespace burin::host::onednn
