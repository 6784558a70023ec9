// Groups that go over columns or long rows, or over blocks of what lies across the lanes, where no cache has the data: on both sides of each choice, and with outputs
// that are not aligned, where another variant runs in the same scratch and gives the same bits.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "target/target_info.h"
#include "tests/unit/runtime/beside_interpreter.h"
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
      {R"(graph @groups(%x: f32[B,2,S,D]) {
        %m = reduce_mean %x, axes=[1,2,3], keepdims=1
        %d = sub %x, %m
        %q = mul %d, %d
        %v = reduce_mean %q, axes=[1,2,3], keepdims=1
        %e = add %v, 1e-3
        %r = sqrt %e
        %n = div %d, %r
        return %n
      })", "join_moments"},
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
      })", "prefetch_next"},
      {R"(graph @transposed(%x: f32[B,D,S], %y: f32[B,S,D], %z: f32[D,S]) {
        %t = transpose %x, perm=[0,2,1]
        %a = add %t, %y
        %u = transpose %z, perm=[1,0]
        %b = mul %a, %u
        return %b
      })", "prefetch_next_block"}};
  return all;
}

class BeyondCaches : public BesideInterpreter {
 protected:
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
    const std::vector<Tensor> expected = interpret(graph, inputs);
    Invocation invocation = compiled.bind(shapes_of(inputs));
    std::vector<std::vector<float>> aligned;
    for (const std::int64_t start : {std::int64_t{0}, std::int64_t{1}}) {
      std::vector<std::vector<float>> memory(expected.size());
      std::vector<void*> outputs;
      for (std::size_t o = 0; o < expected.size(); ++o) outputs.push_back(behind_a_line(memory[o], expected[o].size()) + start);
      invocation.run(pointers_of(inputs), outputs);
      for (std::size_t o = 0; o < expected.size(); ++o)
        for (std::int64_t i = 0; i < expected[o].size(); ++i) {
          const double x = expected[o].at(i), y = static_cast<const float*>(outputs[o])[i];
          const bool alike = std::isnan(x) ? std::isnan(y) : x == y || std::abs(x - y) <= kTolerance * std::max(1.0, std::abs(x));
          ASSERT_TRUE(alike) << "output " << o << ", " << i << " from " << start << ": expected " << x << ", got " << y;
        }
      for (std::size_t o = 0; o < expected.size(); ++o) {
        const auto* const got = static_cast<const float*>(outputs[o]);
        if (start == 0) aligned.emplace_back(got, got + expected[o].size());
        ASSERT_TRUE(std::memcmp(aligned[o].data(), got, aligned[o].size() * sizeof(float)) == 0) << "output " << o << ": other bits from " << start;
      }
    }
  }

  /// The first whole cache line of a memory for so many elements and a line more.
  static float* behind_a_line(std::vector<float>& memory, std::int64_t elements) {
    constexpr std::int64_t kLine = 16;  // floats
    memory.resize(static_cast<std::size_t>(elements + 3 * kLine));
    void* line = memory.data();
    std::size_t space = memory.size() * sizeof(float);
    std::align(kLine * sizeof(float), static_cast<std::size_t>(elements) * sizeof(float), line, space);
    return static_cast<float*>(line);
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

/// Rows of one vector: whole tiles of them, and some that are left over.
TEST_P(BeyondCaches, RowsOfOneVector) {
  const std::int64_t lanes = target_for(isa_from_string(GetParam())).lanes();
  const std::string side_by_side = GetParam() == std::string("avx512") ? "side_by_side" : "stream";
  const std::vector<Case> all = {{R"(graph @rows(%x: f32[M,N], %y: f32[M,N]) {
        %a = add %x, %y
        %p = softmax %a, axis=1
        return %p
      })", side_by_side},
      {R"(graph @scaled(%x: f32[M,N], %y: f32[M,1], %z: f32[N]) {
        %a = mul %x, %y
        %p = softmax %a, axis=1
        %q = mul %p, %z
        return %q
      })", side_by_side},
      // What is multiplied behind the first fold is added behind the second: one operation, if both are in one loop.
      {R"(graph @contracted(%x: f32[M,N]) {
        %m = reduce_max %x, axes=[1], keepdims=1
        %p = mul %m, 0.3
        %s = sub %x, %m
        %e = exp %s
        %t = reduce_sum %e, axes=[1], keepdims=1
        %d = add %p, %t
        %y = div %x, %d
        return %y
      })", "stream"}};
  for (const Case& c : all) {
    CompiledSubgraph compiled = compile_case(c);
    for (const std::int64_t rows : {15, 31, 32, 33, 47, 48, 115})
      for (const std::int64_t elements : {lanes - 1, lanes, lanes + 1, 2 * lanes})
        check(compiled, parse_graph(c.text), {{"M", rows}, {"N", elements}});
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

/// All that can be read of mean and squares. (Of rows the mean comes in where the squares are known.)
constexpr const char* kMomentsOfColumns = R"(graph @moments(%x: f32[B,S,D]) {
        %m = reduce_mean %x, axes=[1], keepdims=1
        %d = sub %x, %m
        %q = mul %d, %d
        %v = reduce_sum %q, axes=[1], keepdims=1
        %e = add %v, 1e-3
        %r = sqrt %e
        %n = div %d, %r
        return %n, %m, %v
      })";
