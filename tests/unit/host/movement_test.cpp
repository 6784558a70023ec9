#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>

#include "kernel_check.h"
#include "unit/support/error_of.h"

namespace burin::host {
namespace {

constexpr Precision kOfEachSize[] = {Precision::u8, Precision::f16, Precision::f32, Precision::i64};

void check(OpKind op, const NodeInputs& inputs, const Attributes& attributes = {},
           std::size_t outputs = 1, const std::vector<std::size_t>& constants = {}) {
  const OneNode one(op, inputs, attributes, outputs, constants);
  const auto kernel = make_movement_kernel(one.graph, one.node());
  ASSERT_NE(kernel, nullptr);
  expect_like_interpreter(*kernel, one, inputs);
}

/// Slice and Pad: the axes are known beforehand.
void check_with_axes(OpKind op, const NodeInputs& inputs, const Attributes& attributes = {}) {
  check(op, inputs, attributes, 1, {3});
}

Dims random_permutation(Random& random, std::size_t rank) {
  Dims perm(rank);
  std::iota(perm.begin(), perm.end(), 0);
  for (std::size_t i = rank; i > 1; --i)
    std::swap(perm[i - 1],
              perm[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(i)))]);
  return perm;
}

TEST(HostMovement, Transpose) {
  Random random(1);
  for (const Precision p : kOfEachSize)
    for (int i = 0; i < 60; ++i) {
      const auto rank = static_cast<std::size_t>(random.between(0, 5));
      const Tensor x = random_tensor(random, p, random_dims(random, rank, i % 6 == 0 ? 0 : 1));
      check(OpKind::Transpose, {x}, {{"perm", random_permutation(random, rank)}});
    }
  check(OpKind::Transpose, {random_tensor(random, Precision::f32, {3, 4, 5})});
}

TEST(HostMovement, TransposeOfManyElements) {
  Random random(2);
  for (const Precision p : kOfEachSize) {
    check(OpKind::Transpose, {random_tensor(random, p, {67, 45})}, {{"perm", Dims{1, 0}}});
    check(OpKind::Transpose, {random_tensor(random, p, {2, 3, 33, 70})},
          {{"perm", Dims{0, 1, 3, 2}}});
    check(OpKind::Transpose, {random_tensor(random, p, {2, 33, 5, 64})},
          {{"perm", Dims{0, 2, 1, 3}}});
    check(OpKind::Transpose, {random_tensor(random, p, {2, 33, 5, 17})},
          {{"perm", Dims{0, 2, 3, 1}}});
  }
  // Enough for several threads.
  check(OpKind::Transpose, {random_tensor(random, Precision::i64, {300, 501})},
        {{"perm", Dims{1, 0}}});
  check(OpKind::Transpose, {random_tensor(random, Precision::f32, {30, 50, 100})},
        {{"perm", Dims{1, 0, 2}}});
}

TEST(HostMovement, ChangesOfShape) {
  Random random(3);
  const Tensor x = random_tensor(random, Precision::i32, {2, 1, 6});
  check(OpKind::Reshape, {x, i64_list({3, -1})});
  check(OpKind::Squeeze, {x}, {{"axes", Dims{1}}});
  check(OpKind::Unsqueeze, {x}, {{"axes", Dims{0, 4}}});
  check(OpKind::Flatten, {x}, {{"axis", std::int64_t{1}}});
  check(OpKind::Identity, {x});
  check(OpKind::Reshape, {random_tensor(random, Precision::f32, {0, 4}), i64_list({2, 0, 3})},
        {{"allowzero", std::int64_t{1}}});
}

TEST(HostMovement, Repetition) {
  Random random(4);
  for (const Precision p : kOfEachSize) {
    check(OpKind::Expand, {random_tensor(random, p, {3, 1, 4}), i64_list({2, 1, 5, 1})});
    check(OpKind::Expand, {random_tensor(random, p, {}), i64_list({2, 3})});
    check(OpKind::Expand, {random_tensor(random, p, {1, 4}), i64_list({0, 4})});
    check(OpKind::Tile, {random_tensor(random, p, {2, 3}), i64_list({3, 2})});
    check(OpKind::Tile, {random_tensor(random, p, {2, 3}), i64_list({1, 0})});
    check(OpKind::Tile, {random_tensor(random, p, {2, 0}), i64_list({2, 2})});
    check(OpKind::Repeat, {random_tensor(random, p, {2, 3, 4})},
          {{"axis", std::int64_t{1}}, {"times", std::int64_t{3}}});
    check(OpKind::Repeat, {random_tensor(random, p, {2, 3})},
          {{"axis", std::int64_t{1}}, {"times", std::int64_t{2}}});
  }
}

TEST(HostMovement, ConcatAndSplit) {
  Random random(5);
  for (const Precision p : kOfEachSize)
    for (int i = 0; i < 30; ++i) {
      const auto rank = static_cast<std::size_t>(random.between(1, 4));
      const std::int64_t axis = random.below(static_cast<std::int64_t>(rank));
      const auto a = static_cast<std::size_t>(axis);
      Dims dims = random_dims(random, rank, i % 5 == 0 ? 0 : 1);
      const auto parts = static_cast<std::size_t>(random.between(1, 4));
      NodeInputs inputs;
      std::vector<std::int64_t> sizes;
      for (std::size_t part = 0; part < parts; ++part) {
        dims[a] = random.between(0, 5);
        sizes.push_back(dims[a]);
        inputs.emplace_back(random_tensor(random, p, dims));
      }
      check(OpKind::Concat, inputs,
            {{"axis", random.chance(0.5) ? axis : axis - std::ssize(dims)}});
      dims[a] = std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0});
      check(OpKind::Split, {random_tensor(random, p, dims), i64_list(sizes)}, {{"axis", axis}},
            parts);
    }
  check(OpKind::Split, {random_tensor(random, Precision::f32, {2, 7})}, {{"axis", std::int64_t{1}}},
        3);
}

