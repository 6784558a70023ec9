// What subgraphs compute whose products go to oneDNN's BRGEMM ukernel: the same as the reference
// interpreter, around all tails, and as little of memory is touched.

#include <array>
#include <atomic>
#include <span>

#include "target/target_info.h"
#include "tests/support/guarded_call.h"
#include "tests/support/random.h"
#include "tests/unit/runtime/runtime_support.h"

namespace burin::runtime_test {
namespace {

using burin::testing::CallOptions;
using burin::testing::guarded_call;
using burin::testing::parse_with_weights;
using burin::testing::Random;
using burin::testing::random_inputs;
using burin::testing::relative_difference;

/// Of results of which the smallest is one number, the remainder of larger ones.
constexpr double kTolerance = 2e-5;

CompiledSubgraph with_onednn(const Graph& graph, Isa isa = host_target().isa) {
  CompileOptions options;
  options.verify = true;
  options.brgemm = "onednn";
  options.isa = to_string(isa);
  return compile(graph, options);
}

/// One worker and three, dense and strided, all memory between guard pages: right, and the same
/// bits each time.
void check(const Graph& graph, const std::vector<Symbols>& sizes, Isa isa = host_target().isa) {
  const CompiledSubgraph compiled = with_onednn(graph, isa);
  Invocation one = compiled.invocation(1), three = compiled.invocation(3);
  for (const Symbols& symbols : sizes) {
    std::string trace(to_string(isa));
    for (const auto& [name, value] : symbols) trace += ", " + name + " = " + std::to_string(value);
    SCOPED_TRACE(trace);
    Random random(7);
    const auto inputs = random_inputs(graph, symbols, 3);
    const Tensor expected = interpret(graph, inputs)[0];
    const Tensor alone = guarded_call(one, graph, inputs, {.workers = 1}, random)[0];
    ASSERT_LE(relative_difference(expected, alone), kTolerance) << print(graph);
    for (const bool strided : {false, true}) {
      const CallOptions call{.strided = strided, .workers = 3};
      ASSERT_TRUE(expected.size() == 0 ||
                  same_bits(alone, guarded_call(three, graph, inputs, call, random)[0]))
          << "strided " << strided;
    }
  }
}

/// Queries around whole vectors and whole blocks, keys around whole vectors.
std::vector<Symbols> tails() {
  std::vector<Symbols> all;
  for (const std::int64_t queries : {0, 1, 7, 8, 16, 17, 24, 31, 48, 49, 96, 97, 130})
    for (const std::int64_t keys : {1, 2, 15, 16, 17, 64, 100})
      all.push_back({{"B", 1 + keys % 2}, {"S", queries}, {"T", keys}});
  return all;
}

TEST(OneDnnAttention, EveryTail) {
  for (const Isa isa : {Isa::avx2, Isa::avx512})
    if (isa <= host_target().isa) check(attention(), tails(), isa);
}

TEST(OneDnnAttention, LayoutsMasksAndHeads) {
  const std::vector<Symbols> sizes = {{{"B", 2}, {"S", 5}, {"T", 9}},
                                      {{"B", 1}, {"S", 53}, {"T", 70}},
                                      {{"B", 2}, {"S", 48}, {"T", 32}}};
  for (
      const char* text :
      {// Heads behind the sequence; a mask of the keys; a head size that fills no vector.
       R"(graph @a(%q: f32[B,S,3,5], %k: f32[B,T,3,5], %v: f32[B,T,3,5], %m: f32[B,1,1,T]) {
             %0 = transpose %q, perm=[0,2,1,3]
             %1 = transpose %k, perm=[0,2,3,1]
             %2 = matmul %0, %1
             %3 = mul %2, 0.4
             %4 = add %3, %m
             %5 = softmax %4, axis=3
             %6 = transpose %v, perm=[0,2,1,3]
             %7 = matmul %5, %6
             %8 = transpose %7, perm=[0,2,1,3]
             return %8 })",
       // Keys that come transposed: they are copied.
       R"(graph @a(%q: f32[B,2,S,16], %k: f32[B,2,16,T], %v: f32[B,2,T,40]) {
             %0 = matmul %q, %k
             %1 = softmax %0, axis=3
             %2 = matmul %1, %v
             return %2 })",
       // Values whose depth lies side by side: they are read where they lie.
       R"(graph @a(%q: f32[B,2,S,16], %k: f32[B,2,16,T], %v: f32[B,2,24,T]) {
             %0 = matmul %q, %k
             %1 = softmax %0, axis=3
             %2 = transpose %v, perm=[0,1,3,2]
             %3 = matmul %1, %2
             return %3 })",
       // Groups of heads; operations between the products, and behind them.
       R"(graph @a(%q: f32[B,4,S,8], %k: f32[B,2,T,8], %v: f32[B,2,T,8], %m: f32[S,T], %r: f32[B,4,S,8]) {
             %0 = repeat %k, axis=1, times=2
             %1 = transpose %0, perm=[0,1,3,2]
             %2 = matmul %q, %1
             %3 = tanh %2
             %4 = add %3, %m
             %5 = softmax %4, axis=3
             %6 = repeat %v, axis=1, times=2
             %7 = matmul %5, %6
             %8 = add %7, %r
             %9 = gelu %8
             return %9 })",
       // Keys that are computed.
       R"(graph @a(%q: f32[B,2,S,16], %k: f32[B,2,T,16], %v: f32[B,2,T,16]) {
             %0 = relu %k
             %1 = transpose %0, perm=[0,1,3,2]
             %2 = matmul %q, %1
             %3 = softmax %2, axis=3
             %4 = exp %v
             %5 = matmul %3, %4
             return %5 })"}) {
    check(parse_graph(text), sizes);
    if (HasFatalFailure()) return;
  }
}

