// Groups that go over columns or long rows, where no cache has the data: on both sides of each choice, and with outputs
// that are not aligned, where another variant runs in the same scratch and gives the same bits.

#include <algorithm>
#include <optional>

#include "target/target_info.h"
#include "tests/unit/runtime/runtime_support.h"

namespace burin::runtime_test {
namespace {

using burin::testing::random_inputs;

constexpr double kTolerance = 1e-4;
constexpr std::int64_t kSmallCache = 1024;

struct Case {
  std::string text, pass;  ///< that has to do something
};

constexpr const char* kNorm = R"(graph @norm(%x: f32[B,S,D]) {
        %m = reduce_mean %x, axes=[1], keepdims=1
        %d = sub %x, %m
        %q = mul %d, %d
        %v = reduce_mean %q, axes=[1], keepdims=1
        %e = add %v, 1e-3
        %r = sqrt %e
        %n = div %d, %r
        return %n
      })";

constexpr const char* kNormOfRows = R"(graph @rows(%x: f32[B,S,D]) {
        %m = reduce_mean %x, axes=[1,2], keepdims=1
        %d = sub %x, %m
        %q = mul %d, %d
        %v = reduce_mean %q, axes=[1,2], keepdims=1
        %e = add %v, 1e-3
        %r = sqrt %e
        %n = div %d, %r
        return %n
      })";

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {R"(graph @mean(%x: f32[B,S,D], %m: f32[B,S,1]) {
        %a = mul %x, %m
        %p = reduce_mean %a, axes=[1], keepdims=1
        return %p
      })", "fold_by_rows"},
      {R"(graph @most(%x: f32[B,S,D]) {
        %p = reduce_max %x, axes=[1], keepdims=0
        %q = exp %p
        return %q
      })", "fold_by_rows"},
      {kNorm, "delay_stores"},
      {kNormOfRows, "join_moments"},
      {R"(graph @softmax(%x: f32[B,S,D]) {
        %p = softmax %x, axis=1
        return %p
      })", "delay_stores"},
      {R"(graph @softmaxes(%x: f32[B,S,D]) {
        %p = softmax %x, axis=1
        %q = log %p
        %r = softmax %q, axis=1
        %s = sub %r, %x
        return %s
      })", "delay_stores"},
      {R"(graph @centred(%x: f32[B,S,D]) {
        %e = exp %x
        %m = reduce_mean %e, axes=[1], keepdims=1
        %c = sub %e, %m
        return %c
      })", "prefetch_next"}};
  return all;
}

class BeyondCaches : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (isa_from_string(GetParam()) > host_target().isa) GTEST_SKIP() << "this machine has no " << GetParam();
  }

  CompiledSubgraph compile_case(const Case& c) {
    CompileOptions options;
    options.isa = GetParam();
    options.verify = true;
    options.cache_bytes = kSmallCache;
    bool changed = false;
    options.dump = [&](std::string_view stage, const std::string&) {
      changed |= stage.find(c.pass) != std::string_view::npos;
    };
    CompiledSubgraph compiled = compile(parse_graph(c.text), options);
    EXPECT_TRUE(changed) << c.pass;
    return compiled;
  }

  static void check(CompiledSubgraph& compiled, const Graph& graph, const Symbols& sizes) {
    check(compiled, graph, random_inputs(graph, sizes, 3));
  }

  static void check(CompiledSubgraph& compiled, const Graph& graph, const std::vector<Tensor>& inputs) {
    const Tensor expected = interpret(graph, inputs)[0];
    constexpr std::int64_t kLine = 16;  // floats
    std::vector<float> memory(static_cast<std::size_t>(expected.size() + 3 * kLine));
    void* line = memory.data();
    std::size_t space = memory.size() * sizeof(float);
    std::align(kLine * sizeof(float), static_cast<std::size_t>(expected.size()) * sizeof(float), line, space);
    Invocation invocation = compiled.bind(shapes_of(inputs));
    std::vector<float> aligned;
    for (const std::int64_t start : {std::int64_t{0}, std::int64_t{1}}) {
      float* const out = static_cast<float*>(line) + start;
      invocation.run(pointers_of(inputs), std::vector<void*>{out});
      for (std::int64_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(out[i], expected.at(i), kTolerance) << i << " from " << start;
      if (start == 0) aligned.assign(out, out + expected.size());
      ASSERT_TRUE(std::equal(aligned.begin(), aligned.end(), out)) << "other bits from " << start;
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Isa, BeyondCaches, ::testing::Values("avx2", "avx512"));

TEST_P(BeyondCaches, Results) {
  for (const Case& c : cases()) {
    CompiledSubgraph compiled = compile_case(c);
    for (const Symbols& sizes : {Symbols{{"B", 1}, {"S", 3}, {"D", 16}}, {{"B", 2}, {"S", 9}, {"D", 400}}, {{"B", 17}, {"S", 5}, {"D", 48}},
                                 {{"B", 8}, {"S", 7}, {"D", 2112}}, {{"B", 16}, {"S", 4}, {"D", 33}}, {{"B", 20}, {"S", 1}, {"D", 144}}})
      check(compiled, parse_graph(c.text), sizes);
  }
}

/// Sum and squares are folded at once, of what is near to zero.
TEST_P(BeyondCaches, NormOfWhatIsFarFromZero) {
  for (const char* const text : {kNorm, kNormOfRows}) {
    const Graph graph = parse_graph(text);
    CompiledSubgraph compiled = compile_case({text, "join_moments"});
    for (const std::int64_t columns : {400, 2112}) {
      std::vector<Tensor> inputs = random_inputs(graph, {{"B", 8}, {"S", 9}, {"D", columns}}, 3);
      Tensor& x = inputs[0];
      for (std::int64_t i = 0; i < x.size(); ++i) x.set(i, 100 + x.at(i));
      check(compiled, graph, inputs);
    }
  }
}

/// What is written past the caches has whole vectors: code for others would never run.
TEST_P(BeyondCaches, OnlyWholeVectors) {
  const Graph graph = parse_graph(R"(graph @softmax(%x: f32[M,N]) {
    %p = softmax %x, axis=1
    return %p
  })");
  CompileOptions options;
  options.isa = GetParam();
  std::string expanded;
  options.dump = [&](std::string_view stage, const std::string& text) {
    if (stage.starts_with("softmax.stream.") && stage.find("expand_versions") != std::string_view::npos) expanded = text;
  };
  static_cast<void>(compile(graph, options));
  ASSERT_NE(expanded.find("whole vectors"), std::string::npos) << expanded;
  const std::string rest = std::string("step ") + (options.isa == "avx2" ? "8" : "16") + " partial";
  EXPECT_EQ(expanded.find(rest), std::string::npos) << expanded;
}

/// A constant lies in memory as the variant reads it whose blocks it has.
TEST_P(BeyondCaches, ConstantsOfTheVariantThatRuns) {
  constexpr int kConstants = 64;
  std::string values;
  for (int i = 0; i < kConstants; ++i) values += (i == 0 ? "" : ", ") + std::to_string(i % 7 - 3);
  const Case c = {"graph @scaled(%x: f32[B,4,16]) {\n %c = const f32[4,16] {" + values + R"(}
    %a = mul %x, %c
    %p = reduce_mean %a, axes=[1], keepdims=1
    return %p
  })", "fold_by_rows"};
  CompiledSubgraph compiled = compile_case(c);
  check(compiled, parse_graph(c.text), {{"B", 32}});
}

}  // namespace
}  // namespace burin::runtime_test
