#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <onnx/onnx_pb.h>

#include "burin/onnx.h"

namespace burin::test {

/// Writes ONNX models for tests, protobuf as it comes: broken ones too.
class OnnxBuilder {
 public:
  using Proto = onnx::TensorProto;
  using Dim = std::variant<int, const char*>;  ///< "" for a dimension without name and number

  explicit OnnxBuilder(int opset = 17) {
    model_.set_ir_version(8);
    model_.add_opset_import()->set_version(opset);
    model_.mutable_graph()->set_name("test");
  }

  onnx::ModelProto& model() { return model_; }
  onnx::GraphProto& graph() { return *model_.mutable_graph(); }

  OnnxBuilder& input(const std::string& name, const std::vector<Dim>& dims,
                     int type = Proto::FLOAT) {
    onnx::ValueInfoProto& info = *graph().add_input();
    info.set_name(name);
    auto& tensor = *info.mutable_type()->mutable_tensor_type();
    tensor.set_elem_type(type);
    tensor.mutable_shape();
    for (const Dim& dim : dims) {
      auto& to = *tensor.mutable_shape()->add_dim();
      if (const int* number = std::get_if<int>(&dim)) to.set_dim_value(*number);
      if (const auto* text = std::get_if<const char*>(&dim); text && **text)
        to.set_dim_param(*text);
    }
    return *this;
  }

  OnnxBuilder& output(const std::string& name) {
    graph().add_output()->set_name(name);
    return *this;
  }

  /// A node called "the_<op>".
  onnx::NodeProto& node(const std::string& op, const std::vector<std::string>& inputs,
                        const std::vector<std::string>& outputs) {
    onnx::NodeProto& node = *graph().add_node();
    node.set_op_type(op);
    node.set_name("the_" + op);
    for (const std::string& name : inputs) node.add_input(name);
    for (const std::string& name : outputs) node.add_output(name);
    return node;
  }

  Proto& initializer(const std::string& name, int type, const std::vector<std::int64_t>& dims) {
    Proto& tensor = *graph().add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(type);
    for (const std::int64_t dim : dims) tensor.add_dims(dim);
    return tensor;
  }

  OnnxBuilder& ints(const std::string& name, const std::vector<std::int64_t>& values,
                    bool scalar = false) {
    const auto count = static_cast<std::int64_t>(values.size());
    Proto& tensor =
        initializer(name, Proto::INT64,
                    scalar ? std::vector<std::int64_t>{} : std::vector<std::int64_t>{count});
    for (const std::int64_t value : values) tensor.add_int64_data(value);
    return *this;
  }

  OnnxBuilder& floats(const std::string& name, const std::vector<std::int64_t>& dims,
                      const std::vector<float>& values) {
    Proto& tensor = initializer(name, Proto::FLOAT, dims);
    for (const float value : values) tensor.add_float_data(value);
    return *this;
  }

  std::string bytes() const { return model_.SerializeAsString(); }

  Graph load(const std::filesystem::path& folder = {}, OnnxNotes* notes = nullptr) const {
    const std::string text = bytes();
    return load_onnx(std::as_bytes(std::span(text)), folder, "test.onnx", notes);
  }

 private:
  onnx::ModelProto model_;
};

inline void set_int(onnx::NodeProto& node, const std::string& key, std::int64_t value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(key);
  attribute.set_type(onnx::AttributeProto::INT);
  attribute.set_i(value);
}

inline void set_ints(onnx::NodeProto& node, const std::string& key,
                     const std::vector<std::int64_t>& values) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(key);
  attribute.set_type(onnx::AttributeProto::INTS);
  for (const std::int64_t value : values) attribute.add_ints(value);
}

inline void set_float(onnx::NodeProto& node, const std::string& key, float value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(key);
  attribute.set_type(onnx::AttributeProto::FLOAT);
  attribute.set_f(value);
}

inline void set_string(onnx::NodeProto& node, const std::string& key, const std::string& value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(key);
  attribute.set_type(onnx::AttributeProto::STRING);
  attribute.set_s(value);
}

/// What the action throws; empty if it does not.
template <typename Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const std::exception& e) {
    return e.what();
  }
  return {};
}

}  // namespace burin::test
