#include "tests/unit/host/onednn_fixture.h"

namespace burin::host {
namespace {

TEST(OneDnnNormalize, SoftmaxOverAnyAxis) {
  for (const OpKind op : {OpKind::Softmax, OpKind::LogSoftmax})
    for (const std::int64_t axis : {0, 1, 2}) {
      NodeKernel kernel(one_op(op, {"A,B,C"}, {{"axis", axis}}));
      for (const Dims& dims : {Dims{2, 3, 5}, {1, 1, 1}, {3, 17, 33}, {2, 0, 4}, {2, 3, 5}})
        kernel.check({random_tensor(dims, 1, -20, 20)});
    }
}

TEST(OneDnnNormalize, LayerNormalization) {
  for (const bool has_bias : {false, true}) {
    std::vector<std::string> shapes = {"A,B,24", "24"};
    if (has_bias) shapes.emplace_back("24");
    NodeKernel kernel(
        one_op(OpKind::LayerNormalization, shapes, {{"axis", std::int64_t{2}}, {"epsilon", 1e-3}}));
    for (const Dims& dims : {Dims{2, 3, 24}, {1, 1, 24}, {0, 3, 24}, {5, 9, 24}}) {
      std::vector<Tensor> inputs = {random_tensor(dims), random_tensor({24}, 2)};
      if (has_bias) inputs.push_back(random_tensor({24}, 3));
      kernel.check(inputs);
    }
  }
  NodeKernel several(
      one_op(OpKind::LayerNormalization, {"A,B,5", "B,5", "B,5"}, {{"axis", std::int64_t{1}}}));
  several.check({random_tensor({3, 4, 5}), random_tensor({4, 5}, 2), random_tensor({4, 5}, 3)});
  NodeKernel constant(one_op(OpKind::LayerNormalization, {"A,7"}, {{"axis", std::int64_t{1}}},
                             {random_tensor({7}, 2), random_tensor({7}, 3)}));
  constant.check({random_tensor({4, 7})});
  EXPECT_FALSE(
      NodeKernel(one_op(OpKind::LayerNormalization, {"A,7", "1"}, {{"axis", std::int64_t{1}}}))
          .exists());
}

TEST(OneDnnNormalize, BatchNormalization) {
  for (const std::string& x : {std::string("N,6"), std::string("N,6,L"), std::string("N,6,H,W")}) {
    NodeKernel kernel(
        one_op(OpKind::BatchNormalization, {x, "6", "6", "6", "6"}, {{"epsilon", 1e-4}}));
    for (const Dims& size : {Dims{2, 6, 5, 7}, {1, 6, 1, 1}, {3, 6, 8, 8}}) {
      const Dims dims(size.begin(), size.begin() + static_cast<std::ptrdiff_t>(shape(x).size()));
      kernel.check({random_tensor(dims), random_tensor({6}, 2), random_tensor({6}, 3),
                    random_tensor({6}, 4), random_tensor({6}, 5, 0.5, 2)});
    }
  }
}

TEST(OneDnnNormalize, GroupAndInstanceNormalization) {
  NodeKernel group(one_op(OpKind::GroupNormalization, {"N,12,H,W", "12", "12"},
                          {{"num_groups", std::int64_t{4}}}));
  NodeKernel instance(
      one_op(OpKind::InstanceNormalization, {"N,12,H,W", "12", "12"}, {{"epsilon", 1e-3}}));
  for (const Dims& dims : {Dims{2, 12, 5, 7}, {1, 12, 16, 16}, {1, 12, 3, 1}})
    for (NodeKernel* kernel : {&group, &instance})
      kernel->check({random_tensor(dims), random_tensor({12}, 2), random_tensor({12}, 3)});
}

}  // namespace
}  // namespace burin::host