TEST(OneDnnAttention, DimensionsOfOneElement) {
  for (const auto& [queries, keys, size, values] :
       std::vector<std::array<std::string, 4>>{{"S", "1", "8", "8"},
                                               {"S", "T", "1", "8"},
                                               {"S", "T", "8", "1"},
                                               {"S", "1", "1", "1"}}) {
    check(parse_graph("graph @a(%q: f32[B,2," + queries + "," + size + "], %k: f32[B,2," + keys +
                      "," + size + "], %v: f32[B,2," + keys + "," + values +
                      "]) { %0 = transpose %k, perm=[0,1,3,2]\n %1 = matmul %q, %0\n"
                      "%2 = softmax %1, axis=3\n %3 = matmul %2, %v\n return %3 }"),
          {{{"B", 2}, {"S", 5}, {"T", 9}}, {{"B", 1}, {"S", 70}, {"T", 33}}});
    if (HasFatalFailure()) return;
  }
}

TEST(OneDnnAttention, MasksOfInfinityAndNaN) {
  const Graph graph = attention();
  const CompiledSubgraph compiled = with_onednn(graph);
  constexpr std::int64_t kKeys = 70, kInfinityRow = 3, kPartRow = 4, kNaNRow = 5;
  auto inputs = random_inputs(graph, {{"B", 1}, {"S", 20}, {"T", kKeys}}, 9);
  for (std::int64_t k = 0; k < kKeys; ++k) inputs[3].set(kInfinityRow * kKeys + k, -kInfinity);
  for (std::int64_t k = 10; k < kKeys; ++k) inputs[3].set(kPartRow * kKeys + k, -kInfinity);
  inputs[3].set(kNaNRow * kKeys + 2, NAN);
  EXPECT_LE(relative_difference(interpret(graph, inputs)[0], run(compiled, inputs)[0]), kTolerance);
}

TEST(OneDnnAttention, NoKeys) {
  // As with Burin's own code: 0 / 0, where the plain formula gives 0. Nothing is read.
  const CompiledSubgraph compiled = with_onednn(attention());
  const auto inputs = random_inputs(attention(), {{"B", 1}, {"S", 5}, {"T", 0}}, 3);
  Invocation invocation = compiled.bind(shapes_of(inputs));
  struct alignas(64) Line {
    std::array<float, 16> numbers;
  };
  Line full{};
  full.numbers.fill(7);
  std::vector<Line> scratch(invocation.scratch_bytes() / sizeof(Line) + 1, full);
  invocation.set_scratch(std::as_writable_bytes(std::span(scratch)));
  const Tensor actual = run_bound(invocation, inputs)[0];
  for (std::int64_t i = 0; i < actual.size(); ++i)
    ASSERT_TRUE(std::isnan(actual.at(i)) || actual.at(i) == 0) << actual.at(i);
}

TEST(OneDnnAttention, ConcurrentInvocations) {
  const Graph graph = attention();
  EXPECT_EQ(wrong_of_concurrent(graph, with_onednn(graph), 20, kTolerance), 0);
}

TEST(OneDnnProduct, EveryTail) {
  std::vector<Symbols> rows;
  for (const std::int64_t m : {0, 1, 2, 47, 48, 49, 97, 481}) rows.push_back({{"M", m}});
  for (const std::string columns : {"1", "16", "17", "48", "100"})
    for (const std::string depth : {"1", "3", "65"}) {
      const std::string product = "graph @p(%x: f32[M," + depth + "], %w: f32[" + depth + "," +
                                  columns + "], %wb: f32[" + columns + "], %r: f32[M," + columns +
                                  "]) { %0 = matmul %x, %w\n";
      check(parse_with_weights(product +
                               "%1 = add %0, %wb\n %2 = gelu %1\n %3 = add %2, %r\n return %3 }"),
            rows);
      if (HasFatalFailure()) return;
    }
  check(parse_with_weights(
            "graph @p(%x: f32[B,M,7], %w: f32[7,20]) { %0 = matmul %x, %w\n return %0 }"),
        {{{"B", 2}, {"M", 50}}, {{"B", 3}, {"M", 1}}});
}

