// Groups that fold nothing, whose rows are merged while something that is read repeats in each of them: lengths of rows and their
// number around each choice and each block of lanes; strides; outputs that are written past the caches, or not aligned.

#include "tests/unit/runtime/beside_interpreter.h"

namespace burin::runtime_test {
namespace {

using burin::testing::random_inputs;

constexpr double kTolerance = 1e-6;
constexpr std::int64_t kSmallCache = 1024;
const std::string kPass = "repeat_operands";

const char* const kRows = R"(graph @rows(%x: f32[M,N], %b: f32[N]) {
  %m = mul %x, %b
  %r = relu %m
  return %r
})";

/// `repeats`: that something is copied at all.
struct Compiled {
  Graph graph;
  CompiledSubgraph kernel;
  bool repeats = false, streams = false;
};

Compiled compiled_as(const std::string& isa, const std::string& text, bool small_caches = false) {
  CompileOptions options;
  options.isa = isa;
  options.verify = true;
  if (small_caches) options.cache_bytes = kSmallCache;
  bool repeats = false, streams = false;
  options.dump = [&](std::string_view stage, const std::string& code) {
    repeats |= stage.find(kPass) != std::string_view::npos;
    streams |= code.find(".repeated") != std::string::npos && code.find("past caches") != std::string::npos;
  };
  Graph graph = parse_graph(text);
  CompiledSubgraph kernel = compile(graph, options);
  return {std::move(graph), std::move(kernel), repeats, streams};
}

class RepeatedRows : public BesideInterpreter {
 protected:
  void check(const Compiled& c, const Symbols& sizes, bool strided = false) {
    expect_same(c.kernel, c.graph, random_inputs(c.graph, sizes, 3), strided, kTolerance);
  }
  void check_all(const Compiled& c, const std::vector<Symbols>& all) {
    for (const Symbols& sizes : all)
      for (const bool strided : {false, true}) check(c, sizes, strided);
  }
};
INSTANTIATE_TEST_SUITE_P(Isa, RepeatedRows, ::testing::Values("avx2", "avx512"));

TEST_P(RepeatedRows, AnyLength) {
  const Compiled c = compiled_as(GetParam(), kRows);
  EXPECT_TRUE(c.repeats);
  for (std::int64_t n = 0; n <= 70; ++n) check(c, {{"M", 40}, {"N", n}});
  for (const std::int64_t n : {1, 3, 16, 50}) check(c, {{"M", 40}, {"N", n}}, true);
}

TEST_P(RepeatedRows, AnyNumber) {
  const Compiled c = compiled_as(GetParam(), kRows);
  for (const std::int64_t n : {1, 3, 16, 31, 511, 512, 513})
    for (const std::int64_t m : {0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 341, 342, 343, 1023, 1024, 1025}) check(c, {{"M", m}, {"N", n}});
}

TEST_P(RepeatedRows, KnownLength) {
  const Compiled c = compiled_as(GetParam(), R"(graph @known(%x: f32[M,3], %y: f32[M,3]) {
    %mean = const f32[3] {0.5, 0.25, 0.125}
    %scale = const f32[3] {2, 4, 8}
    %d = sub %x, %mean
    %s = mul %d, %scale
    %r = add %s, %y
    return %r
  })");
  EXPECT_TRUE(c.repeats);
  for (const std::int64_t m : {0, 1, 15, 16, 400, 700}) check_all(c, {{{"M", m}}});
}

/// Two lengths of rows; those of the matrix are merged only if all of it is short.
TEST_P(RepeatedRows, RowsOfRows) {
  const Compiled c = compiled_as(GetParam(), R"(graph @rows(%x: f32[B,M,N], %m: f32[M,N], %b: f32[N]) {
    %s = sigmoid %b
    %0 = add %x, %m
    %1 = mul %0, %s
    return %0, %1
  })");
  EXPECT_TRUE(c.repeats);
  check_all(c, {{{"B", 40}, {"M", 5}, {"N", 7}},
                {{"B", 3}, {"M", 20}, {"N", 7}},
                {{"B", 20}, {"M", 30}, {"N", 40}},
                {{"B", 17}, {"M", 16}, {"N", 3}},
                {{"B", 1}, {"M", 33}, {"N", 33}},
                {{"B", 100}, {"M", 1}, {"N", 5}},
                {{"B", 100}, {"M", 5}, {"N", 1}}});
}

TEST_P(RepeatedRows, OuterRowsAreEnough) {
  const Compiled c = compiled_as(GetParam(), R"(graph @rows(%x: f32[A,B,M,N], %b: f32[N]) {
    %0 = add %x, %b
    %1 = relu %0
    return %1
  })");
  EXPECT_TRUE(c.repeats);
  check_all(c, {{{"A", 3}, {"B", 10}, {"M", 4}, {"N", 7}}, {{"A", 2}, {"B", 2}, {"M", 2}, {"N", 7}}, {{"A", 30}, {"B", 2}, {"M", 1}, {"N", 7}},
                {{"A", 2}, {"B", 3}, {"M", 50}, {"N", 7}}});
}

