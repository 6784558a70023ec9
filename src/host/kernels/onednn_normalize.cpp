// Softmax and normalizations. A softmax over a row with NaN gives NaN in its place at least.

#include "host/onednn_impl.h"

namespace burin::host::onednn {
namespace {

using dnnl::normalization_flags;
using dnnl::prop_kind;

const normalization_flags kScaleAndShift =
    normalization_flags::use_scale | normalization_flags::use_shift;

class SoftmaxKernel final : public OneDnnKernel {
 public:
  SoftmaxKernel(const Node& node, KernelContext& context)
      : OneDnnKernel(node, context),
        axis_(node.int_attribute("axis", 0)),
        algorithm_(node.op == OpKind::Softmax ? dnnl::algorithm::softmax_accurate
                                              : dnnl::algorithm::softmax_log) {}

  bool works_in_place(std::size_t /*input*/) const override { return true; }

 private:
  bool plan(const KernelShapes& shapes, Plan& plan) override {
    Dims dims = around_axis(shapes.inputs[0], axis_);
    if (dims[2] == 1) dims.pop_back();
    const Desc desc = dense(dims);
    PrimitivePtr primitive = impl().primitive(Key("softmax").add(algorithm_).add(desc), [&] {
      return dnnl::softmax_forward::primitive_desc(impl().engine, prop_kind::forward_inference,
                                                   algorithm_, desc, desc, 1, plain_attributes(),
                                                   true);
    });
    if (primitive == nullptr) return false;
    plan.add(std::move(primitive),
             {{DNNL_ARG_SRC, desc, Place::input(0)}, {DNNL_ARG_DST, desc, Place::output()}});
    return true;
  }

  std::int64_t axis_;
  dnnl::algorithm algorithm_;
};

class LayerNormKernel final : public OneDnnKernel {
 public:
  LayerNormKernel(const Node& node, KernelContext& context)
      : OneDnnKernel(node, context),
        axis_(static_cast<std::size_t>(node.int_attribute("axis", 0))),
        epsilon_(static_cast<float>(node.float_attribute("epsilon", 1e-5))),
        has_shift_(has_input(node, 2)) {}

  bool works_in_place(std::size_t input) const override { return input == 0; }

 private:
  bool plan(const KernelShapes& shapes, Plan& plan) override {
    const Dims& dims = shapes.inputs[0];
    const std::int64_t width = product(dims, axis_, dims.size());
    const Desc rows = dense({product(dims, 0, axis_), width}), row = dense({width});
    const auto flags = has_shift_ ? kScaleAndShift : normalization_flags::use_scale;
    const Key key = Key("layer_norm").add(rows).add(epsilon_).add(std::int64_t{has_shift_});
    PrimitivePtr primitive = impl().primitive(key, [&] {
      return dnnl::layer_normalization_forward::primitive_desc(
          impl().engine, prop_kind::forward_inference, rows, rows, epsilon_, flags,
          plain_attributes(), true);
    });
    if (primitive == nullptr) return false;
    std::vector<Plan::Argument> arguments = {{DNNL_ARG_SRC, rows, Place::input(0)},
                                             {DNNL_ARG_SCALE, row, Place::input(1)},
                                             {DNNL_ARG_DST, rows, Place::output()}};
    if (has_shift_) arguments.push_back({DNNL_ARG_SHIFT, row, Place::input(2)});
    plan.add(std::move(primitive), arguments);
    return true;
  }

  std::size_t axis_;
  float epsilon_;
  bool has_shift_;
};

/// BatchNormalization.
class BatchNormKernel final : public OneDnnKernel {
 public:
  BatchNormKernel(const Node& node, KernelContext& context)
      : OneDnnKernel(node, context),
        epsilon_(static_cast<float>(node.float_attribute("epsilon", 1e-5))) {}

  bool works_in_place(std::size_t input) const override { return input == 0; }

