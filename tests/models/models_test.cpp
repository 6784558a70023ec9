// Whole models against outputs that another engine computed: the small encoder of the repository always; the models of
// the folder that the environment variable BURIN_MODELS names (NAME.onnx, data/NAME/set_N) where it is set.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "burin/error.h"
#include "burin/onnx.h"
#include "host/data_set.h"
#include "host/model.h"
#include "tests/support/random.h"
#include "tests/support/resident_memory.h"

namespace burin {
namespace {

namespace fs = std::filesystem;

struct Case {
  std::string name;
  fs::path model, data;
};

std::vector<Case> cases() {
  const fs::path demo = fs::path(BURIN_TEST_DIR) / "data" / "demo";
  std::vector<Case> all = {{"demo", demo / "demo.onnx", demo}};
  const char* folder = std::getenv("BURIN_MODELS");
  if (folder == nullptr) return all;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const fs::path data = fs::path(folder) / "data" / entry.path().stem();
    if (entry.path().extension() == ".onnx" && fs::exists(data)) all.push_back({entry.path().stem(), entry.path(), data});
  }
  return all;
}

class WholeModel : public ::testing::TestWithParam<Case> {};

void expect_stored_outputs(host::Model& model, const fs::path& data) {
  constexpr double kTolerance = 1e-4;
  const std::uint64_t events = codegen_statistics().events;
  const auto sets = host::stored_sets(data);
  ASSERT_FALSE(sets.empty());
  for (const fs::path& folder : sets) {
    const host::DataSet set = host::load_data_set(folder, model.graph());
    const std::vector<Tensor> outputs = model.run(set.inputs);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      ASSERT_TRUE(set.outputs[i].has_value());
      const host::Difference d = host::compare("output", *set.outputs[i], outputs[i]);
      EXPECT_LE(d.relative, kTolerance) << folder << ": " << d.worst;
    }
  }
  EXPECT_EQ(codegen_statistics().events, events) << "code was generated after compile";
}

TEST_P(WholeModel, StandAloneOperationsAgreeWithStoredOutputs) {
  host::ModelOptions options;
  options.tokenize = false;
  host::Model model(load_onnx(GetParam().model), options);
  EXPECT_EQ(model.statistics().interpreted, std::vector<std::string>{});
  expect_stored_outputs(model, GetParam().data);
}

TEST_P(WholeModel, AgreesWithStoredOutputs) {
  for (const char* isa : {"avx512", "avx2"}) {
    host::ModelOptions options;
    options.compile.isa = isa;
    std::unique_ptr<host::Model> model;
    try {
      model = std::make_unique<host::Model>(load_onnx(GetParam().model), options);
    } catch (const Error& e) {
      const std::string what = e.what();
      if (what.find("this machine offers") == std::string::npos) throw;
      GTEST_LOG_(INFO) << isa << " is left out: " << what;
      continue;
    }
    EXPECT_GT(model->report().attentions_total, 0);
    EXPECT_EQ(model->report().attentions_carved, model->report().attentions_total);
    EXPECT_EQ(model->statistics().interpreted, std::vector<std::string>{});
    expect_stored_outputs(*model, GetParam().data);
  }
}

/// A length that was never seen costs no code, no primitive and no memory.
TEST(RandomLengths, LeaveNothingBehind) {
  constexpr std::int64_t kLongest = 128;
  host::Model model(load_onnx(fs::path(BURIN_TEST_DIR) / "data" / "demo" / "demo.onnx"), {});
  const auto run = [&](std::int64_t length) {
    std::vector<Tensor> inputs;
    for (std::size_t i = 0; i < model.graph().inputs.size(); ++i)
      inputs.push_back(Tensor::from_i64({1, length}, std::vector<std::int64_t>(static_cast<std::size_t>(length), 1)));
    model.run(inputs);
  };
  run(kLongest);
  const CodegenStatistics code = codegen_statistics();
  const std::uint64_t primitives = model.statistics().primitives_created;
  const std::int64_t resident = testing::resident_bytes();
  testing::Random random(7);
  for (int i = 0; i < 500; ++i) run(random.between(1, kLongest));
  const std::int64_t grown = testing::resident_bytes() - resident;
  EXPECT_EQ(codegen_statistics().events, code.events);
  EXPECT_EQ(codegen_statistics().bytes, code.bytes);
  EXPECT_EQ(model.statistics().primitives_created, primitives);
  if (testing::kMemoryIsGivenBack) {
    EXPECT_LE(grown, 1 << 20);
  }
}

INSTANTIATE_TEST_SUITE_P(Stored, WholeModel, ::testing::ValuesIn(cases()), [](const auto& info) {
  std::string name = info.param.name;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
});

}  // namespace
}  // namespace burin
