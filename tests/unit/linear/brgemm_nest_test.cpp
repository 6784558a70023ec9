// Products for a BRGEMM executor: what the verifier takes for one, what is read off it, and how a
// phase is split.

#include "linear/brgemm_nest.h"

#include <gtest/gtest.h>

#include "tests/unit/support/error_of.h"

namespace burin::linear {
namespace {

std::string kernel(const std::string& body) {
  return "linear @k lanes=4 symbols(K, M, N, in0.s0, in1.s0) {\n"
         "  input %x: f32[M,K] strides[in0.s0,1]\n"
         "  input %w: f32[K,N] strides[in1.s0,1]\n"
         "  output %y: f32[M,N] strides[N,1]\n"
         "  worker %c: f32[32]\n" +
         body + "\n}\n";
}

const std::string kLoads = "%a = load %x[in0.s0*_m + _k]\n %b = load %w[in1.s0*_k + _n]\n";

/// One product in blocks of 4 rows and 8 columns, all parts of which can be replaced.
struct Nest {
  std::string lanes = "brgemm lanes _n in _n.b..min(N, _n.b + 8)";
  std::string fill = "%s = fill 0 over(_m, _n)\n";
  std::string loads = kLoads;
  std::string update = "%s = update_fma %s, %a, %b\n";
  std::string store = "store %c[8*_m - 8*_m.b + _n - _n.b], %s\n";
  std::string behind;

