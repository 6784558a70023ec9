#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "burin/onnx.h"
#include "burin/type.h"

namespace burin::frontend {

/// An attribute of a kind that Burin has no use for: a graph, a sparse tensor, ...
struct OnnxOther {
  std::string kind;
};
using OnnxAttribute =
    std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>, std::vector<double>,
                 std::vector<std::string>, Tensor, OnnxOther>;

struct OnnxNode {
  std::string op;
  std::string domain;  ///< empty for ONNX's own
  std::string name;    ///< never empty: an unnamed node is called after its operator and place
  std::vector<std::string> inputs;  ///< an empty name: not given
  std::vector<std::string> outputs;
  std::map<std::string, OnnxAttribute> attributes;

  std::string title() const { return "node '" + name + "' (" + op + ")"; }
};

/// A number, a name, or nothing.
using OnnxDim = std::variant<std::monostate, std::int64_t, std::string>;

struct OnnxInput {
  std::string name;
  Precision precision = Precision::f32;
  std::vector<OnnxDim> dims;
};

/// An ONNX model as plain data: what protobuf gave, before it becomes a Graph.
struct OnnxModel {
  std::string name;
  std::map<std::string, std::int64_t> opsets;  ///< by domain
  std::vector<OnnxInput> inputs;               ///< without those that are initializers too
  std::vector<std::string> outputs;
  std::vector<NamedTensor> initializers;
  std::vector<OnnxNode> nodes;
};

/// Reads the protobuf form; with read_tensor_proto in file/, the only place that knows protobuf.
OnnxModel read_onnx_model(std::span<const std::byte> bytes, const std::filesystem::path& folder);
NamedTensor read_tensor_proto(std::span<const std::byte> bytes,
                              const std::filesystem::path& folder);

/// "f32" as ONNX's number for it (TensorProto.DataType), and back; throws for one that Burin lacks.
Precision precision_from_onnx(std::int64_t data_type);

/// Builds the Graph; throws burin::Error that names the node.
Graph import_onnx(const OnnxModel& model, OnnxNotes* notes);

/// A model, as far as Burin can read it.
struct OnnxKnownPart {
  Graph graph;
  std::unordered_map<std::string, ValueId> values;  ///< by name; kNone: not in the graph
  /// Nodes that are not, by name, and why. (Several nodes may have one name.)
  std::multimap<std::string, std::string> left;
};
/// As import_onnx(), but a node that cannot be read is left: its results become inputs of the graph,
/// and what it reads become outputs. `types` has those results whose types are known; nodes that
/// read others are left, too.
OnnxKnownPart import_known(const OnnxModel& model, const std::map<std::string, OnnxInput>& types);

/// Builds the Graph of a part that was cut out of a model. `inputs` is what comes from outside of it,
/// as the Graph of the whole model knows it: with shapes over that model's symbols, of which `facts`
/// hold. Integers whose elements are known are no inputs of the new graph. `part.inputs` is not read.
Graph import_part(const OnnxModel& part, const std::vector<Value>& inputs, const Facts& facts);

}  // namespace burin::frontend
