// Attentions of numbers that are none, and of lengths of zero: what ONNX Runtime 1.32 gives on a CPU for the plain operations
// (MatMul, Add, Softmax, MatMul), copied from there.

#include <fmt/format.h>

#include <optional>

#include "target/target_info.h"
#include "tests/unit/runtime/runtime_support.h"

namespace burin::runtime_test {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// Queries [1,3,4], keys [1,4,3], values [1,3,2] and a mask [1,3,3].
constexpr const char* kPlain = R"(graph @plain(%q: f32[B,S,D], %k: f32[B,D,T], %v: f32[B,T,E], %m: f32[B,S,T]) {
    %0 = matmul %q, %k
    %1 = add %0, %m
    %p = softmax %1, axis=2
    %o = matmul %p, %v
    return %o
  })";
constexpr const char* kGuarded = R"(graph @guarded(%q: f32[B,S,D], %k: f32[B,D,T], %v: f32[B,T,E], %m: f32[B,S,T]) {
    %0 = matmul %q, %k
    %1 = add %0, %m
    %p = softmax %1, axis=2
    %n = is_nan %p
    %w = where %n, 0.0, %p
    %o = matmul %w, %v
    return %o
  })";
/// Probabilities are selected by the mask of the scores once more.
std::string selected(const std::string& fill) {
  return R"(graph @selected(%q: f32[B,S,D], %k: f32[B,D,T], %v: f32[B,T,E], %c: bool[B,S,T]) {
    %0 = matmul %q, %k
    %1 = where %c, %0, )" + fill + R"(
    %p = softmax %1, axis=2
    %w = where %c, %p, 0.0
    %o = matmul %w, %v
    return %o
  })";
}

/// -0.5, -0.25, 0, 0.25, 0.5, -0.5, ...
Tensor numbers(const Dims& dims) {
  Tensor t = Tensor::zeros(Precision::f32, dims);
  for (std::int64_t i = 0; i < t.size(); ++i) t.set(i, static_cast<double>(i % 5) / 4 - 0.5);
  return t;
}

/// Instead of one of the numbers of an input.
struct Change {
  std::size_t input;
  std::int64_t element;
  float number;
};
struct Case {
  const char* name;
  const char* graph;
  std::optional<Change> change;
  std::vector<float> mask, expected;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"hidden_rows", kPlain, {}, {0, 0, 0, -kInfinity, -kInfinity, -kInfinity, kLowest, kLowest, kLowest}, {-0.0456184447, -0.197153345, kNaN, kNaN, 0, -0.166666672}},
      {"infinities", kPlain, {}, {0, -kInfinity, 0, kLowest, -kInfinity, -kInfinity, kInfinity, 0, 0}, {-0.0621764958, -0.359455884, -0.5, -0.25, kNaN, kNaN}},
      {"all_infinite", kPlain, {}, {kInfinity, kInfinity, kInfinity, kInfinity, kInfinity, kInfinity, kInfinity, kInfinity, kInfinity}, {kNaN, kNaN, kNaN, kNaN, kNaN, kNaN}},
      {"nan_query", kPlain, Change{0, 4, kNaN}, {0, 0, 0, 0, 0, 0, 0, 0, 0}, {-0.0456184447, -0.197153345, kNaN, kNaN, -0.043309398, -0.0884629488}},
      {"nan_key", kPlain, Change{1, 1, kNaN}, {0, 0, 0, 0, 0, 0, 0, 0, 0}, {kNaN, kNaN, kNaN, kNaN, kNaN, kNaN}},
      {"nan_value", kPlain, Change{2, 2, kNaN}, {0, 0, 0, 0, 0, 0, 0, 0, 0}, {kNaN, -0.197153345, kNaN, -0.233967662, kNaN, -0.0884629488}},
      {"nan_hidden_key", kPlain, Change{1, 1, kNaN}, {0, -kInfinity, 0, 0, -kInfinity, 0, 0, -kInfinity, 0}, {kNaN, kNaN, kNaN, kNaN, kNaN, kNaN}},
      {"nan_hidden_value", kPlain, Change{2, 2, kNaN}, {0, -kInfinity, 0, 0, -kInfinity, 0, 0, -kInfinity, 0}, {kNaN, -0.359455884, kNaN, -0.405614853, kNaN, -0.355626166}},
      {"infinite_query", kPlain, Change{0, 4, kInfinity}, {0, 0, 0, 0, 0, 0, 0, 0, 0}, {-0.0456184447, -0.197153345, kNaN, kNaN, -0.043309398, -0.0884629488}},
      {"infinite_key", kPlain, Change{1, 1, kInfinity}, {0, 0, 0, 0, 0, 0, 0, 0, 0}, {-0.0621764958, -0.359455884, kNaN, kNaN, kNaN, kNaN}},
      {"infinite_value", kPlain, Change{2, 2, kInfinity}, {0, 0, 0, 0, 0, 0, 0, 0, 0}, {kInfinity, -0.197153345, kInfinity, -0.233967662, kInfinity, -0.0884629488}},
      {"infinite_hidden_key", kPlain, Change{1, 1, kInfinity}, {0, -kInfinity, 0, 0, -kInfinity, 0, 0, -kInfinity, 0}, {-0.0621764958, -0.359455884, kNaN, kNaN, kNaN, kNaN}},
      {"infinite_hidden_value", kPlain, Change{2, 2, kInfinity}, {0, -kInfinity, 0, 0, -kInfinity, 0, 0, -kInfinity, 0}, {kNaN, -0.359455884, kNaN, -0.405614853, kNaN, -0.355626166}},
      {"negative_infinite_query", kPlain, Change{0, 4, -kInfinity}, {0, 0, 0, 0, 0, 0, 0, 0, 0}, {-0.0456184447, -0.197153345, kNaN, kNaN, -0.043309398, -0.0884629488}},
      {"negative_infinite_key", kPlain, Change{1, 1, -kInfinity}, {0, 0, 0, 0, 0, 0, 0, 0, 0}, {kNaN, kNaN, 0.122459337, -0.405614853, -0.0774953514, -0.355626166}},
      {"negative_infinite_value", kPlain, Change{2, 2, -kInfinity}, {0, 0, 0, 0, 0, 0, 0, 0, 0}, {-kInfinity, -0.197153345, -kInfinity, -0.233967662, -kInfinity, -0.0884629488}},
      {"negative_infinite_hidden_key", kPlain, Change{1, 1, -kInfinity}, {0, -kInfinity, 0, 0, -kInfinity, 0, 0, -kInfinity, 0}, {kNaN, kNaN, 0.122459337, -0.405614853, -0.0774953514, -0.355626166}},
      {"negative_infinite_hidden_value", kPlain, Change{2, 2, -kInfinity}, {0, -kInfinity, 0, 0, -kInfinity, 0, 0, -kInfinity, 0}, {kNaN, -0.359455884, kNaN, -0.405614853, kNaN, -0.355626166}},
      {"guarded_rows", kGuarded, {}, {0, 0, 0, -kInfinity, -kInfinity, -kInfinity, kLowest, kLowest, kLowest}, {-0.0456184447, -0.197153345, 0, 0, 0, -0.166666672}},
      {"guarded_infinities", kGuarded, {}, {0, -kInfinity, 0, kLowest, -kInfinity, -kInfinity, kInfinity, 0, 0}, {-0.0621764958, -0.359455884, -0.5, -0.25, 0, 0}},
      {"guarded_nan_query", kGuarded, Change{0, 4, kNaN}, {0, 0, 0, 0, 0, 0, 0, 0, 0}, {-0.0456184447, -0.197153345, 0, 0, -0.043309398, -0.0884629488}},
  };
  return all;
}

