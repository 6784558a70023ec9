// MatMul and Gemm, alone or with what follows them (fuse_post_ops.h).

#include <algorithm>
#include <span>

#include "host/fuse_post_ops.h"
#include "host/onednn_impl.h"

namespace burin::host {
namespace onednn {
namespace {

/// A tensor that comes with each run, or is known.
struct Operand {
  std::optional<Tensor> constant;
  std::size_t input = 0;  ///< of the kernel, where it is not constant

  const Dims& dims(const KernelShapes& shapes) const {
    return constant ? constant->dims() : shapes.inputs[input];
  }
  Place place() const { return constant ? Place::constant(constant->data()) : Place::input(input); }
};

/// What is done to the product before it is stored: an operation of one number, or one with another
/// tensor.
struct Step {
  Eltwise operation;
  std::optional<Operand> operand;
};

/// A product is one of matrices wherever the right one is the same for the whole batch: the rows of
/// the left ones are those of one long matrix.
struct Matrices {
  Desc left, right, result;
  std::int64_t depth;
};

/// A residual as the long matrix, a vector as a row of it, a column as a column.
Desc as_matrix(const Dims& dims) {
  const std::int64_t columns = dims.empty() ? 1 : dims.back();
  return dense({product(dims) / columns, columns});
}

Desc matrix(std::int64_t rows, std::int64_t columns, bool transposed) {
  return transposed ? strided({rows, columns}, {1, rows}) : dense({rows, columns});
}

Dims batch_of(const Dims& dims) { return {dims.begin(), dims.end() - 2}; }

Desc matrices(Dims batch, std::int64_t rows, std::int64_t columns) {
  batch.push_back(rows);
  batch.push_back(columns);
  return dense(batch);
}

class ProductKernel final : public OneDnnKernel {
 public:
  ProductKernel(const Graph& graph, const Node& node, std::span<const ValueId> inputs,
                KernelContext& context)
      : OneDnnKernel(node, context),
        left_(operand(graph, node.inputs[0], inputs)),
        right_(operand(graph, node.inputs[1], inputs)),
        is_left_transposed_(node.int_attribute("transA", 0) != 0),
        is_right_transposed_(node.int_attribute("transB", 0) != 0) {
    if (right_.constant && right_.constant->dims().size() == 2 && right_.constant->size() != 0) {
      const Dims& dims = right_.constant->dims();
      const std::size_t row = is_right_transposed_ ? 1 : 0;
      weight_.emplace(*right_.constant, matrix(dims[row], dims[1 - row], is_right_transposed_));
    }
    if (node.op == OpKind::Gemm) add_gemm_steps(graph, node, inputs);
  }

  void add_step(std::optional<dnnl::algorithm> algorithm, const Graph& graph, ValueId other,
                std::span<const ValueId> inputs) {
    steps_.push_back({{*algorithm}, operand(graph, other, inputs)});
  }
  void add_steps(const std::vector<Eltwise>& operations) {
    for (const Eltwise& operation : operations) steps_.push_back({operation, std::nullopt});
  }

 private:
  static Operand operand(const Graph& graph, ValueId value, std::span<const ValueId> inputs) {
    const auto found = std::find(inputs.begin(), inputs.end(), value);
    return {graph.value(value).constant, static_cast<std::size_t>(found - inputs.begin())};
  }

  void scale(float factor) {
    if (factor != 1.0F) steps_.push_back({{dnnl::algorithm::eltwise_linear, factor, 0.0F}, {}});
  }

  /// alpha * product + beta * c is beta * (alpha / beta * product + c).
  void add_gemm_steps(const Graph& graph, const Node& node, std::span<const ValueId> inputs) {
    const auto alpha = static_cast<float>(node.float_attribute("alpha", 1.0));
    const auto beta = static_cast<float>(node.float_attribute("beta", 1.0));
    if (!has_input(node, 2) || beta == 0.0F) return scale(alpha);
    scale(alpha / beta);
    add_step(dnnl::algorithm::binary_add, graph, node.inputs[2], inputs);
    scale(beta);
  }

  Matrices matrices_of(const KernelShapes& shapes) const {
    const Dims &a = left_.dims(shapes), &b = right_.dims(shapes), &c = shapes.outputs[0];
    const std::int64_t columns = c.back();
    const std::int64_t depth = is_left_transposed_ ? a.front() : a.back();
    const std::int64_t stored = std::max<std::int64_t>(depth, 1);  // see add_zeros()
    if (product(b, 0, b.size() - 2) == 1) {
      const std::int64_t rows = product(c) / columns;
      return {matrix(rows, stored, is_left_transposed_),
              matrix(stored, columns, is_right_transposed_), dense({rows, columns}), depth};
    }
    const std::int64_t rows = c[c.size() - 2];
    Walk batch{batch_of(c), {}};
    for (const Dims* dims : {&a, &b, &c}) batch.add_broadcast(batch_of(*dims));
    batch = batch.merged();
    return {matrices(batch.dims_of(0), rows, stored), matrices(batch.dims_of(1), stored, columns),
            matrices(batch.dims, rows, columns), depth};
  }

