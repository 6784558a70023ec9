#include "host/memory_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "support/aligned_memory.h"
#include "tests/support/random.h"

namespace burin::host {
namespace {

using testing::Random;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kMemoryAlignment - 1) / kMemoryAlignment * kMemoryAlignment;
}

/// What is needed at the step at which most is needed: no arena is smaller.
std::size_t most_at_once(const std::vector<MemoryRequest>& requests) {
  std::size_t most = 0;
  for (const MemoryRequest& at : requests) {
    std::size_t sum = 0;
    for (const MemoryRequest& r : requests)
      if (r.first <= at.first && at.first <= r.last) sum += aligned(r.bytes);
    most = std::max(most, sum);
  }
  return most;
}

std::size_t sum_of(const std::vector<MemoryRequest>& requests) {
  return std::accumulate(requests.begin(), requests.end(), std::size_t{0},
                         [](std::size_t sum, const auto& r) { return sum + aligned(r.bytes); });
}

void expect_sound(const std::vector<MemoryRequest>& requests, const MemoryPlan& plan) {
  ASSERT_EQ(plan.offsets.size(), requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const MemoryRequest& a = requests[i];
    EXPECT_EQ(plan.offsets[i] % kMemoryAlignment, 0U);
    EXPECT_LE(plan.offsets[i] + a.bytes, plan.bytes);
    for (std::size_t j = 0; j < i; ++j) {
      const MemoryRequest& b = requests[j];
      if (a.first > b.last || b.first > a.last || a.bytes == 0 || b.bytes == 0) continue;
      EXPECT_TRUE(plan.offsets[i] + a.bytes <= plan.offsets[j] ||
                  plan.offsets[j] + b.bytes <= plan.offsets[i])
          << i << " and " << j << " overlap";
    }
  }
  EXPECT_LE(plan.bytes, sum_of(requests));
  EXPECT_GE(plan.bytes, most_at_once(requests));
}

std::size_t planned_bytes(const std::vector<MemoryRequest>& requests) {
  const MemoryPlan plan = plan_memory(requests);
  expect_sound(requests, plan);
  return plan.bytes;
}

std::vector<MemoryRequest> random_requests(Random& random) {
  const std::int64_t steps = random.between(1, 20);
  std::vector<MemoryRequest> requests(static_cast<std::size_t>(random.between(0, 40)));
  for (MemoryRequest& r : requests) {
    r.bytes = static_cast<std::size_t>(random.chance(0.1) ? 0 : random.between(1, 2000));
    if (random.chance(0.3)) r.bytes = aligned(r.bytes);
    r.first = static_cast<std::size_t>(random.below(steps));
    r.last = static_cast<std::size_t>(random.between(static_cast<std::int64_t>(r.first), steps));
  }
  return requests;
}

TEST(MemoryPlan, RandomRequestsDoNotOverlap) {
  Random random(1);
  for (int i = 0; i < 2000 && !::testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE(i);
    planned_bytes(random_requests(random));
  }
}

TEST(MemoryPlan, Nothing) {
  EXPECT_EQ(planned_bytes({}), 0U);
  EXPECT_EQ(planned_bytes({{0, 0, 5}, {0, 2, 2}}), 0U);
}

TEST(MemoryPlan, DisjointOnesShareMemory) {
  EXPECT_EQ(planned_bytes({{100, 0, 1}, {300, 2, 3}, {200, 4, 4}, {1, 5, 9}}), aligned(300));
}

TEST(MemoryPlan, RangesThatTouchDoNotShareMemory) {
  // The step that reads one writes the other.
  EXPECT_EQ(planned_bytes({{64, 0, 1}, {64, 1, 2}}), 128U);
}

TEST(MemoryPlan, AChainNeedsTwo) {
  std::vector<MemoryRequest> chain;
  for (std::size_t s = 0; s < 10; ++s) chain.push_back({640, s, s + 1});
  EXPECT_EQ(planned_bytes(chain), 1280U);
}

TEST(MemoryPlan, NestedOnesNeedTheirSum) {
  std::vector<MemoryRequest> nested;
  for (std::size_t depth = 0; depth < 6; ++depth) nested.push_back({100, depth, 20 - depth});
  EXPECT_EQ(planned_bytes(nested), 6 * aligned(100));
}

TEST(MemoryPlan, ShortOnesShareWhatALongOneLeaves) {
  EXPECT_EQ(planned_bytes({{1024, 0, 9}, {512, 0, 2}, {512, 3, 5}, {256, 6, 7}, {256, 6, 9}}),
            1024U + 512U);
}

/// The plan is sound, and the last request lies there.
void expect_place_of_last(const std::vector<MemoryRequest>& requests, std::size_t place) {
  const MemoryPlan plan = plan_memory(requests);
  expect_sound(requests, plan);
  EXPECT_EQ(plan.offsets.back(), place);
}

TEST(MemoryPlan, TheSmallestGapThatFits) {
  // Gaps of 640 and of 256 bytes at step 1.
  expect_place_of_last(
      {{1024, 0, 3}, {640, 0, 0}, {512, 0, 3}, {256, 0, 0}, {192, 0, 3}, {128, 1, 1}},
      1024 + 640 + 512);
  // Gaps of 128 and of 448 bytes: that behind the tensor of 512 bytes of step 1, and where that of
  // 448 bytes was.
  expect_place_of_last(
      {{1024, 0, 3}, {640, 0, 0}, {512, 1, 1}, {512, 0, 3}, {448, 0, 0}, {192, 0, 3}, {128, 1, 1}},
      1024 + 512);
}

TEST(MemoryPlan, LargeOnesComeFirst) {
  const std::vector<MemoryRequest> requests = {{64, 0, 1}, {1024, 1, 2}, {128, 2, 3}, {1152, 3, 4}};
  EXPECT_EQ(planned_bytes(requests), most_at_once(requests));
}

TEST(MemoryPlan, TheSameRequestsGiveTheSamePlan) {
  Random random(7);
  const auto requests = random_requests(random);
  EXPECT_EQ(plan_memory(requests).offsets, plan_memory(requests).offsets);
}

}  // namespace
}  // namespace burin::host
