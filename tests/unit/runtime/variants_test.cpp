// What the schedule makes depend on the shape of a call: the form of the softmax, copies of keys and values.

#include <memory>
#include <optional>

#include "tests/unit/runtime/beside_interpreter.h"
#include "tests/unit/runtime/runtime_support.h"

namespace burin::runtime_test {
namespace {

using burin::testing::random_inputs;
using burin::testing::relative_difference;

constexpr double kTolerance = 1e-5;
/// Score rows of a block of queries, and what they come from, leave it at about 20 keys.
constexpr std::int64_t kSmallCache = 8192;

/// Heads inside of the sequence, as models have them: keys of a head lie apart. Heads share the mask.
Graph attention_of_model() {
  return parse_graph(R"(graph @attention(%q: f32[B,S,3,16], %k: f32[B,T,3,16], %v: f32[B,T,3,16],
                                         %mask: f32[B,1,S,T]) {
    %q0 = transpose %q, perm=[0,2,1,3]
    %k0 = transpose %k, perm=[0,2,3,1]
    %v0 = transpose %v, perm=[0,2,1,3]
    %1 = matmul %q0, %k0
    %2 = mul %1, 0.25
    %3 = add %2, %mask
    %4 = softmax %3, axis=3
    %5 = matmul %4, %v0
    %6 = transpose %5, perm=[0,2,1,3]
    return %6
  })");
}

CompileOptions options_of(const std::string& isa) {
  CompileOptions options;
  options.isa = isa;
  options.verify = true;
  options.cache_bytes = kSmallCache;
  options.pack_reads = 2;
  return options;
}

class Variants : public BesideInterpreter {
 protected:
  void SetUp() override {
    BesideInterpreter::SetUp();
    if (IsSkipped()) return;
    compiled_.emplace(compile(graph_, options_of(GetParam())));
  }
  Invocation bound(const Symbols& sizes, int workers = 1) const {
    return compiled_->bind(shapes_of(random_inputs(graph_, sizes, 1)), {}, workers);
  }
  Graph graph_ = attention_of_model();
  std::optional<CompiledSubgraph> compiled_;
};
INSTANTIATE_TEST_SUITE_P(Isa, Variants, ::testing::Values("avx2", "avx512"));

TEST_P(Variants, ResultsOnBothSidesOfEachChoice) {
  for (const Symbols& sizes : {Symbols{{"B", 1}, {"S", 1}, {"T", 1}},
                               {{"B", 2}, {"S", 20}, {"T", 20}},
                               {{"B", 3}, {"S", 61}, {"T", 19}},
                               {{"B", 2}, {"S", 100}, {"T", 300}},
                               {{"B", 1}, {"S", 400}, {"T", 513}}}) {
    const auto inputs = random_inputs(graph_, sizes, 3);
    const Tensor expected = interpret(graph_, inputs)[0], one = run(*compiled_, inputs)[0];
    EXPECT_LT(relative_difference(expected, one), kTolerance) << sizes.at("S");
    for (const int workers : {2, 5}) EXPECT_TRUE(same_bits(one, run(*compiled_, inputs, workers)[0])) << workers;
  }
}

/// Score rows grow with the keys, blocks of the online form do not.
TEST_P(Variants, ManyKeysAreOnline) {
  const auto of_workers = [&](std::int64_t keys) {
    return compiled_->scratch_bytes().evaluate({{"B", 1}, {"S", 60}, {"T", keys}, {"in1.s1", 48}, {"in2.s1", 48}});
  };
  EXPECT_LT(of_workers(4), of_workers(12));
  EXPECT_EQ(of_workers(1000), of_workers(2000));
}

/// The plan is what an invocation asks for.
TEST_P(Variants, ScratchIsAsPlanned) {
  constexpr std::size_t kLine = 64;
  const auto whole_lines = [](std::int64_t bytes) { return (static_cast<std::size_t>(bytes) + kLine - 1) / kLine * kLine; };
  for (const std::int64_t length : {1, 17, 100, 1000})
    for (const int workers : {1, 3}) {
      const Symbols symbols = {{"B", 2}, {"S", length}, {"T", length}, {"in1.s1", 48}, {"in2.s1", 48}, {"call.workers", workers}};
      const std::size_t own = whole_lines(compiled_->scratch_bytes().evaluate(symbols));
      const std::size_t shared = whole_lines(compiled_->shared_scratch_bytes().evaluate(symbols));
      EXPECT_EQ(bound({{"B", 2}, {"S", length}, {"T", length}}, workers).scratch_bytes(),
                own * static_cast<std::size_t>(workers) + shared);
    }
}

/// At most linear in the length, whatever is copied: a few units of work, not the whole mask.
TEST_P(Variants, ScratchIsLinear) {
  const auto bytes = [&](std::int64_t length) {
    return static_cast<double>(bound({{"B", 1}, {"S", length}, {"T", length}}).scratch_bytes());
  };
  EXPECT_LE(bytes(8000), 2.01 * bytes(4000));
  EXPECT_LE(bytes(16000), 2.01 * bytes(8000));
}

TEST_P(Variants, TheSameShapeAgain) {
  const auto inputs = random_inputs(graph_, {{"B", 2}, {"S", 70}, {"T", 70}}, 1);
  Invocation invocation = compiled_->bind(shapes_of(inputs));
  const Tensor first = run_bound(invocation, inputs)[0];
  const auto rebound = [&] {
    invocation.rebind(shapes_of(inputs));
    return run_bound(invocation, inputs)[0];
  };
  EXPECT_TRUE(same_bits(rebound(), first));
  EXPECT_ERROR(invocation.rebind({}), "expected 4 inputs");
  EXPECT_TRUE(same_bits(rebound(), first));
  // Its own scratch again, after the caller's.
  std::vector<std::byte> memory(invocation.scratch_bytes() + 64);
  void* start = memory.data();
  std::size_t space = memory.size();
  std::align(64, invocation.scratch_bytes(), start, space);
  invocation.set_scratch({static_cast<std::byte*>(start), space});
  EXPECT_TRUE(same_bits(rebound(), first));
  invocation.set_scratch({});
  EXPECT_TRUE(same_bits(rebound(), first));
}

/// Large outputs are written past the caches, where they are aligned and rows are whole vectors.
class Streaming : public BesideInterpreter {
 protected:
  void SetUp() override {
    BesideInterpreter::SetUp();
    if (IsSkipped()) return;
    CompileOptions options = options_of(GetParam());
    options.dump = [&](std::string_view stage, const std::string& text) {
      streams_ |= stage.find(".stream.") != std::string_view::npos && text.find("past caches") != std::string::npos;
    };
    compiled_.emplace(compile(graph_, options));
  }
  Graph graph_ = parse_graph(R"(graph @g(%x: f32[M,N], %y: f32[M,N]) {
    %0 = mul %x, %y
    %1 = add %0, 0.5
    return %1
  })");
  std::optional<CompiledSubgraph> compiled_;
  bool streams_ = false;
};
INSTANTIATE_TEST_SUITE_P(Isa, Streaming, ::testing::Values("avx2", "avx512"));

