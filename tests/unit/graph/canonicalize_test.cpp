// Canonicalization as text: what goes in, what comes out. At the end, random graphs: what they
// compute must not change.

#include <algorithm>
#include <numeric>
#include <random>

#include <gtest/gtest.h>

#include "burin/error.h"
#include "burin/graph.h"
#include "graph/canonicalize.h"

namespace burin {
namespace {

std::string canonical(std::string_view text) {
  Graph graph = parse_graph(text);
  canonicalize(graph);
  const std::string once = print(graph);
  canonicalize(graph);
  EXPECT_EQ(print(graph), once) << "there was more to do";
  return once;
}

void expect_canonical(std::string_view before, std::string_view after) {
  EXPECT_EQ(canonical(before), print(parse_graph(after)));
}

void expect_unchanged(std::string_view text) { expect_canonical(text, text); }

TEST(Canonicalize, FoldsConstants) {
  expect_canonical(R"(graph @g(%x: f32[N]) {
    %a = sqrt 16.0
    %b = div 1.0, %a
    %y = mul %x, %b
    return %y
  })",
                   R"(graph @g(%x: f32[N]) {
    %y = mul %x, 0.25
    return %y
  })");
}

TEST(Canonicalize, TrianglesAreComparisons) {
  expect_canonical(R"(graph @g(%x: f32[S,8]) {
    %s = known i64[2] {S,S}
    %one = expand 1.0, %s
    %t = trilu %one, 1, upper=0
    %y = matmul %t, %x
    return %y
  })",
                   R"(graph @g(%x: f32[S,8]) {
    %0 = known i64[] {S}
    %1 = range 0, %0, 1
    %2 = unsqueeze %1, axes=[0]
    %3 = unsqueeze %1, axes=[1]
    %4 = add %3, 1
    %5 = less_equal %2, %4
    %t = where %5, 1.0, 0.0
    %y = matmul %t, %x
    return %y
  })");
}

TEST(Canonicalize, TrianglesOfSeveralMatricesStay) {
  expect_unchanged(R"(graph @g(%x: f32[B,S,8]) {
    %s = known i64[3] {B,S,S}
    %one = expand 1.0, %s
    %t = trilu %one, upper=1
    %y = matmul %t, %x
    return %y
  })");
}

TEST(Canonicalize, ConstantOutputsKeepTheirName) {
  expect_canonical(R"(graph @g() {
    %y = sqrt 16.0
    return %y
  })",
                   R"(graph @g() {
    %y = const f32[] {4.0}
    return %y
  })");
}

TEST(Canonicalize, LargeSplatsAreNotFolded) {
  const std::string text = canonical(R"(graph @g(%x: f32[N]) {
    %s = const i64[2] {4096,4096}
    %a = constant_of_shape %s, value=f32[1] {2.0}
    %y = mul %a, %a
    %z = reduce_sum %y, axes=[0,1], keepdims=0
    return %y
  })");
  EXPECT_NE(text.find("expand 4.0"), std::string::npos) << text;
}

TEST(Canonicalize, NodesThatFailAreNotFolded) {
  expect_unchanged(R"(graph @g() {
    %t = const f32[3] {1.0,2.0,3.0}
    %y = gather %t, 7, axis=0 : f32[]
    return %y
  })");
}

TEST(Canonicalize, ResolvesShapeArithmetic) {
  expect_canonical(R"(graph @g(%x: f32[B,S,768]) {
    %s = shape %x
    %b = gather %s, 0, axis=0
    %n = gather %s, 1, axis=0
    %b1 = unsqueeze %b, axes=[0]
    %n1 = unsqueeze %n, axes=[0]
    %h = const i64[2] {12,-1}
    %target = concat %b1, %n1, %h, axis=0
    %y = reshape %x, %target
    return %y
  })",
                   R"(graph @g(%x: f32[B,S,768]) {
    %y.shape = known i64[4] {B,S,12,64}
    %y = reshape %x, %y.shape, allowzero=1
    return %y
  })");
}

