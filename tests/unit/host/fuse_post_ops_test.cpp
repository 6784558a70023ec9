#include <cmath>
#include <limits>

#include "tests/unit/host/onednn_fixture.h"

namespace burin::host {
namespace {

constexpr std::int64_t kDepth = 24, kWidth = 40;

/// x -> MatMul -> what a test adds.
class FusePostOps : public ::testing::Test {
 protected:
  FusePostOps() {
    x_ = graph_.add_input("x", Precision::f32, shape("B,S,24"));
    product_ = matmul(x_, 2);
  }

  ValueId matmul(ValueId x, std::uint64_t seed) {
    return graph_.add_op(OpKind::MatMul, "", {x, constant({kDepth, kWidth}, seed)});
  }
  ValueId constant(const Dims& dims, std::uint64_t seed = 5) {
    return graph_.add_constant("", random_tensor(dims, seed));
  }
  ValueId input(const std::string& name, const std::string& dims = "B,S,40") {
    return graph_.add_input(name, Precision::f32, shape(dims));
  }
  ValueId op(OpKind kind, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return graph_.add_op(kind, "", std::move(inputs), std::move(attributes));
  }

  /// Runs the only product, which must compute all of the graph, at several shapes.
  void check(ValueId result, std::size_t absorbed, double tolerance = 1e-5) {
    graph_.outputs = {result};
    verify(graph_);
    const std::vector<FusedProduct> products = fuse_post_ops(graph_);
    ASSERT_EQ(products.size(), 1U);
    ASSERT_EQ(products[0].absorbed.size(), absorbed);
    ASSERT_EQ(products[0].result, result);
    OneDnn onednn;
    KernelContext context{onednn, 1};
    const auto kernel = make_fused_product(graph_, products[0], context);
    for (const auto& [batch, rows] :
         {std::pair<std::int64_t, std::int64_t>{1, 1}, {2, 7}, {3, 64}, {2, 7}, {0, 7}}) {
      const std::vector<Tensor> inputs =
          testing::random_inputs(graph_, {{"B", batch}, {"S", rows}});
      const Tensor expected = interpret(graph_, inputs)[0];
      std::vector<Tensor> given;
      for (const ValueId id : products[0].inputs) {
        const auto found = std::find(graph_.inputs.begin(), graph_.inputs.end(), id);
        given.push_back(inputs.at(static_cast<std::size_t>(found - graph_.inputs.begin())));
      }
      const Tensor actual = run_kernel(*kernel, given, expected.dims());
      EXPECT_LE(testing::relative_difference(expected, actual), tolerance)
          << batch << " x " << rows << "\n"
          << print(graph_);
    }
    EXPECT_EQ(onednn.counters().packed, 1U);
    EXPECT_EQ(onednn.counters().created, 3U);
  }