struct Way {
  const char* form;
  Isa isa;
};

class ValuesOfOnnxRuntime : public ::testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    if (GetParam().isa > host_target().isa) GTEST_SKIP() << "this machine does not offer " << to_string(GetParam().isa);
  }

  std::vector<Tensor> results(const std::string& graph, const std::vector<Tensor>& inputs) const {
    CompileOptions options;
    options.verify = true;
    options.softmax_form = GetParam().form;
    options.isa = to_string(GetParam().isa);
    return run(compile(parse_graph(graph), options), inputs);
  }

  void expect(const std::vector<float>& expected, const std::string& graph, const std::vector<Tensor>& inputs) const {
    const Tensor actual = results(graph, inputs)[0];
    ASSERT_EQ(actual.size(), static_cast<std::int64_t>(expected.size()));
    for (std::int64_t i = 0; i < actual.size(); ++i) {
      const double x = expected[static_cast<std::size_t>(i)], y = actual.at(i);
      const bool alike = std::isnan(x) ? std::isnan(y) : x == y || std::abs(x - y) < 1e-6;
      EXPECT_TRUE(alike) << i << ": expected " << x << ", got " << y;
    }
  }
};
INSTANTIATE_TEST_SUITE_P(All, ValuesOfOnnxRuntime,
                         ::testing::Values(Way{"score_rows", Isa::avx2}, Way{"online", Isa::avx2},
                                           Way{"score_rows", Isa::avx512}, Way{"online", Isa::avx512}),
                         [](const auto& info) { return fmt::format("{}_{}", info.param.form, to_string(info.param.isa)); });

TEST_P(ValuesOfOnnxRuntime, NumbersThatAreNone) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    std::vector<Tensor> inputs = {numbers({1, 3, 4}), numbers({1, 4, 3}), numbers({1, 3, 2}), Tensor::from_f32({1, 3, 3}, c.mask)};
    if (c.change) inputs[c.change->input].set(c.change->element, c.change->number);
    expect(c.expected, c.graph, inputs);
  }
}

TEST_P(ValuesOfOnnxRuntime, RowsThatAreSelectedAgain) {
  Tensor seen = Tensor::zeros(Precision::boolean, {1, 3, 3});
  for (const std::int64_t i : {0, 2, 6, 7, 8}) seen.set_int(i, 1);
  const std::vector<Tensor> inputs = {numbers({1, 3, 4}), numbers({1, 4, 3}), numbers({1, 3, 2}), seen};
  const std::vector<float> expected = {-0.0621764958, -0.359455884, 0, 0, -0.043309398, -0.0884629488};
  expect(expected, selected("-inf"), inputs);
  expect(expected, selected("-3.4028235e+38"), inputs);
}

TEST_P(ValuesOfOnnxRuntime, LengthsOfZero) {
  const auto inputs = [](std::int64_t batch, std::int64_t queries, std::int64_t keys, std::int64_t size) {
    return std::vector<Tensor>{numbers({batch, queries, size}), numbers({batch, size, keys}), numbers({batch, keys, 2}),
                               Tensor::zeros(Precision::f32, {batch, queries, keys})};
  };
  for (const char* graph : {kPlain, kGuarded}) {
    expect({0, 0, 0, 0, 0, 0}, graph, inputs(1, 3, 0, 4));  // no keys
    expect({0, -0.1666666716337204F, 0, -0.1666666716337204F, 0, -0.1666666716337204F}, graph, inputs(1, 3, 3, 0));
    expect({}, graph, inputs(0, 3, 3, 4));
    expect({}, graph, inputs(1, 0, 3, 4));
    expect({}, graph, inputs(1, 0, 0, 4));
  }
}

}  // namespace
}  // namespace burin::runtime_test
