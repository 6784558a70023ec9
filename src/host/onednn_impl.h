#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "host/kernel.h"
#include "host/onednn.h"

namespace burin::host {

namespace onednn {

using Desc = dnnl::memory::desc;

/// Row-major f32. A scalar (no dimensions) is one of {1}: oneDNN has none of rank 0.
Desc dense(const Dims& dims);
Desc strided(const Dims& dims, const Dims& strides);
/// f32 in whatever layout the primitive likes best.
Desc any_layout(const Dims& dims);

/// Says in a string what makes a primitive different from others.
class Key {
 public:
  explicit Key(std::string_view kind) : text_(kind) {}

  Key& add(std::int64_t number);
  Key& add(float number);
  Key& add(dnnl::algorithm algorithm) { return add(static_cast<std::int64_t>(algorithm)); }
  Key& add(const Dims& numbers);
  Key& add(const Desc& desc);
  Key& add(const Key& other);

  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// Generated code, and what it was generated from.
struct Primitive {
  dnnl::primitive_desc_base desc;
  dnnl::primitive handle;

  /// Not oneDNN's reference code, which is as slow as code can be.
  bool is_optimized() const;
};
using PrimitivePtr = std::shared_ptr<const Primitive>;

/// A constant in the layout that a primitive asked for.
struct Packed {
  Tensor source;  ///< keeps the address, by which it is found, from being given to another tensor
  Desc desc;
  dnnl::memory memory;
};
using PackedPtr = std::shared_ptr<const Packed>;

}  // namespace onednn

struct OneDnn::Impl {
  explicit Impl(std::size_t primitives_kept) : capacity(primitives_kept) {}

  /// From the cache, or made from the description that `make` gives; null if that is empty: oneDNN
  /// cannot do it.
  onednn::PrimitivePtr primitive(const onednn::Key& key,
                                 const std::function<dnnl::primitive_desc_base()>& make);
  /// The same memory for all who ask for the same tensor in the same layout, while one of them
  /// lives.
  onednn::PackedPtr pack(const Tensor& tensor, const onednn::Desc& from, const onednn::Desc& to);

  const std::size_t capacity;
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  Counters counters;

 private:
  struct Entry {
    std::string key;
    onednn::PrimitivePtr primitive;
  };
  std::list<Entry> entries_;  ///< used last in front
  std::unordered_map<std::string_view, std::list<Entry>::iterator> by_key_;
  std::unordered_map<std::string, std::weak_ptr<const onednn::Packed>> packed_;
};

namespace onednn {

/// Where a primitive finds a tensor in a run.
struct Place {
  enum class Kind { input, output, scratch, scratchpad, constant } kind = Kind::input;
  std::size_t index = 0;       ///< of the input or the output; bytes into the scratch
  const void* data = nullptr;  ///< of the constant, which outlives the plan

  static Place input(std::size_t i) { return {Kind::input, i}; }
  static Place output(std::size_t i = 0) { return {Kind::output, i}; }
  static Place constant(const void* data) { return {Kind::constant, 0, data}; }
};

/// Primitives to run one after the other, with their memory objects made in advance: a run sets
/// addresses and allocates nothing.
class Plan {
 public:
  struct Argument {
    int name;  ///< DNNL_ARG_...
    Desc desc;
    Place place;
  };

  explicit Plan(OneDnn::Impl& impl) : impl_(impl) {}

  void clear();
  /// Memory for what one primitive leaves to the next.
  Place reserve(const Desc& desc);
  void add(PrimitivePtr primitive, const std::vector<Argument>& arguments);
  /// From one layout into another.
  void add_reorder(const Desc& from, Place source, const Desc& to, Place target);

  std::size_t scratch_bytes() const { return reserved_ + scratchpad_; }
  void run(const KernelArguments& arguments);

 private:
  struct Call {
    PrimitivePtr primitive;
    std::vector<Place> places;
    std::vector<dnnl::memory> memories;
    std::vector<dnnl_exec_arg_t> arguments;
  };
  OneDnn::Impl& impl_;
  std::vector<Call> calls_;
  std::size_t reserved_ = 0;
  std::size_t scratchpad_ = 0;  ///< behind that; the primitives share it
};

/// What kernels on oneDNN have in common. Where an output is empty nothing is planned and nothing
/// runs.
class OneDnnKernel : public Kernel {
 public:
  void bind(const KernelShapes& shapes) final;
  std::size_t scratch_bytes() const final;
  void run(const KernelArguments& arguments) final;

