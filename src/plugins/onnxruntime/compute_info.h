#pragma once

#include <onnxruntime_c_api.h>

#include <memory>

#include "plugins/onnxruntime/fused_kernel.h"

namespace burin::ort {

/// The kernel as ONNX Runtime calls it.
std::unique_ptr<OrtNodeComputeInfo> make_compute_info(std::shared_ptr<FusedKernel> kernel);
/// Deletes what make_compute_info() made.
void release(OrtNodeComputeInfo* info);

}  // namespace burin::ort
