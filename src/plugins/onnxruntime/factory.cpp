#include "plugins/onnxruntime/factory.h"

#include "plugins/onnxruntime/api.h"
#include "plugins/onnxruntime/options.h"
#include "plugins/onnxruntime/provider.h"

namespace burin::ort {
namespace {

constexpr std::uint32_t kNoVendorId = 0;

const Factory& self(const OrtEpFactory* factory) { return *static_cast<const Factory*>(factory); }

}  // namespace

Factory::Factory(std::string name) : OrtEpFactory{}, name_(std::move(name)) {
  ort_version_supported = kApiVersion;
  GetName = [](const OrtEpFactory* factory) noexcept { return self(factory).name_.c_str(); };
  GetVendor = [](const OrtEpFactory*) noexcept { return "Burin"; };
  GetVendorId = [](const OrtEpFactory*) noexcept { return kNoVendorId; };
  GetVersion = [](const OrtEpFactory*) noexcept { return BURIN_VERSION; };
  IsStreamAware = [](const OrtEpFactory*) noexcept { return false; };
  // The host's own memory and no copies: ONNX Runtime asks all the same.
  CreateAllocator = [](OrtEpFactory*, const OrtMemoryInfo*, const OrtKeyValuePairs*,
                       OrtAllocator** allocator) noexcept -> OrtStatus* {
    *allocator = nullptr;
    return nullptr;
  };
  ReleaseAllocator = [](OrtEpFactory*, OrtAllocator*) noexcept {};
  CreateDataTransfer = [](OrtEpFactory*, OrtDataTransferImpl** transfer) noexcept -> OrtStatus* {
    *transfer = nullptr;
    return nullptr;
  };
  GetSupportedDevices = [](OrtEpFactory* factory, const OrtHardwareDevice* const* hardware, std::size_t hardware_count,
                           OrtEpDevice** devices, std::size_t room, std::size_t* count) noexcept {
    return guarded([&] {
      *count = 0;
      try {
        for (std::size_t i = 0; i < hardware_count; ++i)
          static_cast<Factory*>(factory)->add_device(*hardware[i], devices, room, *count);
      } catch (...) {  // where there is an error nobody takes the devices
        for (; *count > 0; --*count) ep_api().ReleaseEpDevice(devices[*count - 1]);
        throw;
      }
    });
  };
  CreateEp = [](OrtEpFactory* factory, const OrtHardwareDevice* const*, const OrtKeyValuePairs* const*, std::size_t,
                const OrtSessionOptions* options, const OrtLogger* logger, OrtEp** provider) noexcept {
    return guarded([&] {
      const std::string& name = self(factory).name_;
      *provider = new Provider(name, read_options(*options, name), *logger);
    });
  };
  ReleaseEp = [](OrtEpFactory*, OrtEp* provider) noexcept { delete static_cast<Provider*>(provider); };
}

void Factory::add_device(const OrtHardwareDevice& device, OrtEpDevice** devices, std::size_t room, std::size_t& count) {
  if (count == room || api().HardwareDevice_Type(&device) != OrtHardwareDeviceType_CPU) return;
  check(ep_api().CreateEpDevice(this, &device, nullptr, nullptr, &devices[count]));
  ++count;
}

}  // namespace burin::ort
