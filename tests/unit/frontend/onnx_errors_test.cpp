// What is wrong with a model file is said with the names of the file and of the node or tensor.

#include <sys/stat.h>
#include <fstream>
#include <limits>

#include <gtest/gtest.h>

#include "burin/error.h"
#include "tests/unit/frontend/onnx_builder.h"
#include "tests/unit/frontend/temporary_folder.h"

namespace burin {
namespace {

using test::error_of;
using test::OnnxBuilder;
using test::set_int;
using test::set_ints;
using test::set_string;
using test::TemporaryFolder;
using Proto = onnx::TensorProto;

/// The error has all these parts.
void expect_error(const std::string& error, const std::vector<std::string>& parts) {
  EXPECT_FALSE(error.empty()) << "no error";
  for (const std::string& part : parts)
    EXPECT_NE(error.find(part), std::string::npos) << "'" << part << "' is not in: " << error;
}

void expect_error(const OnnxBuilder& model, const std::vector<std::string>& parts) {
  expect_error(error_of([&] { model.load(); }), parts);
}

OnnxBuilder small_model(int opset = 17) {
  OnnxBuilder model(opset);
  model.input("x", {"n", 3}).output("y");
  return model;
}

TEST(OnnxErrors, FilesThatAreNoModel) {
  const TemporaryFolder folder;
  const auto load = [](const std::filesystem::path& file) {
    return error_of([&] { load_onnx(file); });
  };
  expect_error(load(folder.path() / "missing.onnx"), {"missing.onnx", "No such file"});
  expect_error(load(folder.path()), {folder.path().string(), "not a regular file"});
  expect_error(load(folder.write("empty.onnx", "")), {"empty.onnx", "no ONNX model"});
  expect_error(load(folder.write("text.onnx", "Dear reader,\n")), {"text.onnx", "no ONNX model"});
  expect_error(load(folder.write("zeros.onnx", std::string(100, '\0'))), {"zeros.onnx"});
  const std::string pipe = (folder.path() / "pipe.onnx").string();
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  expect_error(load(pipe), {"pipe.onnx", "not a regular file"});
}

TEST(OnnxErrors, NoPrefixOfAModelIsTakenForIt) {
  OnnxBuilder model = small_model();
  model.node("Mul", {"x", "w"}, {"y"});
  model.floats("w", {3}, {1, 2, 3});
  const std::string whole = model.bytes();
  const TemporaryFolder folder;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto file = folder.write("cut.onnx", whole.substr(0, size));
    expect_error(error_of([&] { load_onnx(file); }), {"cut.onnx"});
  }
  EXPECT_EQ(error_of([&] { load_onnx(folder.write("whole.onnx", whole)); }), "");
}

TEST(OnnxErrors, DamagedBytesNeverCrash) {
  OnnxBuilder model = small_model();
  set_ints(model.node("Transpose", {"x"}, {"t"}), "perm", {1, 0});
  model.node("MatMul", {"x", "t"}, {"m"});
  model.node("Add", {"m", "w"}, {"y"});
  model.floats("w", {1}, {1});
  const std::string whole = model.bytes();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int flip : {0x01, 0x10, 0x80, 0xff}) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      try {
        load_onnx(std::as_bytes(std::span(damaged)), {}, "damaged");
      } catch (const Error&) {
      }
    }
  }
}

void import_contrib(OnnxBuilder& model) {
  auto& opset = *model.model().add_opset_import();
  opset.set_domain("com.microsoft");
  opset.set_version(1);
}

TEST(OnnxErrors, AttentionsThatHaveNoDecomposition) {
  const auto make = [](const std::string& op, const std::vector<OnnxBuilder::Dim>& dims,
                       const std::vector<std::string>& inputs) {
    OnnxBuilder model(23);
    model.input("q", dims).input("i", {"batch"}, Proto::INT32).output("y");
    onnx::NodeProto& node = model.node(op, inputs, {"y"});
    if (op == "Attention") return model;
    node.set_domain("com.microsoft");
    import_contrib(model);
    set_int(node, "num_heads", 4);
    return model;
  };
  const std::vector<OnnxBuilder::Dim> rows = {"batch", "seq", 32};
  expect_error(make("Attention", rows, {"q", "q", "q"}), {"the_Attention", "heads"});
  expect_error(make("Attention", {2, 3}, {"q", "q", "q"}), {"the_Attention", "dimensions"});
  expect_error(make("MultiHeadAttention", rows, {"q", "q", "q", "", "", "", "", "", "i"}),
               {"the_MultiHeadAttention", "past_sequence_length"});
  OnnxBuilder smooth = make("GroupQueryAttention", rows, {"q", "q", "q", "", "", "i", "i"});
  set_int(*smooth.graph().mutable_node(0), "smooth_softmax", 1);
  expect_error(smooth, {"the_GroupQueryAttention", "smooth_softmax"});
}

