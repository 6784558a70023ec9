// Groups that fold short rows, of which several lie in one vector: lengths of rows and their number around each choice; strides;
// what is folded; what cannot be packed.

#include <fmt/format.h>

#include <limits>
#include <optional>

#include "tests/unit/runtime/beside_interpreter.h"

namespace burin::runtime_test {
namespace {

using burin::testing::random_inputs;

constexpr double kTolerance = 1e-5;
const std::string kVariant = ".packed.code.";

const char* const kSoftmax = R"(graph @softmax(%x: f32[M,N], %y: f32[M,N]) {
  %s = add %x, %y
  %p = softmax %s, axis=1
  return %p
})";

class PackedRows : public BesideInterpreter {
 protected:
  void compile_as(const std::string& text) {
    CompileOptions options;
    options.isa = GetParam();
    options.verify = true;
    is_packed_ = false;
    options.dump = [this](std::string_view stage, const std::string&) { is_packed_ |= stage.find(kVariant) != std::string_view::npos; };
    graph_ = parse_graph(text);
    kernel_.emplace(compile(graph_, options));
  }

  void check(const Symbols& sizes, bool strided = false) { check(random_inputs(graph_, sizes, 3), strided); }
  void check(const std::vector<Tensor>& inputs, bool strided = false) { expect_same(*kernel_, graph_, inputs, strided, kTolerance); }

  Graph graph_;
  std::optional<CompiledSubgraph> kernel_;
  bool is_packed_ = false;
};
INSTANTIATE_TEST_SUITE_P(Isa, PackedRows, ::testing::Values("avx2", "avx512"));

TEST_P(PackedRows, AnyLengthAndNumber) {
  compile_as(kSoftmax);
  EXPECT_TRUE(is_packed_);
  for (std::int64_t n = 0; n <= 17; ++n)
    for (const std::int64_t m : {0, 1, 2, 3, 4, 5, 6, 15, 16, 17, 63, 64, 65, 159, 160, 161, 1000}) check({{"M", m}, {"N", n}});
}

TEST_P(PackedRows, RowsApart) {
  compile_as(kSoftmax);
  for (std::int64_t n = 1; n <= 9; ++n) check({{"M", 50}, {"N", n}}, true);
}

TEST_P(PackedRows, KnownLength) {
  for (const int n : {2, 3, 4, 5, 8}) {
    compile_as(fmt::format(R"(graph @known(%x: f32[B,M,{}]) {{
      %p = softmax %x, axis=2
      return %p
    }})", n));
    EXPECT_EQ(is_packed_, isa_from_string(GetParam()) == Isa::avx512 || (n != 5 && n != 8)) << n;
    for (const std::int64_t m : {1, 7, 40}) check({{"B", 3}, {"M", m}});
  }
}

TEST_P(PackedRows, AllFolds) {
  for (const std::string fold : {"reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_mean", "reduce_l2"}) {
    compile_as(fmt::format(R"(graph @fold(%x: f32[M,N]) {{
      %s = {} %x, axes=[1], keepdims=1
      %d = sub %x, %s
      %r = relu %d
      return %d, %r
    }})", fold));
    EXPECT_TRUE(is_packed_) << fold;
    for (const std::int64_t n : {1, 2, 3, 4, 5, 7, 8}) check({{"M", 77}, {"N", n}});
  }
}

TEST_P(PackedRows, SpecialNumbersStayInTheirRow) {
  compile_as(kSoftmax);
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const std::int64_t n : {2, 3, 5, 8}) {
    std::vector<Tensor> inputs = random_inputs(graph_, {{"M", 64}, {"N", n}}, 3);
    inputs[0].set(1, std::numeric_limits<float>::quiet_NaN());
    inputs[0].set(4 * n, -kInf);
    inputs[0].set(9 * n + 1, kInf);
    for (std::int64_t i = 0; i < n; ++i) inputs[0].set(30 * n + i, -kInf);
    check(inputs);
  }
}

/// A number for each row, an element for each column: neither lies beside what is packed.
TEST_P(PackedRows, OtherShapesAreNotPacked) {
  compile_as(R"(graph @sums(%x: f32[M,N]) {
    %s = reduce_sum %x, axes=[1], keepdims=1
    return %s
  })");
  EXPECT_FALSE(is_packed_);
  check({{"M", 50}, {"N", 3}});
  compile_as(R"(graph @scaled(%x: f32[M,N], %b: f32[N]) {
    %p = softmax %x, axis=1
    %r = mul %p, %b
    return %r
  })");
  EXPECT_FALSE(is_packed_);
  check({{"M", 50}, {"N", 3}});
}

}  // namespace
}  // namespace burin::runtime_test