  LinearIR parse() const {
    return parse_linear(kernel(
        "parallel _n.b in 0..N step 8 partial { parallel _m.b in 0..M step 4 partial {\n" + lanes +
        " { loop _m in _m.b..min(M, _m.b + 4) {\n" + fill + "loop _k in 0..K {\n" + loads + update +
        "}\n" + store + behind +
        "} }\n"
        "lanes _n in _n.b..min(N, _n.b + 8) step 8 partial { loop _m in _m.b..min(M, _m.b + 4) {\n"
        " %t = load %c[8*_m - 8*_m.b + _n - _n.b]\n store %y[N*_m + _n], %t } } } }"));
  }
};

TEST(BrgemmNest, IsAccepted) {
  EXPECT_NO_THROW(verify(Nest().parse()));
  EXPECT_NO_THROW(verify_registers(Nest().parse()));
}

TEST(BrgemmNest, OtherFormsAreRejected) {
  const auto rejected = [](std::string Nest::*part, const std::string& by,
                           const std::string& message) {
    Nest nest;
    nest.*part = by;
    EXPECT_ERROR(verify(nest.parse()), message);
  };
  rejected(&Nest::lanes, "brgemm lanes _n in _n.b..min(N, _n.b + 8) step 8 partial",
           "expected loops of step 1");
  rejected(&Nest::fill, "%s = fill 1 over(_m, _n)\n", "expected sum = 0; sum += a * b");
  rejected(&Nest::loads, "%b = load %w[in1.s0*_k + _n]\n %a = load %x[in0.s0*_m + _k]\n",
           "expected sum = 0; sum += a * b");
  rejected(&Nest::loads, kLoads + "%e = exp %a\n", "expected two loads and update_fma");
  rejected(&Nest::loads, "%a = load %x[in0.s0*_m + 2*_k]\n %b = load %w[in1.s0*_k + _n]\n",
           "expected columns side by side");
  rejected(&Nest::loads, "%a = load %x[in0.s0*_m + _k]\n %b = load %w[in1.s0*_k + 2*_n]\n",
           "expected columns side by side");
  rejected(&Nest::loads, "%a = load %x[floor_div(_m, 2) + _k]\n %b = load %w[in1.s0*_k + _n]\n",
           "expected rows at a fixed distance");
  rejected(&Nest::loads, "%a = load %x[_m + _k]\n %b = load %w[_k + _m + _n]\n",
           "expected %a[row, depth] and %b[depth, column]");
  rejected(&Nest::update, "%s = update_sum %s, %a\n",
           "expected a nest with update_fma at its place");
  rejected(&Nest::behind, "store %y[N*_m + _n], %s\n",
           "expected fill, a loop over the depth and a store");
  EXPECT_ERROR(verify(parse_linear(
                   kernel("parallel _i in 0..M { loop _j in 0..N { brgemm lanes _n in 0..N {\n"
                          "%s = fill 0 over(_n)\n loop _k in 0..K {\n %a = load %x[_k]\n %b = load "
                          "%w[in1.s0*_k + _n]\n"
                          "%s = update_fma %s, %a, %b }\n store %y[N*_i + _n], %s } } }"))),
               "brgemm loop _n does not stand in the body of a parallel loop");
}

/// Values of all symbols.
const std::map<std::string, std::int64_t> kSizes = {
    {"K", 5}, {"M", 11}, {"N", 19}, {"in0.s0", 7}, {"in1.s0", 23}};

TEST(BrgemmNest, MatricesAndExtents) {
  LinearIR ir = Nest().parse();
  const std::vector<SplitPhase> phases = split_at_products(ir);
  ASSERT_EQ(phases.size(), 1U);
  ASSERT_EQ(phases[0].steps.size(), 1U);
  const SplitPhase::Step& step = phases[0].steps[0];
  ASSERT_TRUE(step.product && step.code);
  const BrgemmNest& p = *step.product;
  EXPECT_EQ(p.a.memory, 0U);
  EXPECT_EQ(p.a.start, Expr::parse("in0.s0*_m.b"));
  EXPECT_EQ(p.a.leading, Expr::parse("in0.s0"));
  EXPECT_EQ(p.b.start, Expr::parse("_n.b"));
  EXPECT_EQ(p.b.leading, Expr::parse("in1.s0"));
  EXPECT_EQ(p.c.start, Expr(0));
  EXPECT_EQ(p.c.leading, Expr(8));

  // Of each work item, in the order of the flattened loops, rows innermost.
  std::vector<std::vector<std::int64_t>> items;
  for (std::int64_t item = 0; item < 9; ++item) {
    auto values = kSizes;
    values[kWorkItem] = item;
    const auto value = [&](const Expr& e) {
      return e.substitute(phases[0].variables).evaluate(values);
    };
    items.push_back({value(p.a.start), value(p.b.start), value(p.rows.here), value(p.columns.here),
                     value(p.depth.here)});
  }
  const std::vector<std::vector<std::int64_t>> expected = {
      {0, 0, 4, 8, 5},  {28, 0, 4, 8, 5}, {56, 0, 3, 8, 5},  {0, 8, 4, 8, 5},  {28, 8, 4, 8, 5},
      {56, 8, 3, 8, 5}, {0, 16, 4, 3, 5}, {28, 16, 4, 3, 5}, {56, 16, 3, 3, 5}};
  EXPECT_EQ(items, expected);
}

std::vector<std::int64_t> values_of(const BrgemmExtent& extent, std::int64_t size) {
  auto values = kSizes;
  values["M"] = size;
  std::vector<std::int64_t> out;
  for (const Expr& e : extent.all) out.push_back(e.evaluate(values));
  return out;
}

TEST(BrgemmNest, AllExtentsOfBlocks) {
  LinearIR ir = Nest().parse();
  const BrgemmNest p = *split_at_products(ir)[0].steps[0].product;
  using Values = std::vector<std::int64_t>;
  EXPECT_EQ(values_of(p.rows, 11), (Values{4, 3}));
  EXPECT_EQ(values_of(p.rows, 8), (Values{4, 0}));
  EXPECT_EQ(values_of(p.rows, 3), (Values{3, 3}));
  EXPECT_EQ(values_of(p.depth, 1), Values{5});
}

TEST(BrgemmNest, ScalarsAreComputedInEachPhaseThatNeedsThem) {
  LinearIR ir =
      parse_linear(kernel("parallel _i in 0..1 {\n %f = load %x[0]\n %g = exp %f\n %h = load "
                          "%x[1]\n lanes _n in 0..N step 4 partial {\n"
                          "%o = mul %g, %h\n store %y[_n], %o }\n brgemm lanes _n in 0..N {\n%s = "
                          "fill 0 over(_n)\n loop _k in 0..K {\n" +
                          std::string("%a = load %x[_k]\n %b = load %w[in1.s0*_k + _n]\n%s = "
                                      "update_fma %s, %a, %b }\n store %c[_n], %s }\n"
                                      "lanes _n in 0..N step 4 partial {\n %t = load %c[_n]\n %p = "
                                      "mul %t, %g\n store %y[N + _n], %p } }")));
  const std::vector<SplitPhase> phases = split_at_products(ir);
  ASSERT_EQ(ir.phases.size(), 2U);
  const Block& behind = ir.phases[1].loop->body();
  ASSERT_EQ(behind.size(), 3U);
  EXPECT_EQ(ir.values[behind[0].expression.out], "f");
  EXPECT_EQ(ir.values[behind[1].expression.out], "g");
}

TEST(BrgemmNest, RunningValuesDoNotCrossAProduct) {
  LinearIR ir =
      parse_linear(kernel("parallel _i in 0..1 {\n %m = fill -inf over(_n)\n lanes _n in 0..N step "
                          "4 partial {\n %f = load %x[_n]\n"
                          "%m = update_max %m, %f }\n brgemm lanes _n in 0..N {\n%s = fill 0 "
                          "over(_n)\n loop _k in 0..K {\n"
                          "%a = load %x[_k]\n %b = load %w[in1.s0*_k + _n]\n%s = update_fma %s, "
                          "%a, %b }\n store %c[_n], %s }\n"
                          "lanes _n in 0..N step 4 partial { store %y[_n], %m } }"));
  EXPECT_ERROR(split_at_products(ir), "fill crosses a product and has no BRGEMM executor");
}

TEST(BrgemmNest, PhasesWithoutProductsStayAsTheyAre) {
  const std::string text =
      kernel("parallel _i in 0..M { loop _j in 0..N {\n %a = fill 0\n store %y[N*_i + _j], %a } }");
  LinearIR ir = parse_linear(text);
  const std::string before = print(ir);
  const std::vector<SplitPhase> phases = split_at_products(ir);
  EXPECT_EQ(print(ir), before);
  ASSERT_EQ(phases.size(), 1U);
  ASSERT_EQ(phases[0].steps.size(), 1U);
  EXPECT_FALSE(phases[0].steps[0].product);
  EXPECT_EQ(phases[0].steps[0].code, 0U);
}

}  // namespace
}  // namespace burin::linear
