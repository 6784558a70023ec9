// Inference of shapes and of the integers that shapes are computed with. Most tests build a graph
// with the Model helper and compare the text of the resulting shape.

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "burin/error.h"
#include "burin/graph.h"

namespace burin {
namespace {

constexpr std::int64_t kEnd = std::numeric_limits<std::int64_t>::max();

/// A graph under construction; short names for what the tests do most.
struct Model {
  Graph graph;

  static Shape parse_shape(const std::vector<std::string>& dimensions) {
    Shape shape;
    for (const std::string& dimension : dimensions) shape.push_back(Expr::parse(dimension));
    return shape;
  }
  ValueId input(const std::vector<std::string>& dimensions, Precision precision = Precision::f32) {
    return graph.add_input("in" + std::to_string(graph.inputs.size()), precision,
                           parse_shape(dimensions));
  }
  ValueId ints(const std::vector<std::int64_t>& values) {
    return graph.add_constant("",
                              Tensor::from_i64({static_cast<std::int64_t>(values.size())}, values));
  }
  ValueId scalar(std::int64_t value) {
    return graph.add_constant("", Tensor::from_i64({}, {value}));
  }
  ValueId number(double value, Precision precision = Precision::f32) {
    return graph.add_constant("", Tensor::scalar(precision, value));
  }
  ValueId op(OpKind kind, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return graph.add_op(kind, "n", std::move(inputs), std::move(attributes));
  }
  std::vector<ValueId> ops(OpKind kind, std::vector<ValueId> inputs, Attributes attributes,
                           std::size_t outputs) {
    const NodeId node =
        graph.add_node(kind, "n", std::move(inputs), std::move(attributes), outputs);
    return graph.node(node).outputs;
  }
  /// Dimension `axis` of x as exporters write it: Shape, then Gather with a scalar index.
  ValueId dimension(ValueId x, std::int64_t axis) {
    return op(OpKind::Gather, {op(OpKind::Shape, {x}), scalar(axis)}, {{"axis", std::int64_t{0}}});
  }
  ValueId unsqueeze(ValueId x) {
    return op(OpKind::Unsqueeze, {x}, {{"axes", std::vector<std::int64_t>{0}}});
  }
  ValueId concat(std::vector<ValueId> parts) {
    return op(OpKind::Concat, std::move(parts), {{"axis", std::int64_t{0}}});
  }

