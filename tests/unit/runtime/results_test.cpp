// What compiled kernels compute, whatever the shapes, the number of workers and the threads.

#include <xmmintrin.h>

#include <atomic>

#include "tests/support/random.h"
#include "tests/support/resident_memory.h"
#include "tests/unit/runtime/runtime_support.h"

namespace burin::runtime_test {
namespace {

using burin::testing::kMemoryIsGivenBack;
using burin::testing::random_inputs;
using burin::testing::relative_difference;
using burin::testing::resident_bytes;

constexpr double kTolerance = 1e-5;

/// What may be one element at a call has it also where other operands have none.
TEST(OneElementAtCall, BesideNone) {
  const Graph graph = parse_graph(R"(graph @none(%x: f32[P,D], %y: f32[N,D]) {
    %0 = exp %x
    %1 = mul %0, %y
    %2 = transpose %0, perm=[1,0]
    return %0, %1, %2
  })");
  const CompiledSubgraph kernel = compiled(graph);
  for (const auto& [p, n] : std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 0}, {0, 0}, {1, 1}, {1, 3}, {3, 3}}) {
    const auto inputs = random_inputs(graph, {{"P", p}, {"N", n}, {"D", 21}}, 3);
    const std::vector<Tensor> expected = interpret(graph, inputs), actual = run(kernel, inputs);
    for (std::size_t i = 0; i < expected.size(); ++i)
      EXPECT_LT(relative_difference(expected[i], actual[i]), kTolerance) << "output " << i << " of " << p << " and " << n;
  }
}

class Forms : public ::testing::TestWithParam<const char*> {
 protected:
  Graph graph_ = attention();
  CompiledSubgraph compiled_ = compiled(graph_, GetParam());
};
INSTANTIATE_TEST_SUITE_P(Softmax, Forms, ::testing::Values("score_rows", "online", "few queries"));

TEST_P(Forms, RebindInPlace) {
  Invocation invocation = compiled_.invocation();
  for (const Symbols& sizes : {Symbols{{"B", 1}, {"S", 3}, {"T", 4}},
                               {{"B", 3}, {"S", 50}, {"T", 300}},
                               {{"B", 1}, {"S", 1}, {"T", 1}},
                               {{"B", 2}, {"S", 65}, {"T", 129}}}) {
    const auto inputs = random_inputs(graph_, sizes, 3);
    invocation.rebind(shapes_of(inputs));
    const Tensor actual = run_bound(invocation, inputs)[0];
    EXPECT_LT(relative_difference(interpret(graph_, inputs)[0], actual), kTolerance);
  }
}

TEST_P(Forms, SameBitsForAnyNumberOfWorkers) {
  const auto inputs = random_inputs(graph_, {{"B", 3}, {"S", 100}, {"T", 150}}, 5);
  const Tensor one = run(compiled_, inputs)[0];
  for (const int workers : {2, 3, 7})
    EXPECT_TRUE(same_bits(one, run(compiled_, inputs, workers)[0])) << workers;
}

TEST(Results, DenormalProbabilitiesAreZero) {
  // Numbers that some processors take very long for.
  const Graph graph = parse_graph("graph @softmax(%x: f32[M,2]) { %p = softmax %x, axis=1  return %p }");
  Tensor x = Tensor::zeros(Precision::f32, {1, 2});
  x.mutable_as<float>()[1] = -90;
  const unsigned mode = _mm_getcsr();
  for (const char* isa : {"avx2", ""}) {
    CompileOptions options;
    options.isa = isa;
    const Tensor p = run(compile(graph, options), {x})[0];
    EXPECT_EQ(p.at(0), 1) << isa;
    EXPECT_EQ(p.at(1), 0) << isa;
    EXPECT_EQ(_mm_getcsr() & _MM_FLUSH_ZERO_MASK, mode & _MM_FLUSH_ZERO_MASK) << isa;
  }
}

TEST_P(Forms, EmptyBatchAndEmptyQueries) {
  for (const Symbols& sizes :
       {Symbols{{"B", 0}, {"S", 3}, {"T", 4}}, {{"B", 2}, {"S", 0}, {"T", 4}}}) {
    const auto inputs = random_inputs(graph_, sizes, 3);
    EXPECT_EQ(run(compiled_, inputs, 2)[0].size(), 0);
  }
}

TEST_P(Forms, NoKeys) {
  // A sum of nothing divided by a sum of nothing: the division stands behind the second product, so
  // NaN comes out where the plain formula gives 0. Nothing is read, though.
  const auto inputs = random_inputs(graph_, {{"B", 1}, {"S", 5}, {"T", 0}}, 3);
  const Tensor actual = run(compiled_, inputs)[0];
  for (std::int64_t i = 0; i < actual.size(); ++i)
    ASSERT_TRUE(std::isnan(actual.at(i)) || actual.at(i) == 0) << actual.at(i);
}

