#include "linear/integer_range.h"

#include <gtest/gtest.h>

namespace burin::linear {
namespace {

TEST(IntegerBounds, OfAChainLongerThanAStack) {
  constexpr std::int64_t kLength = 100000;
  Graph graph;
  const auto known = [&](const Expr& e) {
    Value value;
    value.precision = Precision::i64;
    value.elements = {e};
    return graph.add_value(std::move(value));
  };
  const Expr n = Expr::symbol("N");
  graph.facts.assume_at_least(n, 1, "test");
  const ValueId zero = known(0), one = known(1), count = known(n);
  std::vector<ValueId> chain = {graph.add_op(OpKind::Range, "range", {zero, count, one})};
  for (std::int64_t i = 0; i < kLength; ++i)
    chain.push_back(graph.add_op(OpKind::Add, "add", {chain.back(), one}));
  IntegerBounds bounds(graph);
  EXPECT_EQ(bounds.of(chain.back()), n + kLength);
  for (const ValueId value : chain) bounds.of(value);  // each from those in front of it
}

}  // namespace
}  // namespace burin::linear