TEST_P(RepeatedRows, OtherTypes) {
  const Compiled c = compiled_as(GetParam(), R"(graph @types(%x: f32[M,N], %p: bool[N], %q: bool[M,N], %i: i32[N], %j: i32[M,N]) {
    %0 = where %p, %x, 0.5
    %1 = where %q, %0, %x
    %2 = mul %i, %j
    %3 = cast %2, to="f32"
    %4 = add %1, %3
    return %4
  })");
  EXPECT_TRUE(c.repeats);
  check_all(c, {{{"M", 50}, {"N", 3}}, {{"M", 70}, {"N", 37}}, {{"M", 3}, {"N", 37}}});
}

TEST_P(RepeatedRows, PartsOfWhatRepeats) {
  const Compiled c = compiled_as(GetParam(), R"(graph @parts(%x: f32[M,N], %b: f32[2*N]) {
    %low, %high = split %b, axis=0
    %0 = mul %x, %low
    %1 = add %0, %high
    return %1
  })");
  EXPECT_TRUE(c.repeats);
  check_all(c, {{{"M", 50}, {"N", 3}}, {{"M", 70}, {"N", 37}}, {{"M", 3}, {"N", 37}}});
}

/// What has an element for each row, positions along rows, pairs of words, every second element, what repeats for each batch
/// anew, and a dimension that may be one element: rows stay rows.
TEST_P(RepeatedRows, WhatIsNotRepeated) {
  for (const char* const text : {R"(graph @number(%x: f32[M,N], %s: f32[M,1], %b: f32[N]) {
          %0 = mul %x, %s
          %1 = add %0, %b
          return %1
        })",
                                 R"(graph @wide(%x: i64[M,N], %b: i64[N]) {
          %0 = add %x, %b
          %1 = mul %0, %x
          %2 = cast %1, to="f32"
          return %2
        })",
                                 R"(graph @second(%x: f32[M,N], %b: f32[2*N]) {
          %begin = const i64[1] {0}
          %end = const i64[1] {1000000}
          %axis = const i64[1] {0}
          %two = const i64[1] {2}
          %e = slice %b, %begin, %end, %axis, %two
          %0 = mul %x, %e
          %1 = relu %0
          return %1
        })",
                                 R"(graph @batches(%x: f32[B,M,N], %b: f32[B,1,N]) {
          %0 = mul %x, %b
          %1 = relu %0
          return %1
        })",
                                 R"(graph @broadcast(%x: f32[M,N], %b: f32[P]) {
          %0 = mul %x, %b
          %1 = relu %0
          return %1
        })",
                                 R"(graph @results(%x: f32[M,N], %b: f32[N]) {
          %0 = exp %b
          %1 = mul %x, %0
          return %0, %1
        })"}) {
    const Compiled c = compiled_as(GetParam(), text);
    EXPECT_FALSE(c.repeats) << text;
    for (const std::int64_t p : {1, 5}) check_all(c, {{{"B", 3}, {"M", 50}, {"N", 5}, {"P", p}}});
  }
}

TEST_P(RepeatedRows, PastTheCaches) {
  const Compiled c = compiled_as(GetParam(), kRows, true);
  EXPECT_TRUE(c.streams);
  constexpr std::int64_t kLine = 16;  // floats
  for (const Symbols& sizes : {Symbols{{"M", 16}, {"N", 3}}, {{"M", 1600}, {"N", 3}}, {{"M", 160}, {"N", 37}}, {{"M", 161}, {"N", 37}}, {{"M", 16}, {"N", 500}}}) {
    check_all(c, {sizes});
    const auto inputs = random_inputs(c.graph, sizes, 3);
    const Tensor expected = interpret(c.graph, inputs)[0];
    std::vector<float> memory(static_cast<std::size_t>(expected.size() + 3 * kLine));
    void* line = memory.data();
    std::size_t space = memory.size() * sizeof(float);
    ASSERT_NE(std::align(kLine * sizeof(float), static_cast<std::size_t>(expected.size()) * sizeof(float), line, space), nullptr);
    Invocation invocation = c.kernel.bind(shapes_of(inputs));
    for (const std::int64_t start : {std::int64_t{0}, std::int64_t{1}}) {
      float* const out = static_cast<float*>(line) + start;
      invocation.run(pointers_of(inputs), std::vector<void*>{out});
      for (std::int64_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(out[i], expected.at(i), kTolerance) << i << " from " << start;
    }
  }
}

}  // namespace
}  // namespace burin::runtime_test
