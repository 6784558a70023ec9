#pragma once

#include <onnxruntime_c_api.h>

#include <map>
#include <string>
#include <vector>

#include "frontend/onnx_model.h"

namespace burin::ort {

/// A graph of ONNX Runtime's as plain data. The contents of initializers stay in its memory.
struct ReadGraph {
  /// A node that another provider has taken, or that reads something that is no tensor of a known rank and type (which
  /// it does not name here), has the domain kUnreadable, under which nobody knows an operator.
  frontend::OnnxModel model;
  std::vector<const OrtNode*> nodes;  ///< as model.nodes
  /// The values that the graph computes, where their rank and type are known.
  std::map<std::string, frontend::OnnxInput> types;
};

inline constexpr const char* kUnreadable = "unreadable";

/// `provider`: the one that asks. Throws burin::Error where ONNX Runtime does.
ReadGraph read_graph(const OrtGraph& graph, const std::string& provider);

/// Names in the order of the inputs or outputs of a node.
std::vector<std::string> input_names(const OrtNode& node);
std::vector<std::string> output_names(const OrtNode& node);

}  // namespace burin::ort