TEST(Canonicalize, KeepsArithmeticOnData) {
  expect_unchanged(R"(graph @g(%x: f32[N], %n: i64[1]) {
    %zero = const i64[1] {0}
    %y = slice %x, %zero, %n : f32[?n0]
    return %y
  })");
}

TEST(Canonicalize, RemovesIdentities) {
  expect_canonical(R"(graph @g(%x: f32[B,S]) {
    %a = identity %x
    %b = cast %a, to="f32"
    %c = transpose %b, perm=[0,1]
    %d = unsqueeze %c, axes=[1]
    %e = squeeze %d, axes=[1]
    %f = mul %e, 1.0
    %g = sub %f, 0.0
    %one = const f32[1] {1.0}
    %h = div %g, %one
    %i = relu %h
    %y = identity %i
    return %y
  })",
                   R"(graph @g(%x: f32[B,S]) {
    %y = relu %x "i"
    return %y
  })");
}

TEST(Canonicalize, KeepsWhatIsNoIdentity) {
  // A reversal, a shift by pads, broadcasting, the sign of zero, a division the other way round.
  expect_unchanged(R"(graph @g(%x: f32[4], %m: f32[1]) {
    %start = const i64[1] {-1}
    %end = const i64[1] {-9}
    %axis = const i64[1] {0}
    %a = slice %x, %start, %end, %axis, %start : f32[4]
    %pads = const i64[2] {1,-1}
    %b = pad %a, %pads : f32[4]
    %ones = const f32[4] {1.0,1.0,1.0,1.0}
    %c = mul %m, %ones : f32[4]
    %d = add %b, 0.0
    %e = div 1.0, %d
    %y = add %c, %e
    return %y
  })");
}

TEST(Canonicalize, InputsAndOutputsKeepTheirNames) {
  expect_canonical(R"(graph @g(%x: f32[N]) {
    %a = relu %x
    %b = identity %a
    %c = identity %b
    %d = identity %x
    return %b, %c, %d, %x
  })",
                   R"(graph @g(%x: f32[N]) {
    %b = relu %x "a"
    %c = identity %b "b"
    %d = identity %x
    return %b, %c, %d, %x
  })");
}

TEST(Canonicalize, MergesMovements) {
  expect_canonical(R"(graph @g(%x: f32[B,6,S]) {
    %a = transpose %x, perm=[2,0,1]
    %b = transpose %a, perm=[2,0,1]
    %s = const i64[3] {2,3,-1}
    %c = reshape %b, %s
    %u = unsqueeze %c, axes=[0]
    %t = const i64[2] {6,-1}
    %y = reshape %u, %t
    %v = unsqueeze %x, axes=[1,3]
    %z = unsqueeze %v, axes=[0,4]
    return %y, %z
  })",
                   R"(graph @g(%x: f32[B,6,S]) {
    %b = transpose %x, perm=[1,2,0]
    %y.shape = known i64[2] {6,B*S}
    %y = reshape %b, %y.shape, allowzero=1
    %z = unsqueeze %x, axes=[0,2,4,5]
    return %y, %z
  })");
}

TEST(Canonicalize, FindsTransposesOfMergedDimensions) {
  expect_canonical(R"(graph @g(%x: f32[B,12,S,64]) {
    %s = known i64[3] {12*B,S,64}
    %a = reshape %x, %s
    %b = transpose %a, perm=[0,2,1]
    %t = known i64[4] {B,12,64,S}
    %y = reshape %b, %t
    return %y
  })",
                   R"(graph @g(%x: f32[B,12,S,64]) {
    %y = transpose %x, perm=[0,1,3,2]
    return %y
  })");
  // Split in another way than merged.
  expect_unchanged(R"(graph @g(%x: f32[B,12,S,64]) {
    %s = known i64[3] {12*B,S,64}
    %a = reshape %x, %s, allowzero=1
    %b = transpose %a, perm=[0,2,1]
    %t = known i64[4] {12,B,64,S}
    %y = reshape %b, %t, allowzero=1
    return %y
  })");
}

