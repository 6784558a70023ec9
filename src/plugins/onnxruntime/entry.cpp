// What the library exports: the two functions that ONNX Runtime looks for.

#include "burin/error.h"
#include "burin/export.h"
#include "plugins/onnxruntime/api.h"
#include "plugins/onnxruntime/factory.h"

extern "C" {

BURIN_EXPORT OrtStatus* CreateEpFactories(const char* registration_name, const OrtApiBase* base, const OrtLogger*,
                                          OrtEpFactory** factories, std::size_t room, std::size_t* count) {
  if (!burin::ort::connect(*base)) {
    // Any version of the interface begins alike.
    return base->GetApi(1)->CreateStatus(ORT_FAIL, "burin: needs ONNX Runtime 1.24 or newer");
  }
  return burin::ort::guarded([&] {
    *count = 0;
    if (room == 0) throw burin::Error("no room for a factory");
    factories[0] = new burin::ort::Factory(registration_name);
    *count = 1;
  });
}

BURIN_EXPORT OrtStatus* ReleaseEpFactory(OrtEpFactory* factory) {
  delete static_cast<burin::ort::Factory*>(factory);
  return nullptr;
}
}
