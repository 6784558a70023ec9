#pragma once

#include <string>
#include <utility>
#include <vector>

#include "frontend/onnx_model.h"

namespace burin::test {

/// Writes a model as the frontend reads it, node by node. A node is called after its first result.
class ModelWriter {
 public:
  ModelWriter() { model.opsets = {{"", 17}, {"test", 1}}; }

  ModelWriter& input(const std::string& name, std::vector<frontend::OnnxDim> dims,
                     Precision precision = Precision::f32) {
    model.inputs.push_back({name, precision, std::move(dims)});
    return *this;
  }
  ModelWriter& constant(const std::string& name, Tensor tensor) {
    model.initializers.push_back({name, std::move(tensor)});
    return *this;
  }
  ModelWriter& node(const std::string& op, std::vector<std::string> inputs, std::vector<std::string> outputs,
                    std::map<std::string, frontend::OnnxAttribute> attributes = {}) {
    model.nodes.push_back({op, "", outputs.front(), std::move(inputs), outputs, std::move(attributes)});
    return *this;
  }
  /// Of an operator that nobody knows; its results have these types.
  ModelWriter& unknown(std::vector<std::string> inputs, const frontend::OnnxInput& output) {
    model.nodes.push_back({"Unknown", "test", output.name, std::move(inputs), {output.name}, {}});
    types.emplace(output.name, output);
    return *this;
  }
  ModelWriter& output(const std::string& name) {
    model.outputs.push_back(name);
    return *this;
  }
  /// softmax(q k [+ mask]) v, with k transposed already.
  ModelWriter& attention(const std::string& q, const std::string& k, const std::string& v, const std::string& out,
                         const std::string& mask = {}) {
    node("MatMul", {q, k}, {out + ".scores"});
    if (!mask.empty()) node("Add", {out + ".scores", mask}, {out + ".masked"});
    node("Softmax", {out + (mask.empty() ? ".scores" : ".masked")}, {out + ".p"}, {{"axis", std::int64_t{-1}}});
    return node("MatMul", {out + ".p", v}, {out});
  }

  frontend::OnnxModel model;
  std::map<std::string, frontend::OnnxInput> types;
};

}  // namespace burin::test
