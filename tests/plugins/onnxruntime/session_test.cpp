// The execution provider through ONNX Runtime's C interface, as a C++ program loads it: no Python, no link to ONNX
// Runtime.
//
//   BURIN_ONNXRUNTIME_LIBRARY=libonnxruntime.so.N session_test

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <onnxruntime_c_api.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr double kTolerance = 1e-4;  // of the largest magnitude
constexpr const char* kProvider = "burin";

const OrtApiBase* base = nullptr;
const OrtApi* ort = nullptr;
OrtEnv* env = nullptr;

void check(OrtStatus* status) {
  if (status == nullptr) return;
  const std::string message = ort->GetErrorMessage(status);
  ort->ReleaseStatus(status);
  throw std::runtime_error(message);
}

template <typename T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

class OnnxRuntime : public ::testing::Environment {
 public:
  void SetUp() override {
    const char* path = std::getenv("BURIN_ONNXRUNTIME_LIBRARY");
    ASSERT_NE(path, nullptr) << "BURIN_ONNXRUNTIME_LIBRARY is not set";
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << dlerror();
    using GetBase = const OrtApiBase* (*)();
    const auto get_base = reinterpret_cast<GetBase>(dlsym(library, "OrtGetApiBase"));
    ASSERT_NE(get_base, nullptr);
    base = get_base();
    constexpr std::uint32_t kVersion = 24;
    ort = base->GetApi(kVersion);
    ASSERT_NE(ort, nullptr);
    check(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "test", &env));
    check(ort->RegisterExecutionProviderLibrary(env, kProvider, BURIN_PLUGIN));
  }
  void TearDown() override {
    if (env == nullptr) return;
    check(ort->UnregisterExecutionProviderLibrary(env, kProvider));
    ort->ReleaseEnv(env);
  }
};