TEST(OnnxErrors, OperandsOfTooFewDimensions) {
  using Dims = std::vector<OnnxBuilder::Dim>;
  const auto make = [](const std::string& op, const std::vector<Dims>& dims,
                       const std::vector<std::string>& inputs, bool of_onnx = false) {
    OnnxBuilder model(23);
    for (std::size_t i = 0; i < dims.size(); ++i)
      model.input(std::string(1, static_cast<char>('a' + i)), dims[i]);
    model.input("i", {"batch", 4}, Proto::INT64).output("y");
    onnx::NodeProto& node = model.node(op, inputs, {"y"});
    if (!of_onnx) node.set_domain("com.microsoft");
    import_contrib(model);
    if (op.ends_with("Attention")) set_int(node, "num_heads", 4);
    if (op == "GroupQueryAttention") set_int(node, "kv_num_heads", 2);
    return model;
  };
  const Dims rows = {"batch", 4, 32}, heads = {"batch", 4, 4, 8};
  const auto expect = [](const OnnxBuilder& model, const std::string& op, const char* value) {
    expect_error(model, {"'the_" + op + "'", value, "dimensions"});
  };
  expect(make("MultiHeadAttention", {{32}, rows}, {"a", "b", "b"}), "MultiHeadAttention", "'a'");
  expect(make("MultiHeadAttention", {rows, {32}}, {"a", "a", "b"}), "MultiHeadAttention", "'b'");
  expect(make("MultiHeadAttention", {rows, heads, {32}}, {"a", "b", "c"}), "MultiHeadAttention",
         "'c'");
  expect(make("Attention", {rows, {32}}, {"a", "b"}), "Attention", "'b'");
  expect(make("GroupQueryAttention", {{32}}, {"a", "", "", "", "", "i", "i"}),
         "GroupQueryAttention", "'a'");
  expect(make("GroupQueryAttention", {rows, {32}}, {"a", "a", "a", "b", "b", "i", "i"}),
         "GroupQueryAttention", "'b'");
  expect(make("RotaryEmbedding", {rows, {}}, {"a", "b", "b"}, true), "RotaryEmbedding", "'b'");
  expect(make("RotaryEmbedding", {{}, {8, 4}}, {"a", "i", "b", "b"}), "RotaryEmbedding", "");
  expect(make("BiasSplitGelu", {{}, {}}, {"a", "b"}), "BiasSplitGelu", "");
  OnnxBuilder one_position = make("RotaryEmbedding", {{}, {8, 4}}, {"a", "p", "b", "b"});
  one_position.input("p", {1}, Proto::INT64);
  expect(one_position, "RotaryEmbedding", "'a'");
  OnnxBuilder embedding =
      make("EmbedLayerNormalization", {{9, 8}, {8}}, {"p", "", "a", "a", "", "b", "b"});
  embedding.input("p", {"batch"}, Proto::INT64);
  expect(embedding, "EmbedLayerNormalization", "'p'");
}

TEST(OnnxErrors, HeadsOfGroupQueryAttention) {
  const auto make = [](std::int64_t heads, std::int64_t key_heads, const std::string& value) {
    OnnxBuilder model(23);
    model.input("q", {"batch", 4, 48}).input("i", {"batch"}, Proto::INT32).output("y");
    onnx::NodeProto& node = model.node(
        "GroupQueryAttention", {"q", value.empty() ? "" : "q", "", "", "", "i", "i"}, {"y"});
    node.set_domain("com.microsoft");
    import_contrib(model);
    set_int(node, "num_heads", heads);
    set_int(node, "kv_num_heads", key_heads);
    return model;
  };
  const std::string node = "'the_GroupQueryAttention'";
  EXPECT_EQ(error_of([&] { make(4, 4, "").load(); }), "");
  expect_error(make(4, 2, "q"), {node, "key and value must be given together"});
  const std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  for (const std::int64_t key_heads : {std::int64_t{0}, std::int64_t{-2}, std::int64_t{3}, huge})
    expect_error(make(4, key_heads, ""), {node, "kv_num_heads must divide num_heads"});
  expect_error(make(huge, huge, ""), {node, "overflows"});
}