TEST_P(Forms, ConcurrentInvocations) {
  EXPECT_EQ(wrong_of_concurrent(graph_, compiled_, 50, kTolerance), 0);
}

// ---- masks and NaN. One batch, 20 queries; row 4 is special, and more keys than one block of the
// online form has.

class Rows : public Forms {
 protected:
  static constexpr std::int64_t kQueries = 20, kKeys = 300, kHeads = 2, kSize = 16, kRow = 4;

  void SetUp() override {
    inputs_ = random_inputs(graph_, {{"B", 1}, {"S", kQueries}, {"T", kKeys}}, 9);
  }

  void mask_row(float value, std::int64_t first = 0, std::int64_t end = kKeys) {
    for (std::int64_t k = first; k < end; ++k) inputs_[3].set(kRow * kKeys + k, value);
  }
  void run_it() {
    actual_ = run(compiled_, inputs_, 2)[0];
    expected_ = interpret(graph_, inputs_)[0];
  }
  /// All rows but the special one have the right, finite numbers.
  void expect_others_right() const {
    for (std::int64_t i = 0; i < actual_.size(); ++i)
      if (i / kSize % kQueries != kRow) {
        ASSERT_NEAR(actual_.at(i), expected_.at(i), 1e-4) << i;
      }
  }
  std::vector<double> special(std::int64_t head) const {
    std::vector<double> row;
    for (std::int64_t d = 0; d < kSize; ++d)
      row.push_back(actual_.at((head * kQueries + kRow) * kSize + d));
    return row;
  }
  void expect_special_nan() const {
    for (std::int64_t h = 0; h < kHeads; ++h)
      for (const double x : special(h)) ASSERT_TRUE(std::isnan(x)) << x;
  }
  void expect_special_right() const {
    for (std::int64_t h = 0; h < kHeads; ++h)
      for (std::int64_t d = 0; d < kSize; ++d) {
        const std::int64_t i = (h * kQueries + kRow) * kSize + d;
        ASSERT_NEAR(actual_.at(i), expected_.at(i), 1e-4) << i;
      }
  }

  std::vector<Tensor> inputs_;
  Tensor actual_, expected_;
};
INSTANTIATE_TEST_SUITE_P(Softmax, Rows, ::testing::Values("score_rows", "online", "few queries"));

TEST_P(Rows, WhollyMaskedWithInfinityIsNaN) {
  mask_row(-kInfinity);
  run_it();
  expect_special_nan();
  expect_others_right();
}

TEST_P(Rows, WhollyMaskedWithLowestFloatIsTheAverage) {
  mask_row(kLowest);
  run_it();
  for (std::int64_t h = 0; h < kHeads; ++h)
    for (std::int64_t d = 0; d < kSize; ++d) {
      double sum = 0;
      for (std::int64_t k = 0; k < kKeys; ++k) sum += inputs_[2].at((h * kKeys + k) * kSize + d);
      EXPECT_NEAR(special(h)[static_cast<std::size_t>(d)], sum / kKeys, 1e-5);
    }
  expect_others_right();
}

TEST_P(Rows, PartlyMasked) {
  for (const float value : {-kInfinity, kLowest, -1e9F, -10000.0F})
    for (const auto& [first, end] :
         {std::pair<int, int>{0, 1}, {0, 128}, {0, 299}, {1, 300}, {128, 256}, {256, 300}}) {
      SCOPED_TRACE(std::to_string(value) + " from " + std::to_string(first) + " to " +
                   std::to_string(end));
      SetUp();
      mask_row(value, first, end);
      run_it();
      expect_special_right();
      expect_others_right();
    }
}

TEST_P(Rows, NaNOfOneQuerySpoilsItsRowOnly) {
  for (std::int64_t h = 0; h < kHeads; ++h) inputs_[0].set((h * kQueries + kRow) * kSize + 3, NAN);
  run_it();
  expect_special_nan();
  expect_others_right();
}

TEST_P(Rows, NaNInTheMaskSpoilsItsRowOnly) {
  for (const std::int64_t key : {0, 17, 200, 299}) {
    SCOPED_TRACE(key);
    SetUp();
    mask_row(NAN, key, key + 1);
    run_it();
    expect_special_nan();
    expect_others_right();
  }
}

TEST_P(Rows, InfiniteScoreIsNaN) {
  // inf - inf, as the plain formula says.
  mask_row(kInfinity, 7, 8);
  run_it();
  expect_special_nan();
  expect_others_right();
}

// ---- an endless stream of shapes

/// Sizes of one call, and what it gave.
struct Spot {
  std::int64_t batch, length;
  std::vector<float> output;
};