/// A folder for what was claimed, as long as the object lives.
class Dump {
 public:
  Dump() {
    std::string name = (std::filesystem::temp_directory_path() / "burin_session_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    folder_ = name;
  }
  ~Dump() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Dump(const Dump&) = delete;
  Dump& operator=(const Dump&) = delete;

  std::string folder() const { return folder_.string(); }
  std::string claims() const {
    std::ifstream file(folder_ / "claims_0.txt");
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  std::filesystem::path folder_;
};

Owned<OrtSession> make_session(bool with_burin) {
  const Dump dump;
  OrtSessionOptions* options = nullptr;
  check(ort->CreateSessionOptions(&options));
  const Owned<OrtSessionOptions> owner(options, ort->ReleaseSessionOptions);
  if (with_burin) {
    const OrtEpDevice* const* devices = nullptr;
    std::size_t count = 0;
    check(ort->GetEpDevices(env, &devices, &count));
    std::vector<const OrtEpDevice*> own;
    for (std::size_t i = 0; i < count; ++i)
      if (std::strcmp(ort->EpDevice_EpName(devices[i]), kProvider) == 0) own.push_back(devices[i]);
    const std::string folder = dump.folder();
    const char *keys[] = {"threads", "dump"}, *values[] = {"2", folder.c_str()};
    check(ort->SessionOptionsAppendExecutionProvider_V2(options, env, own.data(), own.size(), keys, values,
                                                        std::size(keys)));
  }
  OrtSession* session = nullptr;
  check(ort->CreateSession(env, BURIN_TEST_DIR "/data/demo/demo.onnx", options, &session));
  EXPECT_EQ(dump.claims().find("(sdpa") != std::string::npos, with_burin) << "what was claimed:\n" << dump.claims();
  return {session, ort->ReleaseSession};
}

/// The demonstration's encoder: token numbers and a mask of ones.
std::vector<float> run(OrtSession& session, std::int64_t batch, std::int64_t length) {
  OrtAllocator* allocator = nullptr;
  check(ort->GetAllocatorWithDefaultOptions(&allocator));
  std::size_t count = 0;
  check(ort->SessionGetInputCount(&session, &count));
  std::vector<std::string> names;
  std::vector<Owned<OrtValue>> inputs;
  const std::vector<std::int64_t> dims = {batch, length};
  for (std::size_t i = 0; i < count; ++i) {
    char* name = nullptr;
    check(ort->SessionGetInputName(&session, i, allocator, &name));
    names.emplace_back(name);
    check(ort->AllocatorFree(allocator, name));
    OrtValue* value = nullptr;
    check(
        ort->CreateTensorAsOrtValue(allocator, dims.data(), dims.size(), ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, &value));
    inputs.emplace_back(value, ort->ReleaseValue);
    void* data = nullptr;
    check(ort->GetTensorMutableData(value, &data));
    for (std::int64_t e = 0; e < batch * length; ++e)
      static_cast<std::int64_t*>(data)[e] = names.back().find("mask") != std::string::npos ? 1 : e % 17;
  }
  char* output_name = nullptr;
  check(ort->SessionGetOutputName(&session, 0, allocator, &output_name));
  std::vector<const char*> input_names;
  std::vector<const OrtValue*> values;
  for (std::size_t i = 0; i < count; ++i) {
    input_names.push_back(names[i].c_str());
    values.push_back(inputs[i].get());
  }
  OrtValue* output = nullptr;
  check(ort->Run(&session, nullptr, input_names.data(), values.data(), count, &output_name, 1, &output));
  check(ort->AllocatorFree(allocator, output_name));
  const Owned<OrtValue> owner(output, ort->ReleaseValue);
  OrtTensorTypeAndShapeInfo* info = nullptr;
  check(ort->GetTensorTypeAndShape(output, &info));
  std::size_t elements = 0;
  check(ort->GetTensorShapeElementCount(info, &elements));
  ort->ReleaseTensorTypeAndShapeInfo(info);
  void* data = nullptr;
  check(ort->GetTensorMutableData(output, &data));
  return {static_cast<float*>(data), static_cast<float*>(data) + elements};
}

void expect_same(const std::vector<float>& expected, const std::vector<float>& given) {
  ASSERT_EQ(expected.size(), given.size());
  double largest = 0, difference = 0;
  for (std::size_t i = 0; i < given.size(); ++i) {
    ASSERT_EQ(std::isfinite(given[i]), std::isfinite(expected[i])) << i;
    if (!std::isfinite(expected[i])) {
      ASSERT_EQ(std::isnan(given[i]), std::isnan(expected[i])) << i;
      ASSERT_TRUE(std::isnan(given[i]) || given[i] == expected[i]) << i;
      continue;
    }
    largest = std::fmax(largest, std::fabs(expected[i]));
    difference = std::fmax(difference, std::fabs(expected[i] - given[i]));
  }
  EXPECT_LE(difference, kTolerance * largest);
}

TEST(Library, WithoutRoomForAFactoryThereIsAnError) {
  void* plugin = dlopen(BURIN_PLUGIN, RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(plugin, nullptr) << dlerror();
  const auto create = reinterpret_cast<CreateEpApiFactoriesFn>(dlsym(plugin, "CreateEpFactories"));
  ASSERT_NE(create, nullptr);
  std::size_t count = 0;
  const Owned<OrtStatus> status(create(kProvider, base, nullptr, nullptr, 0, &count), ort->ReleaseStatus);
  EXPECT_NE(status, nullptr);
  EXPECT_EQ(count, 0U);
  dlclose(plugin);
}

TEST(Session, GivesTheSameAsWithout) {
  const auto with = make_session(true), without = make_session(false);
  for (const auto& [batch, length] : {std::pair{1, 7}, {2, 31}, {3, 64}, {1, 1}})
    expect_same(run(*without, batch, length), run(*with, batch, length));
}

TEST(Session, ServesEightThreadsAtOnce) {
  const auto with = make_session(true), without = make_session(false);
  constexpr int kThreads = 8, kRuns = 20, kLengths = 40;
  std::vector<std::vector<float>> expected;
  for (int length = 1; length <= kLengths; ++length) expected.push_back(run(*without, 2, length));
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kRuns; ++i) {
        const int length = 1 + (t * 7 + i * 3) % kLengths;
        expect_same(expected[static_cast<std::size_t>(length - 1)], run(*with, 2, length));
      }
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  ::testing::AddGlobalTestEnvironment(new OnnxRuntime);
  return RUN_ALL_TESTS();
}
