// ONNX's backend tests of single operators, for every operator that the frontend reads: whole
// models, carved and stand-alone, with shapes that are known when the model is read and not.
//
// tests/data/onnx_nodes.bin holds the small ones (tests/data/make_onnx_nodes.py says how it is
// made); the environment variable BURIN_NODE_TESTS names a folder of all.
// tests/data/onnx_contrib.bin has what ONNX Runtime gives for fused operators of its own
// (make_onnx_contrib.py).

#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <string_view>

#include "burin/error.h"
#include "burin/onnx.h"
#include "frontend/onnx_model.h"
#include "host/data_set.h"
#include "host/model.h"
#include "tests/support/onnx_cases.h"

namespace burin {
namespace {

using testing::OnnxCase;

/// What is left out although its operators are read, and why: by the beginning of a case's name.
const std::vector<std::pair<std::string_view, std::string_view>> kLeftOut = {
    {"test_batchnorm_epsilon_training_mode", "training is refused by name"},
    {"test_batchnorm_example_training_mode", "training is refused by name"},
    {"test_training_dropout", "training is refused by name"},
    {"test_maxpool_with_argmax", "indices of maxima are refused by name"},
    {"test_resize_downsample_scales_cubic_antialias", "antialias is refused by name"},
    {"test_resize_downsample_scales_linear_antialias", "antialias is refused by name"},
    {"test_resize_downsample_sizes_cubic_antialias", "antialias is refused by name"},
    {"test_resize_downsample_sizes_linear_antialias", "antialias is refused by name"},
    {"test_resize_downsample_sizes_nearest_not", "an aspect ratio to keep is refused by name"},
    {"test_resize_upsample_sizes_nearest_not", "an aspect ratio to keep is refused by name"},
    {"test_resize_tf_crop_and_resize", "this mode is refused by name"},
    {"test_resize_downsample_scales_linear_align_corners", "what ONNX Runtime gives is another"},
    {"test_resize_downsample_scales_cubic_align_corners", "what ONNX Runtime gives is another"},
};

/// Expected outputs that are rounded; scores that are, as -10000 is added to them; a quotient that is one
/// unit in the last place off and rounds to the neighbour.
const std::map<std::string_view, double> kRounded = {
    {"test_averagepool_2d_ceil_last_window_starts_on_pad", 1e-3},
    {"mha_all_padding", 1e-3},
    {"test_dynamicquantizelinear_expanded", 1.0 / 255},
};

/// Operands whose dimensions (some of them) must be known: operator, operand.
const std::set<std::pair<std::string_view, int>> kKnownDimensions = {
    {"Conv", 1}, {"GatherND", 1}, {"RotaryEmbedding", 0}, {"RotaryEmbedding", 2}, {"ScatterND", 1}};

std::map<std::string, OnnxOperator> operators_by_name() {
  std::map<std::string, OnnxOperator> result;
  for (const OnnxOperator& op : onnx_operators())
    result.emplace(std::string(op.domain) + "." + std::string(op.name), op);
  return result;
}

const OnnxOperator* operator_of(const onnx::NodeProto& node) {
  static const auto all = operators_by_name();
  const auto found = all.find(node.domain() + "." + node.op_type());
  return found != all.end() ? &found->second : nullptr;
}

bool has_known_type(const onnx::ValueInfoProto& value) {
  try {
    frontend::precision_from_onnx(value.type().tensor_type().elem_type());
    return value.type().has_tensor_type();
  } catch (const Error&) {
    return false;
  }
}

onnx::ModelProto model_of(const OnnxCase& c) {
  onnx::ModelProto model;
  if (!c.files.contains("model.onnx") || !model.ParseFromString(c.files.at("model.onnx")))
    throw Error(c.name + ": no model");
  return model;
}

/// The frontend reads all operators, and Burin has all types.
bool is_read(const onnx::ModelProto& model) {
  const auto& graph = model.graph();
  return std::all_of(graph.node().begin(), graph.node().end(),
                     [](const auto& node) { return operator_of(node) != nullptr; }) &&
         std::all_of(graph.input().begin(), graph.input().end(), has_known_type) &&
         std::all_of(graph.output().begin(), graph.output().end(), has_known_type);
}

struct Set {
  std::vector<onnx::TensorProto> inputs;  ///< of the model
  std::vector<Tensor> outputs;
};

std::vector<std::string> numbered(const OnnxCase& c, const std::string& prefix) {
  std::vector<std::string> result;
  for (int i = 0;; ++i) {
    const auto found = c.files.find(prefix + std::to_string(i) + ".pb");
    if (found == c.files.end()) return result;
    result.push_back(found->second);
  }
}

Tensor tensor_of(const std::string& bytes) {
  return frontend::read_tensor_proto(std::as_bytes(std::span(bytes)), {}).tensor;
}

Set read_set(const OnnxCase& c, const std::string& folder) {
  Set set;
  for (const std::string& bytes : numbered(c, folder + "/input_")) {
    set.inputs.emplace_back();
    set.inputs.back().ParseFromString(bytes);
  }
  for (const std::string& bytes : numbered(c, folder + "/output_"))
    set.outputs.push_back(tensor_of(bytes));
  return set;
}

bool is_list_of_integers(const onnx::ValueInfoProto& input) {
  const auto& type = input.type().tensor_type();
  return !is_float(frontend::precision_from_onnx(type.elem_type())) && type.shape().dim_size() <= 1;
}

/// The inputs that operators read as constants, as models have them. Where there are several nodes
/// these may be on the way from an input.
std::set<std::string> inputs_to_know(const onnx::GraphProto& graph) {
  std::set<std::string> result;
  if (graph.node_size() > 1)
    for (const auto& input : graph.input())
      if (is_list_of_integers(input)) result.insert(input.name());
  for (const auto& node : graph.node())
    for (const int operand : operator_of(node)->known)
      if (operand < node.input_size()) result.insert(node.input(operand));
  return result;
}

/// What the model takes from the caller is what is left of `set.inputs`.
void make_constants(onnx::GraphProto& graph, Set& set) {
  const std::set<std::string> known = inputs_to_know(graph);
  for (std::size_t i = 0; i < set.inputs.size();) {
    const auto input = static_cast<int>(i);
    if (!known.contains(graph.input(input).name())) {
      ++i;
      continue;
    }
    onnx::TensorProto& constant = *graph.add_initializer();
    constant = set.inputs[i];
    constant.set_name(graph.input(input).name());
    graph.mutable_input()->DeleteSubrange(input, 1);
    set.inputs.erase(set.inputs.begin() + input);
  }
}

void forget_dimensions(onnx::GraphProto& graph) {
  std::set<std::string> known;
  for (const auto& node : graph.node())
    for (int i = 0; i < node.input_size(); ++i)
      if (kKnownDimensions.contains({node.op_type(), i})) known.insert(node.input(i));
  for (auto& input : *graph.mutable_input()) {
    if (known.contains(input.name())) continue;
    for (auto& dim : *input.mutable_type()->mutable_tensor_type()->mutable_shape()->mutable_dim())
      dim.Clear();
  }
}

double tolerance(const std::string& name, Precision precision) {
  if (const auto found = kRounded.find(name); found != kRounded.end()) return found->second;
  switch (precision) {
    case Precision::f32: return 1e-5;
    case Precision::f64: return 1e-6;
    case Precision::f16: return 2e-3;
    case Precision::bf16: return 2e-2;
    default: return 0;
  }
}

host::Model compile(const onnx::ModelProto& model, bool tokenize) {
  const std::string bytes = model.SerializeAsString();
  host::ModelOptions options;
  options.tokenize = tokenize;
  options.compile.verify = true;
  return {load_onnx(std::as_bytes(std::span(bytes)), {}, "model"), options};
}

void expect_outputs(const std::string& name, const onnx::ModelProto& model, const Set& set,
                    bool tokenize) {
  host::Model compiled = compile(model, tokenize);
  std::vector<Tensor> inputs;
  for (const auto& input : set.inputs) inputs.push_back(tensor_of(input.SerializeAsString()));
  const std::vector<Tensor> outputs = compiled.run(inputs);
  ASSERT_EQ(outputs.size(), set.outputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Tensor& expected = set.outputs[i];
    EXPECT_EQ(outputs[i].precision(), expected.precision()) << "output " << i;
    const auto difference =
        host::compare(model.graph().output(static_cast<int>(i)).name(), expected, outputs[i]);
    EXPECT_LE(difference.relative, tolerance(name, expected.precision())) << difference.worst;
  }
}

void expect_case(const OnnxCase& c) {
  for (int i = 0; c.files.contains("test_data_set_" + std::to_string(i) + "/output_0.pb"); ++i) {
    onnx::ModelProto model = model_of(c);
    Set set = read_set(c, "test_data_set_" + std::to_string(i));
    make_constants(*model.mutable_graph(), set);
    for (const bool dynamic : {false, true}) {
      if (dynamic) forget_dimensions(*model.mutable_graph());
      for (const bool tokenize : {false, true}) {
        SCOPED_TRACE(c.name + (dynamic ? ", dynamic" : ", static") +
                     (tokenize ? ", carved" : ", stand-alone"));
        try {
          expect_outputs(c.name, model, set, tokenize);
        } catch (const std::exception& e) {
          ADD_FAILURE() << e.what();
        }
      }
    }
  }
}

/// Of one operator; of several for a model that has several nodes.
struct Group {
  std::string op;
  std::vector<OnnxCase> cases;
};

void PrintTo(const Group& group, std::ostream* out) { *out << group.op; }

bool is_left_out(const OnnxCase& c) {
  return std::any_of(kLeftOut.begin(), kLeftOut.end(),
                     [&](const auto& line) { return c.name.starts_with(line.first); });
}

std::vector<Group> group(const std::vector<OnnxCase>& cases) {
  std::map<std::string, Group> groups;
  for (const OnnxCase& c : cases) {
    const onnx::ModelProto model = model_of(c);
    if (!is_read(model) || is_left_out(c)) continue;
    const std::string op =
        model.graph().node_size() == 1 ? model.graph().node(0).op_type() : "several";
    groups[op].op = op;
    groups[op].cases.push_back(c);
  }
  std::vector<Group> result;
  for (auto& [op, group] : groups) result.push_back(std::move(group));
  return result;
}

std::vector<OnnxCase> stored(const std::string& file) {
  return testing::read_case_archive(std::string(BURIN_TEST_DIR) + "/data/" + file);
}

std::vector<Group> nodes() {
  const char* folder = std::getenv("BURIN_NODE_TESTS");
  return group(folder != nullptr ? testing::read_case_folder(folder) : stored("onnx_nodes.bin"));
}

std::string name_of(const ::testing::TestParamInfo<Group>& info) { return info.param.op; }

class OnnxNodes : public ::testing::TestWithParam<Group> {};

TEST_P(OnnxNodes, GiveWhatOnnxSays) {
  for (const OnnxCase& c : GetParam().cases) expect_case(c);
}

INSTANTIATE_TEST_SUITE_P(All, OnnxNodes, ::testing::ValuesIn(nodes()), name_of);

class ContribNodes : public ::testing::TestWithParam<Group> {};

TEST_P(ContribNodes, GiveWhatOnnxRuntimeGives) {
  for (const OnnxCase& c : GetParam().cases) expect_case(c);
}

INSTANTIATE_TEST_SUITE_P(All, ContribNodes, ::testing::ValuesIn(group(stored("onnx_contrib.bin"))),
                         name_of);

/// Fused attentions, of which nothing but the result is asked (scores that are an output are not
/// carved), in f32.
bool must_be_carved(const onnx::ModelProto& model) {
  constexpr int kScores = 3;
  const auto& graph = model.graph();
  if (graph.node_size() != 1 || !graph.node(0).op_type().ends_with("Attention")) return false;
  const auto precision = graph.input(0).type().tensor_type().elem_type();
  return precision == onnx::TensorProto::FLOAT && graph.node(0).output_size() <= kScores;
}

TEST(FusedAttentions, AreCarved) {
  int count = 0;
  for (const std::vector<Group>& all : {nodes(), group(stored("onnx_contrib.bin"))})
    for (const Group& group : all)
      for (const OnnxCase& c : group.cases) {
        const onnx::ModelProto proto = model_of(c);
        if (!must_be_carved(proto)) continue;
        ++count;
        const host::Model model = compile(proto, true);
        EXPECT_EQ(model.report().attentions_carved, 1)
            << c.name << ": "
            << (model.report().rejected.empty() ? "" : model.report().rejected[0].reason);
      }
  EXPECT_GE(count, 80);
}

}  // namespace
}  // namespace burin
