// Whole models: the demonstration, and all that a folder named by BURIN_MODELS has.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>

#include <gtest/gtest.h>

#include "burin/onnx.h"

namespace burin {
namespace {

namespace fs = std::filesystem;

std::map<std::string, Tensor> read_tensors(const fs::path& folder, const std::string& kind) {
  std::map<std::string, Tensor> tensors;
  for (int i = 0; fs::exists(folder / (kind + "_" + std::to_string(i) + ".pb")); ++i) {
    const NamedTensor t = load_tensor_proto(folder / (kind + "_" + std::to_string(i) + ".pb"));
    tensors[t.name] = t.tensor;
  }
  return tensors;
}

/// The largest difference, as a part of the largest magnitude.
double relative_difference(const Tensor& expected, const Tensor& given) {
  if (expected.dims() != given.dims()) return INFINITY;
  double difference = 0;
  double magnitude = 0;
  for (std::int64_t i = 0; i < expected.size(); ++i) {
    difference = std::max(difference, std::abs(expected.at(i) - given.at(i)));
    magnitude = std::max(magnitude, std::abs(expected.at(i)));
  }
  return difference / magnitude;
}

void expect_stored_results(const Graph& graph, const fs::path& set) {
  SCOPED_TRACE(set.string());
  const auto stored_inputs = read_tensors(set, "input");
  const auto stored_outputs = read_tensors(set, "output");
  std::vector<Tensor> inputs;
  for (const ValueId input : graph.inputs)
    inputs.push_back(stored_inputs.at(graph.value(input).name));
  const std::vector<Tensor> results = interpret(graph, inputs);
  ASSERT_EQ(results.size(), stored_outputs.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    const std::string& name = graph.value(graph.outputs[i]).name;
    EXPECT_LT(relative_difference(stored_outputs.at(name), results[i]), 1e-4) << name;
  }
}

TEST(Models, Demo) {
  const fs::path folder = fs::path(BURIN_TEST_DIR) / "data" / "demo";
  Graph graph = load_onnx(folder / "demo.onnx");
  verify(graph);
  Graph clean = graph;
  canonicalize(clean);
  int sets = 0;
  for (; fs::exists(folder / ("set_" + std::to_string(sets))); ++sets) {
    expect_stored_results(graph, folder / ("set_" + std::to_string(sets)));
    expect_stored_results(clean, folder / ("set_" + std::to_string(sets)));
  }
  EXPECT_GE(sets, 3);
}

TEST(Models, DemoShapesAreResolved) {
  Graph graph = load_onnx(fs::path(BURIN_TEST_DIR) / "data" / "demo" / "demo.onnx");
  canonicalize(graph);
  EXPECT_EQ(graph.symbols(), (std::vector<std::string>{"batch", "seq"}));
  int softmaxes = 0;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    EXPECT_NE(node.op, OpKind::Shape) << node.name;
    if (node.op != OpKind::Softmax) continue;
    ++softmaxes;
    EXPECT_EQ(to_string(graph.value(node.outputs[0]).shape), "[batch,4,seq,seq]");
  }
  EXPECT_EQ(softmaxes, 2);
}

/// BURIN_MODELS: a folder with *.onnx files, their weights beside them. Set BURIN_MODELS_RUN too to
/// compare with the results in data/NAME/set_N (minutes).
TEST(Models, AllOfAFolder) {
  const char* folder = std::getenv("BURIN_MODELS");
  if (folder == nullptr) GTEST_SKIP() << "BURIN_MODELS names no folder";
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".onnx") continue;
    SCOPED_TRACE(entry.path().string());
    Graph graph;
    ASSERT_NO_THROW(graph = load_onnx(entry.path()));
    ASSERT_NO_THROW(verify(graph));
    ASSERT_NO_THROW(canonicalize(graph));
    for (const std::string& symbol : graph.symbols())
      EXPECT_EQ(symbol.find('?'), std::string::npos) << symbol << " is not known from the inputs";
    if (std::getenv("BURIN_MODELS_RUN") == nullptr) continue;
    const fs::path data = fs::path(folder) / "data" / entry.path().stem();
    for (int i = 0; fs::exists(data / ("set_" + std::to_string(i))); ++i)
      expect_stored_results(graph, data / ("set_" + std::to_string(i)));
  }
}

}  // namespace
}  // namespace burin
