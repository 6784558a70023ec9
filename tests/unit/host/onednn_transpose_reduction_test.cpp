#include <limits>

#include "tests/unit/host/onednn_fixture.h"

namespace burin::host {
namespace {

using Ints = std::vector<std::int64_t>;

TEST(OneDnnTranspose, AnyPermutation) {
  Ints perm = {0, 1, 2, 3};
  do {
    const bool moves_rows = perm.back() == 3;
    NodeKernel kernel(one_op(OpKind::Transpose, {"A,B,C,D"}, {{"perm", perm}}));
    ASSERT_EQ(kernel.exists(), !moves_rows) << "plain code moves rows";
    if (moves_rows) continue;
    for (const Dims& dims : {Dims{2, 3, 4, 5}, {1, 8, 12, 16}, {2, 1, 7, 1}, {2, 0, 3, 4}})
      kernel.check({random_tensor(dims)}, 0);
  } while (std::next_permutation(perm.begin(), perm.end()));
}

TEST(OneDnnTranspose, OtherTypesOfUpToFourBytes) {
  for (const Precision p :
       {Precision::i32, Precision::u8, Precision::i8, Precision::boolean, Precision::i64}) {
    GraphBuilder builder("transpose");
    const ValueId x = builder.input("x", p, shape("A,B"));
    builder.output(builder.op(OpKind::Transpose, {x}, {{"perm", Ints{1, 0}}}));
    NodeKernel kernel(builder.build());
    ASSERT_EQ(kernel.exists(), p != Precision::i64);
    if (!kernel.exists()) continue;
    Tensor tensor = Tensor::zeros(p, {3, 5});
    for (std::int64_t i = 0; i < tensor.size(); ++i)
      tensor.set_int(i, p == Precision::boolean ? i % 2 : i * 7);
    kernel.check({tensor}, 0);
  }
}

TEST(Reduction, AnyAxes) {
  for (const OpKind op : {OpKind::ReduceSum, OpKind::ReduceMean, OpKind::ReduceMax,
                          OpKind::ReduceMin, OpKind::ReduceProd, OpKind::ReduceL2})
    for (const Ints& axes : {Ints{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}})
      for (const std::int64_t keepdims : {0, 1}) {
        NodeKernel kernel(one_op(op, {"A,B,C"}, {{"axes", axes}, {"keepdims", keepdims}}));
        for (const Dims& dims :
             {Dims{2, 3, 4}, {1, 1, 1}, {5, 1, 70}, {3, 33, 2}, {0, 3, 4}, {2, 3, 0}})
          kernel.check({random_tensor(dims, 1, 0.5, 1.5)});
      }
}

TEST(Reduction, NaNWins) {
  Tensor x = random_tensor({4, 20});
  x.set(3, std::numeric_limits<double>::quiet_NaN());
  x.set(39, std::numeric_limits<double>::quiet_NaN());
  for (const OpKind op : {OpKind::ReduceMax, OpKind::ReduceMin, OpKind::ReduceSum})
    for (const std::int64_t axis : {0, 1})
      NodeKernel(one_op(op, {"A,B"}, {{"axes", Ints{axis}}})).check({x});
}

}  // namespace
}  // namespace burin::host