constexpr const char* kMomentsOfRows = R"(graph @moments(%x: f32[B,S,D]) {
        %m = reduce_mean %x, axes=[1,2], keepdims=1
        %d = sub %x, %m
        %q = mul %d, %d
        %v = reduce_sum %q, axes=[1,2], keepdims=1
        %e = add %v, 1e-3
        %r = sqrt %e
        %n = div %d, %r
        %c = is_nan %v
        %s = where %c, %m, %d
        return %n, %s
      })";

/// The mean of what is infinite is infinite, and all that is made of squares is NaN: as where they are folded one by one.
TEST_P(BeyondCaches, MomentsOfWhatIsNoNumber) {
  constexpr std::int64_t kRows = 8, kColumns = 64, kElements = kRows * kColumns;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const char* const text : {kMomentsOfColumns, kMomentsOfRows}) {
    const Graph graph = parse_graph(text);
    CompiledSubgraph compiled = compile_case({text, "join_moments"});
    for (const std::int64_t count : {std::int64_t{1}, kColumns, kElements})
      for (const std::int64_t first : {std::int64_t{0}, 2 * kColumns, 4 * kColumns, 6 * kColumns, kElements - 1})
        for (const float number : {kInfinity, -kInfinity, nan}) {
          std::vector<Tensor> inputs = random_inputs(graph, {{"B", 3}, {"S", kRows}, {"D", kColumns}}, 3);
          for (std::int64_t i = 0; i < count; ++i) inputs[0].set(kElements + (first + i) % kElements, number);
          check(compiled, graph, inputs);
        }
  }
}

/// One element that is far from all others is not what they are measured from.
TEST_P(BeyondCaches, MomentsBesideOneThatIsFarOff) {
  constexpr std::int64_t kRows = 256, kColumns = 256;
  for (const char* const text : {kNorm, kNormOfRows}) {
    const Graph graph = parse_graph(text);
    CompiledSubgraph compiled = compile_case({text, "join_moments"});
    for (const std::int64_t row : {std::int64_t{0}, kRows / 4, kRows / 2, 3 * kRows / 4})
      for (const std::int64_t column : {std::int64_t{0}, kColumns / 4, kColumns / 2, 3 * kColumns / 4})
        for (const double far : {1e3, 1e10}) {
          std::vector<Tensor> inputs = random_inputs(graph, {{"B", 1}, {"S", kRows}, {"D", kColumns}}, 3);
          inputs[0].set(row * kColumns + column, far);
          check(compiled, graph, inputs);
        }
  }
}

/// What is taken off is a sum, but no mean: it says nothing of distances from another number.
TEST_P(BeyondCaches, SquaresAroundWhatIsNoMean) {
  for (const std::string axes : {"[1]", "[1,2]"})
    for (const std::string part : {"mul %s, 0.5", "mul %s, %w", "div %s, 7.0", "div %s, %w"}) {
      const std::string sum = "reduce_sum %x, axes=" + axes + ", keepdims=1";
      const Graph graph = parse_graph("graph @around(%x: f32[B,S,D], %w: f32[1,1,1]) {\n %s = " + sum + "\n %m = " + part +
                                      "\n %d = sub %x, %m\n %q = mul %d, %d\n %v = reduce_mean %q, axes=" + axes +
                                      ", keepdims=1\n %r = sqrt %v\n %n = div %d, %r\n return %n\n}");
      CompileOptions options;
      options.isa = GetParam();
      options.cache_bytes = kSmallCache;
      CompiledSubgraph compiled = compile(graph, options);
      SCOPED_TRACE(axes + " " + part);
      check(compiled, graph, {{"B", 2}, {"S", 9}, {"D", 400}});
    }
}

TEST_P(BeyondCaches, MomentsOfNothing) {
  const Graph graph = parse_graph(kMomentsOfColumns);
  CompiledSubgraph compiled = compile_case({kMomentsOfColumns, "join_moments"});
  check(compiled, graph, random_inputs(graph, {{"B", 64}, {"S", 0}, {"D", 64}}, 3));
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
