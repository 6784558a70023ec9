#include <cstring>

#include <gtest/gtest.h>

#include "tests/unit/frontend/onnx_builder.h"
#include "tests/unit/frontend/temporary_folder.h"

namespace burin {
namespace {

using test::error_of;
using test::OnnxBuilder;
using test::TemporaryFolder;
using Proto = onnx::TensorProto;

std::string floats(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// A model with one constant of two floats, at `location`.
std::string model_with(const std::string& location, const std::string& offset = "",
                       const std::string& length = "") {
  OnnxBuilder model(17);
  Proto& tensor = model.initializer("w", Proto::FLOAT, {2});
  tensor.set_data_location(Proto::EXTERNAL);
  const auto add = [&](const std::string& key, const std::string& value) {
    if (value.empty() && key != "location") return;
    auto& entry = *tensor.add_external_data();
    entry.set_key(key);
    entry.set_value(value);
  };
  add("location", location);
  add("offset", offset);
  add("length", length);
  model.output("w");
  return model.bytes();
}

class ExternalDataTest : public ::testing::Test {
 protected:
  std::vector<double> load(const std::string& model) {
    const Graph graph = load_onnx(folder_.write("models/model.onnx", model));
    const Tensor tensor = *graph.value(graph.outputs[0]).constant;
    return {tensor.at(0), tensor.at(1)};
  }
  void expect_error(const std::string& model, const std::string& part) {
    const std::string error = error_of([&] { load(model); });
    EXPECT_NE(error.find(part), std::string::npos) << "'" << part << "' is not in: " << error;
    EXPECT_NE(error.find("model.onnx: tensor 'w'"), std::string::npos) << error;
  }

  TemporaryFolder folder_;
};

using Pair = std::vector<double>;

TEST_F(ExternalDataTest, OffsetAndLength) {
  folder_.write("models/weights.bin", floats({1, 2, 3, 4}));
  EXPECT_EQ(load(model_with("weights.bin")), (Pair{1, 2}));
  EXPECT_EQ(load(model_with("weights.bin", "4")), (Pair{2, 3}));
  EXPECT_EQ(load(model_with("weights.bin", "8", "8")), (Pair{3, 4}));
  EXPECT_EQ(load(model_with("./weights.bin")), (Pair{1, 2}));
}

TEST_F(ExternalDataTest, MisalignedContents) {
  folder_.write("models/weights.bin", "x" + floats({1.5, -2}));
  EXPECT_EQ(load(model_with("weights.bin", "1")), (Pair{1.5, -2}));
}

TEST_F(ExternalDataTest, Subfolder) {
  folder_.write("models/parts/weights.bin", floats({1, 2}));
  EXPECT_EQ(load(model_with("parts/weights.bin")), (Pair{1, 2}));
}

TEST_F(ExternalDataTest, RangesOutsideOfTheFile) {
  folder_.write("models/weights.bin", floats({1, 2}));
  folder_.write("models/empty.bin", "");
  expect_error(model_with("weights.bin", "4"), "do not lie in a file of 8 bytes");
  expect_error(model_with("weights.bin", "9"), "do not lie in a file of 8 bytes");
  expect_error(model_with("weights.bin", "18446744073709551615"),
               "do not lie in a file of 8 bytes");
  expect_error(model_with("weights.bin", "18446744073709551616"), "is no offset or length");
  expect_error(model_with("weights.bin", "-4"), "is no offset or length");
  expect_error(model_with("weights.bin", "0", "4"), "4 bytes are given");
  expect_error(model_with("empty.bin"), "do not lie in a file of 0 bytes");
}

TEST_F(ExternalDataTest, PathsThatLeaveTheFolder) {
  const auto outside = folder_.write("weights.bin", floats({1, 2}));
  folder_.write("models/parts/weights.bin", floats({1, 2}));
  expect_error(model_with("../weights.bin"), "stay in the model's folder");
  expect_error(model_with("parts/../parts/weights.bin"), "stay in the model's folder");
  expect_error(model_with(outside.string()), "stay in the model's folder");
  expect_error(model_with(""), "stay in the model's folder");
  expect_error(model_with(std::string("a\0b", 3)), "stay in the model's folder");
  expect_error(model_with("."), "not a regular file");
  expect_error(model_with("missing.bin"), "No such file");
}

TEST_F(ExternalDataTest, SymbolicLinks) {
  namespace fs = std::filesystem;
  const auto outside = folder_.write("weights.bin", floats({1, 2}));
  const auto inside = folder_.write("models/weights.bin", floats({3, 4}));
  fs::create_symlink(outside, folder_.path() / "models/out.bin");
  fs::create_symlink(inside, folder_.path() / "models/in.bin");
  fs::create_symlink(folder_.path(), folder_.path() / "models/up");
  expect_error(model_with("out.bin"), "symbolic link");
  expect_error(model_with("up/weights.bin"), "symbolic link");
  EXPECT_EQ(load(model_with("in.bin")), (Pair{3, 4}));
}

TEST_F(ExternalDataTest, AFolderWhoseNameBeginsLikeTheModels) {
  const auto outside = folder_.write("models2/weights.bin", floats({1, 2}));
  std::filesystem::create_directories(folder_.path() / "models");
  std::filesystem::create_symlink(outside, folder_.path() / "models/out.bin");
  expect_error(model_with("out.bin"), "symbolic link");
}

TEST_F(ExternalDataTest, ModelsInMemory) {
  folder_.write("weights.bin", floats({1, 2}));
  const std::string model = model_with("weights.bin");
  const auto bytes = std::as_bytes(std::span(model));
  const Graph graph = load_onnx(bytes, folder_.path(), "model");
  EXPECT_EQ(graph.value(graph.outputs[0]).constant->at(1), 2);
  const std::string error = error_of([&] { load_onnx(bytes, {}, "model"); });
  EXPECT_NE(error.find("without a folder"), std::string::npos) << error;
}

}  // namespace
}  // namespace burin
