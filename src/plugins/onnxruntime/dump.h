#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "burin/tokenize.h"
#include "frontend/onnx_model.h"
#include "plugins/onnxruntime/claims.h"

namespace burin::ort {

/// Writes what was claimed of a graph and what was left, and why, to FOLDER/claims_<number>.txt.
void dump_claims(const std::string& folder, int number, const frontend::OnnxModel& model,
                 const std::vector<const Claim*>& claims, const std::vector<Rejection>& left);

/// For CompileOptions::dump: writes each form of a graph's kernels to FOLDER/<number>.<stage>.txt.
std::function<void(std::string_view, const std::string&)> dump_forms(const std::string& folder, int number);

}  // namespace burin::ort