TEST(HostMovement, Slice) {
  Random random(6);
  for (int i = 0; i < 400; ++i) {
    const auto rank = static_cast<std::size_t>(random.between(1, 4));
    const Tensor x =
        random_tensor(random, random.pick({Precision::f32, Precision::i64, Precision::boolean}),
                      random_dims(random, rank, i % 7 == 0 ? 0 : 1, 6));
    Dims axes = random_permutation(random, rank);
    axes.resize(static_cast<std::size_t>(random.between(0, std::ssize(axes))));
    std::vector<std::int64_t> starts, ends, steps;
    for (std::int64_t& axis : axes) {
      if (random.chance(0.5)) axis -= std::ssize(x.dims());
      starts.push_back(random.between(-8, 8));
      ends.push_back(random.chance(0.2) ? std::numeric_limits<std::int32_t>::max()
                                        : random.between(-8, 8));
      steps.push_back(random.pick({1, 1, 2, 3, -1, -2, 100}));
    }
    const Precision p = random.pick({Precision::i64, Precision::i32});
    const auto list = [&](const std::vector<std::int64_t>& values) {
      return integer_tensor(p, {std::ssize(values)}, values);
    };
    check_with_axes(OpKind::Slice, {x, list(starts), list(ends), list(axes), list(steps)});
  }
  const Tensor x = random_tensor(random, Precision::f32, {5, 6});
  check_with_axes(OpKind::Slice, {x, i64_list({1, 2}), i64_list({4, 5})});
  check_with_axes(OpKind::Slice, {x, i64_list({1}), i64_list({4}), std::nullopt, i64_list({2})});
}

TEST(HostMovement, SliceOfOtherShapeThanBound) {
  const NodeInputs inputs{Tensor::from_f32({4}, {1, 2, 3, 4}), i64_list({2}), i64_list({4})};
  const OneNode one(OpKind::Slice, inputs);
  const auto kernel = make_movement_kernel(one.graph, one.node());
  EXPECT_ERROR(
      run_kernel(*kernel, inputs, {Tensor::zeros(Precision::f32, {3})}),
      "node 'tested' (Slice): 3 elements from 2 in steps of 1 do not fit axis 0, which has 4");
}

TEST(HostMovement, Pad) {
  Random random(7);
  for (int i = 0; i < 200; ++i) {
    const auto rank = static_cast<std::size_t>(random.between(1, 3));
    const std::string mode = random.pick({"constant", "edge", "reflect"});
    const Tensor x =
        random_tensor(random, random.pick({Precision::f32, Precision::i64, Precision::f16}),
                      random_dims(random, rank, 2, 5));
    std::vector<std::int64_t> pads;
    for (std::size_t d = 0; d < 2 * rank; ++d)
      pads.push_back(random.between(i % 2 == 0 ? 0 : -1, 4));
    NodeInputs inputs{x, i64_list(pads)};
    if (random.chance(0.5)) inputs.emplace_back(random_tensor(random, x.precision(), {}));
    bool empty = false;
    for (std::size_t d = 0; d < rank; ++d)
      empty = empty || x.dims()[d] + pads[d] + pads[d + rank] <= 0;
    if (empty && mode != "constant") continue;
    check_with_axes(OpKind::Pad, inputs, {{"mode", mode}});
  }
  const Tensor x = random_tensor(random, Precision::i32, {2, 3, 4});
  check_with_axes(OpKind::Pad, {x, i64_list({1, 2}), std::nullopt, i64_list({-1})});
  check_with_axes(OpKind::Pad,
                  {random_tensor(random, Precision::f32, {0, 2}), i64_list({1, 1, 0, 2})});
  check_with_axes(OpKind::Pad, {random_tensor(random, Precision::f32, {1}), i64_list({2, 2})},
                  {{"mode", "reflect"}});
}

TEST(HostMovement, Trilu) {
  Random random(8);
  for (const std::int64_t upper : {0, 1})
    for (const std::int64_t k : {-100, -4, -3, -1, 0, 1, 2, 5, 100}) {
      const Tensor x = random_tensor(random, Precision::f32, {2, 4, 5});
      check(OpKind::Trilu, {x, Tensor::from_i64({}, {k})}, {{"upper", upper}});
      check(OpKind::Trilu,
            {random_tensor(random, Precision::boolean, {6, 3}), Tensor::from_i64({}, {k})},
            {{"upper", upper}});
    }
  check(OpKind::Trilu, {random_tensor(random, Precision::f32, {3, 3})});
  check(OpKind::Trilu, {random_tensor(random, Precision::f32, {3, 0})});
  check(OpKind::Trilu, {random_tensor(random, Precision::f32, {0, 3})});
}

TEST(HostMovement, DepthToSpace) {
  Random random(9);
  for (const char* mode : {"DCR", "CRD"})
    check(OpKind::DepthToSpace, {random_tensor(random, Precision::f32, {2, 12, 3, 5})},
          {{"blocksize", std::int64_t{2}}, {"mode", mode}});
}

TEST(HostMovement, BoundAgainToOtherShapes) {
  Random random(10);
  const OneNode one(OpKind::Transpose, {random_tensor(random, Precision::f32, {2, 3, 4})},
                    {{"perm", Dims{2, 0, 1}}});
  const auto kernel = make_movement_kernel(one.graph, one.node());
  for (int i = 0; i < 20; ++i)
    expect_like_interpreter(*kernel, one,
                            {random_tensor(random, Precision::f32, random_dims(random, 3, 0, 20))});
}

}  // namespace
}  // namespace burin::host