  dnnl::primitive_attr attributes(const KernelShapes& shapes) const {
    dnnl::post_ops post_ops;
    for (const Step& step : steps_) {
      if (step.operand) {
        post_ops.append_binary(step.operation.algorithm, as_matrix(step.operand->dims(shapes)));
      } else {
        post_ops.append_eltwise(step.operation.algorithm, step.operation.alpha,
                                step.operation.beta);
      }
    }
    dnnl::primitive_attr result = plain_attributes();
    result.set_post_ops(post_ops);
    return result;
  }

  Key key(const KernelShapes& shapes, const Matrices& m) const {
    Key key = Key("matmul").add(m.left).add(m.result);
    for (const Step& step : steps_) {
      key.add(step.operation.algorithm).add(step.operation.alpha).add(step.operation.beta);
      if (step.operand) key.add(as_matrix(step.operand->dims(shapes)));
    }
    return key;
  }

  bool plan(const KernelShapes& shapes, Plan& plan) override {
    const Matrices m = matrices_of(shapes);
    const auto describe = [&](const Desc& right) -> dnnl::primitive_desc_base {
      return dnnl::matmul::primitive_desc(impl().engine, m.left, right, m.result,
                                          attributes(shapes), true);
    };
    const bool is_packed = weight_ && m.depth != 0;
    const PrimitivePtr primitive = is_packed ? weight_->primitive(impl(), key(shapes, m), describe)
                                             : impl().primitive(key(shapes, m).add(m.right),
                                                                [&] { return describe(m.right); });
    if (primitive == nullptr) return false;

    std::vector<Plan::Argument> arguments = {{DNNL_ARG_DST, m.result, Place::output()}};
    if (m.depth == 0) {
      add_zeros(m, arguments);
    } else {
      arguments.push_back({DNNL_ARG_SRC, m.left, left_.place()});
      arguments.push_back(is_packed ? weight_->argument()
                                    : Plan::Argument{DNNL_ARG_WEIGHTS, m.right, right_.place()});
    }
    add_operands(shapes, arguments);
    plan.add(primitive, arguments);
    return true;
  }

  void add_operands(const KernelShapes& shapes, std::vector<Plan::Argument>& arguments) const {
    for (std::size_t i = 0; i < steps_.size(); ++i)
      if (const auto& operand = steps_[i].operand)
        arguments.push_back({DNNL_ARG_ATTR_MULTIPLE_POST_OP(static_cast<int>(i)) | DNNL_ARG_SRC_1,
                             as_matrix(operand->dims(shapes)), operand->place()});
  }

  /// A product without depth is that of a column of zeros and a row of zeros.
  void add_zeros(const Matrices& m, std::vector<Plan::Argument>& arguments) {
    zeros_.assign(std::max(m.left.get_size(), m.right.get_size()) / sizeof(float), 0.0F);
    arguments.push_back({DNNL_ARG_SRC, m.left, Place::constant(zeros_.data())});
    arguments.push_back({DNNL_ARG_WEIGHTS, m.right, Place::constant(zeros_.data())});
  }

  Operand left_, right_;
  bool is_left_transposed_, is_right_transposed_;
  std::optional<ConstantWeight> weight_;
  std::vector<Step> steps_;
  std::vector<float> zeros_;
};

bool is_product(const Graph& graph, const Node& node) {
  if (node.op != OpKind::MatMul && node.op != OpKind::Gemm) return false;
  const auto rank = [&](std::size_t input) { return graph.value(node.inputs[input]).shape.size(); };
  return is_all_f32(graph, node) && rank(0) >= 2 && rank(1) >= 2 &&
         std::max(rank(0), rank(1)) <= DNNL_MAX_NDIMS;
}

}  // namespace

std::unique_ptr<Kernel> make_product(const Graph& graph, const Node& node, KernelContext& context) {
  if (!is_product(graph, node)) return nullptr;
  return std::make_unique<ProductKernel>(graph, node, node.inputs, context);
}

}  // namespace onednn

std::unique_ptr<Kernel> make_fused_product(const Graph& graph, const FusedProduct& fused,
                                           KernelContext& context) {
  using namespace onednn;
  auto kernel =
      std::make_unique<ProductKernel>(graph, graph.node(fused.product), fused.inputs, context);
  if (fused.bias != kNone)
    kernel->add_step(dnnl::algorithm::binary_add, graph, fused.bias, fused.inputs);
  for (const PostOp& post_op : fused.post_ops) {
    const Node& node = graph.node(post_op.node);
    if (post_op.operand == kNone) {
      kernel->add_steps(eltwise_of(node));
    } else {
      kernel->add_step(binary_of(node.op), graph, post_op.operand, fused.inputs);
    }
  }
  return kernel;
}

}  // namespace burin::host