TEST(Canonicalize, ElementwiseOperationsDropExpands) {
  expect_canonical(R"(graph @g(%scores: f32[B,12,S,S], %mask: bool[B,1,1,S]) {
    %s = known i64[4] {B,1,S,S}
    %full = expand %mask, %s
    %a = cast %full, to="f32"
    %zeros = constant_of_shape %s
    %b = sub 1.0, %a
    %c = mul %b, -10000.0
    %d = where %full, %zeros, %c
    %y = add %scores, %d
    return %y
  })",
                   R"(graph @g(%scores: f32[B,12,S,S], %mask: bool[B,1,1,S]) {
    %a = cast %mask, to="f32"
    %b = sub 1.0, %a
    %c = mul %b, -10000.0
    %d = where %mask, 0.0, %c
    %y = add %scores, %d
    return %y
  })");
}

TEST(Canonicalize, ExpandsThatAreNeededStay) {
  expect_canonical(R"(graph @g(%x: f32[1,S]) {
    %s = known i64[2] {S,S}
    %a = expand %x, %s
    %y = relu %a
    return %y
  })",
                   R"(graph @g(%x: f32[1,S]) {
    %y.narrow = relu %x "y"
    %s = known i64[2] {S,S}
    %y = expand %y.narrow, %s "y.expand"
    return %y
  })");
}

TEST(Canonicalize, MasksThatHideNothingAreDropped) {
  expect_canonical(R"(graph @g(%mask: bool[B,1,1,S]) {
    %n = known i64[] {S}
    %rows = range 0, %n, 1
    %column = unsqueeze %rows, axes=[1]
    %all = greater_equal %column, 0
    %some = greater_equal %column, 1
    %both = and %all, %mask
    %low = where %both, 0.0, -1.0
    return %low, %some
  })",
                   R"(graph @g(%mask: bool[B,1,1,S]) {
    %n = known i64[] {S}
    %rows = range 0, %n, 1
    %column = unsqueeze %rows, axes=[1]
    %some = greater_equal %column, 1
    %low.narrow = where %mask, 0.0, -1.0 "low"
    %both.shape = known i64[4] {B,1,S,S}
    %low = expand %low.narrow, %both.shape "low.expand"
    return %low, %some
  })");
}

TEST(Canonicalize, MergesEqualNodes) {
  expect_canonical(R"(graph @g(%x: f32[N]) {
    %a = mul %x, 2.0
    %b = mul %x, 2.0
    %c = mul %x, 3.0
    %d = leaky_relu %a, alpha=0.1
    %e = leaky_relu %b, alpha=0.2
    %f = leaky_relu %b, alpha=0.1
    %y = concat %a, %b, %c, %d, %e, %f, axis=0
    return %y
  })",
                   R"(graph @g(%x: f32[N]) {
    %a = mul %x, 2.0
    %c = mul %x, 3.0
    %d = leaky_relu %a, alpha=0.1
    %e = leaky_relu %a, alpha=0.2
    %y = concat %a, %a, %c, %d, %e, %d, axis=0
    return %y
  })");
}

TEST(Canonicalize, ZeroAndMinusZeroAreDifferentConstants) {
  expect_unchanged(R"(graph @g(%x: f32[N]) {
    %a = div %x, 0.0
    %b = div %x, -0.0
    %y = concat %a, %b, axis=0
    return %y
  })");
}

TEST(Canonicalize, DropsFactsThatNobodyCanCheck) {
  Graph graph = parse_graph(R"(graph @g(%x: f32[B,S]) {
    assume ?n0 == S "old"
    assume 8 divides S "input"
    %y = relu %x
    return %y
  })");
  canonicalize(graph);
  ASSERT_EQ(graph.facts.checks().size(), 1U);
  EXPECT_EQ(graph.facts.checks()[0].subject, "input");
}

