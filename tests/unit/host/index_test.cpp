#include <gtest/gtest.h>

#include "kernel_check.h"
#include "unit/support/error_of.h"

namespace burin::host {
namespace {

std::unique_ptr<Kernel> kernel_of(const OneNode& one) {
  return make_index_kernel(one.graph, one.node());
}

void check(OpKind op, const NodeInputs& inputs, const Attributes& attributes = {},
           double tolerance = 0) {
  const OneNode one(op, inputs, attributes);
  const auto kernel = kernel_of(one);
  ASSERT_NE(kernel, nullptr);
  expect_like_interpreter(*kernel, one, inputs, tolerance);
}

/// In range for an axis of `size`, negative ones too; no elements if the axis has none.
Tensor random_indices(Random& random, const Dims& dims, std::int64_t size) {
  Tensor indices = Tensor::zeros(random.pick({Precision::i64, Precision::i32}), dims);
  for (std::int64_t i = 0; i < indices.size(); ++i)
    indices.set_int(i, random.between(-size, size - 1));
  return indices;
}

constexpr Precision kOfEachSize[] = {Precision::boolean, Precision::bf16, Precision::f32,
                                     Precision::i64};

TEST(HostIndex, Gather) {
  Random random(1);
  for (const Precision p : kOfEachSize)
    for (int i = 0; i < 60; ++i) {
      const auto rank = static_cast<std::size_t>(random.between(1, 4));
      Dims dims = random_dims(random, rank, 0, 5);
      const std::int64_t axis = random.below(std::ssize(dims));
      dims[static_cast<std::size_t>(axis)] = random.between(1, 6);
      const Dims indices =
          random_dims(random, static_cast<std::size_t>(random.between(0, 2)), 0, 4);
      check(OpKind::Gather,
            {random_tensor(random, p, dims),
             random_indices(random, indices, dims[static_cast<std::size_t>(axis)])},
            {{"axis", random.chance(0.5) ? axis : axis - std::ssize(dims)}});
    }
  // Enough for several threads.
  check(OpKind::Gather,
        {random_tensor(random, Precision::f32, {100, 512}), random_indices(random, {4, 128}, 100)});
}

TEST(HostIndex, GatherElements) {
  Random random(2);
  for (const Precision p : kOfEachSize)
    for (int i = 0; i < 40; ++i) {
      const Dims dims = random_dims(random, static_cast<std::size_t>(random.between(1, 4)), 1, 5);
      const std::int64_t axis = random.below(std::ssize(dims));
      Dims indices = dims;
      for (std::int64_t& dim : indices) dim = random.between(i % 5 == 0 ? 0 : 1, dim);
      indices[static_cast<std::size_t>(axis)] = random.between(0, 7);
      check(OpKind::GatherElements,
            {random_tensor(random, p, dims),
             random_indices(random, indices, dims[static_cast<std::size_t>(axis)])},
            {{"axis", axis}});
    }
}

/// Index tuples for the axes [batches, batches + length).
Tensor random_tuples(Random& random, Dims lead, const Dims& x, std::size_t batches,
                     std::size_t length) {
  lead.push_back(static_cast<std::int64_t>(length));
  Tensor tuples = Tensor::zeros(Precision::i64, lead);
  for (std::int64_t i = 0; i < tuples.size(); ++i) {
    const std::int64_t size = x[batches + static_cast<std::size_t>(i) % length];
    tuples.set_int(i, random.between(-size, size - 1));
  }
  return tuples;
}

TEST(HostIndex, GatherNdAndScatterNd) {
  Random random(3);
  for (const Precision p : kOfEachSize)
    for (int i = 0; i < 60; ++i) {
      const Dims dims = random_dims(random, static_cast<std::size_t>(random.between(1, 4)), 1, 5);
      const auto batches = static_cast<std::size_t>(random.below(std::ssize(dims)));
      const auto length = static_cast<std::size_t>(
          random.between(1, std::ssize(dims) - static_cast<std::int64_t>(batches)));
      Dims lead(dims.begin(), dims.begin() + static_cast<std::ptrdiff_t>(batches));
      for (const std::int64_t extra :
           random_dims(random, static_cast<std::size_t>(random.between(0, 2)), 0, 4))
        lead.push_back(extra);
      const Tensor x = random_tensor(random, p, dims);
      const Tensor tuples = random_tuples(random, lead, dims, batches, length);
      check(OpKind::GatherND, {x, tuples}, {{"batch_dims", static_cast<std::int64_t>(batches)}});
      if (batches > 0) continue;
      Dims updates = lead;
      updates.insert(updates.end(), dims.begin() + static_cast<std::ptrdiff_t>(length), dims.end());
      check(OpKind::ScatterND, {x, tuples, random_tensor(random, p, updates)});
    }
}

TEST(HostIndex, CumSum) {
  Random random(4);
  for (const Precision p : {Precision::f32, Precision::i64, Precision::i32})
    for (const std::int64_t exclusive : {0, 1})
      for (const std::int64_t reverse : {0, 1})
        for (const std::int64_t axis : {0, 1, 2, -1})
          for (const Dims& dims : {Dims{2, 3, 4}, Dims{1, 7, 1}, Dims{2, 0, 3}})
            check(OpKind::CumSum, {random_tensor(random, p, dims), Tensor::from_i64({}, {axis})},
                  {{"exclusive", exclusive}, {"reverse", reverse}});
  const std::int64_t large = std::numeric_limits<std::int64_t>::max();
  check(OpKind::CumSum, {i64_list({large, large, 3}), Tensor::from_i64({}, {0})});
}

TEST(HostIndex, ArgMax) {
  Random random(5);
  for (const Precision p : {Precision::f32, Precision::i64, Precision::i32})
    for (const std::int64_t keepdims : {0, 1})
      for (const std::int64_t last : {0, 1})
        for (const std::int64_t axis : {0, 1, 2})
          check(OpKind::ArgMax, {random_tensor(random, p, {3, 4, 5}, 2)},
                {{"axis", axis}, {"keepdims", keepdims}, {"select_last_index", last}});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::int64_t last : {0, 1})
    check(OpKind::ArgMax, {Tensor::from_f32({5}, {1, nan, 3, nan, 2})},
          {{"select_last_index", last}});
  check(OpKind::ArgMax, {random_tensor(random, Precision::f32, {0, 4})},
        {{"axis", std::int64_t{1}}});
}

TEST(HostIndex, OutOfShapes) {
  Random random(6);
  const Tensor x = random_tensor(random, Precision::f32, {2, 3, 0, 5});
  check(OpKind::Shape, {x});
  check(OpKind::Shape, {x}, {{"start", std::int64_t{-3}}, {"end", std::int64_t{-1}}});
  check(OpKind::Shape, {x}, {{"start", std::int64_t{3}}, {"end", std::int64_t{1}}});
  check(OpKind::Shape, {random_tensor(random, Precision::f32, {})});
  check(OpKind::Size, {random_tensor(random, Precision::u8, {2, 3})});
  check(OpKind::ConstantOfShape, {i64_list({2, 3})});
  check(OpKind::ConstantOfShape, {i64_list({2, 0})});
  check(OpKind::ConstantOfShape, {i64_list({})}, {{"value", Tensor::from_i64({1}, {-7})}});
  check(OpKind::ConstantOfShape, {i64_list({4})},
        {{"value", Tensor::scalar(Precision::boolean, 1)}});
}

TEST(HostIndex, Range) {
  const auto check_range = [](Precision p, double start, double limit, double delta) {
    check(OpKind::Range,
          {Tensor::scalar(p, start), Tensor::scalar(p, limit), Tensor::scalar(p, delta)});
  };
  for (const Precision p : {Precision::i64, Precision::i32, Precision::f32}) {
    check_range(p, 0, 7, 1);
    check_range(p, 10, -3, -4);
    check_range(p, 3, 3, 1);
    check_range(p, 5, 0, 1);
  }
  check_range(Precision::f32, 0.1, 20, 0.3);
}

TEST(HostIndex, IndicesOutOfRange) {
  const Tensor x = Tensor::from_f32({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto error = [&](OpKind op, const Tensor& indices, const Attributes& attributes,
                         const Dims& out) {
    const NodeInputs inputs{x, indices};
    const OneNode one(op, inputs, attributes);
    const auto kernel = kernel_of(one);
    return test::error_of(
        [&] { run_kernel(*kernel, inputs, {Tensor::zeros(Precision::f32, out)}); });
  };
  EXPECT_EQ(
      error(OpKind::Gather, i64_list({0, -4}), {{"axis", std::int64_t{1}}}, {2, 2}),
      "node 'tested' (Gather): index -4 at position 1 is not in axis 1, which has 3 elements");
  EXPECT_EQ(error(OpKind::GatherElements, Tensor::from_i64({1, 3}, {0, 1, 2}), {}, {1, 3}),
            "node 'tested' (GatherElements): index 2 at position 2 is not in axis 0, which has 2 "
            "elements");
  EXPECT_EQ(
      error(OpKind::GatherND, Tensor::from_i64({2, 2}, {0, 0, 1, 3}), {}, {2}),
      "node 'tested' (GatherND): index 3 at position 3 is not in axis 1, which has 3 elements");
}

TEST(HostIndex, OtherTypesAreForTheReference) {
  const OneNode sum(OpKind::CumSum,
                    {Tensor::zeros(Precision::f64, {3}), Tensor::from_i64({}, {0})});
  EXPECT_EQ(kernel_of(sum), nullptr);
  const OneNode scatter(OpKind::ScatterND,
                        {Tensor::zeros(Precision::f32, {3}), Tensor::from_i64({1, 1}, {0}),
                         Tensor::zeros(Precision::f32, {1})},
                        {{"reduction", "add"}});
  EXPECT_EQ(kernel_of(scatter), nullptr);
}

TEST(HostIndex, BoundAgainToOtherShapes) {
  Random random(7);
  const OneNode one(OpKind::Gather,
                    {Tensor::zeros(Precision::f32, {2, 3}), Tensor::zeros(Precision::i64, {4})},
                    {{"axis", std::int64_t{0}}});
  const auto kernel = kernel_of(one);
  for (int i = 0; i < 20; ++i) {
    const Dims dims{random.between(1, 9), random.between(0, 9)};
    Tensor indices = Tensor::zeros(Precision::i64, {random.between(0, 9)});
    for (std::int64_t k = 0; k < indices.size(); ++k) indices.set_int(k, random.below(dims[0]));
    expect_like_interpreter(*kernel, one, {random_tensor(random, Precision::f32, dims), indices});
  }
}

}  // namespace
}  // namespace burin::host
