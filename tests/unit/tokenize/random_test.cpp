// Random graphs of element-wise operations, reductions and products: carved and lowered, they
// compute the same.

#include <random>

#include <gtest/gtest.h>

#include "burin/tokenize.h"
#include "tests/support/interpret_check.h"

namespace burin {
namespace {

class RandomGraph {
 public:
  explicit RandomGraph(std::uint32_t seed) : random_(seed) {}

  Graph build() {
    const Expr b = Expr::symbol("B");
    for (const char* name : {"x", "y", "z"})
      full_.push_back(builder_.input(name, Precision::f32, {b, 96}));
    rows_.push_back(builder_.input("r", Precision::f32, {b, 1}));
    weight_ = builder_.input("w", Precision::f32, {96, 96});
    for (int i = 0; i < 24; ++i) step();
    for (int i = 0; i < 3; ++i)
      builder_.output(full_[full_.size() - 1 - static_cast<std::size_t>(i)]);
    builder_.output(rows_.back());
    return builder_.build();
  }

 private:
  ValueId any(const std::vector<ValueId>& values) { return values[random_() % values.size()]; }

  void step() {
    switch (random_() % 10) {
      case 0: full_.push_back(builder_.op(OpKind::Tanh, {any(full_)})); break;
      case 1: full_.push_back(builder_.op(OpKind::Sigmoid, {any(full_)})); break;
      case 2:
        full_.push_back(builder_.op(OpKind::Softmax, {any(full_)}, {{"axis", std::int64_t{1}}}));
        break;
      case 3:
        rows_.push_back(
            builder_.op(OpKind::ReduceMean, {any(full_)},
                        {{"axes", std::vector<std::int64_t>{1}}, {"keepdims", std::int64_t{1}}}));
        break;
      case 4: rows_.push_back(builder_.op(OpKind::Add, {any(rows_), builder_.scalar(0.5F)})); break;
      case 5: full_.push_back(builder_.op(OpKind::Mul, {any(full_), any(rows_)})); break;
      case 6:
        full_.push_back(
            builder_.op(OpKind::Tanh, {builder_.op(OpKind::MatMul, {any(full_), weight_})}));
        break;
      case 7:
        full_.push_back(builder_.op(
            OpKind::Where,
            {builder_.op(OpKind::Less, {any(full_), any(rows_)}), any(full_), any(full_)}));
        break;
      default: full_.push_back(builder_.op(OpKind::Add, {any(full_), any(full_)})); break;
    }
  }

  std::mt19937 random_;
  GraphBuilder builder_{"random"};
  std::vector<ValueId> full_, rows_;
  ValueId weight_ = kNone;
};

TEST(TokenizeRandom, ResultsStay) {
  std::size_t carved = 0;
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    const Graph before = RandomGraph(seed).build();
    Graph after = before;
    carved += tokenize(after).subgraphs.size();
    ASSERT_NO_THROW(verify(after));
    testing::expect_same_results(before, after);
    if (HasFailure()) return;
  }
  EXPECT_GT(carved, 200U);
}

}  // namespace
}  // namespace burin
