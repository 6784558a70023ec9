#include "plugins/onnxruntime/compute_info.h"

#include "plugins/onnxruntime/api.h"

namespace burin::ort {
namespace {

struct ComputeInfo : OrtNodeComputeInfo {
  explicit ComputeInfo(std::shared_ptr<FusedKernel> k) : OrtNodeComputeInfo{}, kernel(std::move(k)) {
    ort_version_supported = kApiVersion;
    CreateState = [](OrtNodeComputeInfo* info, OrtNodeComputeContext*, void** state) noexcept -> OrtStatus* {
      *state = static_cast<ComputeInfo*>(info)->kernel.get();
      return nullptr;
    };
    Compute = [](OrtNodeComputeInfo*, void* state, OrtKernelContext* context) noexcept {
      return guarded([&] { static_cast<FusedKernel*>(state)->compute(*context); });
    };
    ReleaseState = [](OrtNodeComputeInfo*, void*) noexcept {};
  }

  std::shared_ptr<FusedKernel> kernel;
};

}  // namespace

std::unique_ptr<OrtNodeComputeInfo> make_compute_info(std::shared_ptr<FusedKernel> kernel) {
  return std::make_unique<ComputeInfo>(std::move(kernel));
}

void release(OrtNodeComputeInfo* info) { delete static_cast<ComputeInfo*>(info); }

}  // namespace burin::ort
