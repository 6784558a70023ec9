// Each form of an operator that ONNX has had, by what it computes.

#include <cmath>
#include <cstddef>

#include <gtest/gtest.h>

#include "tests/unit/frontend/onnx_builder.h"

namespace burin {
namespace {

using test::OnnxBuilder;
using test::set_float;
using test::set_int;
using test::set_ints;
using test::set_string;
using Proto = onnx::TensorProto;

std::vector<Tensor> run(const OnnxBuilder& model, const std::vector<Tensor>& inputs) {
  const Graph graph = model.load();
  verify(graph);
  Graph clean = graph;
  canonicalize(clean);
  const std::vector<Tensor> results = interpret(graph, inputs);
  const std::vector<Tensor> clean_results = interpret(clean, inputs);
  EXPECT_EQ(results.size(), clean_results.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    EXPECT_EQ(results[i].dims(), clean_results[i].dims());
    EXPECT_EQ(results[i].precision(), clean_results[i].precision());
    for (std::int64_t e = 0; e < results[i].size(); ++e)
      EXPECT_NEAR(results[i].at(e), clean_results[i].at(e), 1e-5);
  }
  return results;
}

void expect_tensor(const Tensor& tensor, const Dims& dims, const std::vector<double>& values) {
  ASSERT_EQ(tensor.dims(), dims);
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_NEAR(tensor.at(static_cast<std::int64_t>(i)), values[i], 1e-5) << "element " << i;
}

std::string op_names(const Graph& graph) {
  std::string names;
  for (const NodeId id : graph.order())
    names += (names.empty() ? "" : " ") + std::string(info(graph.node(id).op).name);
  return names;
}

OnnxBuilder one_node(int opset, const std::string& op, const std::vector<OnnxBuilder::Dim>& dims,
                     const std::vector<std::string>& inputs = {"x"},
                     const std::vector<std::string>& outputs = {"y"}) {
  OnnxBuilder model(opset);
  model.input("x", dims);
  model.node(op, inputs, outputs);
  for (const std::string& output : outputs) model.output(output);
  return model;
}

onnx::NodeProto& the_node(OnnxBuilder& model) { return *model.graph().mutable_node(0); }

const Tensor kTwoByThree = Tensor::from_f32({2, 3}, {1, 2, 3, 4, 5, 6});

TEST(OnnxForms, SoftmaxFlattensBefore13) {
  const auto rows = [](const Tensor& t, std::int64_t row_size) {
    for (std::int64_t row = 0; row < t.size() / row_size; ++row) {
      double sum = 0;
      for (std::int64_t i = 0; i < row_size; ++i) sum += t.at(row * row_size + i);
      EXPECT_NEAR(sum, 1, 1e-5) << "row " << row;
    }
  };
  const Tensor x = Tensor::from_f32({2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  OnnxBuilder old = one_node(12, "Softmax", {"a", "b", "c"});
  const Tensor flattened = run(old, {x})[0];
  EXPECT_EQ(flattened.dims(), (Dims{2, 2, 2}));
  rows(flattened, 4);

  OnnxBuilder last = one_node(12, "Softmax", {"a", "b", "c"});
  set_int(the_node(last), "axis", -1);
  EXPECT_EQ(op_names(last.load()), "Softmax");
  rows(run(last, {x})[0], 2);

  OnnxBuilder recent = one_node(13, "Softmax", {"a", "b", "c"});
  EXPECT_EQ(recent.load().node(0).int_attribute("axis", -7), 2);
  rows(run(recent, {x})[0], 2);
}

TEST(OnnxForms, AxesAsAttributeOrInput) {
  for (const bool as_input : {false, true}) {
    const auto make = [&](const std::string& op, std::vector<std::int64_t> axes,
                          const std::vector<OnnxBuilder::Dim>& dims) {
      OnnxBuilder model = one_node(
          as_input ? 18 : 11, op, dims,
          as_input ? std::vector<std::string>{"x", "axes"} : std::vector<std::string>{"x"});
      if (as_input) {
        model.ints("axes", axes);
      } else {
        set_ints(the_node(model), "axes", axes);
      }
      return model;
    };
    EXPECT_EQ(run(make("Unsqueeze", {-1, 0}, {"n", 3}), {kTwoByThree})[0].dims(),
              (Dims{1, 2, 3, 1}));
    EXPECT_EQ(
        run(make("Squeeze", {-2}, {2, 1, 3}), {Tensor::from_f32({2, 1, 3}, {1, 2, 3, 4, 5, 6})})[0]
            .dims(),
        (Dims{2, 3}));
    OnnxBuilder sum = make("ReduceSum", {-1}, {"n", 3});
    set_int(the_node(sum), "keepdims", 0);
    expect_tensor(run(sum, {kTwoByThree})[0], {2}, {6, 15});
    expect_tensor(run(make("ReduceMean", {0}, {"n", 3}), {kTwoByThree})[0], {1, 3},
                  {2.5, 3.5, 4.5});
    expect_tensor(run(make("ReduceMax", {1, 0}, {"n", 3}), {kTwoByThree})[0], {1, 1}, {6});
    expect_tensor(
        run(make("ReduceL1", {1}, {"n", 3}), {Tensor::from_f32({2, 3}, {-1, 2, -3, 4, 5, 6})})[0],
        {2, 1}, {6, 15});
    expect_tensor(run(make("ReduceSumSquare", {1}, {"n", 3}), {kTwoByThree})[0], {2, 1}, {14, 77});
    expect_tensor(run(make("ReduceLogSum", {1}, {"n", 3}), {kTwoByThree})[0], {2, 1},
                  {std::log(6), std::log(15)});
  }
}

TEST(OnnxForms, ReduceWithoutAxes) {
  OnnxBuilder all = one_node(18, "ReduceSum", {"n", 3});
  expect_tensor(run(all, {kTwoByThree})[0], {1, 1}, {21});
  OnnxBuilder none = one_node(18, "ReduceSum", {"n", 3});
  set_int(the_node(none), "noop_with_empty_axes", 1);
  expect_tensor(run(none, {kTwoByThree})[0], {2, 3}, {1, 2, 3, 4, 5, 6});
}

TEST(OnnxForms, SqueezeWithoutAxes) {
  OnnxBuilder model = one_node(13, "Squeeze", {1, 3, 1});
  EXPECT_EQ(run(model, {Tensor::from_f32({1, 3, 1}, {1, 2, 3})})[0].dims(), (Dims{3}));
}

TEST(OnnxForms, VariadicIsChained) {
  for (const auto& [op, result] :
       {std::pair{"Min", 1.0}, {"Max", 9.0}, {"Sum", 14.0}, {"Mean", 14.0 / 3}}) {
    OnnxBuilder model = one_node(13, op, {1}, {"x", "a", "b"});
    model.floats("a", {1}, {9}).floats("b", {1}, {4});
    expect_tensor(run(model, {Tensor::from_f32({1}, {1})})[0], {1}, {result});
    OnnxBuilder one = one_node(13, op, {1});
    expect_tensor(run(one, {Tensor::from_f32({1}, {7})})[0], {1}, {7});
  }
}

TEST(OnnxForms, SplitSizes) {
  OnnxBuilder by_attribute = one_node(11, "Split", {"n", 3}, {"x"}, {"a", "b"});
  set_int(the_node(by_attribute), "axis", -1);
  set_ints(the_node(by_attribute), "split", {1, 2});
  auto parts = run(by_attribute, {kTwoByThree});
  expect_tensor(parts[0], {2, 1}, {1, 4});
  expect_tensor(parts[1], {2, 2}, {2, 3, 5, 6});

  OnnxBuilder by_input = one_node(13, "Split", {"n", 3}, {"x", "sizes"}, {"a", "b"});
  by_input.ints("sizes", {2, 1});
  set_int(the_node(by_input), "axis", 1);
  expect_tensor(run(by_input, {kTwoByThree})[1], {2, 1}, {3, 6});

  OnnxBuilder equal = one_node(13, "Split", {"n", 3}, {"x"}, {"a", "b"});
  expect_tensor(run(equal, {kTwoByThree})[1], {1, 3}, {4, 5, 6});

  // The last part is the smaller one, whether the size is known or not.
  for (const OnnxBuilder::Dim size : {OnnxBuilder::Dim(5), OnnxBuilder::Dim("n")}) {
    OnnxBuilder uneven = one_node(18, "Split", {size}, {"x"}, {"a", "b"});
    set_int(the_node(uneven), "num_outputs", 2);
    parts = run(uneven, {Tensor::from_f32({5}, {1, 2, 3, 4, 5})});
    expect_tensor(parts[0], {3}, {1, 2, 3});
    expect_tensor(parts[1], {2}, {4, 5});
  }
}

TEST(OnnxForms, DropoutIsIdentity) {
  OnnxBuilder model = one_node(13, "Dropout", {"n", 3}, {"x"}, {"y", "mask"});
  const auto results = run(model, {kTwoByThree});
  expect_tensor(results[0], {2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(results[1].precision(), Precision::boolean);
  expect_tensor(results[1], {2, 3}, {1, 1, 1, 1, 1, 1});
}

TEST(OnnxForms, ConstantInAllKinds) {
  OnnxBuilder model(17);
  set_int(model.node("Constant", {}, {"i"}), "value_int", 7);
  set_ints(model.node("Constant", {}, {"is"}), "value_ints", {1, 2});
  set_float(model.node("Constant", {}, {"f"}), "value_float", 0.5F);
  auto& list = *model.node("Constant", {}, {"fs"}).add_attribute();
  list.set_name("value_floats");
  list.set_type(onnx::AttributeProto::FLOATS);
  list.add_floats(1.5F);
  auto& tensor = *model.node("Constant", {}, {"t"}).add_attribute();
  tensor.set_name("value");
  tensor.set_type(onnx::AttributeProto::TENSOR);
  tensor.mutable_t()->set_data_type(Proto::DOUBLE);
  tensor.mutable_t()->add_double_data(2.25);
  for (const char* name : {"i", "is", "f", "fs", "t"}) model.output(name);
  const auto results = run(model, {});
  expect_tensor(results[0], {}, {7});
  expect_tensor(results[1], {2}, {1, 2});
  expect_tensor(results[2], {}, {0.5});
  expect_tensor(results[3], {1}, {1.5});
  expect_tensor(results[4], {}, {2.25});
  EXPECT_EQ(results[4].precision(), Precision::f64);
}

TEST(OnnxForms, TensorsInAllElementTypes) {
  struct Case {
    int type;
    Precision precision;
    std::string raw;
    double value;
  };
  const Case cases[] = {
      {Proto::FLOAT, Precision::f32, {"\x00\x00\xc0\x3f", 4}, 1.5},
      {Proto::DOUBLE, Precision::f64, {"\x00\x00\x00\x00\x00\x00\xf8\x3f", 8}, 1.5},
      {Proto::FLOAT16, Precision::f16, {"\x00\x3e", 2}, 1.5},
      {Proto::BFLOAT16, Precision::bf16, {"\xc0\x3f", 2}, 1.5},
      {Proto::INT64, Precision::i64, {"\xfe\xff\xff\xff\xff\xff\xff\xff", 8}, -2},
      {Proto::INT32, Precision::i32, {"\xfe\xff\xff\xff", 4}, -2},
      {Proto::INT8, Precision::i8, {"\xfe", 1}, -2},
      {Proto::UINT8, Precision::u8, {"\xfe", 1}, 254},
      {Proto::BOOL, Precision::boolean, {"\x02", 1}, 1},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(to_string(c.precision));
    OnnxBuilder model(17);
    model.initializer("raw", c.type, {1}).set_raw_data(c.raw);
    Proto& field = model.initializer("field", c.type, {1});
    switch (c.type) {
      case Proto::FLOAT: field.add_float_data(1.5F); break;
      case Proto::DOUBLE: field.add_double_data(1.5); break;
      case Proto::FLOAT16: field.add_int32_data(0x3e00); break;
      case Proto::BFLOAT16: field.add_int32_data(0x3fc0); break;
      case Proto::INT64: field.add_int64_data(-2); break;
      default: field.add_int32_data(static_cast<int>(c.value)); break;
    }
    model.output("raw").output("field");
    for (const Tensor& result : interpret(model.load(), {})) {
      EXPECT_EQ(result.precision(), c.precision);
      expect_tensor(result, {1}, {c.value});
    }
  }
}

TEST(OnnxForms, CastTakesTheTypeFromANumberOrATensor) {
  OnnxBuilder number = one_node(13, "Cast", {1});
  set_int(the_node(number), "to", Proto::INT32);
  EXPECT_EQ(run(number, {Tensor::from_f32({1}, {-2.75F})})[0].precision(), Precision::i32);
  OnnxBuilder like = one_node(15, "CastLike", {1}, {"x", "like"});
  like.ints("like", {0});
  expect_tensor(run(like, {Tensor::from_f32({1}, {-2.75F})})[0], {1}, {-2});
}

TEST(OnnxForms, LayerNormalizationWithUnusedOutputs) {
  OnnxBuilder model(17);
  model.input("x", {"n", 2}).floats("scale", {2}, {1, 1}).output("y");
  model.node("LayerNormalization", {"x", "scale"}, {"y", "mean", "inverse"});
  const Graph graph = model.load();
  EXPECT_EQ(graph.node(0).outputs.size(), 1U);
  EXPECT_EQ(graph.node(0).int_attribute("axis", -7), 1);
  expect_tensor(run(model, {Tensor::from_f32({1, 2}, {1, 3})})[0], {1, 2}, {-1, 1});
}

TEST(OnnxForms, ArgMinOfIntegers) {
  for (const int type : {Proto::UINT8, Proto::INT8, Proto::INT64}) {
    OnnxBuilder model(13);
    model.input("x", {4}, type).output("y").node("ArgMin", {"x"}, {"y"});
    Tensor x = Tensor::zeros(model.load().value(model.load().inputs[0]).precision, {4});
    for (const auto& [i, value] : {std::pair{0, 7}, {1, 100}, {2, 0}, {3, 5}}) x.set_int(i, value);
    expect_tensor(run(model, {x})[0], {1}, {2});
  }
}

TEST(OnnxForms, GroupNormalizationByGroupAndByChannel) {
  for (const int opset : {18, 21}) {
    OnnxBuilder model =
        one_node(opset, "GroupNormalization", {"n", 4, "w"}, {"x", "scale", "bias"});
    set_int(the_node(model), "num_groups", 2);
    if (opset == 18) {
      model.floats("scale", {2}, {1, 2}).floats("bias", {2}, {0, 1});
    } else {
      model.floats("scale", {4}, {1, 1, 2, 2}).floats("bias", {4}, {0, 0, 1, 1});
    }
    const Tensor x = Tensor::from_f32({1, 4, 1}, {1, 3, 5, 9});
    const Tensor y = run(model, {x})[0];
    ASSERT_EQ(y.dims(), (Dims{1, 4, 1}));
    for (const auto& [i, value] : {std::pair{0, -1.0}, {1, 1.0}, {2, -1.0}, {3, 3.0}})
      EXPECT_NEAR(y.at(i), value, 1e-4);
  }
}

TEST(OnnxForms, TransposeWithoutPermReverses) {
  OnnxBuilder model = one_node(13, "Transpose", {"n", 3});
  expect_tensor(run(model, {kTwoByThree})[0], {3, 2}, {1, 4, 2, 5, 3, 6});
}

TEST(OnnxForms, FlattenAtBothEnds) {
  for (const auto& [axis, dims] : {std::pair{0, Dims{1, 6}}, {-1, Dims{2, 3}}, {2, Dims{6, 1}}}) {
    OnnxBuilder model = one_node(13, "Flatten", {"n", 3});
    set_int(the_node(model), "axis", axis);
    EXPECT_EQ(run(model, {kTwoByThree})[0].dims(), dims);
  }
}

TEST(OnnxForms, ConstantOfShapeIsZeroByDefault) {
  OnnxBuilder model(13);
  model.input("x", {"n", 3}).output("y");
  model.node("Shape", {"x"}, {"s"});
  model.node("ConstantOfShape", {"s"}, {"y"});
  expect_tensor(run(model, {kTwoByThree})[0], {2, 3}, {0, 0, 0, 0, 0, 0});
}

TEST(OnnxForms, ClipWithAndWithoutBounds) {
  OnnxBuilder model = one_node(12, "Clip", {"n", 3}, {"x", "", "high"});
  model.floats("high", {}, {3.5F});
  expect_tensor(run(model, {kTwoByThree})[0], {2, 3}, {1, 2, 3, 3.5, 3.5, 3.5});
}

TEST(OnnxForms, Einsum) {
  const Tensor x = Tensor::from_f32({1, 2, 3}, {1, 2, 3, 4, 5, 6});
  const auto make = [](const std::string& equation, bool two) {
    OnnxBuilder model =
        one_node(13, "Einsum", {"a", "b", 3},
                 two ? std::vector<std::string>{"x", "w"} : std::vector<std::string>{"x"});
    if (two) model.floats("w", {3, 2}, {1, 0, 0, 1, 1, 1});
    set_string(the_node(model), "equation", equation);
    return model;
  };
  expect_tensor(run(make("abc->cab", false), {x})[0], {3, 1, 2}, {1, 4, 2, 5, 3, 6});
  expect_tensor(run(make("abc->b", false), {x})[0], {2}, {6, 15});
  expect_tensor(run(make("abc, cd -> abd", true), {x})[0], {1, 2, 2}, {4, 5, 10, 11});
  expect_tensor(run(make("abc,cd", true), {x})[0], {1, 2, 2}, {4, 5, 10, 11});
  expect_tensor(run(make("abc,cd->dba", true), {x})[0], {2, 2, 1}, {4, 10, 5, 11});
  expect_tensor(run(make("abc,cd->bc", true), {x})[0], {2, 3}, {1, 2, 6, 4, 5, 12});
}

/// Those of the domain com.microsoft that its CPU kernels do not have: see tests/onnx for the others.
TEST(OnnxForms, FusedOperatorsOfDiffusionModels) {
  const auto make = [](const std::string& op, const std::vector<std::string>& inputs) {
    OnnxBuilder model = one_node(17, op, {"a", 2}, inputs);
    the_node(model).set_domain("com.microsoft");
    auto& opset = *model.model().add_opset_import();
    opset.set_domain("com.microsoft");
    opset.set_version(1);
    model.floats("bias", {2}, {1, -1});
    return model;
  };
  const Tensor x = Tensor::from_f32({2, 2}, {1, 2, 3, 4});
  expect_tensor(run(make("BiasAdd", {"x", "bias", "x"}), {x})[0], {2, 2}, {3, 3, 7, 7});
  const double gelu_1 = 0.841345, gelu_3 = 2.995950;
  expect_tensor(run(make("BiasSplitGelu", {"x", "bias"}), {x})[0], {2, 1}, {2 * gelu_1, 4 * gelu_3});
}

TEST(OnnxForms, EinsumWithAnEllipsisAndDiagonals) {
  const Tensor x = Tensor::from_f32({1, 2, 2}, {1, 2, 3, 4});
  const auto make = [](const std::string& equation, const std::vector<std::string>& inputs) {
    OnnxBuilder model = one_node(13, "Einsum", {"a", 2, 2}, inputs);
    model.floats("w", {2, 1}, {1, 10});
    set_string(the_node(model), "equation", equation);
    return model;
  };
  expect_tensor(run(make("...ii->...i", {"x"}), {x})[0], {1, 2}, {1, 4});
  expect_tensor(run(make("...ii", {"x"}), {x})[0], {1}, {5});
  expect_tensor(run(make("...i,ij->...j", {"x", "w"}), {x})[0], {1, 2, 1}, {21, 43});
  expect_tensor(run(make("...ij->...ji", {"x"}), {x})[0], {1, 2, 2}, {1, 3, 2, 4});
}

TEST(OnnxForms, DimensionNames) {
  OnnxBuilder model(17);
  model.input("x", {"batch", "past + seq", "", 4})
      .input("past", {"past", "seq", "?", "batch size"});
  model.input("z", {"batch_size", "min", "3d", -1});
  model.output("x");
  OnnxNotes notes;
  const Graph graph = model.load({}, &notes);
  EXPECT_EQ(to_string(graph.value(graph.inputs[0]).shape), "[batch,past + seq,dim,4]");
  EXPECT_EQ(to_string(graph.value(graph.inputs[1]).shape), "[past,seq,dim_2,batch_size_2]");
  EXPECT_EQ(to_string(graph.value(graph.inputs[2]).shape), "[batch_size,min_,_3d,dim_3]");
  EXPECT_EQ(notes.dimension_names.at("batch_size_2"), "batch size");
  EXPECT_EQ(notes.dimension_names.at("_3d"), "3d");
  EXPECT_EQ(notes.dimension_names.size(), 3U);
}

TEST(OnnxForms, UnsortedNodesAndUnneededOnes) {
  OnnxBuilder model(17);
  model.input("x", {"n"}).output("z");
  model.node("Relu", {"y"}, {"z"});
  model.node("NoSuchOperator", {"y"}, {"unread"});
  model.node("Abs", {"x"}, {"y"});
  expect_tensor(run(model, {Tensor::from_f32({2}, {-1, 2})})[0], {2}, {1, 2});
}

TEST(OnnxForms, InputsThatAreInitializersAreConstants) {
  OnnxBuilder model(17);
  model.input("x", {1}).input("w", {1}).floats("w", {1}, {3}).output("y");
  model.node("Mul", {"x", "w"}, {"y"});
  EXPECT_EQ(model.load().inputs.size(), 1U);
  expect_tensor(run(model, {Tensor::from_f32({1}, {2})})[0], {1}, {6});
}

TEST(OnnxForms, NamesOfInputsAndOutputsStay) {
  OnnxBuilder model(17);
  model.input("x", {"n"}).output("a").output("b").output("x");
  model.node("Relu", {"x"}, {"r"});
  model.node("Identity", {"r"}, {"a"});
  model.node("Identity", {"a"}, {"b"});
  Graph graph = model.load();
  canonicalize(graph);
  ASSERT_EQ(graph.outputs.size(), 3U);
  EXPECT_EQ(graph.value(graph.inputs[0]).name, "x");
  EXPECT_EQ(graph.value(graph.outputs[0]).name, "a");
  EXPECT_EQ(graph.value(graph.outputs[1]).name, "b");
  EXPECT_EQ(graph.value(graph.outputs[2]).name, "x");
}

}  // namespace
}  // namespace burin
