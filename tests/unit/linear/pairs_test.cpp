#include "linear/pairs.h"

#include <gtest/gtest.h>

namespace burin::linear {
namespace {

TEST(Pairs, EachHasOnePartnerOrNone) {
  const LinearIR ir = parse_linear(R"(linear @pairs lanes=4 symbols(N) {
  input %x: f32[N] strides[1]
  output %y: f32[N] strides[1]
  parallel _one in 0..1 {
    lanes _n in 0..N step 4 partial {
      %even = load %x[2*_n]
      %odd = load %x[2*_n + 1]
      %again = load %x[2*_n]
      %sum = add %even, %odd
      %all = add %sum, %again
      store %y[_n], %all
    }
  }
})");
  const Block& body = ir.phases.front().loop->body().front().loop->body();
  EXPECT_EQ(partner_in_pairs(body, 0, "_n"), 1U);
  EXPECT_EQ(partner_in_pairs(body, 1, "_n"), 0U);
  EXPECT_EQ(partner_in_pairs(body, 2, "_n"), std::nullopt) << "the odd one has a partner already";
}

}  // namespace
}  // namespace burin::linear