TEST(Canonicalize, TablesThatAreCutToALengthAreLongEnough) {
  const std::string text = canonical(R"(graph @g(%x: f32[B,S,8], %table: f32[512,8]) {
    %start = const i64[1] {0}
    %end = known i64[1] {S}
    %cut = slice %table, %start, %end
    %y = add %x, %cut
    return %y
  })");
  EXPECT_NE(text.find("assume -S + 512 >= 0"), std::string::npos) << text;
  EXPECT_NE(text.find("slice %table, %start, %end : f32[S,8]"), std::string::npos) << text;
  EXPECT_NE(text.find("add %x, %cut : f32[B,S,8]"), std::string::npos) << text;
}

TEST(Canonicalize, OneRowIsNotTheWholeTable) {
  // The last row is broadcast: nothing says that there is only one.
  Graph graph = parse_graph(R"(graph @g(%x: f32[S,8]) {
    %start = const i64[1] {-1}
    %end = const i64[1] {9223372036854775807}
    %last = slice %x, %start, %end
    %y = add %x, %last
    return %y
  })");
  canonicalize(graph);
  EXPECT_TRUE(graph.facts.checks().empty()) << print(graph);
}

// ---- random graphs ----

class RandomGraph {
 public:
  explicit RandomGraph(std::uint32_t seed) : random_(seed) {
    const Expr b = Expr::symbol("B");
    const Expr s = Expr::symbol("S");
    for (const Shape& shape : {Shape{b, 4, s}, Shape{1, s}, Shape{b, 1, 1}, Shape{s}})
      add(graph_.add_input("", Precision::f32, shape));
  }

  Graph build(int nodes) {
    for (int i = 0; i < nodes; ++i) {
      try {
        step();
      } catch (const Error&) {  // shapes that do not fit
      }
    }
    for (int i = 0; i < 3; ++i) {
      const ValueId output = pick();
      if (!graph_.is_output(output)) graph_.outputs.push_back(output);
    }
    return graph_;
  }

 private:
  void add(ValueId id) { values_.push_back(id); }
  std::int64_t below(std::int64_t n) {
    return std::uniform_int_distribution<std::int64_t>(0, n - 1)(random_);
  }
  ValueId pick() {
    // Late ones more often: deep graphs.
    const auto count = static_cast<std::int64_t>(values_.size());
    return values_[static_cast<std::size_t>(std::max(below(count), below(count)))];
  }
  std::vector<std::int64_t> axes(ValueId x) {
    std::vector<std::int64_t> result(graph_.value(x).shape.size());
    std::iota(result.begin(), result.end(), 0);
    return result;
  }
  ValueId constant(std::vector<std::int64_t> list) {
    const auto size = static_cast<std::int64_t>(list.size());
    return graph_.add_constant("", Tensor::from_i64({size}, list));
  }
  ValueId shape_of(ValueId x) { return graph_.add_op(OpKind::Shape, "", {x}); }

