#include "tests/unit/host/onednn_fixture.h"

namespace burin::host {
namespace {

TEST(OneDnnProduct, ConstantWeightAtManyShapes) {
  for (const auto& [k, n] :
       {std::pair<std::int64_t, std::int64_t>{64, 48}, {37, 1}, {1, 19}, {100, 37}}) {
    NodeKernel kernel(
        one_op(OpKind::MatMul, {"B,S," + std::to_string(k)}, {}, {random_tensor({k, n}, 3)}));
    for (const Dims& batch : {Dims{1, 1}, {2, 7}, {3, 40}, {0, 5}, {1, 1}})
      kernel.check({random_tensor({batch[0], batch[1], k})});
    EXPECT_EQ(kernel.counters().packed, 1U);
    EXPECT_EQ(kernel.counters().created, 3U) << "one for each number of rows";
    const auto created = kernel.counters().created;
    kernel.check({random_tensor({2, 7, k}, 9)});
    EXPECT_EQ(kernel.counters().created, created);
  }
}

TEST(OneDnnProduct, TwoActivationsWithBroadcastBatches) {
  const std::vector<std::pair<Dims, Dims>> shapes = {{{5, 7}, {7, 3}},
                                                     {{2, 5, 7}, {7, 3}},
                                                     {{5, 7}, {4, 7, 3}},
                                                     {{4, 5, 7}, {4, 7, 3}},
                                                     {{2, 3, 5, 7}, {2, 3, 7, 4}},
                                                     {{2, 3, 5, 7}, {1, 3, 7, 4}},
                                                     {{2, 1, 5, 7}, {3, 7, 4}},
                                                     {{2, 3, 1, 7}, {2, 3, 7, 4}},
                                                     {{2, 1, 3, 1, 5, 7}, {4, 1, 2, 7, 6}},
                                                     {{1, 5, 7}, {1, 7, 3}},
                                                     {{2, 5, 7}, {1, 7, 3}}};
  for (const auto& [a, b] : shapes) {
    SCOPED_TRACE(to_string(a) + " x " + to_string(b));
    const auto symbols = [](const Dims& dims, const std::string& prefix) {
      std::string text;
      for (std::size_t d = 0; d < dims.size(); ++d)
        text += (d == 0 ? "" : ",") + (dims[d] == 1 || d + 2 >= dims.size()
                                           ? std::to_string(dims[d])
                                           : prefix + std::to_string(dims.size() - d));
      return text;
    };
    NodeKernel kernel(one_op(OpKind::MatMul, {symbols(a, "D"), symbols(b, "D")}));
    kernel.check({random_tensor(a), random_tensor(b, 2)});
  }
}

TEST(OneDnnProduct, Gemm) {
  for (const std::int64_t trans_a : {0, 1})
    for (const std::int64_t trans_b : {0, 1})
      for (const bool is_constant : {false, true})
        for (const auto& [alpha, beta] :
             {std::pair{1.0, 1.0}, {0.5, 1.0}, {1.0, 0.25}, {1.5, 0.0}, {0.0, 1.0}})
          for (const Dims& c : {Dims{}, {1}, {6}, {1, 6}, {5, 1}, {5, 6}}) {
            const Dims a = trans_a != 0 ? Dims{7, 5} : Dims{5, 7},
                       b = trans_b != 0 ? Dims{6, 7} : Dims{7, 6};
            Graph graph;
            std::vector<ValueId> inputs = {
                graph.add_input("a", Precision::f32, Shape(a.begin(), a.end()))};
            std::vector<Tensor> given = {random_tensor(a)};
            const Tensor weight = random_tensor(b, 2), addend = random_tensor(c, 3);
            for (const Tensor& t : {weight, addend}) {
              inputs.push_back(
                  is_constant ? graph.add_constant("", t)
                              : graph.add_input("i" + std::to_string(inputs.size()), Precision::f32,
                                                Shape(t.dims().begin(), t.dims().end())));
              if (!is_constant) given.push_back(t);
            }
            graph.outputs = {graph.add_op(
                OpKind::Gemm, "gemm", inputs,
                {{"alpha", alpha}, {"beta", beta}, {"transA", trans_a}, {"transB", trans_b}})};
            NodeKernel(std::move(graph)).check(given);
          }
}

TEST(OneDnnProduct, WithoutDepthItIsZero) {
  NodeKernel kernel(one_op(OpKind::MatMul, {"B,3,K", "K,4"}));
  kernel.check({random_tensor({2, 3, 0}), random_tensor({0, 4})});
  kernel.check({random_tensor({2, 3, 5}), random_tensor({5, 4})});
  NodeKernel batched(one_op(OpKind::MatMul, {"B,3,K", "B,K,4"}));
  batched.check({random_tensor({2, 3, 0}), random_tensor({2, 0, 4})});
  NodeKernel constant(one_op(OpKind::MatMul, {"B,3,0"}, {}, {random_tensor({0, 4})}));
  constant.check({random_tensor({2, 3, 0})});
}

TEST(OneDnnProduct, VectorsAreForOthers) {
  EXPECT_FALSE(NodeKernel(one_op(OpKind::MatMul, {"K", "K,4"})).exists());
  EXPECT_FALSE(NodeKernel(one_op(OpKind::MatMul, {"3,K", "K"})).exists());
}

TEST(OneDnnProduct, KernelsShareAPackedWeight) {
  const Graph graph = one_op(OpKind::MatMul, {"M,32"}, {}, {random_tensor({32, 48})});
  OneDnn onednn;
  KernelContext context{onednn, 1};
  const Node& node = graph.node(graph.order().back());
  const std::vector<Tensor> inputs = {random_tensor({4, 32}),
                                      *graph.value(node.inputs[1]).constant};
  const auto first = make_onednn_kernel(graph, node, context),
             second = make_onednn_kernel(graph, node, context);
  const Tensor a = run_kernel(*first, inputs, {4, 48});
  const Tensor b = run_kernel(*second, inputs, {4, 48});
  EXPECT_EQ(testing::relative_difference(a, b), 0);
  EXPECT_EQ(onednn.counters().packed, 1U);
  EXPECT_EQ(onednn.counters().created, 1U);
}

TEST(OneDnnProduct, PrimitivesThatWereNotUsedForLongGo) {
  const Graph graph = one_op(OpKind::MatMul, {"M,32"}, {}, {random_tensor({32, 48})});
  OneDnn onednn(2);
  KernelContext context{onednn, 1};
  const Node& node = graph.node(graph.order().back());
  const auto kernel = make_onednn_kernel(graph, node, context);
  const auto run = [&](std::int64_t rows) {
    run_kernel(*kernel, {random_tensor({rows, 32}), *graph.value(node.inputs[1]).constant},
               {rows, 48});
    return onednn.counters().created;
  };
  EXPECT_EQ(run(1), 1U);
  EXPECT_EQ(run(2), 2U);
  EXPECT_EQ(run(1), 2U);
  EXPECT_EQ(run(3), 3U);
  EXPECT_EQ(run(1), 3U) << "used last but one";
  EXPECT_EQ(run(2), 4U) << "had to go";
}

}  // namespace
}  // namespace burin::host
