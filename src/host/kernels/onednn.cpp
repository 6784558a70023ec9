// Which nodes run on oneDNN, and what its kernels share.

#include <algorithm>

#include "host/onednn_impl.h"

namespace burin::host {

std::unique_ptr<Kernel> make_onednn_kernel(const Graph& graph, const Node& node,
                                           KernelContext& context) {
  using namespace onednn;
  for (Factory* make : {make_product, make_convolution, make_pooling, make_normalization,
                        make_reduction, make_eltwise, make_transpose})
    if (auto kernel = make(graph, node, context)) return kernel;
  return nullptr;
}

namespace onednn {

bool is_all_f32(const Graph& graph, const Node& node) {
  const auto is_f32 = [&](ValueId id) {
    return id == kNone || graph.value(id).precision == Precision::f32;
  };
  return node.outputs.size() == 1 && std::all_of(node.inputs.begin(), node.inputs.end(), is_f32) &&
         is_f32(node.outputs[0]);
}

bool has_input(const Node& node, std::size_t i) {
  return i < node.inputs.size() && node.inputs[i] != kNone;
}

dnnl::primitive_attr plain_attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

std::int64_t product(const Dims& dims, std::size_t first, std::size_t last) {
  std::int64_t result = 1;
  for (std::size_t d = first; d < last; ++d) result *= dims[d];
  return result;
}

std::int64_t product(const Dims& dims) { return product(dims, 0, dims.size()); }

Dims around_axis(const Dims& dims, std::int64_t axis) {
  const auto at = static_cast<std::size_t>(axis);
  return {product(dims, 0, at), dims[at], product(dims, at + 1, dims.size())};
}

// ---- Walks ----

void Walk::add_broadcast(const Dims& tensor) {
  Dims result(dims.size(), 0);
  std::int64_t stride = 1;
  for (std::size_t i = 1; i <= tensor.size(); ++i) {
    const std::int64_t size = tensor[tensor.size() - i];
    if (size != 1) result[dims.size() - i] = stride;
    stride *= size;
  }
  strides.push_back(std::move(result));
}

Walk Walk::merged() const {
  Walk result{{}, std::vector<Dims>(strides.size())};
  for (std::size_t d = 0; d < dims.size(); ++d) {
    if (dims[d] == 1) continue;
    bool continues = !result.dims.empty();
    for (std::size_t t = 0; continues && t < strides.size(); ++t)
      continues = result.strides[t].back() == strides[t][d] * dims[d];
    if (continues) {
      result.dims.back() *= dims[d];
    } else {
      result.dims.push_back(dims[d]);
    }
    for (std::size_t t = 0; t < strides.size(); ++t) {
      if (!continues) result.strides[t].emplace_back();
      result.strides[t].back() = strides[t][d];
    }
  }
  if (result.dims.empty()) {
    result.dims.push_back(1);
    for (Dims& s : result.strides) s.push_back(1);
  }
  return result;
}

Dims Walk::dims_of(std::size_t tensor) const {
  Dims result = dims;
  for (std::size_t d = 0; d < dims.size(); ++d)
    if (strides[tensor][d] == 0) result[d] = 1;
  return result;
}

// ---- Windows ----

Window window_of(const Node& node, const Dims& kernel, const Dims& input, const Dims& output) {
  const std::size_t count = kernel.size();
  const auto list = [&](std::string_view key, std::size_t size, std::int64_t otherwise) {
    Dims values = node.ints_attribute(key);
    return values.empty() ? Dims(size, otherwise) : values;
  };
  const std::string mode = node.string_attribute("auto_pad", "NOTSET");
  Window window{kernel, list("strides", count, 1), list("dilations", count, 1), {}, {}};
  const Dims pads = mode == "NOTSET" ? list("pads", 2 * count, 0) : Dims(2 * count, 0);
  for (std::size_t d = 0; d < count; ++d) {
    const std::int64_t extent = (kernel[d] - 1) * window.dilations[d] + 1;
    // Past the input's end by as much as the last window needs: with ceil_mode more than the
    // attribute says.
    const std::int64_t missing = (output[d + 2] - 1) * window.strides[d] + extent - input[d + 2];
    std::int64_t begin = pads[d];
    if (mode == "SAME_UPPER") begin = std::max<std::int64_t>(missing, 0) / 2;
    if (mode == "SAME_LOWER") begin = (std::max<std::int64_t>(missing, 0) + 1) / 2;
    window.pads_begin.push_back(begin);
    window.pads_end.push_back(std::max(pads[d + count], missing - begin));
    --window.dilations[d];  // oneDNN counts the gaps
  }
  return window;
}

}  // namespace onednn
}  // namespace burin::host