TEST_P(Forms, TenThousandShapesCostNoCodeAndNoMemory) {
  constexpr std::int64_t kCalls = 10000, kMaxBatch = 4, kMaxLength = 48, kSpots = 20;
  constexpr std::int64_t kRowElements = 2 * 16;
  burin::testing::Random random(11);
  // One memory for all shapes: the largest tensors, of which each call uses the front.
  const auto all =
      random_inputs(graph_, {{"B", kMaxBatch}, {"S", kMaxLength}, {"T", kMaxLength}}, 13);
  const auto in = pointers_of(all);
  std::vector<float> output(static_cast<std::size_t>(kMaxBatch * kMaxLength * kRowElements));
  std::vector<void*> out = {output.data()};
  std::vector<Spot> spots(static_cast<std::size_t>(kSpots), Spot{0, 0, output});
  Threads workers(1);

  Invocation invocation = compiled_.invocation(1);
  const auto call = [&](std::int64_t batch, std::int64_t length) {
    const TensorDesc heads{{batch, 2, length, 16}, {}};
    invocation.rebind(
        std::vector<TensorDesc>{heads, heads, heads, {{batch, 1, length, length}, {}}});
    invocation.run(in, out, workers);
  };
  call(kMaxBatch, kMaxLength);
  const auto code = codegen_statistics();
  const std::int64_t resident = resident_bytes();
  for (std::int64_t i = 0; i < kCalls; ++i) {
    const std::int64_t batch = random.between(1, kMaxBatch), length = random.between(1, kMaxLength);
    call(batch, length);
    if (i % (kCalls / kSpots) != 0) continue;
    Spot& spot = spots[static_cast<std::size_t>(i / (kCalls / kSpots))];
    spot.batch = batch;
    spot.length = length;
    std::copy_n(output.begin(), batch * length * kRowElements, spot.output.begin());
  }
  const std::int64_t grown = resident_bytes() - resident;
  if (kMemoryIsGivenBack) {
    EXPECT_LE(grown, 1 << 20);
  }
  EXPECT_EQ(codegen_statistics().events, code.events);
  EXPECT_EQ(codegen_statistics().bytes, code.bytes);

  for (const Spot& spot : spots) {
    std::vector<Tensor> inputs;
    for (std::size_t i = 0; i < all.size(); ++i) {
      Tensor t =
          Tensor::zeros(Precision::f32, i == 3 ? Dims{spot.batch, 1, spot.length, spot.length}
                                               : Dims{spot.batch, 2, spot.length, 16});
      std::memcpy(t.mutable_data(), all[i].data(), t.bytes());
      inputs.push_back(t);
    }
    const Tensor expected = interpret(graph_, inputs)[0];
    Tensor actual = Tensor::zeros(Precision::f32, expected.dims());
    std::memcpy(actual.mutable_data(), spot.output.data(), actual.bytes());
    EXPECT_LT(relative_difference(expected, actual), kTolerance)
        << spot.batch << ", " << spot.length;
  }
}

/// A softmax makes a NaN of its row again; without its sum the maximum has to be one.
TEST(ElementwiseResults, NaNSpoilsTheMaximumThatIsTakenOff) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor x = Tensor::from_f32({2, 3}, {1, nan, 0, 1, 2, 0});
  for (const std::string result : {"%d", "%e"}) {
    const Tensor y = run(compiled("graph @shifted(%x: f32[M,N]) {\n %m = reduce_max %x, axes=[1], keepdims=1\n %d = sub %x, %m\n %e = exp %d\n return " + result + "\n}"), {x})[0];
    for (std::int64_t i = 0; i < 3; ++i) {
      EXPECT_TRUE(std::isnan(y.at(i))) << result << " " << i;
      EXPECT_FALSE(std::isnan(y.at(3 + i))) << result << " " << i;
    }
  }
}

TEST(ElementwiseResults, SameBitsForAnyNumberOfWorkers) {
  for (const char* text :
       {"graph @chain(%x: f32[M,N], %b: f32[N]) {\n %0 = add %x, %b\n %1 = gelu %0\n return %1\n}",
        "graph @rows(%x: f32[M,N], %b: f32[N]) {\n %0 = mul %x, %b\n"
        " %1 = softmax %0, axis=1\n return %1\n}"}) {
    const Graph graph = parse_graph(text);
    const CompiledSubgraph c = compiled(graph);
    const auto inputs = random_inputs(graph, {{"M", 37}, {"N", 1001}}, 5);
    const Tensor one = run(c, inputs)[0];
    EXPECT_LT(relative_difference(interpret(graph, inputs)[0], one), kTolerance);
    for (const int workers : {2, 3, 7})
      EXPECT_TRUE(same_bits(one, run(c, inputs, workers)[0])) << workers;
  }
}

}  // namespace
}  // namespace burin::runtime_test
