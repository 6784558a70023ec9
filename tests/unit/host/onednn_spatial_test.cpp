#include "tests/unit/host/onednn_fixture.h"

namespace burin::host {
namespace {

using Ints = std::vector<std::int64_t>;

/// Checks one kernel at several sizes of its input.
void check_convolution(std::int64_t channels, const Dims& weight, const Attributes& attributes,
                       const std::vector<Dims>& spatial, bool has_bias = true) {
  std::string x = "N," + std::to_string(channels);
  for (std::size_t d = 0; d < spatial[0].size(); ++d) x += ",S" + std::to_string(d);
  std::vector<Tensor> constants = {random_tensor(weight, 2, -0.5, 0.5)};
  if (has_bias) constants.push_back(random_tensor({weight[0]}, 3));
  NodeKernel kernel(one_op(OpKind::Conv, {x}, attributes, constants));
  for (const std::int64_t items : {1, 2})
    for (const Dims& size : spatial) {
      Dims dims = {items, channels};
      dims.insert(dims.end(), size.begin(), size.end());
      SCOPED_TRACE(to_string(dims) + " * " + to_string(weight));
      kernel.check({random_tensor(dims)});
    }
  EXPECT_GE(kernel.counters().packed, 1U);
  const auto before = kernel.counters();
  Dims dims = {1, channels};
  dims.insert(dims.end(), spatial[0].begin(), spatial[0].end());
  kernel.check({random_tensor(dims, 7)});
  EXPECT_EQ(kernel.counters().created, before.created);
  EXPECT_EQ(kernel.counters().packed, before.packed);
}

TEST(OneDnnConvolution, Forms) {
  const std::vector<Dims> planes = {{9, 12}, {16, 16}};
  check_convolution(3, {16, 3, 4, 4}, {{"strides", Ints{4, 4}}}, planes);
  check_convolution(16, {32, 16, 3, 3}, {{"pads", Ints{1, 1, 1, 1}}}, planes);
  check_convolution(5, {7, 5, 3, 3}, {{"pads", Ints{0, 1, 2, 0}}, {"dilations", Ints{2, 1}}},
                    planes, false);
  check_convolution(16, {16, 1, 3, 3}, {{"group", std::int64_t{16}}, {"pads", Ints{1, 1, 1, 1}}},
                    planes);
  check_convolution(8, {12, 2, 3, 2}, {{"group", std::int64_t{4}}, {"strides", Ints{2, 1}}},
                    planes);
  check_convolution(6, {4, 6, 3, 2},
                    {{"auto_pad", std::string("SAME_UPPER")}, {"strides", Ints{2, 2}}}, planes);
  check_convolution(6, {4, 6, 3, 2}, {{"auto_pad", std::string("SAME_LOWER")}}, planes);
  check_convolution(6, {4, 6, 3, 2}, {{"auto_pad", std::string("VALID")}}, planes);
  check_convolution(20, {24, 20, 1, 1}, {}, planes);
  check_convolution(10, {16, 10, 3}, {{"pads", Ints{1, 1}}, {"strides", Ints{2}}}, {{20}, {7}});
  check_convolution(4, {6, 4, 2, 3, 2}, {}, {{5, 6, 7}});
}

TEST(OneDnnPooling, Forms) {
  const Ints kernel = {3, 2}, strides = {2, 2}, pads = {1, 0, 1, 1};
  const std::vector<Attributes> forms = {
      {{"kernel_shape", kernel}},
      {{"kernel_shape", kernel}, {"strides", strides}, {"pads", pads}},
      {{"kernel_shape", kernel}, {"strides", strides}, {"ceil_mode", std::int64_t{1}}},
      {{"kernel_shape", kernel}, {"strides", strides}, {"auto_pad", std::string("SAME_UPPER")}},
      {{"kernel_shape", kernel}, {"strides", strides}, {"auto_pad", std::string("SAME_LOWER")}},
      {{"kernel_shape", kernel}, {"dilations", Ints{2, 1}}}};
  for (const Attributes& form : forms)
    for (const int include_pad : {-1, 0, 1}) {
      Attributes attributes = form;
      if (include_pad >= 0) attributes["count_include_pad"] = std::int64_t{include_pad};
      const OpKind op = include_pad < 0 ? OpKind::MaxPool : OpKind::AveragePool;
      NodeKernel pool(one_op(op, {"N,C,H,W"}, attributes));
      if (include_pad == 1 && form.contains("ceil_mode")) {
        EXPECT_FALSE(pool.exists());
        continue;
      }
      for (const Dims& dims : {Dims{1, 3, 9, 8}, {2, 17, 12, 11}, {1, 16, 7, 7}})
        pool.check({random_tensor(dims)});
    }
}

TEST(OneDnnPooling, GlobalAverage) {
  NodeKernel kernel(one_op(OpKind::GlobalAveragePool, {"N,C,H,W"}));
  for (const Dims& dims : {Dims{2, 3, 5, 7}, {1, 8, 1, 1}, {1, 4, 16, 16}})
    kernel.check({random_tensor(dims)});
}

}  // namespace
}  // namespace burin::host
