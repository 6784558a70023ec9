// What the text test of a bf16 attention in tiles (filetests/linear/amx_attention.txt) computes, in
// front of all passes and behind them, and that its tiles need nothing that a matrix unit has not.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "linear/linear_ir.h"

namespace burin::linear {
namespace {

struct Kernels {
  LinearIR written, ready;
};

Kernels kernels() {
  std::ifstream file(std::string(BURIN_TEST_DIR) + "/filetests/linear/amx_attention.txt");
  std::stringstream all;
  all << file.rdbuf();
  const std::string text = all.str(), expect = "; expect";
  const std::size_t begin = text.find("linear @"), middle = text.find(expect);
  return {parse_linear(text.substr(begin, middle - begin)),
          parse_linear(text.substr(middle + expect.size()))};
}

struct Sizes {
  std::int64_t batch, heads, queries, keys, head_size = 64;
};

struct Inputs {
  Tensor q, k, v, mask;
  std::vector<Tensor> all() const { return {q, k, v, mask}; }
};

Tensor random(Precision precision, const Dims& dims, double largest, unsigned seed) {
  Tensor t = Tensor::zeros(precision, dims);
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> distribution(-largest, largest);
  for (std::int64_t i = 0; i < t.size(); ++i) t.set(i, distribution(generator));
  return t;
}

Inputs inputs(const Sizes& s) {
  return {random(Precision::bf16, {s.batch, s.queries, s.heads, s.head_size}, 2, 1),
          random(Precision::bf16, {s.batch, s.keys, s.heads, s.head_size}, 2, 2),
          random(Precision::bf16, {s.batch, s.keys, s.heads, s.head_size}, 2, 3),
          random(Precision::f32, {s.batch, s.keys}, 1, 4)};
}

/// One row of the output, in double precision.
std::vector<double> attention_row(const Inputs& in, std::int64_t b, std::int64_t h,
                                  std::int64_t query) {
  const std::int64_t heads = in.q.dims()[2], keys = in.k.dims()[1], size = in.q.dims()[3];
  const auto row = [&](const Tensor& t, std::int64_t i) {
    return ((b * t.dims()[1] + i) * heads + h) * size;
  };
  std::vector<double> scores;
  for (std::int64_t key = 0; key < keys; ++key) {
    double dot = 0;
    for (std::int64_t e = 0; e < size; ++e)
      dot += in.q.at(row(in.q, query) + e) * in.k.at(row(in.k, key) + e);
    scores.push_back(dot / std::sqrt(static_cast<double>(size)) + in.mask.at(b * keys + key));
  }
  const double top = *std::ranges::max_element(scores);
  double sum = 0;
  std::vector<double> out(static_cast<std::size_t>(size));
  for (std::int64_t key = 0; key < keys; ++key) {
    const double weight = std::exp(scores[static_cast<std::size_t>(key)] - top);
    sum += weight;
    for (std::int64_t d = 0; d < size; ++d)
      out[static_cast<std::size_t>(d)] += weight * in.v.at(row(in.v, key) + d);
  }
  for (double& x : out) x /= sum;
  return out;
}

/// Values are at most 2: a bf16 weight and a bf16 result are off by 2^-9 of that each.
constexpr double kTolerance = 0.01;

void expect_attention(const Sizes& s, const Inputs& in) {
  const Kernels both = kernels();
  for (const LinearIR* ir : {&both.written, &both.ready}) {
    const Tensor out = interpret(*ir, in.all(), {{"P", s.head_size / 2}})[0];
    ASSERT_EQ(out.dims(), (Dims{s.batch, s.queries, s.heads, s.head_size}));
    for (std::int64_t i = 0; i < out.size(); i += s.head_size) {
      const std::int64_t row = i / s.head_size;
      const std::vector<double> expected =
          attention_row(in, row / s.heads / s.queries, row % s.heads, row / s.heads % s.queries);
      for (std::int64_t d = 0; d < s.head_size; ++d)
        ASSERT_NEAR(out.at(i + d), expected[static_cast<std::size_t>(d)], kTolerance)
            << s.queries << " queries, " << s.keys << " keys: row " << row << ", column " << d;
    }
  }
}

TEST(AmxAttention, WholeAndPartialUnits) {
  for (const Sizes& s : std::vector<Sizes>{
           {1, 1, 16, 32}, {2, 3, 17, 33}, {1, 1, 1, 1}, {1, 2, 5, 64}, {1, 1, 33, 70}})
    expect_attention(s, inputs(s));
}

TEST(AmxAttention, SmallerHeads) {
  for (const std::int64_t head_size : {2, 16, 40}) {
    const Sizes s{1, 2, 17, 40, head_size};
    expect_attention(s, inputs(s));
  }
}

/// Scores grow by more than any exponent allows, from one unit to the next and inside of one.
TEST(AmxAttention, TheReferenceIsRaised) {
  const Sizes s{1, 2, 17, 100};
  Inputs in = inputs(s);
  for (std::int64_t key = 0; key < s.keys; ++key) in.mask.set(key, 3.0 * static_cast<double>(key));
  expect_attention(s, in);
  for (std::int64_t key = 0; key < s.keys; ++key) in.mask.set(key, key == 70 ? 400 : 0);
  expect_attention(s, in);
}

TEST(AmxAttention, WhollyMaskedUnits) {
  const Sizes s{1, 1, 16, 70};
  for (const double hidden : {-HUGE_VAL, -1e30}) {
    Inputs in = inputs(s);
    for (std::int64_t key = 0; key < s.keys; ++key)
      if (key < 40) in.mask.set(key, hidden);
    expect_attention(s, in);
    for (std::int64_t key = 0; key < s.keys; ++key) in.mask.set(key, key >= 30 ? hidden : 0);
    expect_attention(s, in);
  }
}

ValueId value(const LinearIR& ir, const std::string& name) {
  return static_cast<ValueId>(std::ranges::find(ir.values, name) - ir.values.begin());
}

/// The tiles of the output (and of the scores) start at zero or as memory, gather products, and are
/// stored.
TEST(AmxAttention, TilesHoldSumsOfProductsOnly) {
  const LinearIR ir = kernels().ready;
  std::set<ValueId> loaded;
  for_each_expression(ir.phases, [&](const Expression& e) {
    if (e.op == Op::load) loaded.insert(e.out);
  });
  for (const std::string name : {"o", "s"}) {
    const ValueId tile = value(ir, name);
    ASSERT_LT(tile, ir.values.size());
    for_each_expression(ir.phases, [&](const Expression& e) {
      if (e.out != tile && std::ranges::find(e.in, tile) == e.in.end()) return;
      const bool is_known = e.op == Op::fill || e.op == Op::update_fma || e.op == Op::store ||
                            (e.op == Op::assign && loaded.contains(e.in[1]));
      EXPECT_TRUE(is_known) << info(e.op).text << " of tile " << name;
      if (e.op == Op::update_fma) {
        EXPECT_TRUE(loaded.contains(e.in[1]) && loaded.contains(e.in[2]));
      }
    });
  }
}

}  // namespace
}  // namespace burin::linear