  Graph graph_;
  ValueId x_, product_;
};

TEST_F(FusePostOps, NothingToAbsorb) { check(product_, 0); }

TEST_F(FusePostOps, BiasInEitherOrder) {
  check(op(OpKind::Add, {constant({kWidth}), product_}), 1);
}

TEST_F(FusePostOps, BiasActivationResidual) {
  const ValueId biased = op(OpKind::Add, {product_, constant({kWidth})});
  const ValueId active = op(OpKind::Gelu, {biased});
  check(op(OpKind::Add, {input("residual"), active}), 3);
}

TEST_F(FusePostOps, GateBesideProduct) {
  const ValueId silu = op(OpKind::Silu, {product_});
  check(op(OpKind::Mul, {silu, input("gate")}), 2);
}

TEST_F(FusePostOps, VectorsAndScalars) {
  ValueId v = op(OpKind::Mul, {product_, constant({1, kWidth})});
  v = op(OpKind::Add, {v, constant({}, 6)});
  v = op(OpKind::Sub, {v, constant({1}, 7)});
  v = op(OpKind::Div, {v, graph_.add_constant("", Tensor::scalar(Precision::f32, 8))});
  check(op(OpKind::Add, {v, input("vector", "40")}), 5);
}

TEST_F(FusePostOps, EveryActivation) {
  for (const auto& [kind, attributes] : std::vector<std::pair<OpKind, Attributes>>{
           {OpKind::Relu, {}},
           {OpKind::Tanh, {}},
           {OpKind::Sigmoid, {}},
           {OpKind::Silu, {}},
           {OpKind::HardSwish, {}},
           {OpKind::Softplus, {}},
           {OpKind::LeakyRelu, {}},
           {OpKind::LeakyRelu, {{"alpha", 0.0}}},
           {OpKind::Elu, {}},
           {OpKind::Gelu, {}},
           {OpKind::Gelu, {{"approximate", std::string("tanh")}}}}) {
    SCOPED_TRACE(info(kind).name);
    graph_ = Graph();
    x_ = graph_.add_input("x", Precision::f32, shape("B,S,24"));
    product_ = matmul(x_, 2);
    check(op(kind, {product_}, attributes), 1);
  }
}

TEST_F(FusePostOps, ReluKeepsNaN) {
  graph_.outputs = {op(OpKind::Relu, {product_})};
  OneDnn onednn;
  KernelContext context{onednn, 1};
  const auto kernel = make_fused_product(graph_, fuse_post_ops(graph_).at(0), context);
  Tensor x = random_tensor({1, 3, kDepth});
  x.set(kDepth + 2, std::numeric_limits<double>::quiet_NaN());
  const Tensor y = run_kernel(*kernel, {x}, {1, 3, kWidth});
  EXPECT_EQ(testing::relative_difference(interpret(graph_, {x})[0], y) <= 1e-5, true);
  for (std::int64_t i = 0; i < y.size(); ++i)
    EXPECT_FALSE(std::signbit(y.at(i)) && y.at(i) == 0) << "no -0";
}

TEST_F(FusePostOps, OtherReadersEndTheChain) {
  const ValueId active = op(OpKind::Tanh, {product_});
  graph_.outputs = {op(OpKind::Add, {active, product_})};
  EXPECT_TRUE(fuse_post_ops(graph_).at(0).absorbed.empty());
}

TEST_F(FusePostOps, AGraphOutputEndsTheChain) {
  const ValueId active = op(OpKind::Tanh, {product_});
  graph_.outputs = {active, op(OpKind::Sigmoid, {active})};
  EXPECT_EQ(fuse_post_ops(graph_).at(0).result, active);
}

TEST_F(FusePostOps, TheSameValueTwiceEndsTheChain) {
  graph_.outputs = {op(OpKind::Mul, {product_, product_})};
  EXPECT_TRUE(fuse_post_ops(graph_).at(0).absorbed.empty());
}

TEST_F(FusePostOps, OfTwoProductsOneTakesTheSum) {
  const ValueId other = matmul(x_, 3);
  graph_.outputs = {op(OpKind::Add, {product_, other})};
  const std::vector<FusedProduct> products = fuse_post_ops(graph_);
  ASSERT_EQ(products.size(), 2U);
  EXPECT_EQ(products[0].absorbed.size() + products[1].absorbed.size(), 1U);
  const FusedProduct& taker = products[products[0].absorbed.empty() ? 1 : 0];
  EXPECT_EQ(taker.inputs.size(), 2U);
}

TEST_F(FusePostOps, BroadcastOperandsAreNotAbsorbed) {
  graph_.outputs = {op(OpKind::Add, {product_, input("row", "S,40")})};
  EXPECT_TRUE(fuse_post_ops(graph_).at(0).absorbed.empty());
}

TEST_F(FusePostOps, AnOperandThatWidensTheResultIsNotAbsorbed) {
  graph_.outputs = {op(OpKind::Add, {product_, constant({1, 1, 1, kWidth})})};
  EXPECT_TRUE(fuse_post_ops(graph_).at(0).absorbed.empty());
}

TEST_F(FusePostOps, TheProductOnTheRightOfASubtractionIsNotAbsorbed) {
  graph_.outputs = {op(OpKind::Sub, {input("left"), product_})};
  EXPECT_TRUE(fuse_post_ops(graph_).at(0).absorbed.empty());
}

TEST(FusePostOpsOfGemm, ItsOwnBiasAndWhatFollows) {
  for (const bool is_constant : {false, true}) {
    Graph graph;
    const ValueId x = graph.add_input("x", Precision::f32, shape("M,24"));
    const ValueId weight = graph.add_constant("", random_tensor({kWidth, kDepth}));
    const ValueId bias = is_constant ? graph.add_constant("", random_tensor({kWidth}))
                                     : graph.add_input("c", Precision::f32, shape("40"));
    const ValueId gemm = graph.add_op(OpKind::Gemm, "", {x, weight, bias},
                                      {{"transB", std::int64_t{1}}, {"alpha", 0.5}});
    graph.outputs = {graph.add_op(OpKind::Relu, "", {gemm})};
    const std::vector<FusedProduct> products = fuse_post_ops(graph);
    ASSERT_EQ(products.size(), 1U);
    EXPECT_EQ(products[0].inputs, graph.inputs);
    OneDnn onednn;
    KernelContext context{onednn, 1};
    const auto kernel = make_fused_product(graph, products[0], context);
    const std::vector<Tensor> inputs = testing::random_inputs(graph, {{"M", 11}});
    EXPECT_LE(testing::relative_difference(interpret(graph, inputs)[0],
                                           run_kernel(*kernel, inputs, {11, kWidth})),
              1e-5);
  }
}

}  // namespace
}  // namespace burin::host