TEST(OnnxErrors, HeadsOfAnAttention) {
  const auto make = [](const std::vector<OnnxBuilder::Dim>& key) {
    OnnxBuilder model(23);
    model.input("q", {"batch", 4, 5, 8}).input("k", key).output("y");
    model.node("Attention", {"q", "k", "k"}, {"y"});
    return model;
  };
  EXPECT_EQ(error_of([&] { make({"batch", 2, 5, 8}).load(); }), "");
  expect_error(make({"batch", 0, 5, 8}), {"'the_Attention' (Attention)", "heads of 'k'"});
  expect_error(make({"batch", 3, 5, 8}), {"'the_Attention' (Attention)", "heads of 'k'"});
  const Graph graph = make({"batch", "heads", 5, 8}).load();
  const auto run = [&](std::int64_t heads) {
    return error_of([&] {
      interpret(graph, {Tensor::zeros(Precision::f32, {1, 4, 5, 8}),
                        Tensor::zeros(Precision::f32, {1, heads, 5, 8})});
    });
  };
  EXPECT_EQ(run(2), "");
  expect_error(run(0), {"the_Attention", "heads of 'k'"});
  expect_error(run(3), {"the_Attention", "heads of 'k'"});
}

TEST(OnnxErrors, DepthsThatAreNoSize) {
  for (const std::vector<std::int64_t>& depth : {std::vector<std::int64_t>{}, {3, 4}, {-1}}) {
    OnnxBuilder model(17);
    model.input("x", {"n"}, Proto::INT64).ints("depth", depth).floats("pair", {2}, {0, 1});
    model.output("y").node("OneHot", {"x", "depth", "pair"}, {"y"});
    expect_error(model, {"'the_OneHot' (OneHot)", "depth"});
  }
}

TEST(OnnxErrors, UnknownOperators) {
  OnnxBuilder unknown = small_model();
  unknown.node("NoSuchOperator", {"x"}, {"y"});
  expect_error(unknown, {"test.onnx", "'the_NoSuchOperator' (NoSuchOperator)", "not supported"});

  OnnxBuilder internal = small_model();
  internal.node("Brgemm", {"x", "x"}, {"y"});
  expect_error(internal, {"'the_Brgemm' (Brgemm)", "not supported"});

  OnnxBuilder foreign = small_model();
  foreign.node("DecoderAttention", {"x"}, {"y"}).set_domain("com.microsoft");
  import_contrib(foreign);
  expect_error(foreign, {"'the_DecoderAttention' (DecoderAttention)", "com.microsoft"});

  OnnxBuilder loop = small_model();
  auto& body = *loop.node("Loop", {"x"}, {"y"}).add_attribute();
  body.set_name("body");
  body.set_type(onnx::AttributeProto::GRAPH);
  expect_error(loop, {"'the_Loop' (Loop)", "control flow"});
}

TEST(OnnxErrors, OperatorSets) {
  OnnxBuilder old = small_model(10);
  old.node("Relu", {"x"}, {"y"});
  expect_error(old, {"test.onnx", "'the_Relu' (Relu)", "operator set 10"});

  OnnxBuilder none = small_model();
  none.node("Relu", {"x"}, {"y"});
  none.model().mutable_opset_import(0)->set_domain("elsewhere");
  expect_error(none, {"'the_Relu' (Relu)", "imports no operator set"});
}

TEST(OnnxErrors, NamesThatAreWrong) {
  OnnxBuilder undefined = small_model();
  undefined.node("Relu", {"nobody"}, {"y"});
  expect_error(undefined, {"'the_Relu' (Relu)", "'nobody'", "not defined"});

  OnnxBuilder missing_output = small_model();
  expect_error(missing_output, {"outputs", "'y'", "not defined"});

  OnnxBuilder twice = small_model();
  twice.node("Relu", {"x"}, {"y"});
  twice.node("Abs", {"x"}, {"y"});
  expect_error(twice, {"'the_Abs' (Abs)", "'y'", "twice"});

  OnnxBuilder over_input = small_model();
  over_input.node("Relu", {"y"}, {"x"});
  expect_error(over_input, {"'the_Relu' (Relu)", "'x'", "twice"});
}

TEST(OnnxErrors, Cycles) {
  OnnxBuilder model = small_model();
  model.node("Relu", {"b"}, {"y"});
  model.node("Abs", {"c"}, {"b"});
  model.node("Neg", {"b"}, {"c"});
  const std::string error = error_of([&] { model.load(); });
  expect_error(error, {"test.onnx", "cycle"});
  EXPECT_EQ(error.find("the_Relu"), std::string::npos) << "it is only behind the cycle: " << error;

  OnnxBuilder self = small_model();
  self.node("Relu", {"y"}, {"y"});
  expect_error(self, {"'the_Relu' (Relu)", "cycle"});
}

