// From protobuf messages to plain data (onnx_model.h). Nothing else in Burin includes protobuf.

#include <charconv>
#include <limits>
#include <set>
#include <type_traits>
#include <utility>

#include <fmt/format.h>
#include <onnx/onnx_pb.h>

#include "burin/error.h"
#include "frontend/external_data.h"
#include "frontend/onnx_model.h"
#include "frontend/tensor_data.h"

namespace burin::frontend {
namespace {

using Proto = onnx::TensorProto;

// ---- Tensors ----

std::uint64_t parse_number(const std::string& text, const std::string& subject) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) {
    throw Error(fmt::format("{}: '{}' is no offset or length", subject, text));
  }
  return value;
}

ExternalLocation external_location(const Proto& proto, const std::string& subject) {
  ExternalLocation where;
  for (const auto& entry : proto.external_data()) {
    if (entry.key() == "location") where.path = entry.value();
    if (entry.key() == "offset") where.offset = parse_number(entry.value(), subject);
    if (entry.key() == "length") where.length = parse_number(entry.value(), subject);
  }
  return where;
}

/// Elements that protobuf stores one by one, integers mostly in a wider type.
template <typename To, typename Field>
Tensor tensor_from_field(Precision precision, const Dims& dims, const Field& field,
                         const std::string& subject) {
  const std::size_t count = byte_count(precision, dims, subject) / size_of(precision);
  if (static_cast<std::size_t>(field.size()) != count) {
    throw Error(fmt::format("{}: {}{} needs {} elements, the file gives {}", subject,
                            to_string(precision), to_string(dims), count, field.size()));
  }
  Tensor tensor = Tensor::zeros(precision, dims);
  To* out = tensor.mutable_as<To>();
  for (const auto value : field) {
    if constexpr (std::is_integral_v<To>) {
      if (!std::in_range<To>(value)) {
        throw Error(
            fmt::format("{}: {} is no value of type {}", subject, value, to_string(precision)));
      }
    }
    *out++ = static_cast<To>(precision == Precision::boolean ? value != 0 : value);
  }
  return tensor;
}

/// Takes the contents out of the message.
Tensor take_tensor(Proto& proto, ExternalData& files, const std::string& subject) {
  if (proto.has_segment()) throw Error(subject + ": stored in segments, which ONNX has given up");
  Precision precision{};
  try {
    precision = precision_from_onnx(proto.data_type());
  } catch (const Error& e) {
    throw Error(fmt::format("{}: {}", subject, e.what()));
  }
  const Dims dims(proto.dims().begin(), proto.dims().end());
  if (proto.data_location() == Proto::EXTERNAL) {
    return files.read(external_location(proto, subject), precision, dims, subject);
  }
  if (proto.has_raw_data()) {
    const std::shared_ptr<const std::string> bytes(proto.release_raw_data());
    const auto* data = reinterpret_cast<const std::byte*>(bytes->data());
    return tensor_from_bytes(precision, dims, {bytes, data}, bytes->size(), subject);
  }
  switch (precision) {
    case Precision::f32:
      return tensor_from_field<float>(precision, dims, proto.float_data(), subject);
    case Precision::f64:
      return tensor_from_field<double>(precision, dims, proto.double_data(), subject);
    case Precision::i64:
      return tensor_from_field<std::int64_t>(precision, dims, proto.int64_data(), subject);
    case Precision::i32:
      return tensor_from_field<std::int32_t>(precision, dims, proto.int32_data(), subject);
    case Precision::u64:
      return tensor_from_field<std::uint64_t>(precision, dims, proto.uint64_data(), subject);
    case Precision::u32:
      return tensor_from_field<std::uint32_t>(precision, dims, proto.uint64_data(), subject);
    case Precision::i16:
      return tensor_from_field<std::int16_t>(precision, dims, proto.int32_data(), subject);
    case Precision::i8:
      return tensor_from_field<std::int8_t>(precision, dims, proto.int32_data(), subject);
    case Precision::u8:
    case Precision::boolean:
      return tensor_from_field<std::uint8_t>(precision, dims, proto.int32_data(), subject);
    case Precision::u16:
    case Precision::f16:
    case Precision::bf16:  // the bits of an element in each integer
      return tensor_from_field<std::uint16_t>(precision, dims, proto.int32_data(), subject);
  }
  throw Error(subject + ": unknown element type");
}

// ---- Nodes ----

template <typename To, typename Field>
std::vector<To> to_vector(const Field& field) {
  return std::vector<To>(field.begin(), field.end());
}

OnnxAttribute take_attribute(onnx::AttributeProto& proto, ExternalData& files) {
  using Attr = onnx::AttributeProto;
  const std::string subject = "attribute '" + proto.name() + "'";
  if (!proto.ref_attr_name().empty()) {
    throw Error(subject + ": refers to an attribute of a function");
  }
  switch (proto.type()) {
    case Attr::INT: return static_cast<std::int64_t>(proto.i());
    case Attr::FLOAT: return static_cast<double>(proto.f());
    case Attr::STRING: return proto.s();
    case Attr::INTS: return to_vector<std::int64_t>(proto.ints());
    case Attr::FLOATS: return to_vector<double>(proto.floats());
    case Attr::STRINGS: return to_vector<std::string>(proto.strings());
    case Attr::TENSOR: return take_tensor(*proto.mutable_t(), files, subject);
    default: return OnnxOther{onnx::AttributeProto_AttributeType_Name(proto.type())};
  }
}

