// Attentions of few queries: blocks of keys, combined; heads of a group together; keys in any layout.

#include "target/target_info.h"
#include "tests/unit/runtime/runtime_support.h"

namespace burin::runtime_test {
namespace {

using burin::testing::random_inputs;
using burin::testing::relative_difference;

constexpr double kTolerance = 1e-5;
/// As many as that are few on every machine.
constexpr std::int64_t kFew = 4;

struct Layout {
  const char* name;
  std::string graph;
};

/// Queries [B, S, H, D], keys and values as given; H is 8, of keys and values 2.
std::string graph_of(const std::string& inputs, const std::string& keys, const std::string& values, const std::string& scores = "") {
  return "graph @decode(%q: f32[B,S,8,24], " + inputs + ", %mask: f32[B,1,S,T]) {\n" +
         "%q0 = transpose %q, perm=[0,2,1,3]\n" + keys + "\n%k1 = repeat %k0, axis=1, times=4\n" + values +
         "\n%v1 = repeat %v0, axis=1, times=4\n%1 = matmul %q0, %k1\n%2 = mul %1, 0.25\n%3 = add %2, %mask\n" + scores + R"(
    %4 = softmax %3, axis=3
    %5 = matmul %4, %v1
    %6 = transpose %5, perm=[0,2,1,3]
    return %6
  })";
}

const Layout kLayouts[] = {
    {"HeadsInside", graph_of("%k: f32[B,T,2,24], %v: f32[B,T,2,24]", "%k0 = transpose %k, perm=[0,2,3,1]", "%v0 = transpose %v, perm=[0,2,1,3]")},
    {"HeadsOutside", graph_of("%k: f32[B,2,T,24], %v: f32[B,2,T,24]", "%k0 = transpose %k, perm=[0,1,3,2]", "%v0 = identity %v")},
    {"KeysTransposed", graph_of("%k: f32[B,2,24,T], %v: f32[B,2,T,24]", "%k0 = identity %k", "%v0 = identity %v")},
    {"ValuesTransposed", graph_of("%k: f32[B,T,2,24], %v: f32[B,2,24,T]", "%k0 = transpose %k, perm=[0,2,3,1]", "%v0 = transpose %v, perm=[0,1,3,2]")},
    {"SharedByBatches", graph_of("%k: f32[1,T,2,24], %v: f32[1,T,2,24]", "%k0 = transpose %k, perm=[0,2,3,1]", "%v0 = transpose %v, perm=[0,2,1,3]")},
    {"ChangedOnTheWay", graph_of("%k: f32[B,T,2,24], %v: f32[B,T,2,24]", "%k2 = relu %k\n%k0 = transpose %k2, perm=[0,2,3,1]",
                                 "%v2 = neg %v\n%v0 = transpose %v2, perm=[0,2,1,3]")}};

struct Case {
  const char* isa;
  Layout layout;
};

std::vector<Case> all_cases() {
  std::vector<Case> all;
  for (const char* isa : {"avx2", "avx512"})
    for (const Layout& layout : kLayouts) all.push_back({isa, layout});
  return all;
}

class FewQueries : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (isa_from_string(GetParam().isa) > host_target().isa) GTEST_SKIP() << "this machine has no " << GetParam().isa;
    CompileOptions options;
    options.isa = GetParam().isa;
    options.verify = true;
    compiled_.emplace(compile(graph_, options));
  }
  Graph graph_ = parse_graph(GetParam().layout.graph);
  std::optional<CompiledSubgraph> compiled_;
};
INSTANTIATE_TEST_SUITE_P(All, FewQueries, ::testing::ValuesIn(all_cases()),
                         [](const auto& info) { return std::string(info.param.layout.name) + "_" + info.param.isa; });

/// Around tiles of keys and blocks of them.
TEST_P(FewQueries, ResultsForAnyNumberOfKeysAndWorkers) {
  for (const std::int64_t keys : {1, 3, 4, 7, 8, 15, 16, 17, 63, 65, 255, 256, 257, 300, 513})
    for (const std::int64_t queries : {std::int64_t{1}, std::int64_t{2}, kFew}) {
      const auto inputs = random_inputs(graph_, {{"B", 2}, {"S", queries}, {"T", keys}}, 3);
      const Tensor expected = interpret(graph_, inputs)[0], one = run(*compiled_, inputs)[0];
      ASSERT_LT(relative_difference(expected, one), kTolerance) << queries << " queries, " << keys << " keys";
      for (const int workers : {2, 5}) ASSERT_TRUE(same_bits(one, run(*compiled_, inputs, workers)[0])) << workers << " workers";
    }
}

/// A whole block of keys that is hidden adds nothing, whatever hides it.
TEST_P(FewQueries, HiddenBlocks) {
  for (const float hidden : {-kInfinity, kLowest}) {
    auto inputs = random_inputs(graph_, {{"B", 1}, {"S", 2}, {"T", 600}}, 5);
    for (std::int64_t k = 0; k < 300; ++k) inputs[3].set(k, hidden);           // of the first query the first block
    for (std::int64_t k = 250; k < 600; ++k) inputs[3].set(600 + k, hidden);   // of the second the others
    EXPECT_LT(relative_difference(interpret(graph_, inputs)[0], run(*compiled_, inputs)[0]), kTolerance) << hidden;
  }
}

/// What is not linear in the exponentials cannot be combined: score rows, whatever their length.
TEST(FewQueriesOfOtherChains, ProbabilitiesThatAreClipped) {
  Graph graph = parse_graph(R"(graph @clipped(%q: f32[B,S,24], %k: f32[B,24,T], %v: f32[B,T,24]) {
    %1 = matmul %q, %k
    %2 = softmax %1, axis=2
    %3 = sub %2, 0.125
    %4 = relu %3
    %5 = matmul %4, %v
    return %5
  })");
  const CompiledSubgraph kernel = compiled(graph, "few queries");
  for (const std::int64_t keys : {1, 17, 300}) {
    const auto inputs = random_inputs(graph, {{"B", 3}, {"S", 2}, {"T", keys}}, 3);
    EXPECT_LT(relative_difference(interpret(graph, inputs)[0], run(kernel, inputs, 2)[0]), kTolerance) << keys;
  }
}

/// One query that is known to be one needs no other schedule; many that are known, not this one.
TEST(FewQueriesOfStaticShapes, OneVariant) {
  const auto code_of = [](const std::string& queries, std::optional<std::int64_t> few) {
    CompileOptions options;
    options.few_queries = few;
    return compile(parse_graph("graph @static(%q: f32[2," + queries + R"(,24], %k: f32[2,24,T], %v: f32[2,T,24]) {
      %1 = matmul %q, %k
      %2 = softmax %1, axis=2
      %3 = matmul %2, %v
      return %3
    })"), options);
  };
  const auto value = [](const CompiledSubgraph& kernel, const std::string& name) {
    for (const auto& [key, text] : kernel.schedule())
      if (key == name) return text;
    return std::string();
  };
  EXPECT_FALSE(value(code_of("1", {}), "folded_rows").empty());
  EXPECT_TRUE(value(code_of("48", {}), "folded_rows").empty());
  EXPECT_TRUE(value(code_of("1", 0), "folded_rows").empty());
  EXPECT_EQ(code_of("48", {}).code_bytes(), code_of("48", 0).code_bytes());
  EXPECT_GT(code_of("S", {}).code_bytes(), code_of("S", 0).code_bytes());
}

}  // namespace
}  // namespace burin::runtime_test
