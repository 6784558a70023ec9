#include "plugins/onnxruntime/api.h"

#include <atomic>
#include <string>

#include "burin/error.h"

namespace burin::ort {
namespace {

// Environments may register the library side by side; all of them are given the same.
std::atomic<const OrtApi*> connected = nullptr;
std::atomic<const OrtEpApi*> connected_ep = nullptr;

}  // namespace

bool connect(const OrtApiBase& base) {
  const OrtApi* api = base.GetApi(kApiVersion);
  const OrtEpApi* ep_api = api != nullptr ? api->GetEpApi() : nullptr;
  if (ep_api == nullptr) return false;
  connected = api;
  connected_ep = ep_api;
  return true;
}

const OrtApi& api() { return *connected.load(std::memory_order_acquire); }
const OrtEpApi& ep_api() { return *connected_ep.load(std::memory_order_acquire); }

void check(OrtStatus* status) {
  if (status == nullptr) return;
  const std::string message = api().GetErrorMessage(status);
  api().ReleaseStatus(status);
  throw Error("ONNX Runtime: " + message);
}

OrtStatus* status_of(const std::exception& error) {
  const OrtErrorCode code = dynamic_cast<const Error*>(&error) != nullptr ? ORT_INVALID_ARGUMENT : ORT_FAIL;
  return api().CreateStatus(code, (std::string("burin: ") + error.what()).c_str());
}

}  // namespace burin::ort
