// The cache of an executor's kernels, with kernels that compute nothing, and the option that names
// an executor.

#include "runtime/brgemm_executor.h"

#include <atomic>
#include <thread>
#include <vector>

#include "tests/unit/runtime/runtime_support.h"

namespace burin::runtime {
namespace {

constexpr std::int64_t kRefused = 13;

std::atomic<int> made = 0;

class Nothing final : public BrgemmKernel {
 public:
  void run(const float* /*a*/, const float* /*b*/, float* /*c*/) const override {}
};

std::shared_ptr<const BrgemmKernel> make(const BrgemmShape& shape) {
  if (shape.rows == kRefused) throw Error("no kernel of 13 rows");
  ++made;
  return std::make_shared<const Nothing>();
}

BrgemmShape shape(std::int64_t rows) { return {rows, 2, 3, 4, 5, 6}; }

TEST(BrgemmExecutor, MakesAKernelOnceForAShape) {
  BrgemmExecutor executor(make);
  const auto first = executor.kernel(shape(1));
  EXPECT_EQ(executor.kernel(shape(1)), first);
  for (BrgemmShape other : std::vector<BrgemmShape>{{2, 2, 3, 4, 5, 6},
                                                    {1, 3, 3, 4, 5, 6},
                                                    {1, 2, 4, 4, 5, 6},
                                                    {1, 2, 3, 5, 5, 6},
                                                    {1, 2, 3, 4, 6, 6},
                                                    {1, 2, 3, 4, 5, 7}})
    EXPECT_NE(executor.kernel(other), first);
  const BrgemmStatistics s = executor.statistics();
  EXPECT_EQ(s.hits, 1U);
  EXPECT_EQ(s.misses, 7U);
  EXPECT_EQ(s.created, 7U);
  EXPECT_EQ(s.evicted, 0U);
  EXPECT_EQ(s.held, 7U);
  EXPECT_EQ(s.capacity, BrgemmExecutor::kDefaultCapacity);
}

TEST(BrgemmExecutor, DropsWhatWasNotUsedForLongest) {
  BrgemmExecutor executor(make, 2);
  const auto one = executor.kernel(shape(1)), two = executor.kernel(shape(2));
  executor.kernel(shape(1));
  executor.kernel(shape(3));  // 2 goes
  EXPECT_EQ(executor.kernel(shape(1)), one);
  EXPECT_NE(executor.kernel(shape(2)), two);  // made anew; 3 goes
  EXPECT_EQ(executor.kernel(shape(1)), one);
  const BrgemmStatistics s = executor.statistics();
  EXPECT_EQ(s.hits, 3U);
  EXPECT_EQ(s.created, 4U);
  EXPECT_EQ(s.evicted, 2U);
  EXPECT_EQ(s.held, 2U);
  EXPECT_EQ(two.use_count(), 1);  // who holds a dropped kernel keeps it
}

TEST(BrgemmExecutor, AKernelThatCannotBeMadeLeavesNothingBehind) {
  BrgemmExecutor executor(make, 2);
  for (int i = 0; i < 2; ++i)
    EXPECT_ERROR(executor.kernel(shape(kRefused)), "no kernel of 13 rows");
  const BrgemmStatistics s = executor.statistics();
  EXPECT_EQ(s.misses, 2U);
  EXPECT_EQ(s.created, 0U);
  EXPECT_EQ(s.held, 0U);
}

TEST(BrgemmExecutor, ThreadsShareKernels) {
  constexpr int kThreads = 4, kCalls = 2000, kShapes = 8;
  BrgemmExecutor executor(make, kShapes);
  made = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kCalls; ++i)
        executor.kernel(shape((i + t) % kShapes + 20))->run(nullptr, nullptr, nullptr);
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(made, kShapes);
  const BrgemmStatistics s = executor.statistics();
  EXPECT_EQ(s.hits + s.misses, static_cast<std::uint64_t>(kThreads * kCalls));
  EXPECT_EQ(s.created, static_cast<std::uint64_t>(kShapes));
}

TEST(BrgemmExecutor, ThreadsOverrunASmallCache) {
  constexpr int kThreads = 4, kCalls = 500;
  BrgemmExecutor executor(make, 3);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kCalls; ++i)
        executor.kernel(shape(100 + i * (t + 1) % 11))->run(nullptr, nullptr, nullptr);
    });
  for (std::thread& t : threads) t.join();
  const BrgemmStatistics s = executor.statistics();
  EXPECT_EQ(s.held, 3U);
  EXPECT_EQ(s.created - s.evicted, s.held);
}

TEST(BrgemmOption, ABuildWithoutTheExecutorSaysSo) {
  // This program links Burin's runtime and no executor, as the installed library does.
  CompileOptions options;
  options.brgemm = "onednn";
  EXPECT_ERROR(compile(runtime_test::attention(), options),
               "BRGEMM executor 'onednn': this build of Burin has none of that name");
  EXPECT_ERROR(brgemm_statistics("onednn"), "this build of Burin has none of that name");
  options.brgemm = "burin";
  EXPECT_NO_THROW(compile(runtime_test::attention(), options));
}

}  // namespace
}  // namespace burin::runtime