TEST(OnnxErrors, ElementTypes) {
  OnnxBuilder text(17);
  text.input("words", {"n"}, Proto::STRING).output("words");
  expect_error(text, {"input 'words'", "STRING"});

  OnnxBuilder mixed = small_model();
  mixed.ints("w", {1, 2, 3});
  mixed.node("Add", {"x", "w"}, {"y"});
  expect_error(mixed, {"the_Add", "i64"});

  OnnxBuilder complex = small_model();
  complex.initializer("w", Proto::COMPLEX64, {1});
  complex.node("Relu", {"x"}, {"y"});
  expect_error(complex, {"tensor 'w'", "COMPLEX64"});

  OnnxBuilder cast = small_model();
  set_int(cast.node("Cast", {"x"}, {"y"}), "to", 4711);
  expect_error(cast, {"'the_Cast' (Cast)", "4711"});
}

TEST(OnnxErrors, TensorsOfWrongSize) {
  OnnxBuilder raw = small_model();
  raw.initializer("w", Proto::FLOAT, {3}).set_raw_data("12345678");
  raw.node("Mul", {"x", "w"}, {"y"});
  expect_error(raw, {"tensor 'w'", "12 bytes", "8"});

  OnnxBuilder field = small_model();
  field.initializer("w", Proto::INT64, {3}).add_int64_data(1);
  field.node("Relu", {"x"}, {"y"});
  expect_error(field, {"tensor 'w'", "3 elements", "1"});

  OnnxBuilder negative = small_model();
  negative.initializer("w", Proto::FLOAT, {-3});
  negative.node("Relu", {"x"}, {"y"});
  expect_error(negative, {"tensor 'w'", "-3"});

  OnnxBuilder huge = small_model();
  huge.initializer("w", Proto::FLOAT, {std::int64_t{1} << 40, std::int64_t{1} << 40});
  huge.node("Relu", {"x"}, {"y"});
  expect_error(huge, {"tensor 'w'", "too many elements"});

  OnnxBuilder range = small_model();
  range.initializer("w", Proto::INT8, {1}).add_int32_data(1000);
  range.node("Relu", {"x"}, {"y"});
  expect_error(range, {"tensor 'w'", "1000", "i8"});
}

TEST(OnnxErrors, Attributes) {
  OnnxBuilder axis = small_model();
  set_int(axis.node("Softmax", {"x"}, {"y"}), "axis", 2);
  expect_error(axis, {"'the_Softmax' (Softmax)", "axis 2", "rank 2"});

  OnnxBuilder kind = small_model();
  set_string(kind.node("Softmax", {"x"}, {"y"}), "axis", "last");
  expect_error(kind, {"'the_Softmax' (Softmax)", "'axis'", "integer"});

  OnnxBuilder unknown = small_model();
  set_int(unknown.node("Relu", {"x"}, {"y"}), "leak", 1);
  expect_error(unknown, {"'the_Relu' (Relu)", "'leak'"});

  OnnxBuilder twice = small_model();
  auto& node = twice.node("Softmax", {"x"}, {"y"});
  set_int(node, "axis", 0);
  set_int(node, "axis", 1);
  expect_error(twice, {"'the_Softmax' (Softmax)", "'axis'", "twice"});

  OnnxBuilder training = small_model();
  training.initializer("yes", Proto::BOOL, {}).add_int32_data(1);
  training.node("Dropout", {"x", "", "yes"}, {"y"});
  expect_error(training, {"'the_Dropout' (Dropout)", "training"});
}

TEST(OnnxErrors, AxesThatAreNotConstant) {
  OnnxBuilder model = small_model(18);
  model.input("axes", {1}, Proto::INT64);
  model.node("ReduceSum", {"x", "axes"}, {"y"});
  expect_error(model, {"'the_ReduceSum' (ReduceSum)", "'axes'", "constant"});
}

TEST(OnnxErrors, AxesOfAScale) {
  const auto make = [](std::int64_t axis, std::int64_t scales, std::int64_t block) {
    OnnxBuilder model(21);
    model.input("x", {3, 3}).output("y");
    const std::vector<float> ones(static_cast<std::size_t>(scales), 1);
    model.floats("scale", block == 0 ? std::vector{scales} : std::vector{scales, scales}, ones);
    onnx::NodeProto& node = model.node("QuantizeLinear", {"x", "scale"}, {"y"});
    set_int(node, "axis", axis);
    set_int(node, "block_size", block);
    return model;
  };
  const std::string node = "'the_QuantizeLinear' (QuantizeLinear)";
  EXPECT_EQ(error_of([&] { make(-2, 3, 0).load(); }), "");
  EXPECT_EQ(error_of([&] { make(7, 1, 0).load(); }), "") << "one number has no axis";
  for (const std::int64_t axis : {2, -3}) {
    expect_error(make(axis, 3, 0), {node, "axis " + std::to_string(axis)});
    expect_error(make(axis, 1, 3), {node, "axis " + std::to_string(axis)});
  }
}

