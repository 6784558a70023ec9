#include "plugins/onnxruntime/repeated_dimensions.h"

#include <gtest/gtest.h>

namespace burin::ort {
namespace {

using Repeated = std::vector<bool>;

class RepeatedDimensions : public ::testing::Test {
 protected:
  ValueId expand(ValueId x, const std::vector<std::int64_t>& to) {
    return b.op(OpKind::Expand, {x, b.constant(Tensor::from_i64({static_cast<std::int64_t>(to.size())}, to))});
  }
  Repeated of(ValueId x) {
    b.output(x);
    return repeated_dimensions(b.build())[x];
  }

  GraphBuilder b{"g"};
  ValueId row = b.input("row", Precision::f32, {Expr::symbol("B"), 1, 1, 8});
  ValueId wide = expand(row, {1, 1, 6, 1});
};

TEST_F(RepeatedDimensions, AnExpandMakesThem) { EXPECT_EQ(of(wide), (Repeated{false, false, true, false})); }

TEST_F(RepeatedDimensions, ElementwiseOperationsKeepThoseOfAllOperands) {
  EXPECT_EQ(of(b.op(OpKind::Mul, {wide, row})), (Repeated{false, false, true, false}));
}

TEST_F(RepeatedDimensions, OneOperandWithElementsOfItsOwnIsEnough) {
  const ValueId column = b.input("column", Precision::f32, {6, 1});
  EXPECT_EQ(of(b.op(OpKind::Add, {wide, column})), Repeated{});
}

TEST_F(RepeatedDimensions, ADimensionThatMayBeOneIsNotOne) {
  const ValueId maybe = b.input("maybe", Precision::f32, {Expr::symbol("N"), 8});
  EXPECT_EQ(of(b.op(OpKind::Add, {wide, maybe})), Repeated{});
}

TEST_F(RepeatedDimensions, TransposeAndUnsqueezeMoveThem) {
  const ValueId t = b.op(OpKind::Transpose, {wide}, {{"perm", std::vector<std::int64_t>{2, 0, 1, 3}}});
  EXPECT_EQ(of(b.op(OpKind::Unsqueeze, {t}, {{"axes", std::vector<std::int64_t>{0}}})),
            (Repeated{false, true, false, false, false}));
}

TEST_F(RepeatedDimensions, AReshapeForgetsThem) {
  const ValueId shape = b.constant(Tensor::from_i64({2}, {-1, 8}));
  EXPECT_EQ(of(b.op(OpKind::Reshape, {wide, shape})), Repeated{});
}

}  // namespace
}  // namespace burin::ort
