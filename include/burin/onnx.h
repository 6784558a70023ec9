#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "burin/export.h"
#include "burin/graph.h"

namespace burin {

/// What a Graph does not say of the ONNX model that it came from.
struct OnnxNotes {
  /// Symbol in the Graph -> name of the dimension in the file, where the two differ.
  std::map<std::string, std::string> dimension_names;
};

/// Reads an ONNX model (operator set 11 and newer) as a Graph.
///
/// Named dimensions of inputs become symbols. A name that is no identifier is either an expression
/// over other dimensions ("past + seq") and kept as such, or is spelled with underscores;
/// dimensions without a name get a fresh symbol. Older forms of operators are rewritten to the ones
/// that burin/ops.def states. Only what the outputs need is read. Weights in other files are
/// mapped, not copied; these files must lie in the model's folder or below.
///
/// Throws burin::Error that names the file and, where there is one, the node or tensor.
BURIN_EXPORT Graph load_onnx(const std::filesystem::path& file, OnnxNotes* notes = nullptr);

/// The same for a model in memory. `folder` is where its external data lies; empty: it may have
/// none. `name` is what errors call the model.
BURIN_EXPORT Graph load_onnx(std::span<const std::byte> bytes, const std::filesystem::path& folder,
                             std::string_view name, OnnxNotes* notes = nullptr);

/// An operator that load_onnx reads.
struct OnnxOperator {
  std::string_view domain;  ///< empty for ONNX's own
  std::string_view name;
  /// The operands (counted from 0) that must be constants or follow from the shapes of inputs.
  std::vector<int> known = {};
  std::string_view refused = {};  ///< attributes and forms that are not read, in words
};

/// All of them, sorted by domain and name.
BURIN_EXPORT std::vector<OnnxOperator> onnx_operators();

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

/// Reads a file that holds one ONNX TensorProto, such as the `input_0.pb` of the ONNX model zoo.
BURIN_EXPORT NamedTensor load_tensor_proto(const std::filesystem::path& file);

}  // namespace burin
