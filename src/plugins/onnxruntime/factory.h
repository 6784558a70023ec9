#pragma once

#include <onnxruntime_c_api.h>

#include <string>

namespace burin::ort {

/// Makes the providers of sessions, for the CPU.
class Factory : public OrtEpFactory {
 public:
  /// `name`: what the provider is called, which is what the library was registered as.
  explicit Factory(std::string name);

 private:
  void add_device(const OrtHardwareDevice& device, OrtEpDevice** devices, std::size_t room, std::size_t& count);

  std::string name_;
};

}  // namespace burin::ort