 protected:
  /// `fallback`: bound and run instead at shapes that plan() declines; may be null.
  OneDnnKernel(const Node& node, KernelContext& context,
               std::unique_ptr<Kernel> fallback = nullptr);

  /// Adds primitives for these shapes; false if oneDNN has none worth having.
  virtual bool plan(const KernelShapes& shapes, Plan& plan) = 0;
  OneDnn::Impl& impl() const { return impl_; }

 private:
  /// Gives errors the name of the node.
  template <typename F>
  void naming_the_node(const F& f) const;

  OneDnn::Impl& impl_;
  std::string label_;
  std::unique_ptr<Kernel> fallback_;
  Plan plan_;
  bool falls_back_ = false;
};

/// A constant operand that is put into a layout of a primitive's liking once, for all shapes that
/// the primitive is bound to.
class ConstantWeight {
 public:
  ConstantWeight(Tensor tensor, Desc plain)
      : tensor_(std::move(tensor)), plain_(std::move(plain)) {}

  /// The primitive for the weight as it is packed. If there is none yet, or none that is optimized
  /// for that layout, the primitive chooses. `key` says everything but the weight; `make` describes
  /// the primitive for a weight. Null if oneDNN cannot do it.
  PrimitivePtr primitive(OneDnn::Impl& impl, const Key& key,
                         const std::function<dnnl::primitive_desc_base(const Desc& weight)>& make);
  Plan::Argument argument() const {
    return {DNNL_ARG_WEIGHTS, packed_->desc, Place::constant(packed_->memory.get_data_handle())};
  }

 private:
  Tensor tensor_;
  Desc plain_;
  PackedPtr packed_;
};

/// An operation of one number, as oneDNN counts them. The parameters mean what the algorithm says.
struct Eltwise {
  dnnl::algorithm algorithm;
  float alpha = 0, beta = 0;
};
/// What a node does to each element, as operations to be applied in turn; empty where oneDNN has
/// nothing that treats NaN as ONNX does.
std::vector<Eltwise> eltwise_of(const Node& node);
/// Add, Sub, Mul, Div.
std::optional<dnnl::algorithm> binary_of(OpKind op);

/// All inputs and outputs that are there hold f32, and there is one output.
bool is_all_f32(const Graph& graph, const Node& node);
bool has_input(const Node& node, std::size_t i);
/// The primitive's attributes where nothing is fused: scratch memory comes from the caller.
dnnl::primitive_attr plain_attributes();
std::int64_t product(const Dims& dims, std::size_t first, std::size_t last);
std::int64_t product(const Dims& dims);
/// The dimensions in front of `axis`, that one, and those behind it, each as one.
Dims around_axis(const Dims& dims, std::int64_t axis);

/// A space in which several tensors are walked, each with its own strides.
struct Walk {
  Dims dims;
  std::vector<Dims> strides;  ///< by tensor

  /// A tensor that is dense in its own dimensions and is broadcast to those of the walk.
  void add_broadcast(const Dims& tensor);
  /// The same with as few dimensions as can be: those of one element go, adjacent ones become one
  /// where all tensors permit. At least one is left.
  Walk merged() const;
  /// The dimensions of a tensor: 1 where its stride is 0.
  Dims dims_of(std::size_t tensor) const;
};

/// How a window slides over the spatial dimensions, as oneDNN describes it.
struct Window {
  Dims kernel, strides, dilations, pads_begin, pads_end;
};
/// `input` and `output` are [N, C, spatial dimensions].
Window window_of(const Node& node, const Dims& kernel, const Dims& input, const Dims& output);

// One function a family, each in a file of its own; null where there is nothing for the node.
using Factory = std::unique_ptr<Kernel>(const Graph& graph, const Node& node,
                                        KernelContext& context);
Factory make_product, make_convolution, make_pooling, make_normalization, make_reduction,
    make_eltwise, make_transpose;

}  // namespace onednn
}  // namespace burin::host
