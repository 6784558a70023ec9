#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "burin/tokenize.h"
#include "frontend/onnx_model.h"
#include "plugins/onnxruntime/part.h"

namespace burin::ort {

/// Nodes of a model that the provider takes over, as one node of its own.
struct Claim {
  std::string name;
  std::vector<std::size_t> nodes;  ///< in the order of the model
  Part part;
};

struct Claims {
  std::vector<Claim> claims;
  std::vector<Rejection> left;  ///< candidates that are not claimed, and why
};

/// What pays as kernels of Burin's. The model is read as far as it can be, canonicalized and carved; each Subgraph says
/// which nodes belong together, and make_part() makes a kernel of them. All claims together leave the model without
/// cycles. `types`: as in import_known().
Claims find_claims(const frontend::OnnxModel& model, const std::map<std::string, frontend::OnnxInput>& types);

}  // namespace burin::ort