// ---- code

TEST(OneDnnExecutor, MakesKernelsWhenAShapeNeedsThem) {
  const Graph graph = attention();
  const CodegenStatistics none = codegen_statistics();
  const CompiledSubgraph compiled = with_onednn(graph);
  const CodegenStatistics code = codegen_statistics();
  EXPECT_GT(code.events, none.events);

  const auto bind = [&](std::int64_t queries, std::int64_t keys) {
    const BrgemmStatistics before = brgemm_statistics("onednn");
    compiled.bind(shapes_of(random_inputs(graph, {{"B", 1}, {"S", queries}, {"T", keys}})));
    const BrgemmStatistics after = brgemm_statistics("onednn");
    EXPECT_LE(after.held, after.capacity);
    return std::pair(after.created - before.created, after.hits - before.hits);
  };
  // Whole blocks of queries and the last one, in both products; sizes that no other test has.
  EXPECT_EQ(bind(211, 203), std::pair(std::uint64_t{4}, std::uint64_t{0}));
  EXPECT_EQ(bind(211, 203), std::pair(std::uint64_t{0}, std::uint64_t{4}));
  EXPECT_EQ(codegen_statistics().events, code.events);
}

TEST(OneDnnExecutor, HoldsABoundedNumberOfKernels) {
  const Graph graph = attention();
  const CompiledSubgraph compiled = with_onednn(graph);
  const auto all = random_inputs(graph, {{"B", 1}, {"S", 3}, {"T", 3}});
  const std::size_t capacity = brgemm_statistics("onednn").capacity;
  Invocation invocation = compiled.invocation();
  for (std::size_t i = 0; i < capacity; ++i) {  // two products each
    const auto keys = static_cast<std::int64_t>(1000 + i);
    invocation.rebind(std::vector<TensorDesc>{{{1, 2, 3, 16}, {}},
                                              {{1, 2, keys, 16}, {}},
                                              {{1, 2, keys, 16}, {}},
                                              {{1, 1, 3, keys}, {}}});
  }
  EXPECT_EQ(brgemm_statistics("onednn").held, capacity);
  EXPECT_GE(brgemm_statistics("onednn").evicted, capacity);
  // The last shape's kernels are there, whatever was dropped.
  const auto inputs = random_inputs(graph, {{"B", 1}, {"S", 3}, {"T", 1001}}, 5);
  invocation.rebind(shapes_of(inputs));
  EXPECT_LE(relative_difference(interpret(graph, inputs)[0], run_bound(invocation, inputs)[0]),
            kTolerance);
}

TEST(OneDnnExecutor, IsNeverChosenByDefault) {
  const BrgemmStatistics before = brgemm_statistics("onednn");
  const auto inputs = random_inputs(attention(), {{"B", 1}, {"S", 5}, {"T", 6}});
  for (const char* name : {"", "burin"}) {
    CompileOptions options;
    options.brgemm = name;
    run(compile(attention(), options), inputs);
  }
  const BrgemmStatistics after = brgemm_statistics("onednn");
  EXPECT_EQ(before.hits + before.misses, after.hits + after.misses);
}

TEST(OneDnnExecutor, SubgraphsWithoutProducts) {
  check(parse_graph("graph @e(%x: f32[M,N]) { %0 = exp %x\n %1 = relu %0\n return %1 }"),
        {{{"M", 3}, {"N", 50}}});
}

TEST(OneDnnExecutor, SaysWhatItCannotDo) {
  CompileOptions options;
  options.brgemm = "onednn";
  options.softmax_form = "online";
  EXPECT_ERROR(compile(attention(), options), "no BRGEMM executor for the online softmax");
  // No axis is left that could be the columns of both products.
  options.softmax_form.clear();
  const Graph one_query = parse_graph(
      "graph @a(%q: f32[B,1,8], %k: f32[B,8,T], %v: f32[B,T,8]) { %0 = matmul %q, %k\n %1 = "
      "softmax %0, axis=2\n"
      "%2 = matmul %1, %v\n return %2 }");
  EXPECT_ERROR(compile(one_query, options),
               "no BRGEMM executor: the products share no axis that lies in the lanes");
}

}  // namespace
}  // namespace burin::runtime_test
