// Masks that are computed from positions: what is hidden is left out, and does not show.

#include <fmt/format.h>

#include "target/target_info.h"
#include "tests/unit/runtime/runtime_support.h"

namespace burin::runtime_test {
namespace {

using burin::testing::random_inputs;

/// Attention with a mask of [S,T] that `lines` compute as %m from the positions %i, [S,1], and %j, [T], from the number
/// of past keys %past, T - S, and from the input %seen.
Graph masked_attention(const std::string& lines) {
  return parse_graph(R"(graph @attention(%q: f32[B,2,S,16], %k: f32[B,2,T,16], %v: f32[B,2,T,16], %seen: bool[T]) {
    %S = known i64[] {S}
    %T = known i64[] {T}
    %past = known i64[] {T - S}
    %i0 = range 0, %S, 1
    %i = unsqueeze %i0, axes=[1]
    %j = range 0, %T, 1
    %0 = transpose %k, perm=[0,1,3,2]
    %1 = matmul %q, %0
    %2 = mul %1, 0.25
)" + lines + R"(
    %4 = softmax %3, axis=3
    %5 = matmul %4, %v
    return %5
  })");
}

std::string causal(const std::string& fill) {
  return fmt::format("%c = less_equal %j, %i\n %3 = where %c, %2, {}", fill);
}
std::string causal_with_past(const std::string& fill) {
  return fmt::format("%n = add %i, %past\n %c = greater %j, %n\n %m = where %c, {}, 0.0\n %3 = add %2, %m", fill);
}
std::string window(const std::string& fill) {
  return fmt::format(
      "%c = less_equal %j, %i\n %f = sub %i, 20\n %w = greater %j, %f\n %b = and %c, %w\n %3 = where %b, %2, {}", fill);
}
std::string future(const std::string& fill) {
  return fmt::format("%n = add %i, 30\n %c = less %n, %j\n %3 = where %c, %2, {}", fill);
}
std::string padded(const std::string& fill) {
  return fmt::format("%c = less_equal %j, %i\n %b = and %c, %seen\n %3 = where %b, %2, {}", fill);
}

void expect_alike(const Tensor& expected, const Tensor& actual) {
  ASSERT_EQ(expected.dims(), actual.dims());
  for (std::int64_t i = 0; i < expected.size(); ++i) {
    if (std::isnan(expected.at(i)))
      ASSERT_TRUE(std::isnan(actual.at(i))) << i << ": " << actual.at(i);
    else
      ASSERT_NEAR(expected.at(i), actual.at(i), 2e-5) << i;
  }
}

struct Variant {
  const char* form;
  Isa isa;
};

class PositionMasks : public ::testing::TestWithParam<Variant> {
 protected:
  void SetUp() override {
    if (GetParam().isa > host_target().isa) GTEST_SKIP() << "this machine does not offer " << to_string(GetParam().isa);
  }

  CompiledSubgraph compiled(const Graph& graph, std::set<std::string> disabled = {}) const {
    CompileOptions options;
    options.verify = true;
    options.softmax_form = GetParam().form;
    options.isa = to_string(GetParam().isa);
    options.disabled_passes = std::move(disabled);
    return compile(graph, options);
  }

  void expect_right(const Graph& graph, const std::vector<Tensor>& inputs) const {
    expect_alike(interpret(graph, inputs)[0], run(compiled(graph), inputs, 2)[0]);
  }
};
INSTANTIATE_TEST_SUITE_P(All, PositionMasks,
                         ::testing::Values(Variant{"score_rows", Isa::avx2}, Variant{"online", Isa::avx2},
                                           Variant{"score_rows", Isa::avx512}, Variant{"online", Isa::avx512}),
                         [](const auto& info) {
                           return fmt::format("{}_{}", info.param.form, to_string(info.param.isa));
                         });

TEST_P(PositionMasks, AtManyShapes) {
  for (const auto& mask : {causal, causal_with_past, window, future, padded})
    for (const char* fill : {"-3.4028235e+38", "-inf", "-10000.0"}) {
      const Graph graph = masked_attention(mask(fill));
      const CompiledSubgraph subgraph = compiled(graph);
      for (const auto& [s, t] : {std::pair<int, int>{1, 1},
                                 {1, 70},
                                 {7, 7},
                                 {23, 23},
                                 {24, 29},
                                 {47, 48},
                                 {48, 48},
                                 {49, 49},
                                 {60, 10},
                                 {97, 97},
                                 {97, 300},
                                 {145, 145}}) {
        SCOPED_TRACE(fmt::format("{} S={} T={}", mask(fill), s, t));
        const auto inputs = random_inputs(graph, {{"B", 2}, {"S", s}, {"T", t}}, 3);
        // Additive masks of little numbers round the scores.
        if (mask == causal_with_past && fill[1] == '1') continue;
        expect_alike(interpret(graph, inputs)[0], run(subgraph, inputs, 2)[0]);
      }
    }
}

TEST_P(PositionMasks, TheSameBitsAsWithAllKeys) {
  for (const auto& mask : {causal, window, padded}) {
    const Graph graph = masked_attention(mask("-3.4028235e+38"));
    const auto inputs = random_inputs(graph, {{"B", 1}, {"S", 200}, {"T", 200}}, 3);
    const Tensor all = run(compiled(graph, {"skip_masked_keys"}), inputs)[0];
    const Tensor some = run(compiled(graph), inputs)[0];
    if (std::string(GetParam().form) == "score_rows")
      EXPECT_TRUE(same_bits(all, some)) << mask("lowest");
    else
      expect_alike(all, some);  // other blocks of keys
  }
}

/// Rows without a key: the first 100 keys are padding, which the queries in front of them alone see.
class RowsWithoutKeys : public PositionMasks {
 protected:
  static constexpr std::int64_t kLength = 200, kHidden = 100, kHeads = 2, kSize = 16;

