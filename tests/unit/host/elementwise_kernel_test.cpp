#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "host/kernels/erf.h"
#include "kernel_check.h"
#include "tests/support/ulp.h"
#include "unit/support/error_of.h"

namespace burin::host {
namespace {

std::unique_ptr<Kernel> kernel_of(const OneNode& one) {
  return make_elementwise_kernel(one.graph, one.node());
}

void check(OpKind op, const NodeInputs& inputs, const Attributes& attributes = {},
           double tolerance = 1e-6) {
  SCOPED_TRACE(info(op).name);
  const OneNode one(op, inputs, attributes);
  const auto kernel = kernel_of(one);
  ASSERT_NE(kernel, nullptr);
  expect_like_interpreter(*kernel, one, inputs, tolerance);
}

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// Numbers that a formula may treat on their own; a multiple of no vector's length.
Tensor special_floats() {
  return Tensor::from_f32({19}, {0.0F, -0.0F, 1.0F, -1.0F, 0.5F, -0.5F, 1.5F, 2.5F, -2.5F, 3.0F,
                                 -4.0F, kInf, -kInf, kNaN, 1e-30F, -1e-30F, 20.0F, -20.0F, 1e-42F});
}

/// All pairs of special numbers: the column against the row.
NodeInputs special_pairs() {
  const Tensor row = special_floats();
  Tensor column = Tensor::zeros(Precision::f32, {row.size(), 1});
  for (std::int64_t i = 0; i < row.size(); ++i) column.set(i, row.at(i));
  return {column, row};
}

TEST(HostElementwise, UnaryFloats) {
  using enum OpKind;
  Random random(1);
  for (const OpKind op : {Abs,  Neg,   Sqrt, Rsqrt,    Reciprocal,  Square,    Exp,
                          Exp2, Log,   Tanh, Sigmoid,  Erf,         Relu,      LeakyRelu,
                          Elu,  Gelu,  Silu, Softplus, HardSigmoid, HardSwish, Floor,
                          Ceil, Round, Sign, Sin,      Cos,         IsNaN,     IsInf}) {
    check(op, {special_floats()});
    for (const Dims& dims : {Dims{}, Dims{3, 0}, Dims{1}, Dims{2, 3, 37}})
      check(op, {random_tensor(random, Precision::f32, dims)});
  }
  check(OpKind::Gelu, {random_tensor(random, Precision::f32, {99})}, {{"approximate", "tanh"}});
  check(OpKind::LeakyRelu, {special_floats()}, {{"alpha", 0.3}});
  check(OpKind::Elu, {special_floats()}, {{"alpha", 0.3}});
  check(OpKind::HardSigmoid, {special_floats()}, {{"alpha", 0.3}, {"beta", 0.1}});
  check(OpKind::IsInf, {special_floats()}, {{"detect_negative", std::int64_t{0}}});
  check(OpKind::IsInf, {special_floats()}, {{"detect_positive", std::int64_t{0}}});
}

TEST(HostElementwise, ErfIsWithinTwoUlp) {
  const auto check_error = [](float x) {
    ASSERT_LE(test::ulp_error(erf_of(x), std::erf(static_cast<long double>(x))), 2.0) << x;
  };
  Random random(2);
  for (int i = 0; i < 200'000; ++i) check_error(static_cast<float>(random.real(-5, 5)));
  for (float x = 1e-38F; x < 1; x *= 1.37F) check_error(x);
  for (const float x : {0.0F, kInf, -kInf, kNaN, 1e30F, -1e30F, 4.0F, 0.921875F}) check_error(x);
}

constexpr std::int64_t kMin64 = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMax64 = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMin32 = std::numeric_limits<std::int32_t>::min();
constexpr std::int64_t kMax32 = std::numeric_limits<std::int32_t>::max();

Tensor special_integers(Precision precision, const Dims& dims) {
  if (precision == Precision::i64)
    return integer_tensor(precision, dims,
                          {kMin64, kMax64, 0, 1, -1, 7, -7, kMin64 + 1, 1LL << 40});
  return integer_tensor(precision, dims, {kMin32, kMax32, 0, 1, -1, 7, -7, kMin32 + 1, 1 << 20});
}

TEST(HostElementwise, UnaryIntegers) {
  using enum OpKind;
  Random random(3);
  for (const Precision p : {Precision::i64, Precision::i32})
    for (const OpKind op : {Abs, Neg, Relu, Square, Sign}) {
      check(op, {special_integers(p, {3, 3})});
      check(op, {random_tensor(random, p, {})});
      check(op, {random_tensor(random, p, {2, 0, 3})});
      check(op, {random_tensor(random, p, {77}, 1000)});
    }
  check(OpKind::Not, {random_tensor(random, Precision::boolean, {67})});
}

/// Pairs of dimensions that broadcast, in all the ways that matter to the loops.
const std::vector<std::pair<Dims, Dims>>& broadcast_forms() {
  static const std::vector<std::pair<Dims, Dims>> forms{{{2, 3, 35}, {2, 3, 35}},
                                                        {{2, 3, 35}, {}},
                                                        {{}, {2, 35}},
                                                        {{2, 3, 35}, {35}},
                                                        {{35}, {2, 3, 35}},
                                                        {{2, 3, 35}, {3, 1}},
                                                        {{3, 1}, {2, 3, 35}},
                                                        {{4, 1}, {1, 33}},
                                                        {{2, 1, 5}, {1, 3, 1}},
                                                        {{1}, {1}},
                                                        {{}, {}},
                                                        {{0, 3}, {1, 3}},
                                                        {{1}, {0}},
                                                        {{2, 3, 1, 9}, {3, 7, 1}},
                                                        {{5, 1, 1}, {5, 4, 6}},
                                                        {{1, 1, 3}, {2, 1, 1}}};
  return forms;
}

void check_forms(OpKind op, Precision a, Precision b, const Attributes& attributes = {}) {
  Random random(static_cast<std::uint64_t>(op));
  for (const auto& [left, right] : broadcast_forms()) {
    const Tensor x = random_tensor(random, a, left);
    Tensor y = random_tensor(random, b, right);
    const bool divides = op == OpKind::Div || op == OpKind::Mod || op == OpKind::Pow;
    for (std::int64_t i = 0; divides && i < y.size(); ++i) y.set(i, std::abs(y.at(i)) + 1);
    check(op, {x, y}, attributes, 2e-6);
  }
}

TEST(HostElementwise, BinaryFloats) {
  using enum OpKind;
  for (const OpKind op :
       {Add, Sub, Mul, Div, Min, Max, Equal, Less, LessOrEqual, Greater, GreaterOrEqual, Pow}) {
    check_forms(op, Precision::f32, Precision::f32);
    check(op, special_pairs());
  }
  for (const std::int64_t fmod : {0, 1})
    check_forms(Mod, Precision::f32, Precision::f32, {{"fmod", fmod}});
  Random random(4);
  for (const Dims& slopes : {Dims{5}, Dims{3, 1}, Dims{1}, Dims{2, 3, 5}})
    check(PRelu, {random_tensor(random, Precision::f32, {2, 3, 5}),
                  random_tensor(random, Precision::f32, slopes)});
}

TEST(HostElementwise, BinaryIntegers) {
  using enum OpKind;
  for (const Precision p : {Precision::i64, Precision::i32}) {
    for (const OpKind op :
         {Add, Sub, Mul, Div, Min, Max, Equal, Less, LessOrEqual, Greater, GreaterOrEqual, Pow})
      check_forms(op, p, p);
    for (const OpKind op :
         {Add, Sub, Mul, Min, Max, Equal, Less, LessOrEqual, Greater, GreaterOrEqual})
      check(op, {special_integers(p, {9, 1}), special_integers(p, {1, 9})}, {});
    check(PRelu, {special_integers(p, {9}), special_integers(p, {9})});
    const Tensor divisors = integer_tensor(p, {5}, {-1, 1, 7, -7, 0});
    for (const std::int64_t fmod : {0, 1}) {
      check(Mod, {special_integers(p, {9, 1}), divisors}, {{"fmod", fmod}});
      check_forms(Mod, p, p, {{"fmod", fmod}});
    }
    check(Div, {special_integers(p, {9, 1}), divisors});
  }
}

TEST(HostElementwise, Logic) {
  using enum OpKind;
  for (const OpKind op : {And, Or, Xor, Equal})
    check_forms(op, Precision::boolean, Precision::boolean);
}

TEST(HostElementwise, PowersOfMixedTypes) {
  Random random(5);
  for (const Precision base : {Precision::f32, Precision::i64, Precision::i32})
    for (const Precision exponent : {Precision::f32, Precision::i64, Precision::i32})
      check_forms(OpKind::Pow, base, exponent);
  for (const float exponent : {0.0F, 0.5F, -0.5F, 1.0F, 2.0F, 3.0F, -1.0F})
    check(OpKind::Pow, {special_floats(), Tensor::scalar(Precision::f32, exponent)});
  check(OpKind::Pow, {i64_list({1, -1, 2, -1}), i64_list({-3, -3, -1, -2})});
}

TEST(HostElementwise, Where) {
  Random random(6);
  for (const Precision p : {Precision::f32, Precision::i64, Precision::i32, Precision::f16,
                            Precision::u8, Precision::boolean, Precision::f64})
    for (const auto& [left, right] : broadcast_forms()) {
      check(OpKind::Where, {random_tensor(random, Precision::boolean, left),
                            random_tensor(random, p, right), random_tensor(random, p, {})});
      check(OpKind::Where, {random_tensor(random, Precision::boolean, right),
                            random_tensor(random, p, right), random_tensor(random, p, left)});
      check(OpKind::Where, {random_tensor(random, Precision::boolean, {1}),
                            random_tensor(random, p, left), random_tensor(random, p, right)});
    }
  const NodeInputs nans{integer_tensor(Precision::boolean, {2}, {1, 0}),
                        Tensor::from_f32({}, {kNaN}), Tensor::from_f32({2}, {1, kInf})};
  check(OpKind::Where, nans);
}

TEST(HostElementwise, Clip) {
  Random random(7);
  for (const Precision p : {Precision::f32, Precision::i64, Precision::i32}) {
    const Tensor x = random_tensor(random, p, {3, 23}, 9);
    const Tensor low = Tensor::scalar(p, -2), high = Tensor::scalar(p, 3);
    check(OpKind::Clip, {x, low, high});
    check(OpKind::Clip, {x, high, low});
    check(OpKind::Clip, {x, std::nullopt, high});
    check(OpKind::Clip, {x, low});
    check(OpKind::Clip, {x});
    check(OpKind::Clip,
          {Tensor::scalar(p, 7), integer_tensor(p, {1}, {1}), integer_tensor(p, {1}, {4})});
  }
  check(OpKind::Clip,
        {special_floats(), Tensor::scalar(Precision::f32, -2), Tensor::scalar(Precision::f32, 2)});
  check(OpKind::Clip, {special_floats()});
}

TEST(HostElementwise, Cast) {
  constexpr Precision kAll[] = {Precision::f32,  Precision::f64, Precision::f16,
                                Precision::bf16, Precision::i64, Precision::i32,
                                Precision::i8,   Precision::u8,  Precision::boolean};
  const double values[] = {0,
                           -0.0,
                           1,
                           -1,
                           0.5,
                           -0.5,
                           1.75,
                           -1.75,
                           100,
                           127,
                           128,
                           255,
                           256,
                           300,
                           -129,
                           65504,
                           70000,
                           1e9,
                           3e9,
                           -3e9,
                           1e18,
                           1e19,
                           -1e19,
                           1e38,
                           kInf,
                           -kInf,
                           kNaN,
                           16777217,
                           9007199254740993.0};
  for (const Precision from : kAll)
    for (const Precision to : kAll) {
      SCOPED_TRACE(std::string(to_string(from)) + " to " + std::string(to_string(to)));
      const std::string word(to_string(to));
      Tensor x = Tensor::zeros(from, {std::ssize(values)});
      for (std::int64_t i = 0; i < x.size(); ++i) x.set(i, values[i]);
      check(OpKind::Cast, {x}, {{"to", word}}, 0);
      check(OpKind::Cast, {Tensor::scalar(from, 1)}, {{"to", word}}, 0);
      check(OpKind::Cast, {Tensor::zeros(from, {2, 0})}, {{"to", word}}, 0);
    }
  check(OpKind::Cast, {special_integers(Precision::i64, {9})}, {{"to", "f32"}}, 0);
}

TEST(HostElementwise, ManyElements) {  // enough for several threads
  Random random(8);
  const Tensor x = random_tensor(random, Precision::f32, {300, 700});
  check(OpKind::Erf, {x});
  check(OpKind::Add, {x, random_tensor(random, Precision::f32, {300, 1})});
  check(OpKind::Mul, {random_tensor(random, Precision::i64, {3, 1, 200}),
                      random_tensor(random, Precision::i64, {400, 1})});
  check(OpKind::Div, {random_tensor(random, Precision::i64, {400, 400}), Tensor::scalar(Precision::i64, 0)});
}

TEST(HostElementwise, BoundAgainToOtherShapes) {
  Random random(9);
  const OneNode one(OpKind::Sub,
                    {Tensor::zeros(Precision::f32, {2, 3}), Tensor::zeros(Precision::f32, {3})});
  const auto kernel = kernel_of(one);
  for (const auto& [left, right] : broadcast_forms())
    expect_like_interpreter(
        *kernel, one,
        {random_tensor(random, Precision::f32, left), random_tensor(random, Precision::f32, right)},
        1e-6);
}

TEST(HostElementwise, OtherTypesAreForTheReference) {
  const Tensor half = Tensor::zeros(Precision::f16, {2});
  EXPECT_EQ(kernel_of(OneNode(OpKind::Add, {half, half})), nullptr);
  EXPECT_EQ(kernel_of(OneNode(OpKind::Exp, {half})), nullptr);
}

}  // namespace
}  // namespace burin::host
