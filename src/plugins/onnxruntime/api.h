#pragma once

#include <onnxruntime_c_api.h>

#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>

namespace burin::ort {

/// The version of ONNX Runtime's C interface that the plugin asks for: the lowest that has all it
/// calls, so that it runs with that ONNX Runtime and any newer one, whatever headers it is built with.
inline constexpr std::uint32_t kApiVersion = 24;
static_assert(ORT_API_VERSION >= kApiVersion, "the plugin needs the headers of ONNX Runtime 1.24 or newer");

/// Must come before everything else here. False where this ONNX Runtime is older than kApiVersion.
bool connect(const OrtApiBase& base);
const OrtApi& api();
const OrtEpApi& ep_api();

/// Throws burin::Error with the status's message, and releases it; does nothing for a null status.
void check(OrtStatus* status);

OrtStatus* status_of(const std::exception& error);

/// Runs `action`; what it throws becomes a status. No exception crosses the C interface.
template <typename Action>
OrtStatus* guarded(const Action& action) noexcept {
  try {
    action();
    return nullptr;
  } catch (const std::exception& error) {
    return status_of(error);
  } catch (...) {
    return status_of(std::runtime_error("an exception of an unknown type"));
  }
}

struct ReleaseValue {
  void operator()(OrtValue* value) const { api().ReleaseValue(value); }
};
using OwnedValue = std::unique_ptr<OrtValue, ReleaseValue>;

}  // namespace burin::ort
