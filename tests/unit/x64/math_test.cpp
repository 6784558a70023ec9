// Accuracy of the transcendental functions over all exponents, on each instruction set, against the
// C library in long double.

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "codegen/math.h"
#include "tests/support/ulp.h"
#include "tests/unit/x64/vcode_kernel.h"

namespace burin::codegen::test {
namespace {

using burin::test::ulp_error;
using Exact = long double (*)(long double);

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// A kernel that applies the formula to one vector.
std::vector<float> evaluate(const Kernel& kernel, std::vector<float> x, std::vector<float> y = {}) {
  const auto lanes = static_cast<std::size_t>(kernel.target.lanes());
  const std::size_t size = x.size(), padded = (size + lanes - 1) / lanes * lanes;
  x.resize(padded);
  y.resize(padded);
  std::vector<float> result(padded);
  for (std::size_t n = 0; n < padded; n += lanes) kernel.run({&x[n], &y[n], &result[n]});
  result.resize(size);
  return result;
}

/// Loads x and y, stores the formula's result.
struct FormulaKernel : Kernel {
  using Formula = std::function<VReg(VBuilder&, VReg x, VReg y, const TargetInfo&)>;

  FormulaKernel(Isa isa, const Formula& formula) : Kernel(isa) {
    const VReg x = load(pointer(0)), y = load(pointer(1)), to = pointer(2);
    const auto count = [&](bool constants) {
      return std::count_if(
          b.program().code.begin(), b.program().code.end(),
          [&](const Instruction& i) { return (i.op == VOp::constant) == constants; });
    };
    operations = -count(false);
    store(formula(b, x, y, target), to);
    operations += count(false) - 1;
    constants = count(true);
    finish(Registers::tight);
  }
  FormulaKernel(Isa isa, Function f)
      : FormulaKernel(isa, [f](VBuilder& b, VReg x, VReg, const TargetInfo& target) {
          return emit_function(b, f, x, target);
        }) {}