TEST(OnnxErrors, SqueezeOfWhateverIsOne) {
  OnnxBuilder model = small_model();
  model.node("Squeeze", {"x"}, {"y"});
  expect_error(model, {"'the_Squeeze' (Squeeze)", "dimension 0"});
}

TEST(OnnxErrors, ResultsThatAreNotComputed) {
  OnnxBuilder model(17);
  model.input("x", {1, 1, 4, 4}).output("y");
  set_ints(model.node("MaxPool", {"x"}, {"z", "places"}), "kernel_shape", {2, 2});
  model.node("Neg", {"places"}, {"y"});
  expect_error(model, {"'the_Neg' (Neg)", "'places'"});
}

TEST(OnnxErrors, MomentsOfRootMeanSquares) {
  OnnxBuilder model = small_model();
  model.floats("scale", {3}, {1, 1, 1});
  model.node("SimplifiedLayerNormalization", {"x", "scale"}, {"z", "inverse"});
  model.node("Neg", {"inverse"}, {"y"});
  expect_error(model, {"'the_Neg' (Neg)", "'inverse'"});
}

TEST(OnnxErrors, MissingInputs) {
  OnnxBuilder model = small_model();
  model.node("Add", {"x", ""}, {"y"});
  expect_error(model, {"the_Add"});
  OnnxBuilder few = small_model();
  few.node("Gather", {"x"}, {"y"});
  expect_error(few, {"the_Gather"});
}

TEST(OnnxErrors, ShapesThatDoNotFit) {
  OnnxBuilder model = small_model();
  model.floats("w", {4, 2}, std::vector<float>(8, 1));
  model.node("MatMul", {"x", "w"}, {"y"});
  expect_error(model, {"test.onnx", "the_MatMul"});
}

TEST(OnnxErrors, InputsWithoutRank) {
  OnnxBuilder model(17);
  auto& info = *model.graph().add_input();
  info.set_name("x");
  info.mutable_type()->mutable_tensor_type()->set_elem_type(Proto::FLOAT);
  model.output("x");
  expect_error(model, {"input 'x'", "dimensions"});
}

TEST(OnnxErrors, Einsum) {
  for (const char* equation : {"ij->ii", "i?->i", "...ijkl->...", "ij->k", "ijk->ij", "ij,jk->ik",
                               "i9->i9", "...9->...9", "......->"}) {
    OnnxBuilder model = small_model();
    set_string(model.node("Einsum", {"x"}, {"y"}), "equation", equation);
    expect_error(model, {"'the_Einsum' (Einsum)", equation});
  }
}

TEST(OnnxErrors, DiagonalOfWhatIsNoSquare) {
  OnnxBuilder model(17);
  model.input("x", {2, 3}).output("y");
  set_string(model.node("Einsum", {"x"}, {"y"}), "equation", "ii->i");
  expect_error(model, {"'the_Einsum' (Einsum)", "ii->i", "'x', dimension 1"});
}

TEST(OnnxErrors, TensorFiles) {
  const TemporaryFolder folder;
  const auto load = [](const std::filesystem::path& file) {
    return error_of([&] { load_tensor_proto(file); });
  };
  expect_error(load(folder.path() / "missing.pb"), {"missing.pb"});
  expect_error(load(folder.write("empty.pb", "")), {"empty.pb", "no ONNX tensor"});
  expect_error(load(folder.write("text.pb", "Dear reader,\n")), {"text.pb"});
  Proto tensor;
  tensor.set_name("input_ids");
  tensor.set_data_type(Proto::INT64);
  tensor.add_dims(2);
  tensor.add_int64_data(7);
  expect_error(load(folder.write("short.pb", tensor.SerializeAsString())),
               {"short.pb", "'input_ids'"});
  tensor.add_int64_data(9);
  const NamedTensor read = load_tensor_proto(folder.write("right.pb", tensor.SerializeAsString()));
  EXPECT_EQ(read.name, "input_ids");
  EXPECT_EQ(read.tensor.dims(), (Dims{2}));
  EXPECT_EQ(read.tensor.int_at(1), 9);
}

}  // namespace
}  // namespace burin