OnnxNode take_node(onnx::NodeProto& proto, int index, ExternalData& files) {
  OnnxNode node;
  node.op = proto.op_type();
  node.domain = proto.domain() == "ai.onnx" ? "" : proto.domain();
  node.name = proto.name().empty() ? fmt::format("{}_{}", node.op, index) : proto.name();
  node.inputs = to_vector<std::string>(proto.input());
  node.outputs = to_vector<std::string>(proto.output());
  try {
    for (auto& attribute : *proto.mutable_attribute()) {
      if (!node.attributes.emplace(attribute.name(), take_attribute(attribute, files)).second) {
        throw Error("attribute '" + attribute.name() + "' is given twice");
      }
    }
  } catch (const Error& e) {
    throw Error(fmt::format("{}: {}", node.title(), e.what()));
  }
  return node;
}

// ---- Inputs ----

OnnxInput to_input(const onnx::ValueInfoProto& proto) {
  OnnxInput input;
  input.name = proto.name();
  const std::string subject = "input '" + proto.name() + "'";
  if (!proto.type().has_tensor_type()) throw Error(subject + ": is no dense tensor");
  const auto& type = proto.type().tensor_type();
  try {
    input.precision = precision_from_onnx(type.elem_type());
  } catch (const Error& e) {
    throw Error(fmt::format("{}: {}", subject, e.what()));
  }
  if (!type.has_shape()) throw Error(subject + ": the number of its dimensions is not known");
  for (const auto& dim : type.shape().dim()) {
    // Some exporters write -1, or the name "?", for any dimension that is not known.
    if (dim.has_dim_value() && dim.dim_value() >= 0) {
      input.dims.emplace_back(static_cast<std::int64_t>(dim.dim_value()));
    } else if (dim.has_dim_param() && !dim.dim_param().empty() && dim.dim_param() != "?") {
      input.dims.emplace_back(dim.dim_param());
    } else {
      input.dims.emplace_back();
    }
  }
  return input;
}

template <typename Message>
void parse(Message& message, std::span<const std::byte> bytes, const char* what) {
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    throw Error("is larger than the 2 GiB that protobuf can read");
  }
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    throw Error(fmt::format("is no {}, or it is cut off or damaged", what));
  }
}

}  // namespace

OnnxModel read_onnx_model(std::span<const std::byte> bytes, const std::filesystem::path& folder) {
  onnx::ModelProto proto;
  parse(proto, bytes, "ONNX model");
  // Almost any short run of bytes is a valid message: one without these is no model, though.
  if (!proto.has_graph() || !proto.has_ir_version() || proto.opset_import().empty()) {
    throw Error("is no ONNX model, or it is cut off: graph, ir_version or opset_import is missing");
  }
  if (!proto.functions().empty()) {
    throw Error("function '" + proto.functions(0).name() + "': local functions are not supported");
  }
  auto& graph = *proto.mutable_graph();
  if (!graph.sparse_initializer().empty()) {
    throw Error("tensor '" + graph.sparse_initializer(0).values().name() +
                "': sparse initializers are not supported");
  }

  OnnxModel model;
  model.name = graph.name();
  for (const auto& opset : proto.opset_import()) {
    model.opsets[opset.domain() == "ai.onnx" ? "" : opset.domain()] = opset.version();
  }
  ExternalData files(folder);
  std::set<std::string> initialized;
  for (auto& tensor : *graph.mutable_initializer()) {
    initialized.insert(tensor.name());
    const std::string subject = "tensor '" + tensor.name() + "'";
    model.initializers.push_back({tensor.name(), take_tensor(tensor, files, subject)});
  }
  // An input that is an initializer too has a default: Burin takes it as the constant it is.
  for (const auto& input : graph.input()) {
    if (!initialized.contains(input.name())) model.inputs.push_back(to_input(input));
  }
  for (const auto& output : graph.output()) model.outputs.push_back(output.name());
  for (int i = 0; i < graph.node_size(); ++i) {
    model.nodes.push_back(take_node(*graph.mutable_node(i), i, files));
  }
  return model;
}

NamedTensor read_tensor_proto(std::span<const std::byte> bytes,
                              const std::filesystem::path& folder) {
  Proto proto;
  parse(proto, bytes, "ONNX tensor");
  if (!proto.has_data_type()) throw Error("is no ONNX tensor: it has no element type");
  ExternalData files(folder);
  std::string name = proto.name();
  Tensor tensor = take_tensor(proto, files, "tensor '" + name + "'");
  return {std::move(name), std::move(tensor)};
}

}  // namespace burin::frontend