  std::ptrdiff_t operations = 0, constants = 0;  ///< of the formula
};

/// Every exponent and both signs, 2^18 bit patterns; the range where things happen, once more;
/// special values.
std::vector<float> samples(float low, float high) {
  std::vector<float> x{0.0F,      -0.0F,      kInf,        -kInf,           kNaN,
                       0x1p-149F, -0x1p-149F, 0x1.8p-130F, 0x1.fffffep127F, -0x1.fffffep127F,
                       0x1p-126F, 1.0F,       -1.0F};
  for (std::uint64_t bits = 0x2b1; bits < 0x100000000; bits += 0x4001)
    x.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  constexpr int kDense = 1 << 18;
  for (int n = 0; n <= kDense; ++n)
    x.push_back(low + (high - low) * static_cast<float>(n) / static_cast<float>(kDense));
  return x;
}

/// The largest error of `got` by the measure `error(got, exact)`, and where it is.
struct Worst {
  double error = 0;
  float x = 0, got = 0;
  long double exact = 0;
};
template <typename F>
Worst worst_of(const std::vector<float>& x, const std::vector<float>& got,
               const std::vector<long double>& exact, F error) {
  Worst w;
  for (std::size_t n = 0; n < x.size(); ++n)
    if (const double e = error(got[n], exact[n], x[n]); !(e <= w.error))
      w = {e, x[n], got[n], exact[n]};
  return w;
}
void expect_below(const Worst& w, double allowed, const char* name, const FormulaKernel& kernel,
                  const char* unit) {
  std::printf("%-12s %-6s %.3g %s at %.9g; %td operations, %td constants\n", name,
              kernel.target.name.c_str(), w.error, unit, static_cast<double>(w.x),
              kernel.operations, kernel.constants);
  EXPECT_LE(w.error, allowed) << name << " on " << kernel.target.name << " at " << w.x << ": got "
                              << w.got << ", exact " << static_cast<double>(w.exact);
}

using Measure = double (*)(float got, long double exact, float x);

double in_ulps(float got, long double exact, float) { return ulp_error(got, exact); }
/// Results that would be denormal may be anything from 0 to 2^-126.
double in_ulps_of_normal(float got, long double exact, float) {
  if (std::abs(exact) < 0x1p-126L) return std::abs(got) <= 0x1p-126F ? 0 : kInf;
  return ulp_error(got, exact);
}
/// In units of 2^-24 |x|, where C's formula subtracts what is nearly equal.
double relative_to_argument(float got, long double exact, float x) {
  if (std::isnan(exact) || std::isinf(exact)) return ulp_error(got, exact);
  return static_cast<double>(std::abs(got - exact) / std::max(std::abs(x), 0x1p-125F) * 0x1p24L);
}
/// In ulps, but less strictly as the exponent of e^.. grows.
double gelu_tanh_measure(float got, long double exact, float x) {
  return in_ulps_of_normal(got, exact, x) / (1 + std::max(0.0F, -x) * x * x);
}

long double sigmoid(long double x) { return 1 / (1 + std::exp(-x)); }
long double silu(long double x) { return x * sigmoid(x); }
/// In ulps; where sigmoid may be 0 the product may be, too.
double silu_measure(float got, long double exact, float x) {
  if (x < -87 && std::abs(got) <= std::abs(exact)) return 0;
  return in_ulps_of_normal(got, exact, x);
}
long double gelu(long double x) {
  return x == -kInf ? kNaN : x / 2 * std::erfc(-x / std::sqrt(2.0L));
}
long double gelu_tanh(long double x) {
  if (x == -kInf) return kNaN;
  const long double u = std::sqrt(2 / std::acos(-1.0L)) * (x + 0.044715L * x * x * x);
  return x / (1 + std::exp(-2 * u));
}
/// Absolute where the reduction gets coarse, for large arguments.
double in_ulps_below_2_20(float got, long double exact, float x) {
  const double error = ulp_error(got, exact);
  return std::abs(x) <= 0x1p20F || std::isinf(error)
             ? error
             : static_cast<double>(std::abs(got - exact) * 1e4L);
}
/// NaN where the reduction ends.
long double bounded_sin(long double x) { return std::abs(x) < 0x1.921fb4p23L ? std::sin(x) : kNaN; }
long double bounded_cos(long double x) { return std::abs(x) < 0x1.921fb4p23L ? std::cos(x) : kNaN; }

struct Accuracy {
  const char* name;
  Function f;
  Exact exact;
  float low, high;      ///< where to look closely
  double avx2, avx512;  ///< allowed
  Measure measure = in_ulps;
};

const Accuracy kAccuracies[] = {
    {"exp", Function::exp, std::exp, -105, 90, 1, 1},
    {"exp2", Function::exp2, std::exp2, -151, 129, 1, 1.6},
    {"log", Function::log, std::log, 0, 3, 1.2, 1.2},
    {"tanh", Function::tanh, std::tanh, -10, 10, 1.6, 1.4},
    {"sigmoid", Function::sigmoid, sigmoid, -89, 20, 1.9, 1.9, in_ulps_of_normal},
    {"silu", Function::silu, silu, -87, 20, 2, 2, silu_measure},
    {"erf", Function::erf, std::erf, -5, 5, 1.6, 1.6},
    {"gelu", Function::gelu, gelu, -6, 6, 2, 2, relative_to_argument},
    {"gelu_tanh", Function::gelu_tanh, gelu_tanh, -10, 6, 2, 2, gelu_tanh_measure},
    {"sin", Function::sin, bounded_sin, -100, 100, 2.1, 2.1, in_ulps_below_2_20},
    {"cos", Function::cos, bounded_cos, -100, 100, 2.1, 2.1, in_ulps_below_2_20},
};

void PrintTo(const Accuracy& a, std::ostream* out) { *out << a.name; }

class MathFunction : public ::testing::TestWithParam<Accuracy> {};

TEST_P(MathFunction, Accuracy) {
  const Accuracy& a = GetParam();
  const std::vector<float> x = samples(a.low, a.high);
  std::vector<long double> exact;
  for (const float v : x) exact.push_back(a.exact(v));
  for (const Isa isa : runnable_isas()) {
    const FormulaKernel kernel(isa, a.f);
    expect_below(worst_of(x, evaluate(kernel, x), exact, a.measure),
                 isa == Isa::avx2 ? a.avx2 : a.avx512, a.name, kernel,
                 a.measure == in_ulps ? "ulp" : "(own measure)");
  }
}

INSTANTIATE_TEST_SUITE_P(All, MathFunction, ::testing::ValuesIn(kAccuracies),
                         [](const auto& p) { return p.param.name; });

TEST(Exp2Softmax, NonPositiveArguments) {
  std::vector<float> x = samples(-130, 0);
  std::erase_if(x, [](float v) { return v > 0; });
  std::vector<long double> exact;
  for (const float v : x) exact.push_back(std::exp2(static_cast<long double>(v)));
  for (const Isa isa : runnable_isas()) {
    const FormulaKernel kernel(isa, Function::exp2_softmax);
    const auto relative = [](float got, long double e, float) -> double {
      if (std::isnan(e)) return std::isnan(got) ? 0 : kInf;
      if (e < 0x1p-126L) return got <= 0x1p-126F ? 0 : kInf;
      return static_cast<double>(std::abs(got / e - 1));
    };
    expect_below(worst_of(x, evaluate(kernel, x), exact, relative), 2e-7, "exp2_softmax", kernel,
                 "relative");
    const std::vector<float> special =
        evaluate(kernel, {0.0F, -0.0F, -kInf, kNaN, -1.0F, -100.0F, -1e30F});
    EXPECT_EQ(special[0], 1.0F);
    EXPECT_EQ(special[1], 1.0F);
    EXPECT_EQ(std::bit_cast<std::uint32_t>(special[2]), 0U);
    EXPECT_TRUE(std::isnan(special[3]));
    EXPECT_EQ(special[4], 0.5F);
    EXPECT_EQ(special[5], 0x1p-100F);
    EXPECT_EQ(special[6], 0.0F);
  }
}

/// What tends to a limit reaches it.
TEST(MathFunctions, Saturation) {
  for (const Isa isa : runnable_isas()) {
    const std::vector<float> x{2e2F, 1e30F, kInf, -2e2F, -1e30F, -kInf};
    for (const Function f : {Function::tanh, Function::erf})
      EXPECT_EQ(evaluate(FormulaKernel(isa, f), x), (std::vector<float>{1, 1, 1, -1, -1, -1}));
    EXPECT_EQ(evaluate(FormulaKernel(isa, Function::sigmoid), x),
              (std::vector<float>{1, 1, 1, 0, 0, 0}));
    EXPECT_EQ(evaluate(FormulaKernel(isa, Function::silu), {2e2F, 1e30F, kInf, -2e2F, -1e30F}),
              (std::vector<float>{2e2F, 1e30F, kInf, 0, 0}));
    for (const Function f : {Function::gelu, Function::gelu_tanh})
      EXPECT_EQ(evaluate(FormulaKernel(isa, f), {1e2F, 1e30F, kInf, -1e2F, -1e30F}),
                (std::vector<float>{1e2F, 1e30F, kInf, 0, 0}));
    EXPECT_EQ(evaluate(FormulaKernel(isa, Function::log), {0.0F, -0.0F, kInf, 1.0F}),
              (std::vector<float>{-kInf, -kInf, kInf, 0}));
  }
}

TEST(Pow, Accuracy) {
  std::mt19937 random(5);
  std::uniform_real_distribution<float> exponent(-151, 129), wide(-30, 30);
  std::vector<float> x, y;
  for (int n = 0; n < 1 << 18; ++n) {
    // A result 2^r for r over the whole range, by a base near and far from 1.
    const float base = std::exp2(n % 2 == 0 ? wide(random) : wide(random) / 1000);
    x.push_back(base);
    y.push_back(n % 7 == 0 ? std::round(wide(random)) : exponent(random) / std::log2(base));
    if (n % 11 == 0) x.back() = -x.back();
    if (n % 13 == 0) x.back() = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
  }
  std::vector<long double> exact;
  for (std::size_t n = 0; n < x.size(); ++n)
    exact.push_back(std::pow(static_cast<long double>(x[n]), static_cast<long double>(y[n])));
  for (const Isa isa : runnable_isas()) {
    const FormulaKernel kernel(isa, emit_pow);
    expect_below(worst_of(x, evaluate(kernel, x, y), exact, in_ulps), 2, "pow", kernel, "ulp");
  }
}

TEST(Pow, SpecialValuesAsInC) {
  const float values[] = {
      0.0F,       -0.0F,           1.0F,        -1.0F,       0.5F,        -0.5F, 2.0F,  -2.0F,
      3.0F,       -3.0F,           kInf,        -kInf,       kNaN,        1.5F,  -2.5F, 0x1p-140F,
      -0x1p-140F, 0x1.fffffep127F, 16777216.0F, 16777215.0F, -16777215.0F};
  std::vector<float> x, y;
  for (const float a : values)
    for (const float b : values) {
      x.push_back(a);
      y.push_back(b);
    }
  for (const Isa isa : runnable_isas()) {
    const std::vector<float> got = evaluate(FormulaKernel(isa, emit_pow), x, y);
    for (std::size_t n = 0; n < x.size(); ++n) {
      const float expected = std::pow(x[n], y[n]);
      if (std::isnan(expected)) {
        EXPECT_TRUE(std::isnan(got[n])) << x[n] << " ^ " << y[n] << " gave " << got[n];
      } else {
        EXPECT_LE(ulp_error(got[n], expected), 2)
            << x[n] << " ^ " << y[n] << " gave " << got[n] << ", not " << expected;
        EXPECT_EQ(std::signbit(got[n]), std::signbit(expected)) << x[n] << " ^ " << y[n];
      }
    }
  }
}

}  // namespace
}  // namespace burin::codegen::test
