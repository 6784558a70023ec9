#include <gtest/gtest.h>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

using Values = std::map<std::string, std::int64_t>;

/// What the loads of a block, and the prefetches in front of them, have as index.
struct Indices {
  std::vector<Expr> prefetched, loaded;
};
Indices indices_in(const LinearIR& ir) {
  Indices out;
  for_each_expression(ir.phases, [&](const Expression& e) {
    if (e.op == Op::prefetch) out.prefetched.push_back(e.index);
    if (e.op == Op::load) out.loaded.push_back(e.index);
  });
  return out;
}

/// The loops' variables at the first element of each item, in the order of the parallel loops.
std::vector<Values> items_of(const Values& sizes) {
  std::vector<Values> items;
  for (std::int64_t b = 0; b < sizes.at("B"); ++b)
    for (std::int64_t m = 0; m < sizes.at("M"); m += 16)
      for (std::int64_t n = 0; n < sizes.at("N"); n += 32) items.push_back({{"_B", b}, {"_M.b", m}, {"_N.b", n}, {"_M", m}, {"_N", n}});
  return items;
}

TEST(PrefetchNextBlock, AsksForWhatTheNextItemLoads) {
  LinearIR ir = parse_linear(R"(linear @blocks lanes=8 symbols(B, M, N) {
  input %x: f32[B,N,M] strides[M*N,M,1]
  input %y: f32[B,M,N] strides[M*N,N,1]
  output %r: f32[B,M,N] strides[M*N,N,1]
  parallel _B in 0..B {
    parallel _M.b in 0..M step 16 partial {
      parallel _N.b in 0..N step 32 partial {
        lanes _N in _N.b..min(N, _N.b + 32) step 8 partial {
          loop _M in _M.b..min(M, _M.b + 16) step 8 partial {
            %x1 = load %x[M*N*_B + M*_N + _M]
            %y1 = load %y[M*N*_B + N*_M + _N]
            %r1 = add %x1, %y1
            store %r[M*N*_B + N*_M + _N], %r1
          }
        }
      }
    }
  }
})");
  Schedule schedule;
  schedule.fetch_next_block = true;
  ASSERT_TRUE(prefetch_next_block(ir, schedule));
  const Indices indices = indices_in(ir);
  ASSERT_EQ(indices.prefetched.size(), indices.loaded.size());
  for (const Values& sizes : {Values{{"B", 3}, {"M", 40}, {"N", 70}}, {{"B", 2}, {"M", 16}, {"N", 96}}, {{"B", 3}, {"M", 5}, {"N", 8}}}) {
    const std::vector<Values> items = items_of(sizes);
    for (std::size_t i = 0; i + 1 < items.size(); ++i)
      for (const std::int64_t away : {0, 3}) {
        Values here = items[i], next = items[i + 1];
        for (Values* values : {&here, &next}) {
          values->insert(sizes.begin(), sizes.end());
          (*values)["_M"] += away, (*values)["_N"] += 2 * away;
        }
        for (std::size_t k = 0; k < indices.loaded.size(); ++k)
          ASSERT_EQ(indices.prefetched[k].evaluate(here), indices.loaded[k].evaluate(next)) << "item " << i << ", operand " << k;
      }
  }
}

}  // namespace
}  // namespace burin::linear
