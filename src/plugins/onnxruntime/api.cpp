#include "plugins/onnxruntime/api.h"

#include <string>

#include "burin/error.h"

namespace burin::ort {
namespace {

const OrtApi* connected = nullptr;
const OrtEpApi* connected_ep = nullptr;

}  // namespace

bool connect(const OrtApiBase& base) {
  connected = base.GetApi(kApiVersion);
  connected_ep = connected != nullptr ? connected->GetEpApi() : nullptr;
  return connected_ep != nullptr;
}

const OrtApi& api() { return *connected; }
const OrtEpApi& ep_api() { return *connected_ep; }

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