  std::vector<Tensor> inputs_of(const Graph& graph) const {
    auto inputs = random_inputs(graph, {{"B", 1}, {"S", kLength}, {"T", kLength}}, 3);
    for (std::int64_t k = 0; k < kLength; ++k) inputs[3].set_int(k, k < kHidden ? 0 : 1);
    return inputs;
  }
};
INSTANTIATE_TEST_SUITE_P(All, RowsWithoutKeys,
                         ::testing::Values(Variant{"score_rows", Isa::avx2}, Variant{"online", Isa::avx2},
                                           Variant{"score_rows", Isa::avx512}, Variant{"online", Isa::avx512}),
                         [](const auto& info) {
                           return fmt::format("{}_{}", info.param.form, to_string(info.param.isa));
                         });

TEST_P(RowsWithoutKeys, LowestGivesTheAverageOfAllKeys) {
  const Graph graph = masked_attention(padded("-3.4028235e+38"));
  const auto inputs = inputs_of(graph);
  const Tensor actual = run(compiled(graph), inputs)[0];
  for (std::int64_t h = 0; h < kHeads; ++h)
    for (std::int64_t d = 0; d < kSize; ++d) {
      double sum = 0;
      for (std::int64_t k = 0; k < kLength; ++k) sum += inputs[2].at((h * kLength + k) * kSize + d);
      for (std::int64_t q = 0; q < kHidden; ++q)
        ASSERT_NEAR(actual.at((h * kLength + q) * kSize + d), sum / kLength, 1e-5);
    }
  expect_right(graph, inputs);
}

TEST_P(RowsWithoutKeys, InfinityGivesNaN) {
  const Graph graph = masked_attention(padded("-inf"));
  const auto inputs = inputs_of(graph);
  const Tensor actual = run(compiled(graph), inputs)[0];
  for (std::int64_t i = 0; i < actual.size(); ++i)
    ASSERT_EQ(std::isnan(actual.at(i)), i / kSize % kLength < kHidden) << i;
  expect_right(graph, inputs);
}

/// Keys that no query of a block sees are not visited: NaN there spoils nothing.
TEST_P(PositionMasks, HiddenKeysAreLeftOut) {
  constexpr std::int64_t kLength = 300, kSize = 16, kFar = 60;
  const Graph graph = masked_attention(window("-inf"));
  auto inputs = random_inputs(graph, {{"B", 1}, {"S", kLength}, {"T", kLength}}, 3);
  const Tensor expected = interpret(graph, inputs)[0];
  for (const std::size_t tensor : {1U, 2U})
    for (const std::int64_t key : {0, 150, 299}) {
      auto spoilt = inputs;
      spoilt[tensor] = Tensor::zeros(Precision::f32, inputs[tensor].dims());
      std::memcpy(spoilt[tensor].mutable_data(), inputs[tensor].data(), inputs[tensor].bytes());
      for (std::int64_t d = 0; d < kSize; ++d) spoilt[tensor].set(key * kSize + d, NAN);
      const Tensor actual = run(compiled(graph), spoilt)[0];
      for (std::int64_t q = 0; q < kLength; ++q) {
        if (std::abs(q - key) <= kFar + 20) continue;
        for (std::int64_t d = 0; d < kSize; ++d)
          ASSERT_NEAR(actual.at(q * kSize + d), expected.at(q * kSize + d), 2e-5) << "key " << key << ", query " << q;
      }
    }
}

TEST(PositionMaskErrors, MorePositionsThanF32Holds) {
  const CompiledSubgraph subgraph = runtime_test::compiled(
      parse_graph("graph @g(%x: f32[S]) {\n %S = known i64[] {S}\n %i = range 0, %S, 1\n %f = cast %i, to=\"f32\"\n"
                  " %0 = add %x, %f\n return %0\n}"));
  Invocation invocation = subgraph.invocation();
  invocation.rebind(std::vector<TensorDesc>{{{1 << 24}, {}}});
  EXPECT_ERROR(invocation.rebind(std::vector<TensorDesc>{{{(1 << 24) + 1}, {}}}), "that f32 holds");
}

}  // namespace
}  // namespace burin::runtime_test