TEST_P(Streaming, Results) {
  EXPECT_TRUE(streams_);
  constexpr std::int64_t kGap = 17;  // floats: an output that begins anywhere
  for (const Symbols& sizes : {Symbols{{"M", 3}, {"N", 16}}, {{"M", 70}, {"N", 64}}, {{"M", 70}, {"N", 61}}, {{"M", 9}, {"N", 2048}}}) {
    const auto inputs = random_inputs(graph_, sizes, 3);
    const Tensor expected = interpret(graph_, inputs)[0];
    EXPECT_LT(relative_difference(expected, run(*compiled_, inputs, 3)[0]), kTolerance);
    Invocation invocation = compiled_->bind(shapes_of(inputs));
    std::vector<float> memory(static_cast<std::size_t>(expected.size() + 2 * kGap));
    for (const std::int64_t start : {std::int64_t{0}, std::int64_t{1}, kGap}) {
      std::fill(memory.begin(), memory.end(), kLowest);
      void* const out = memory.data() + start;
      invocation.run(pointers_of(inputs), std::vector<void*>{out});
      for (std::int64_t i = 0; i < static_cast<std::int64_t>(memory.size()); ++i) {
        const bool inside = i >= start && i < start + expected.size();
        ASSERT_NEAR(memory[static_cast<std::size_t>(i)], inside ? expected.at(i - start) : kLowest, kTolerance) << i << " from " << start;
      }
    }
  }
}

}  // namespace
}  // namespace burin::runtime_test