  void step() {
    const ValueId x = pick();
    const auto rank = static_cast<std::int64_t>(graph_.value(x).shape.size());
    switch (below(13)) {
      case 0: return add(graph_.add_op(OpKind::Identity, "", {x}));
      case 1: return add(graph_.add_op(below(2) != 0 ? OpKind::Neg : OpKind::Relu, "", {x}));
      case 2:
      case 3: return add(graph_.add_op(below(2) != 0 ? OpKind::Add : OpKind::Mul, "", {x, pick()}));
      case 4: {
        const float number = static_cast<float>(below(3));
        const ValueId scalar = graph_.add_constant("", Tensor::scalar(Precision::f32, number));
        constexpr OpKind kOps[] = {OpKind::Mul, OpKind::Sub, OpKind::Add, OpKind::Max};
        return add(graph_.add_op(kOps[below(4)], "", {x, scalar}));
      }
      case 5: {
        std::vector<std::int64_t> perm = axes(x);
        std::shuffle(perm.begin(), perm.end(), random_);
        return add(graph_.add_op(OpKind::Transpose, "", {x}, {{"perm", perm}}));
      }
      case 6: {
        if (rank > 4) return;
        return add(
            graph_.add_op(OpKind::Unsqueeze, "", {x}, {{"axes", std::vector{below(rank + 1)}}}));
      }
      case 7: {
        for (std::int64_t d = 0; d < rank; ++d)
          if (graph_.value(x).shape[static_cast<std::size_t>(d)] == Expr(1))
            return add(graph_.add_op(OpKind::Squeeze, "", {x}, {{"axes", std::vector{d}}}));
        return;
      }
      case 8: return add(graph_.add_op(OpKind::Expand, "", {x, shape_of(pick())}));
      case 9: return add(graph_.add_op(OpKind::Reshape, "", {x, shape_of(pick())}));
      case 10: return add(graph_.add_op(OpKind::Reshape, "", {x, constant({0, -1})}));
      case 11: {
        const ValueId zeros = graph_.add_op(OpKind::ConstantOfShape, "", {shape_of(x)},
                                            {{"value", Tensor::from_f32({1}, {0.5F})}});
        return add(zeros);
      }
      default: {
        const ValueId mask = graph_.add_op(OpKind::Greater, "", {x, pick()});
        return add(graph_.add_op(OpKind::Where, "", {mask, x, pick()}));
      }
    }
  }

  std::mt19937 random_;
  Graph graph_;
  std::vector<ValueId> values_;
};

std::vector<Tensor> inputs_for(const Graph& graph, std::int64_t b, std::int64_t s) {
  std::vector<Tensor> inputs;
  for (const ValueId id : graph.inputs) {
    Dims dims;
    for (const Expr& dimension : graph.value(id).shape)
      dims.push_back(dimension.evaluate({{"B", b}, {"S", s}}));
    Tensor tensor = Tensor::zeros(Precision::f32, dims);
    for (std::int64_t i = 0; i < tensor.size(); ++i)
      tensor.set(i, static_cast<double>((i * 7 + id * 3) % 11) - 5);
    inputs.push_back(tensor);
  }
  return inputs;
}

/// Nothing if the graph does not accept the sizes.
std::optional<std::vector<Tensor>> results_of(const Graph& graph, std::int64_t b, std::int64_t s) {
  try {
    return interpret(graph, inputs_for(graph, b, s));
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// Random shapes may fit together only for odd sizes: S == 4*B*S, where nothing is in a tensor.
bool is_ordinary(const Facts& facts) {
  const auto is_plain = [](const Expr& e) { return e.as_symbol().has_value(); };
  return std::all_of(facts.checks().begin(), facts.checks().end(), [&](const auto& check) {
    const bool is_equality = check.relation == Facts::Check::Relation::equal;
    return !is_equality || (is_plain(check.left) && is_plain(check.right));
  });
}

TEST(Canonicalize, RandomGraphsComputeTheSame) {
  int compared = 0;
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    const Graph graph = RandomGraph(seed).build(25);
    if (!is_ordinary(graph.facts)) continue;
    SCOPED_TRACE(print(graph));
    Graph clean = graph;
    ASSERT_NO_THROW(canonicalize(clean)) << "seed " << seed;
    for (const auto& [b, s] : {std::pair(1, 1), {2, 3}, {3, 1}, {1, 4}, {4, 4}}) {
      const auto expected = results_of(graph, b, s);
      if (!expected) continue;
      ++compared;
      const auto given = results_of(clean, b, s);
      ASSERT_TRUE(given) << "seed " << seed << "\n" << print(clean);
      for (std::size_t i = 0; i < expected->size(); ++i) {
        const Tensor& e = (*expected)[i];
        const Tensor& g = (*given)[i];
        ASSERT_EQ(e.dims(), g.dims()) << "seed " << seed << "\n" << print(clean);
        for (std::int64_t j = 0; j < e.size(); ++j)
          ASSERT_EQ(e.at(j), g.at(j)) << "seed " << seed << "\n" << print(clean);
      }
    }
  }
  EXPECT_GT(compared, 600);
}

}  // namespace
}  // namespace burin