  std::string shape(ValueId id) const { return to_string(graph.value(id).shape); }
  std::string elements(ValueId id) const {
    const auto& elements = graph.value(id).elements;
    return elements ? to_string(*elements) : "unknown";
  }
  std::string type(ValueId id) const {
    return std::string(to_string(graph.value(id).precision)) + shape(id);
  }
  std::vector<std::string> facts() const {
    std::vector<std::string> result;
    for (Facts::Check check : graph.facts.checks()) {
      check.subject.clear();
      result.push_back(check.to_string());
    }
    return result;
  }
};

using Strings = std::vector<std::string>;

template <typename Function>
std::string error_of(const Function& function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

#define EXPECT_ERROR(statement, part) \
  EXPECT_PRED_FORMAT2(::testing::IsSubstring, part, error_of([&] { statement; }))

// ---- element-wise ----

TEST(InferElementwise, BroadcastsShapes) {
  Model m;
  const ValueId x = m.input({"B", "S", "768"});
  EXPECT_EQ(m.shape(m.op(OpKind::Add, {x, m.input({"768"})})), "[B,S,768]");
  EXPECT_EQ(m.shape(m.op(OpKind::Mul, {m.number(2), x})), "[B,S,768]");
  EXPECT_EQ(m.shape(m.op(OpKind::Add, {x, m.input({"1", "1", "1", "1"})})), "[1,B,S,768]");
  EXPECT_EQ(m.shape(m.op(OpKind::Add, {x, m.input({"B", "1", "1"})})), "[B,S,768]");
}

TEST(InferElementwise, BroadcastsSymbols) {
  Model m;
  const ValueId x = m.input({"S"});
  EXPECT_EQ(m.shape(m.op(OpKind::Add, {x, m.input({"T"})})), "[broadcast(S, T)]");
  EXPECT_EQ(m.shape(m.op(OpKind::Add, {x, m.input({"8"})})), "[8]");
  EXPECT_EQ(m.shape(m.op(OpKind::Add, {m.input({"T + 2"}), x})), "[T + 2]");
  EXPECT_TRUE(m.facts().empty());
}

TEST(InferElementwise, KnowsFactsWhenBroadcasting) {
  Model m;
  m.graph.facts.assume_equal(Expr::symbol("S"), Expr::symbol("T"), "test");
  const std::string sum = m.shape(m.op(OpKind::Add, {m.input({"S"}), m.input({"T"})}));
  EXPECT_TRUE(sum == "[S]" || sum == "[T]") << sum;
}

TEST(InferElementwise, NamesNodeAndShapesThatDoNotBroadcast) {
  Model m;
  const ValueId a = m.input({"B", "12"});
  const ValueId b = m.input({"B", "13"});
  EXPECT_ERROR(
      m.graph.add_op(OpKind::Add, "residual", {a, b}),
      "node 'residual' (Add): the shapes [B,12] and [B,13] cannot be broadcast: 12 is not 13");
}

TEST(InferElementwise, ChecksPrecisions) {
  Model m;
  const ValueId f = m.input({"S"});
  const ValueId h = m.input({"S"}, Precision::f16);
  const ValueId i = m.input({"S"}, Precision::i64);
  const ValueId b = m.input({"S"}, Precision::boolean);
  EXPECT_ERROR(m.op(OpKind::Add, {f, h}), "must be the same");
  EXPECT_ERROR(m.op(OpKind::Exp, {i}), "floating-point");
  EXPECT_ERROR(m.op(OpKind::Add, {b, b}), "numeric");
  EXPECT_ERROR(m.op(OpKind::And, {f, f}), "must be bool");
  EXPECT_ERROR(m.op(OpKind::Where, {f, f, f}), "must be bool");
  EXPECT_EQ(m.type(m.op(OpKind::Less, {f, f})), "bool[S]");
  EXPECT_EQ(m.type(m.op(OpKind::IsNaN, {h})), "bool[S]");
  EXPECT_EQ(m.type(m.op(OpKind::Where, {b, h, h})), "f16[S]");
  EXPECT_EQ(m.type(m.op(OpKind::Cast, {f}, {{"to", std::string("bf16")}})), "bf16[S]");
  EXPECT_EQ(m.type(m.op(OpKind::Pow, {h, f})), "f16[S]");
  EXPECT_ERROR(m.op(OpKind::Cast, {f}, {{"to", std::string("float")}}), "node 'n' (Cast): 'float'");
  EXPECT_ERROR(m.op(OpKind::Cast, {f}), "attribute 'to' is missing");
}

TEST(InferElementwise, ChecksClipAndPRelu) {
  Model m;
  const ValueId x = m.input({"B", "64"});
  EXPECT_EQ(m.shape(m.op(OpKind::Clip, {x, m.number(0), kNone})), "[B,64]");
  EXPECT_EQ(m.shape(m.op(OpKind::Clip, {x, kNone, m.number(6)})), "[B,64]");
  EXPECT_ERROR(m.op(OpKind::Clip, {x, m.input({"64"})}), "must be a scalar");
  EXPECT_EQ(m.shape(m.op(OpKind::PRelu, {x, m.input({"64"})})), "[B,64]");
  EXPECT_ERROR(m.op(OpKind::PRelu, {x, m.input({"1", "1", "64"})}), "more dimensions");
  EXPECT_ERROR(m.op(OpKind::PRelu, {m.input({"B", "1"}), m.input({"64"})}), "cannot be broadcast");
}

// ---- integers followed element by element ----

TEST(InferElements, ShapeArithmetic) {
  Model m;
  const ValueId x = m.input({"B", "S", "768"});
  const ValueId b = m.dimension(x, 0);
  const ValueId s = m.dimension(x, 1);
  const ValueId hidden = m.dimension(x, -1);
  EXPECT_EQ(m.type(s), "i64[]");
  EXPECT_EQ(m.elements(m.op(OpKind::Add, {s, m.scalar(1)})), "[S + 1]");
  EXPECT_EQ(m.elements(m.op(OpKind::Sub, {s, b})), "[S - B]");
  EXPECT_EQ(m.elements(m.op(OpKind::Mul, {b, s})), "[B*S]");
  EXPECT_EQ(m.elements(m.op(OpKind::Div, {hidden, m.scalar(12)})), "[64]");
  EXPECT_EQ(m.elements(m.op(OpKind::Div, {s, m.scalar(2)})), "[floor_div(S, 2)]");
  EXPECT_EQ(m.elements(m.op(OpKind::Mod, {s, m.scalar(8)})), "[mod(S, 8)]");
  EXPECT_EQ(m.elements(m.op(OpKind::Div, {m.op(OpKind::Mul, {b, s}), s})), "[B]");
  EXPECT_EQ(m.elements(m.op(OpKind::Neg, {s})), "[-S]");
  EXPECT_EQ(m.elements(m.op(OpKind::Abs, {s})), "[S]");
  EXPECT_EQ(m.elements(m.op(OpKind::Min, {s, m.scalar(0)})), "[0]");
  EXPECT_EQ(m.elements(m.op(OpKind::Max, {s, m.scalar(-1)})), "[S]");
  EXPECT_EQ(m.elements(m.op(OpKind::Max, {s, b})), "[max(B, S)]");
  EXPECT_EQ(m.elements(m.op(OpKind::Pow, {s, m.scalar(2)})), "[S*S]");
  EXPECT_EQ(m.elements(m.op(OpKind::Cast, {s}, {{"to", std::string("i32")}})), "[S]");
  EXPECT_EQ(m.elements(m.op(OpKind::Cast, {s}, {{"to", std::string("f32")}})), "unknown");
  EXPECT_EQ(m.elements(m.op(OpKind::Size, {x})), "[768*B*S]");
}

TEST(InferElements, WhatWrapsIsNotFollowed) {
  Model m;
  const ValueId lowest = m.scalar(std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(m.elements(m.op(OpKind::Neg, {lowest})), "unknown");
  EXPECT_EQ(m.elements(m.op(OpKind::Sub, {m.scalar(1), lowest})), "unknown");
  EXPECT_EQ(m.elements(m.op(OpKind::Equal, {m.scalar(1), lowest})), "unknown");
  const ValueId narrow = m.op(OpKind::Cast, {m.scalar(std::numeric_limits<std::int32_t>::max())}, {{"to", std::string("i32")}});
  EXPECT_EQ(m.elements(m.op(OpKind::Add, {narrow, narrow})), "unknown") << "it wraps in 32 bits";
}

TEST(InferElements, DivisionTruncates) {
  Model m;
  EXPECT_EQ(m.elements(m.op(OpKind::Div, {m.scalar(-7), m.scalar(2)})), "[-3]");
  EXPECT_EQ(m.elements(m.op(OpKind::Mod, {m.scalar(-7), m.scalar(2)})), "[1]");
  EXPECT_EQ(m.elements(m.op(OpKind::Div, {m.scalar(1), m.scalar(0)})), "unknown");
  EXPECT_EQ(m.elements(m.op(OpKind::Mod, {m.scalar(1), m.scalar(0)})), "unknown");
  // Not known to be positive, so floor_div alone would be wrong.
  const ValueId s = m.dimension(m.input({"S"}), 0);
  const ValueId difference = m.op(OpKind::Sub, {s, m.scalar(5)});
  EXPECT_EQ(m.elements(m.op(OpKind::Div, {difference, m.scalar(2)})),
            "[select(less(S - 5, 0), -floor_div(-S + 1, 2) - 2, floor_div(S + 1, 2) - 3)]");
  EXPECT_EQ(m.elements(m.op(OpKind::Div,
                            {m.scalar(std::numeric_limits<std::int64_t>::min()), m.scalar(-1)})),
            "unknown");
}

TEST(InferElements, LogicOnDimensions) {
  Model m;
  const ValueId s = m.dimension(m.input({"S", "T"}), 0);
  const auto compare = [&](OpKind kind, std::int64_t value) {
    return m.elements(m.op(kind, {s, m.scalar(value)}));
  };
  EXPECT_EQ(compare(OpKind::Equal, -1), "[0]");
  EXPECT_EQ(compare(OpKind::Equal, 1), "[equal(1, S)]");
  EXPECT_EQ(compare(OpKind::Less, 0), "[0]");
  EXPECT_EQ(compare(OpKind::GreaterOrEqual, 0), "[1]");
  EXPECT_EQ(compare(OpKind::Greater, -1), "[1]");
  EXPECT_EQ(compare(OpKind::LessOrEqual, -1), "[0]");
  const ValueId no = m.op(OpKind::Equal, {s, m.scalar(-1)});
  const ValueId yes = m.op(OpKind::Not, {no});
  EXPECT_EQ(m.elements(yes), "[1]");
  EXPECT_EQ(m.elements(m.op(OpKind::And, {yes, no})), "[0]");
  EXPECT_EQ(m.elements(m.op(OpKind::Or, {yes, no})), "[1]");
  EXPECT_EQ(m.elements(m.op(OpKind::Xor, {yes, yes})), "[0]");
  EXPECT_EQ(m.elements(m.op(OpKind::Where, {yes, s, m.scalar(3)})), "[S]");
  const ValueId open = m.op(OpKind::Equal, {s, m.scalar(1)});
  EXPECT_EQ(m.elements(m.op(OpKind::Where, {open, m.scalar(7), s})), "[select(equal(1, S), 7, S)]");
}

TEST(InferElements, MismatchedListsAreAnErrorNotACrash) {
  Model m;
  EXPECT_ERROR(m.op(OpKind::Add, {m.ints({1, 2}), m.ints({1, 2, 3})}), "cannot be broadcast");
  EXPECT_EQ(m.elements(m.op(OpKind::Add, {m.ints({1, 2}), m.scalar(10)})), "[11,12]");
}

TEST(InferElements, PassThroughMovement) {
  Model m;
  const ValueId shape = m.op(OpKind::Shape, {m.input({"B", "S", "768"})});
  EXPECT_EQ(m.elements(m.op(OpKind::Slice, {shape, m.ints({0}), m.ints({-1})})), "[B,S]");
  EXPECT_EQ(m.elements(m.op(OpKind::Slice, {shape, m.ints({-2}), m.ints({kEnd})})), "[S,768]");
  EXPECT_EQ(m.elements(m.op(OpKind::Slice,
                            {shape, m.ints({-1}), m.ints({-kEnd}), m.ints({0}), m.ints({-1})})),
            "[768,S,B]");
  EXPECT_EQ(m.elements(m.op(OpKind::Slice,
                            {shape, m.ints({0}), m.ints({3}), m.ints({0}), m.ints({kEnd})})),
            "[B]");
  EXPECT_EQ(m.elements(m.op(OpKind::Gather, {shape, m.ints({2, 0})}, {{"axis", std::int64_t{0}}})),
            "[768,B]");
  const auto parts = m.ops(OpKind::Split, {shape, m.ints({1, 2})}, {{"axis", std::int64_t{0}}}, 2);
  EXPECT_EQ(m.elements(parts[0]) + m.elements(parts[1]), "[B][S,768]");
  EXPECT_EQ(m.elements(m.concat({parts[1], parts[0]})), "[S,768,B]");
  EXPECT_EQ(m.elements(m.op(OpKind::Squeeze, {parts[0]}, {{"axes", std::vector<std::int64_t>{0}}})),
            "[B]");
  EXPECT_EQ(m.elements(m.op(OpKind::Reshape, {parts[0], m.ints({-1})})), "[B]");
  EXPECT_EQ(m.elements(m.op(OpKind::Expand, {parts[0], m.ints({3})})), "[B,B,B]");
  EXPECT_EQ(m.elements(m.op(OpKind::Tile, {parts[1], m.ints({2})})), "[S,768,S,768]");
  EXPECT_EQ(m.elements(m.op(OpKind::ReduceProd, {shape}, {{"keepdims", std::int64_t{0}}})),
            "[768*B*S]");
  EXPECT_EQ(m.elements(m.op(OpKind::Shape, {m.input({"B", "S", "9"})},
                            {{"start", std::int64_t{-2}}, {"end", std::int64_t{2}}})),
            "[S]");
  EXPECT_EQ(
      m.elements(m.op(OpKind::CumSum, {shape, m.scalar(0)}, {{"exclusive", std::int64_t{1}}})),
      "[0,B,B + S]");
  EXPECT_ERROR(m.op(OpKind::Gather, {shape, m.scalar(3)}), "index 3 is out of range for 3");
}

TEST(InferElements, ConstantOfShapeAndRange) {
  Model m;
  const ValueId shape = m.op(OpKind::Shape, {m.input({"B", "S"})});
  const ValueId zeros = m.op(OpKind::ConstantOfShape, {shape});
  EXPECT_EQ(m.type(zeros), "f32[B,S]");
  const ValueId ones =
      m.op(OpKind::ConstantOfShape, {m.ints({2})}, {{"value", Tensor::from_i64({1}, {1})}});
  EXPECT_EQ(m.elements(ones), "[1,1]");
  const ValueId s = m.dimension(m.input({"S"}), 0);
  EXPECT_EQ(m.type(m.op(OpKind::Range, {m.scalar(0), s, m.scalar(1)})), "i64[S]");
  EXPECT_EQ(m.shape(m.op(OpKind::Range, {m.scalar(2), s, m.scalar(1)})), "[max(0, S - 2)]");
  EXPECT_EQ(m.shape(m.op(OpKind::Range, {m.scalar(0), s, m.scalar(2)})), "[floor_div(S + 1, 2)]");
  EXPECT_EQ(m.shape(m.op(OpKind::Range, {s, m.scalar(0), m.scalar(-1)})), "[S]");
  EXPECT_EQ(m.elements(m.op(OpKind::Range, {m.scalar(1), m.scalar(8), m.scalar(3)})), "[1,4,7]");
  EXPECT_EQ(m.shape(m.op(OpKind::Range, {m.number(0), m.number(1), m.number(0.25)})), "[4]");
  const ValueId cast = m.op(OpKind::Cast, {s}, {{"to", std::string("f32")}});
  EXPECT_EQ(m.shape(m.op(OpKind::Range, {m.number(0), cast, m.number(1)})), "[S]");
  EXPECT_ERROR(m.op(OpKind::Range, {m.scalar(0), s, m.scalar(0)}), "must not be 0");
  const ValueId data = m.input({}, Precision::i64);
  EXPECT_EQ(m.shape(m.op(OpKind::Range, {m.scalar(0), data, m.scalar(1)})), "[?n0]");
  EXPECT_EQ(m.shape(m.op(OpKind::Range, {m.scalar(0), data, m.scalar(1)})), "[?n1]");
}

TEST(InferElements, InferAgainKeepsUnknownDimensions) {
  Model m;
  const ValueId range =
      m.op(OpKind::Range, {m.scalar(0), m.input({}, Precision::i64), m.scalar(1)});
  infer(m.graph, m.graph.value(range).producer);
  EXPECT_EQ(m.shape(range), "[?n0]");
}

// ---- reductions, normalisations, products ----

TEST(InferReduce, AxesBecomeCanonical) {
  Model m;
  const ValueId x = m.input({"B", "S", "768"});
  const auto reduce = [&](std::vector<std::int64_t> axes, std::int64_t keep) {
    return m.op(OpKind::ReduceMean, {x}, {{"axes", std::move(axes)}, {"keepdims", keep}});
  };
  const ValueId mean = reduce({-1, 0}, 1);
  EXPECT_EQ(m.shape(mean), "[1,S,1]");
  EXPECT_EQ(m.graph.node(m.graph.value(mean).producer).ints_attribute("axes"),
            (std::vector<std::int64_t>{0, 2}));
  EXPECT_EQ(m.shape(reduce({1}, 0)), "[B,768]");
  EXPECT_EQ(m.shape(m.op(OpKind::ReduceMax, {x}, {{"keepdims", std::int64_t{0}}})), "[]");
  EXPECT_ERROR(reduce({3}, 1), "axis 3 is out of range for 3 dimensions");
  EXPECT_ERROR(reduce({1, -2}, 1), "axis 1 is given twice");
  EXPECT_ERROR(reduce({1}, 2), "attribute 'keepdims' must be 0 or 1");
  EXPECT_EQ(m.type(m.op(OpKind::ArgMax, {x}, {{"axis", std::int64_t{-1}}})), "i64[B,S,1]");
}

TEST(InferReduce, NothingIsKnownOfWhatWraps) {
  Model m;
  const ValueId huge = m.graph.add_constant("", Tensor::from_i64({2}, {INT64_MAX, INT64_MAX}));
  const ValueId sum = m.op(OpKind::ReduceSum, {huge}, {{"axes", std::vector<std::int64_t>{0}}});
  EXPECT_EQ(m.shape(sum), "[1]");
  EXPECT_FALSE(m.graph.value(sum).elements.has_value());
}

TEST(InferNormalize, SoftmaxAndNorms) {
  Model m;
  const ValueId x = m.input({"B", "S", "768"});
  const ValueId softmax = m.op(OpKind::Softmax, {x}, {{"axis", std::int64_t{-1}}});
  EXPECT_EQ(m.shape(softmax), "[B,S,768]");
  EXPECT_EQ(m.graph.node(m.graph.value(softmax).producer).int_attribute("axis", -9), 2);
  EXPECT_ERROR(m.op(OpKind::Softmax, {x}, {{"axis", std::int64_t{3}}}), "axis 3 is out of range");
  EXPECT_ERROR(m.op(OpKind::Softmax, {x}, {{"axis", 1.5}}), "'axis' must be an integer");
  const ValueId scale = m.input({"768"});
  EXPECT_EQ(m.shape(m.op(OpKind::LayerNormalization, {x, scale, scale})), "[B,S,768]");
  const auto all = m.ops(OpKind::LayerNormalization, {x, scale}, {}, 3);
  EXPECT_EQ(m.shape(all[1]) + m.shape(all[2]), "[B,S,1][B,S,1]");
  EXPECT_EQ(m.shape(m.op(OpKind::RMSNormalization, {x, scale})), "[B,S,768]");
  EXPECT_ERROR(m.op(OpKind::LayerNormalization, {x, m.input({"512"})}), "768 is not 512");
  const ValueId image = m.input({"N", "64", "H", "W"});
  const ValueId channels = m.input({"64"});
  EXPECT_EQ(m.shape(m.op(OpKind::GroupNormalization, {image, channels, channels},
                         {{"num_groups", std::int64_t{32}}})),
            "[N,64,H,W]");
  EXPECT_ERROR(m.op(OpKind::GroupNormalization, {image, channels, channels},
                    {{"num_groups", std::int64_t{7}}}),
               "64 channels cannot be divided into 7 groups");
  EXPECT_EQ(
      m.shape(m.op(OpKind::BatchNormalization, {image, channels, channels, channels, channels})),
      "[N,64,H,W]");
  EXPECT_ERROR(m.op(OpKind::InstanceNormalization, {image, scale, channels}), "64 is not 768");
}

TEST(InferMatMul, Shapes) {
  Model m;
  const ValueId q = m.input({"B", "12", "S", "64"});
  EXPECT_EQ(m.shape(m.op(OpKind::MatMul, {q, m.input({"B", "12", "64", "T"})})), "[B,12,S,T]");
  EXPECT_EQ(m.shape(m.op(OpKind::MatMul, {q, m.input({"64", "8"})})), "[B,12,S,8]");
  EXPECT_EQ(m.shape(m.op(OpKind::MatMul, {q, m.input({"64"})})), "[B,12,S]");
  EXPECT_EQ(m.shape(m.op(OpKind::MatMul, {m.input({"S"}), q})), "[B,12,64]");
  EXPECT_EQ(m.shape(m.op(OpKind::MatMul, {m.input({"64"}), m.input({"64"})})), "[]");
  EXPECT_TRUE(m.facts().empty());
  EXPECT_ERROR(m.graph.add_op(OpKind::MatMul, "scores", {q, m.input({"B", "12", "32", "T"})}),
               "node 'scores' (MatMul): the inner dimensions of input 0 'in0' f32[B,12,S,64] and "
               "input 1");
  EXPECT_ERROR(m.op(OpKind::MatMul, {q, m.number(1)}), "at least 1 dimensions");
}

TEST(InferMatMul, AssumesWhatCannotBeProved) {
  Model m;
  const ValueId a = m.input({"M", "K"});
  const ValueId b = m.input({"L", "N"});
  EXPECT_EQ(m.shape(m.op(OpKind::MatMul, {a, b})), "[M,N]");
  EXPECT_EQ(m.facts(), Strings{"K == L"});
  EXPECT_EQ(m.shape(m.op(OpKind::MatMul, {a, b})), "[M,N]");
  EXPECT_EQ(m.facts().size(), 1U);
  EXPECT_ERROR(m.op(OpKind::MatMul, {a, m.input({"K + 1", "N"})}), "K is not K + 1");
}

TEST(InferMatMul, GemmAndBrgemm) {
  Model m;
  const ValueId a = m.input({"K", "M"});
  const ValueId b = m.input({"N", "K"});
  const Attributes both = {{"transA", std::int64_t{1}}, {"transB", std::int64_t{1}}};
  EXPECT_EQ(m.shape(m.op(OpKind::Gemm, {a, b, m.input({"N"})}, both)), "[M,N]");
  EXPECT_ERROR(m.op(OpKind::Gemm, {m.input({"2", "3"}), m.input({"4", "5"})}), "3 is not 4");
  const ValueId q = m.input({"B", "S", "12", "64"}, Precision::bf16);
  const Attributes ports = {{"perm_a", std::vector<std::int64_t>{0, 2, 1, 3}},
                            {"perm_b", std::vector<std::int64_t>{0, 2, 3, 1}},
                            {"to", std::string("f32")}};
  EXPECT_EQ(m.type(m.op(OpKind::Brgemm, {q, q}, ports)), "f32[B,12,S,S]");
  const ValueId p = m.input({"B", "12", "S", "S"});
  const ValueId v = m.input({"B", "S", "12", "64"});
  EXPECT_EQ(m.type(m.op(OpKind::Brgemm, {p, v},
                        {{"perm_b", std::vector<std::int64_t>{0, 2, 1, 3}},
                         {"perm_out", std::vector<std::int64_t>{0, 2, 1, 3}}})),
            "f32[B,S,12,64]");
}

TEST(InferSpatial, ConvAndPools) {
  Model m;
  const ValueId x = m.input({"N", "3", "224", "W"});
  const ValueId w = m.input({"64", "3", "7", "7"});
  const Attributes window = {{"strides", std::vector<std::int64_t>{2, 2}},
                             {"pads", std::vector<std::int64_t>{3, 3, 3, 3}}};
  EXPECT_EQ(m.shape(m.op(OpKind::Conv, {x, w, m.input({"64"})}, window)),
            "[N,64,112,floor_div(W + 1, 2)]");
  EXPECT_EQ(m.shape(m.op(OpKind::Conv, {x, w},
                         {{"auto_pad", std::string("SAME_UPPER")},
                          {"strides", std::vector<std::int64_t>{4, 4}}})),
            "[N,64,56,floor_div(W + 3, 4)]");
  EXPECT_ERROR(m.op(OpKind::Conv, {m.input({"N", "4", "9", "9"}), w}), "4 is not 3");
  EXPECT_ERROR(m.op(OpKind::Conv, {m.input({"N", "3", "5", "9"}), w}), "does not fit");
  EXPECT_ERROR(m.op(OpKind::Conv, {x, w}, {{"strides", std::vector<std::int64_t>{0, 1}}}),
               "out of range");
  EXPECT_ERROR(m.op(OpKind::Conv, {x, w}, {{"pads", std::vector<std::int64_t>{1, 1}}}),
               "must have 4 values");
  const std::vector<std::int64_t> three = {3, 3};
  const ValueId square = m.input({"1", "8", "10", "10"});
  EXPECT_EQ(
      m.shape(m.op(OpKind::MaxPool, {square},
                   {{"kernel_shape", three}, {"strides", three}, {"ceil_mode", std::int64_t{1}}})),
      "[1,8,4,4]");
  EXPECT_EQ(m.shape(m.op(OpKind::AveragePool, {square}, {{"kernel_shape", three}})), "[1,8,8,8]");
  EXPECT_EQ(m.shape(m.op(OpKind::GlobalAveragePool, {x})), "[N,3,1,1]");
  EXPECT_EQ(m.shape(m.op(OpKind::DepthToSpace, {square}, {{"blocksize", std::int64_t{2}}})),
            "[1,2,20,20]");
  EXPECT_ERROR(m.op(OpKind::DepthToSpace, {square}, {{"blocksize", std::int64_t{3}}}), "divided");
}

TEST(InferSpatial, Resize) {
  Model m;
  const ValueId x = m.input({"N", "3", "H", "10"});
  const ValueId scales = m.graph.add_constant("", Tensor::from_f32({4}, {1, 1, 2, 0.5}));
  EXPECT_EQ(m.shape(m.op(OpKind::Resize, {x, kNone, scales})), "[N,3,2*H,5]");
  const ValueId halves = m.graph.add_constant("", Tensor::from_f32({4}, {1, 1, 0.5, 0.5}));
  EXPECT_EQ(m.shape(m.op(OpKind::Resize, {x, kNone, halves})), "[N,3,floor_div(H, 2),5]");
  const ValueId h = m.unsqueeze(m.dimension(x, 2));
  EXPECT_EQ(m.shape(m.op(OpKind::Resize, {x, kNone, kNone, m.concat({m.ints({1, 3}), h, h})})),
            "[1,3,H,H]");
  EXPECT_ERROR(m.op(OpKind::Resize, {x}), "neither scales nor sizes");
  EXPECT_ERROR(m.op(OpKind::Resize,
                    {x, kNone, m.graph.add_constant("", Tensor::from_f32({4}, {1, 1, -2, 1}))}),
               "must be positive");
}

// ---- movement ----

TEST(InferMovement, TransposeSqueezeFlatten) {
  Model m;
  const ValueId x = m.input({"B", "S", "12", "64"});
  EXPECT_EQ(
      m.shape(m.op(OpKind::Transpose, {x}, {{"perm", std::vector<std::int64_t>{0, 2, 3, 1}}})),
      "[B,12,64,S]");
  EXPECT_EQ(m.shape(m.op(OpKind::Transpose, {x})), "[64,12,S,B]");
  for (const auto& perm :
       {std::vector<std::int64_t>{0, 1, 2}, {0, 1, 2, 2}, {0, 1, 2, 4}, {0, 1, 2, -1}})
    EXPECT_ERROR(m.op(OpKind::Transpose, {x}, {{"perm", perm}}), "is not a permutation of 4 axes");
  const ValueId row = m.op(OpKind::Unsqueeze, {x}, {{"axes", std::vector<std::int64_t>{-1, 0}}});
  EXPECT_EQ(m.shape(row), "[1,B,S,12,64,1]");
  EXPECT_EQ(m.shape(m.op(OpKind::Squeeze, {row}, {{"axes", std::vector<std::int64_t>{0, -1}}})),
            "[B,S,12,64]");
  EXPECT_EQ(m.shape(m.op(OpKind::Squeeze, {row})), "[B,S,12,64]");
  EXPECT_ERROR(m.op(OpKind::Squeeze, {x}, {{"axes", std::vector<std::int64_t>{2}}}), "12 is not 1");
  EXPECT_EQ(m.shape(m.op(OpKind::Squeeze, {x}, {{"axes", std::vector<std::int64_t>{1}}})),
            "[B,12,64]");
  EXPECT_EQ(m.facts(), Strings{"S == 1"});
  const ValueId y = m.input({"B", "T", "8"});
  EXPECT_EQ(m.shape(m.op(OpKind::Flatten, {y}, {{"axis", std::int64_t{2}}})), "[B*T,8]");
  EXPECT_EQ(m.shape(m.op(OpKind::Flatten, {y}, {{"axis", std::int64_t{3}}})), "[8*B*T,1]");
  EXPECT_EQ(m.shape(m.op(OpKind::Flatten, {y}, {{"axis", std::int64_t{0}}})), "[1,8*B*T]");
  EXPECT_ERROR(m.op(OpKind::Flatten, {y}, {{"axis", std::int64_t{4}}}), "out of range");
}

TEST(InferMovement, ConcatAndSplit) {
  Model m;
  const ValueId past = m.input({"B", "8", "P", "64"});
  const ValueId now = m.input({"B", "8", "S", "64"});
  const ValueId all = m.op(OpKind::Concat, {past, now}, {{"axis", std::int64_t{-2}}});
  EXPECT_EQ(m.shape(all), "[B,8,P + S,64]");
  EXPECT_EQ(m.graph.node(m.graph.value(all).producer).int_attribute("axis", -9), 2);
  EXPECT_ERROR(
      m.op(OpKind::Concat, {past, m.input({"B", "9", "S", "64"})}, {{"axis", std::int64_t{2}}}),
      "dimension 1 of input 1");
  EXPECT_ERROR(m.op(OpKind::Concat, {past, now}), "attribute 'axis' is missing");
  EXPECT_ERROR(m.op(OpKind::Concat, {past, m.input({"B"})}, {{"axis", std::int64_t{0}}}),
               "must have 4 dimensions, not 1");
  m.op(OpKind::Concat, {past, m.input({"C", "8", "S", "64"})}, {{"axis", std::int64_t{2}}});
  EXPECT_EQ(m.facts(), Strings{"B == C"});

  const ValueId x = m.input({"N", "S", "2304"});
  const auto qkv = m.ops(OpKind::Split, {x}, {{"axis", std::int64_t{2}}}, 3);
  for (const ValueId part : qkv) EXPECT_EQ(m.shape(part), "[N,S,768]");
  const auto sized =
      m.ops(OpKind::Split, {x, m.ints({2000, 304})}, {{"axis", std::int64_t{-1}}}, 2);
  EXPECT_EQ(m.shape(sized[0]) + m.shape(sized[1]), "[N,S,2000][N,S,304]");
  EXPECT_ERROR(m.ops(OpKind::Split, {x, m.ints({2000, 305})}, {{"axis", std::int64_t{2}}}, 2),
               "2304 is not 2305");
  EXPECT_ERROR(m.ops(OpKind::Split, {x, m.ints({-1, 2305})}, {{"axis", std::int64_t{2}}}, 2),
               "-1 must be at least 0");
  EXPECT_ERROR(m.ops(OpKind::Split, {x, m.ints({2304})}, {{"axis", std::int64_t{2}}}, 2),
               "must have 2 elements");
  const auto uneven = m.ops(OpKind::Split, {m.input({"10"})}, {{"axis", std::int64_t{0}}}, 4);
  EXPECT_EQ(m.shape(uneven[0]) + m.shape(uneven[3]), "[3][1]");
  const auto halves = m.ops(OpKind::Split, {m.input({"D"})}, {{"axis", std::int64_t{0}}}, 2);
  EXPECT_EQ(m.shape(halves[0]) + m.shape(halves[1]),
            "[floor_div(D + 1, 2)][D - floor_div(D + 1, 2)]");
}

TEST(InferMovement, ExpandTileRepeatPad) {
  Model m;
  const ValueId mask = m.input({"B", "1", "1", "S"});
  const ValueId s = m.unsqueeze(m.dimension(mask, 3));
  EXPECT_EQ(m.shape(m.op(OpKind::Expand, {mask, m.concat({m.ints({1, 12}), s, m.ints({1})})})),
            "[B,12,S,S]");
  EXPECT_ERROR(m.op(OpKind::Expand, {m.input({"3"}), m.ints({4})}), "cannot be expanded to 4");
  EXPECT_ERROR(m.op(OpKind::Expand, {m.input({"3"}), m.ints({-1})}), "must be at least 0");
  EXPECT_EQ(m.shape(m.op(OpKind::Expand, {m.input({"3"}), m.input({"2"}, Precision::i64)})),
            "[?n0,3]");
  EXPECT_ERROR(m.op(OpKind::Expand, {mask, m.input({"R"}, Precision::i64)}), "must be known");
  EXPECT_EQ(m.shape(m.op(OpKind::Tile, {mask, m.ints({1, 2, 3, 2})})), "[B,2,3,2*S]");
  EXPECT_ERROR(m.op(OpKind::Tile, {mask, m.ints({1, 2})}), "2 is not 4");
  EXPECT_EQ(m.shape(m.op(OpKind::Repeat, {mask},
                         {{"axis", std::int64_t{1}}, {"times", std::int64_t{4}}})),
            "[B,4,1,S]");
  EXPECT_EQ(m.shape(m.op(OpKind::Pad, {m.input({"H", "W"}), m.ints({1, 0, 2, 3})})),
            "[H + 3,W + 3]");
  EXPECT_EQ(m.shape(m.op(OpKind::Pad, {m.input({"H", "W"}), m.ints({1, 2}), kNone, m.ints({-1})})),
            "[H,W + 3]");
  EXPECT_ERROR(m.op(OpKind::Pad, {m.input({"2"}), m.ints({-2, -2})}), "-2 must be at least 0");
  EXPECT_EQ(m.shape(m.op(OpKind::Trilu, {m.input({"S", "T"})})), "[S,T]");
}

TEST(InferMovement, Gathers) {
  Model m;
  const ValueId table = m.input({"30522", "768"});
  const ValueId ids = m.input({"B", "S"}, Precision::i64);
  EXPECT_EQ(m.shape(m.op(OpKind::Gather, {table, ids}, {{"axis", std::int64_t{0}}})), "[B,S,768]");
  EXPECT_EQ(m.shape(m.op(OpKind::Gather, {table, m.scalar(-1)}, {{"axis", std::int64_t{1}}})),
            "[30522]");
  EXPECT_ERROR(m.op(OpKind::Gather, {table, m.number(0)}), "integer type");
  EXPECT_ERROR(m.op(OpKind::Gather, {table, ids}, {{"axis", std::int64_t{2}}}),
               "axis 2 is out of range");
  EXPECT_EQ(m.shape(m.op(OpKind::GatherElements, {table, ids})), "[B,S]");
  const ValueId tuples = m.input({"B", "S", "2"}, Precision::i64);
  EXPECT_EQ(m.shape(m.op(OpKind::GatherND, {table, tuples})), "[B,S]");
  const ValueId x = m.input({"B", "S", "768"});
  EXPECT_EQ(m.shape(m.op(OpKind::GatherND, {x, m.input({"B", "3", "1"}, Precision::i64)},
                         {{"batch_dims", std::int64_t{1}}})),
            "[B,3,768]");
  EXPECT_EQ(m.shape(m.op(OpKind::ScatterND,
                         {x, m.input({"5", "2"}, Precision::i64), m.input({"5", "768"})})),
            "[B,S,768]");
  EXPECT_ERROR(
      m.op(OpKind::ScatterND, {x, m.input({"5", "2"}, Precision::i64), m.input({"5", "767"})}),
      "768 is not 767");
  EXPECT_ERROR(m.op(OpKind::GatherND, {table, m.input({"4"}, Precision::i64)}), "at most 2");
}

TEST(InferSlice, ConstantBounds) {
  Model m;
  const ValueId x = m.input({"10", "S"});
  const auto slice = [&](std::int64_t axis, std::int64_t start, std::int64_t end,
                         std::int64_t step) {
    return m.shape(
        m.op(OpKind::Slice, {x, m.ints({start}), m.ints({end}), m.ints({axis}), m.ints({step})}));
  };
  EXPECT_EQ(slice(0, 2, 7, 1), "[5,S]");
  EXPECT_EQ(slice(0, 2, 7, 2), "[3,S]");
  EXPECT_EQ(slice(0, -3, kEnd, 1), "[3,S]");
  EXPECT_EQ(slice(0, 7, 2, 1), "[0,S]");
  EXPECT_EQ(slice(0, -1, -kEnd, -1), "[10,S]");
  EXPECT_EQ(slice(0, -1, std::numeric_limits<std::int64_t>::min(), -3), "[4,S]");
  EXPECT_EQ(slice(0, 8, 2, -2), "[3,S]");
  EXPECT_EQ(slice(0, 100, 200, 1), "[0,S]");
  EXPECT_EQ(slice(1, 0, kEnd, 1), "[10,S]");
  EXPECT_EQ(slice(1, 0, std::numeric_limits<std::int32_t>::max(), 1), "[10,S]");
  EXPECT_EQ(slice(1, -1, -kEnd, -1), "[10,S]");
  EXPECT_EQ(slice(1, 1, kEnd, 1), "[10,max(0, S - 1)]");
  EXPECT_EQ(slice(1, -1, kEnd, 1), "[10,min(1, S)]");
  EXPECT_EQ(slice(1, 0, -1, 1), "[10,max(0, S - 1)]");
  EXPECT_EQ(slice(1, 0, 128, 1), "[10,min(128, S)]");
  EXPECT_EQ(slice(1, 0, kEnd, 2), "[10,floor_div(S + 1, 2)]");
  EXPECT_ERROR(slice(0, 0, 1, 0), "the step of axis 0 must not be 0");
  EXPECT_ERROR(slice(2, 0, 1, 1), "axis 2 is out of range");
}

TEST(InferSlice, SymbolicBounds) {
  Model m;
  const ValueId x = m.input({"S", "P"});
  const ValueId s = m.unsqueeze(m.dimension(x, 0));
  const ValueId p = m.unsqueeze(m.dimension(x, 1));
  const ValueId sum = m.op(OpKind::Add, {s, p});
  const ValueId table = m.input({"1024", "768"});
  const auto slice = [&](ValueId from, ValueId start, ValueId end) {
    return m.shape(m.op(OpKind::Slice, {from, start, end, m.ints({0})}));
  };
  EXPECT_EQ(slice(table, m.ints({0}), s), "[min(1024, S),768]");
  EXPECT_EQ(slice(x, m.ints({0}), s), "[S,P]");
  EXPECT_EQ(slice(m.input({"P + S"}), p, sum), "[S]");
  EXPECT_EQ(slice(m.input({"P + S"}), p, m.ints({kEnd})), "[S]");
  EXPECT_EQ(slice(m.input({"P + S"}), m.op(OpKind::Sub, {m.ints({-1}), s}), m.ints({kEnd})),
            "[min(P + S, S + 1)]");
  // Where the table is too small, both ends are clamped.
  EXPECT_EQ(slice(table, p, sum), "[min(1024, P + S) - min(1024, P),768]");
  const ValueId data = m.input({"1"}, Precision::i64);
  EXPECT_EQ(slice(x, m.ints({0}), data), "[?n0,P]");
}

/// The number of elements of x[start:end:step], by the words of the ONNX specification.
std::int64_t sliced(std::int64_t size, std::int64_t start, std::int64_t end, std::int64_t step) {
  if (size == 0) return 0;
  const std::int64_t high = step > 0 ? size : size - 1;
  const auto clamp = [&](std::int64_t bound, std::int64_t low) {
    return std::min(std::max(bound < 0 ? bound + size : bound, low), high);
  };
  const std::int64_t last = clamp(end, step > 0 ? 0 : -1);
  std::int64_t count = 0;
  for (std::int64_t i = clamp(start, 0); step > 0 ? i < last : i > last; i += step) ++count;
  return count;
}

TEST(InferSlice, AgreesWithTheSpecificationForAllSizes) {
  for (const std::int64_t step : {1, 2, 3, -1, -2}) {
    for (std::int64_t start = -4; start <= 4; ++start) {
      for (std::int64_t end = -4; end <= 4; ++end) {
        Model m;
        const ValueId x = m.input({"S"});
        const ValueId y =
            m.op(OpKind::Slice, {x, m.ints({start}), m.ints({end}), m.ints({0}), m.ints({step})});
        for (std::int64_t size = 0; size <= 6; ++size)
          ASSERT_EQ(m.graph.value(y).shape[0].evaluate({{"S", size}}),
                    sliced(size, start, end, step))
              << "S=" << size << " [" << start << ":" << end << ":" << step << "] " << m.shape(y);
      }
    }
  }
}

TEST(InferSlice, AgreesWithTheSpecificationForSymbolicBounds) {
  // Bounds c0 + c1*P, of known and of unknown sign.
  for (const std::int64_t step : {1, 2, -1}) {
    for (int which = 0; which < 36; ++which) {
      Model m;
      const ValueId x = m.input({"S"});
      const ValueId p = m.unsqueeze(m.dimension(m.input({"P"}), 0));
      const auto bound = [&](int i) {
        const std::int64_t offset = i % 3 - 1;
        const ValueId signed_p = i < 3 ? p : m.op(OpKind::Neg, {p});
        return std::pair(m.op(OpKind::Add, {signed_p, m.ints({offset})}),
                         std::pair(i < 3 ? 1 : -1, offset));
      };
      const auto [start, start_form] = bound(which / 6);
      const auto [end, end_form] = bound(which % 6);
      const ValueId y = m.op(OpKind::Slice, {x, start, end, m.ints({0}), m.ints({step})});
      for (std::int64_t size = 0; size <= 5; ++size)
        for (std::int64_t value = 0; value <= 6; ++value)
          ASSERT_EQ(m.graph.value(y).shape[0].evaluate({{"S", size}, {"P", value}}),
                    sliced(size, start_form.first * value + start_form.second,
                           end_form.first * value + end_form.second, step))
              << "S=" << size << " P=" << value << " case " << which << " " << m.shape(y);
    }
  }
}

// ---- reshape ----

TEST(InferReshape, Basics) {
  Model m;
  const ValueId x = m.input({"B", "S", "768"});
  const auto reshape = [&](std::vector<std::int64_t> target) {
    return m.shape(m.op(OpKind::Reshape, {x, m.ints(target)}));
  };
  EXPECT_EQ(reshape({0, 0, 12, 64}), "[B,S,12,64]");
  EXPECT_EQ(reshape({0, -1, 12, 64}), "[B,S,12,64]");
  EXPECT_EQ(reshape({-1, 768}), "[B*S,768]");
  EXPECT_EQ(reshape({0, 0, 12, -1}), "[B,S,12,64]");
  EXPECT_EQ(reshape({-1}), "[768*B*S]");
  EXPECT_ERROR(reshape({0, 0, 13, -1}), "768 elements cannot be divided by 13");
  EXPECT_ERROR(reshape({-1, -1}), "more than one -1");
  EXPECT_ERROR(reshape({0, 0, 0, 0}), "copies a dimension");
  EXPECT_ERROR(reshape({-2}), "element 0 of the target shape is -2");
  EXPECT_ERROR(reshape({0, 0, 12, 63}), "768 is not 756");
  EXPECT_TRUE(m.facts().empty());
  EXPECT_ERROR(m.op(OpKind::Reshape, {x, m.input({"2"})}), "integer type");
}

TEST(InferReshape, ZeroSizes) {
  Model m;
  const ValueId empty = m.input({"0", "4"});
  EXPECT_EQ(
      m.shape(m.op(OpKind::Reshape, {empty, m.ints({0, 2, 2})}, {{"allowzero", std::int64_t{1}}})),
      "[0,2,2]");
  EXPECT_ERROR(m.op(OpKind::Reshape, {empty, m.ints({0, -1})}), "-1 cannot be found");
  EXPECT_EQ(m.shape(m.op(OpKind::Reshape, {empty, m.ints({-1, 4})})), "[0,4]");
}

TEST(InferReshape, ExportedHeads) {
  // Shape -> Gather -> Unsqueeze -> Concat -> Reshape, as TorchScript writes view(B, S, 12, 64).
  Model m;
  const ValueId x = m.input({"B", "S", "768"});
  const ValueId b = m.unsqueeze(m.dimension(x, 0));
  const ValueId s = m.unsqueeze(m.dimension(x, 1));
  const ValueId target = m.concat({b, s, m.ints({12}), m.ints({64})});
  EXPECT_EQ(m.elements(target), "[B,S,12,64]");
  const ValueId heads = m.op(OpKind::Reshape, {x, target});
  EXPECT_EQ(m.shape(heads), "[B,S,12,64]");
  const ValueId hidden = m.op(OpKind::Div, {m.dimension(x, 2), m.scalar(12)});
  EXPECT_EQ(
      m.shape(m.op(OpKind::Reshape, {x, m.concat({b, s, m.ints({-1}), m.unsqueeze(hidden)})})),
      "[B,S,12,64]");
  EXPECT_EQ(m.shape(m.op(OpKind::Reshape, {heads, m.concat({b, m.ints({-1}), m.ints({768})})})),
            "[B,S,768]");
  EXPECT_TRUE(m.facts().empty());
}

TEST(InferReshape, Gpt2) {
  // addmm on [B*S, 768], then a view back with sizes taken from elsewhere.
  Model m;
  const ValueId x = m.input({"B", "S", "768"});
  const ValueId rows = m.op(OpKind::Reshape, {x, m.ints({-1, 768})});
  const ValueId qkv = m.op(OpKind::Gemm, {rows, m.input({"768", "2304"}), m.input({"2304"})});
  EXPECT_EQ(m.shape(qkv), "[B*S,2304]");
  const ValueId b = m.unsqueeze(m.dimension(x, 0));
  const ValueId s = m.unsqueeze(m.dimension(x, 1));
  EXPECT_EQ(m.shape(m.op(OpKind::Reshape, {qkv, m.concat({b, s, m.ints({2304})})})), "[B,S,2304]");
  EXPECT_EQ(m.shape(m.op(OpKind::Reshape, {qkv, m.concat({b, s, m.ints({-1})})})), "[B,S,2304]");
  EXPECT_EQ(m.shape(m.op(OpKind::Reshape, {qkv, m.concat({m.ints({-1}), s, m.ints({2304})})})),
            "[B,S,2304]");
  EXPECT_TRUE(m.facts().empty());
}

TEST(InferReshape, AssumesEqualCounts) {
  Model m;
  const ValueId rows = m.input({"N", "2304"});
  const ValueId ids = m.input({"B", "S"}, Precision::i64);
  const ValueId target = m.concat({m.op(OpKind::Shape, {ids}), m.ints({3, 768})});
  const ValueId y = m.op(OpKind::Reshape, {rows, target});
  EXPECT_EQ(m.shape(y), "[B,S,3,768]");
  EXPECT_EQ(m.facts().size(), 1U);
  // From now on N is known.
  EXPECT_EQ(m.shape(m.op(OpKind::Neg, {rows})), "[B*S,2304]");
}

TEST(InferReshape, AssumesDivisibility) {
  Model m;
  const ValueId x = m.input({"T", "8"});
  const ValueId y = m.op(OpKind::Reshape, {x, m.ints({-1, 16})});
  EXPECT_EQ(m.shape(y), "[floor_div(T, 2),16]");
  EXPECT_EQ(m.facts(), Strings{"2 divides T"});
  EXPECT_EQ(m.shape(m.op(OpKind::Reshape, {y, m.ints({-1, 8})})), "[T,8]");
}

TEST(InferReshape, Windows) {
  // Swin: [B, H, W, C] seen as windows of 7 x 7, and back.
  Model m;
  const ValueId x = m.input({"B", "H", "W", "96"});
  const auto dimension = [&](std::int64_t axis) { return m.dimension(x, axis); };
  const auto windows = [&](std::int64_t axis) {
    return m.unsqueeze(m.op(OpKind::Div, {dimension(axis), m.scalar(7)}));
  };
  const ValueId seven = m.ints({7});
  const ValueId y = m.op(OpKind::Reshape, {x, m.concat({m.unsqueeze(dimension(0)), windows(1),
                                                        seven, windows(2), seven, m.ints({96})})});
  EXPECT_EQ(m.shape(y), "[B,floor_div(H, 7),7,floor_div(W, 7),7,96]");
  EXPECT_EQ(m.facts(), (Strings{"7 divides H", "7 divides W"}));
  const ValueId back =
      m.op(OpKind::Reshape, {y, m.concat({m.unsqueeze(dimension(0)), m.unsqueeze(dimension(1)),
                                          m.unsqueeze(dimension(2)), m.ints({-1})})});
  EXPECT_EQ(m.shape(back), "[B,H,W,96]");
  EXPECT_EQ(m.facts().size(), 2U);
}

TEST(InferReshape, DataDependentTarget) {
  Model m;
  const ValueId x = m.input({"B", "S"});
  const ValueId n = m.input({"1"}, Precision::i64);
  EXPECT_EQ(m.shape(m.op(OpKind::Reshape, {x, m.input({"1"}, Precision::i64)})), "[B*S]");
  EXPECT_EQ(m.shape(m.op(OpKind::Reshape, {x, m.input({"3"}, Precision::i64)})), "[?n0,?n1,?n2]");
  const ValueId target = m.concat({m.unsqueeze(m.dimension(x, 0)), n});
  EXPECT_EQ(m.elements(target), "[B,?v3]");
  m.op(OpKind::Reshape, {x, target});
  EXPECT_EQ(m.facts().front(), "?v3 >= 1");
}

// ---- idioms of the exporters ----

TEST(InferIdioms, ExpandByWhereEqualConstantOfShape) {
  // expand(B, -1, S): Where(Equal(shape, -1), ones, shape), then Expand.
  Model m;
  const ValueId mask = m.input({"B", "1", "S"});
  const ValueId b = m.unsqueeze(m.dimension(mask, 0));
  const ValueId s = m.unsqueeze(m.dimension(mask, 2));
  const ValueId shape = m.concat({b, m.ints({-1}), s, s});
  const ValueId count = m.op(OpKind::Shape, {shape});
  const ValueId ones =
      m.op(OpKind::ConstantOfShape, {count}, {{"value", Tensor::from_i64({1}, {1})}});
  const ValueId minus = m.op(OpKind::Mul, {ones, m.scalar(-1)});
  const ValueId equal = m.op(OpKind::Equal, {shape, minus});
  EXPECT_EQ(m.elements(equal), "[0,1,0,0]");
  const ValueId target = m.op(OpKind::Where, {equal, ones, shape});
  EXPECT_EQ(m.elements(target), "[B,1,S,S]");
  const ValueId wide = m.op(OpKind::Unsqueeze, {mask}, {{"axes", std::vector<std::int64_t>{1}}});
  EXPECT_EQ(m.shape(m.op(OpKind::Expand, {wide, target})), "[B,1,S,S]");
  EXPECT_TRUE(m.facts().empty());
}

TEST(InferIdioms, RepeatKv) {
  // [B, 8, S, 64] -> [B, 8, 4, S, 64] -> [B, 32, S, 64]
  Model m;
  const ValueId k = m.input({"B", "8", "S", "64"});
  const ValueId b = m.unsqueeze(m.dimension(k, 0));
  const ValueId s = m.unsqueeze(m.dimension(k, 2));
  const ValueId grouped = m.op(OpKind::Unsqueeze, {k}, {{"axes", std::vector<std::int64_t>{2}}});
  const ValueId wide =
      m.op(OpKind::Expand, {grouped, m.concat({b, m.ints({8, 4}), s, m.ints({64})})});
  EXPECT_EQ(m.shape(wide), "[B,8,4,S,64]");
  EXPECT_EQ(m.shape(m.op(OpKind::Reshape, {wide, m.concat({b, m.ints({32}), s, m.ints({64})})})),
            "[B,32,S,64]");
  EXPECT_EQ(m.shape(m.op(OpKind::Reshape, {wide, m.ints({0, 32, -1, 64})})), "[B,32,S,64]");
  EXPECT_TRUE(m.facts().empty());
}

TEST(InferIdioms, CausalMaskOfOldGpt2) {
  // bias[:, :, total - query : total, : total]
  Model m;
  const ValueId q = m.input({"B", "12", "S", "64"});
  const ValueId k = m.input({"B", "12", "P + S", "64"});
  const ValueId query = m.unsqueeze(m.dimension(q, 2));
  const ValueId total = m.unsqueeze(m.dimension(k, 2));
  const ValueId bias = m.input({"1", "1", "1024", "1024"});
  const ValueId rows =
      m.op(OpKind::Slice, {bias, m.op(OpKind::Sub, {total, query}), total, m.ints({2})});
  const ValueId both = m.op(OpKind::Slice, {rows, m.ints({0}), total, m.ints({3})});
  EXPECT_EQ(m.shape(both), "[1,1,min(1024, P + S) - min(1024, P),min(1024, P + S)]");
}

TEST(InferIdioms, PositionsByRange) {
  Model m;
  const ValueId ids = m.input({"B", "S"}, Precision::i64);
  const ValueId s = m.dimension(ids, 1);
  const ValueId range = m.op(OpKind::Range, {m.scalar(0), s, m.scalar(1)});
  const ValueId row = m.op(OpKind::Unsqueeze, {range}, {{"axes", std::vector<std::int64_t>{0}}});
  const ValueId column = m.op(OpKind::Unsqueeze, {range}, {{"axes", std::vector<std::int64_t>{1}}});
  EXPECT_EQ(m.type(m.op(OpKind::LessOrEqual, {row, column})), "bool[S,S]");
}

// ---- subgraphs and arity ----

TEST(InferSubgraph, TranslatesSymbols) {
  Model body;
  const ValueId x = body.input({"M", "K"});
  const ValueId n = body.graph.add_input("n", Precision::i64, {});
  body.graph.value(n).elements = std::vector<Expr>{Expr::symbol("N")};
  const ValueId target = body.concat({body.unsqueeze(n), body.ints({-1})});
  body.graph.outputs = {body.op(OpKind::Reshape, {x, target})};
  const auto shared = std::make_shared<Graph>(body.graph);

  Model m;
  const ValueId outer = m.input({"B*S", "768"});
  const ValueId rows = m.dimension(m.input({"S", "B"}), 0);
  const NodeId node = m.graph.add_subgraph("part", {outer, rows}, shared);
  EXPECT_EQ(m.shape(m.graph.node(node).outputs[0]), "[S,768*B]");
  EXPECT_ERROR(m.graph.add_subgraph("part", {outer}, shared),
               "its body takes 2 inputs; 1 are given");
  EXPECT_ERROR(m.graph.add_subgraph("part", {rows, rows}, shared), "does not fit the body's input");
  EXPECT_ERROR(m.graph.add_subgraph("part", {}, nullptr), "it has no");
}

TEST(InferArity, IsChecked) {
  Model m;
  const ValueId x = m.input({"B"});
  EXPECT_ERROR(m.op(OpKind::Add, {x}), "it takes 2 inputs; 1 are given");
  EXPECT_ERROR(m.op(OpKind::Clip, {x, x, x, x}), "it takes 1 to 3 inputs; 4 are given");
  EXPECT_ERROR(m.op(OpKind::Concat, {}, {{"axis", std::int64_t{0}}}), "it takes at least 1 inputs");
  EXPECT_ERROR(m.op(OpKind::Add, {x, kNone}), "input 1 is missing");
  EXPECT_ERROR(m.op(OpKind::Concat, {x, kNone}, {{"axis", std::int64_t{0}}}), "input 1 is missing");
  EXPECT_ERROR(m.op(OpKind::Add, {x, 99}), "value 99, which does not exist");
  EXPECT_ERROR(m.ops(OpKind::Add, {x, x}, {}, 2), "it has 1 outputs, and is given 2");
  EXPECT_ERROR(m.ops(OpKind::Add, {x, x}, {}, 0), "it has no output");
  EXPECT_EQ(m.graph.node_count(), 0U);
  EXPECT_EQ(m.graph.value_count(), 1U);
}

TEST(InferArity, AnonymousNodesAreNamedByNumber) {
  Model m;
  const ValueId x = m.input({"B"});
  EXPECT_ERROR(m.graph.add_op(OpKind::Add, "", {x}), "node #0 (Add): it takes 2 inputs");
}

TEST(InferLimits, TooManyElements) {
  Model m;
  const ValueId x = m.input({"4294967296", "4294967296"});
  EXPECT_ERROR(m.op(OpKind::Neg, {x}), "too many elements");
}

}  // namespace
}  // namespace burin