 private:
  bool plan(const KernelShapes& shapes, Plan& plan) override {
    const Desc x = dense(around_axis(shapes.inputs[0], 1)), channels = dense(shapes.inputs[1]);
    PrimitivePtr primitive = impl().primitive(Key("batch_norm").add(x).add(epsilon_), [&] {
      return dnnl::batch_normalization_forward::primitive_desc(
          impl().engine, prop_kind::forward_inference, x, x, epsilon_,
          kScaleAndShift | normalization_flags::use_global_stats, plain_attributes(), true);
    });
    if (primitive == nullptr) return false;
    plan.add(std::move(primitive), {{DNNL_ARG_SRC, x, Place::input(0)},
                                    {DNNL_ARG_SCALE, channels, Place::input(1)},
                                    {DNNL_ARG_SHIFT, channels, Place::input(2)},
                                    {DNNL_ARG_MEAN, channels, Place::input(3)},
                                    {DNNL_ARG_VARIANCE, channels, Place::input(4)},
                                    {DNNL_ARG_DST, x, Place::output()}});
    return true;
  }

  float epsilon_;
};

/// GroupNormalization, and InstanceNormalization: one group a channel.
class GroupNormKernel final : public OneDnnKernel {
 public:
  GroupNormKernel(const Node& node, KernelContext& context)
      : OneDnnKernel(node, context),
        groups_(node.int_attribute("num_groups", 0)),
        epsilon_(static_cast<float>(node.float_attribute("epsilon", 1e-5))) {}

  bool works_in_place(std::size_t input) const override { return input == 0; }

 private:
  bool plan(const KernelShapes& shapes, Plan& plan) override {
    const Desc x = dense(around_axis(shapes.inputs[0], 1)), channels = dense(shapes.inputs[1]);
    const std::int64_t groups = groups_ == 0 ? shapes.inputs[0][1] : groups_;
    PrimitivePtr primitive =
        impl().primitive(Key("group_norm").add(x).add(groups).add(epsilon_), [&] {
          return dnnl::group_normalization_forward::primitive_desc(
              impl().engine, prop_kind::forward_inference, x, x, groups, epsilon_, kScaleAndShift,
              plain_attributes(), true);
        });
    if (primitive == nullptr) return false;
    plan.add(std::move(primitive), {{DNNL_ARG_SRC, x, Place::input(0)},
                                    {DNNL_ARG_SCALE, channels, Place::input(1)},
                                    {DNNL_ARG_SHIFT, channels, Place::input(2)},
                                    {DNNL_ARG_DST, x, Place::output()}});
    return true;
  }

  std::int64_t groups_;  ///< 0: as many as channels
  float epsilon_;
};

/// Scale and shift have all the normalized dimensions; broadcast ones are rare.
bool has_whole_parameters(const Graph& graph, const Node& node) {
  const Shape& x = graph.value(node.inputs[0]).shape;
  const Shape normalized(x.begin() + node.int_attribute("axis", 0), x.end());
  for (std::size_t i = 1; i < node.inputs.size(); ++i) {
    if (!has_input(node, i)) continue;
    const Shape& parameters = graph.value(node.inputs[i]).shape;
    if (parameters.size() != normalized.size()) return false;
    for (std::size_t d = 0; d < normalized.size(); ++d)
      if (!graph.facts.proves_equal(parameters[d], normalized[d])) return false;
  }
  return true;
}

}  // namespace

std::unique_ptr<Kernel> make_normalization(const Graph& graph, const Node& node,
                                           KernelContext& context) {
  if (info(node.op).category != OpCategory::normalize || !is_all_f32(graph, node)) return nullptr;
  switch (node.op) {
    case OpKind::Softmax:
    case OpKind::LogSoftmax: return std::make_unique<SoftmaxKernel>(node, context);
    case OpKind::LayerNormalization:
      if (!has_whole_parameters(graph, node)) return nullptr;
      return std::make_unique<LayerNormKernel>(node, context);
    case OpKind::BatchNormalization: return std::make_unique<BatchNormKernel>(node, context);
    case OpKind::GroupNormalization:
    case OpKind::InstanceNormalization: return std::make_unique<GroupNormKernel>(node, context);
    default: return nullptr;
  }
}

}  // namespace burin::host::onednn
