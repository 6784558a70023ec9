// What crosses the C interface where something fails, with an ONNX Runtime that consists of the
// functions used here.

#include "plugins/onnxruntime/api.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "plugins/onnxruntime/factory.h"

namespace burin::ort {
namespace {

std::string message;  // of the only status
int devices_there = 0;

/// What is never looked into.
template <typename T>
T* some() {
  static char object;
  return reinterpret_cast<T*>(&object);
}

OrtStatus* ORT_API_CALL create_status(OrtErrorCode, const char* text) noexcept {
  message = text;
  return some<OrtStatus>();
}

OrtStatus* ORT_API_CALL create_device(OrtEpFactory*, const OrtHardwareDevice*, const OrtKeyValuePairs*,
                                      const OrtKeyValuePairs*, OrtEpDevice** device) noexcept {
  if (devices_there == 1) return create_status(ORT_FAIL, "no second device");
  ++devices_there;
  *device = some<OrtEpDevice>();
  return nullptr;
}

const OrtEpApi& fake_ep_api() {
  static const OrtEpApi fake = [] {
    OrtEpApi made{};
    made.CreateEpDevice = create_device;
    made.ReleaseEpDevice = [](OrtEpDevice*) noexcept { --devices_there; };
    return made;
  }();
  return fake;
}

const OrtApi& fake_api() {
  static const OrtApi fake = [] {
    OrtApi made{};
    made.GetEpApi = []() noexcept { return &fake_ep_api(); };
    made.CreateStatus = create_status;
    made.GetErrorMessage = [](const OrtStatus*) noexcept { return message.c_str(); };
    made.ReleaseStatus = [](OrtStatus*) noexcept {};
    made.HardwareDevice_Type = [](const OrtHardwareDevice*) noexcept { return OrtHardwareDeviceType_CPU; };
    return made;
  }();
  return fake;
}

class Interface : public ::testing::Test {
 protected:
  void SetUp() override {
    devices_there = 0;
    const OrtApiBase base{[](std::uint32_t) noexcept { return &fake_api(); }, nullptr};
    ASSERT_TRUE(connect(base));
  }
};

TEST_F(Interface, WhateverIsThrownBecomesAStatus) {
  EXPECT_NE(guarded([] { throw std::runtime_error("known"); }), nullptr);
  EXPECT_NE(message.find("known"), std::string::npos);
  EXPECT_NE(guarded([] { throw 1; }), nullptr);
  EXPECT_NE(message.find("unknown type"), std::string::npos);
}

TEST_F(Interface, DevicesBeforeAnErrorAreReleased) {
  Factory factory("burin");
  const std::array<const OrtHardwareDevice*, 2> hardware{some<OrtHardwareDevice>(), some<OrtHardwareDevice>()};
  std::array<OrtEpDevice*, 2> devices{};
  std::size_t count = 0;
  EXPECT_NE(
      factory.GetSupportedDevices(&factory, hardware.data(), hardware.size(), devices.data(), devices.size(), &count),
      nullptr);
  EXPECT_EQ(count, 0U);
  EXPECT_EQ(devices_there, 0);
}

}  // namespace
}  // namespace burin::ort
