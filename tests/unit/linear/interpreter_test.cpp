#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "burin/error.h"
#include "linear/linear_ir.h"

namespace burin::linear {
namespace {

using Symbols = std::map<std::string, std::int64_t>;
using Steps = std::vector<std::pair<std::int64_t, bool>>;  ///< step, partial

Tensor random(const Dims& dims, unsigned seed = 1) {
  Tensor t = Tensor::zeros(Precision::f32, dims);
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> distribution(-2, 2);
  for (std::int64_t i = 0; i < t.size(); ++i) t.set(i, distribution(generator));
  return t;
}

/// Gives all loops over `variable` these versions.
void set_steps(LinearIR& ir, const std::string& variable, const Steps& steps) {
  for_each_loop(ir.phases, [&](Loop& loop) {
    if (loop.var != variable) return;
    const Block body = std::move(loop.body());
    loop.versions.clear();
    for (const auto& [step, partial] : steps) loop.versions.push_back({step, partial, clone(body)});
  });
}

std::vector<Tensor> run(const std::string& text, const std::vector<Tensor>& inputs, const Symbols& symbols = {}) {
  return interpret(parse_linear(text), inputs, symbols);
}

void expect_near(const Tensor& given, const std::function<double(std::int64_t)>& expected) {
  for (std::int64_t i = 0; i < given.size(); ++i) {
    const double e = expected(i);
    ASSERT_NEAR(given.at(i), e, 1e-5 * std::max(1.0, std::fabs(e))) << "element " << i;
  }
}

void expect_error(const std::string& text, const std::vector<Tensor>& inputs, const std::string& part, const Symbols& symbols = {}) {
  try {
    run(text, inputs, symbols);
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << "message: " << error.what() << "\nin: " << text;
    return;
  }
  ADD_FAILURE() << "no error '" << part << "' in: " << text;
}

// ---- whole kernels

/// The exponentials cross from one loop to the next as values.
const char* const kSoftmax = R"(linear @softmax lanes=4 symbols(M, N, in0.s0) {
  input %x: f32[M,N] strides[in0.s0,1]
  output %y: f32[M,N] strides[N,1]
  parallel _m in 0..M {
    %tops = fill -inf over(_n)
    lanes _n in 0..N {
      %a = load %x[in0.s0*_m + _n]
      %tops = update_max_number %tops, %a
    }
    %top = lanes_max %tops
    %sums = fill 0 over(_n)
    lanes _n in 0..N {
      %b = load %x[in0.s0*_m + _n]
      %c = sub %b, %top
      %e = exp %c
      %sums = update_sum %sums, %e
    }
    %sum = lanes_sum %sums
    lanes _n in 0..N {
      %p = div %e, %sum
      store %y[N*_m + _n], %p
    }
  }
}
)";

double softmax_at(const Tensor& x, std::int64_t i) {
  const std::int64_t n = x.dims()[1], row = i / n * n;
  double top = -HUGE_VAL, sum = 0;
  for (std::int64_t k = 0; k < n; ++k) top = std::max(top, x.at(row + k));
  for (std::int64_t k = 0; k < n; ++k) sum += std::exp(x.at(row + k) - top);
  return std::exp(x.at(i) - top) / sum;
}

TEST(LinearInterpreter, SoftmaxForAnySteps) {
  const std::vector<Steps> all = {{{1, false}}, {{4, true}}, {{16, true}}, {{8, false}, {4, true}}, {{16, false}, {8, false}, {4, true}}};
  for (const Steps& steps : all)
    for (const std::int64_t n : {1, 3, 4, 7, 8, 17, 28}) {
      LinearIR ir = parse_linear(kSoftmax);
      set_steps(ir, "_n", steps);
      const Tensor x = random({3, n});
      const std::vector<Tensor> y = interpret(ir, {x});
      ASSERT_EQ(y[0].dims(), (Dims{3, n}));
      expect_near(y[0], [&](std::int64_t i) { return softmax_at(x, i); });
    }
}

TEST(LinearInterpreter, EmptyTensors) {
  EXPECT_EQ(run(kSoftmax, {random({0, 5})})[0].size(), 0);
  EXPECT_EQ(run(kSoftmax, {random({5, 0})})[0].size(), 0);
}

/// A reduction over no element is what the fill says, whatever lies in the lanes.
TEST(LinearInterpreter, FoldOfNothing) {
  const char* const text = R"(linear @max lanes=4 symbols(M, N, in0.s0) {
    input %x: f32[M,N] strides[in0.s0,1]
    output %y: f32[M] strides[1]
    parallel _m in 0..M {
      %tops = fill lowest over(_n)
      lanes _n in 0..N step 4 partial {
        %a = load %x[in0.s0*_m + _n]
        %tops = update_max %tops, %a
      }
      %top = lanes_max %tops
      store %y[_m], %top
    }
  })";
  const Tensor y = run(text, {random({2, 0})})[0];
  EXPECT_EQ(y.at(1), static_cast<double>(std::numeric_limits<float>::lowest()));
}

const char* const kMatmul = R"(linear @matmul lanes=4 symbols(K, M, N, in0.s0, in1.s0) {
  input %a: f32[M,K] strides[in0.s0,1]
  input %b: f32[K,N] strides[in1.s0,1]
  constant %bias: f32[] {0.5}
  output %out: f32[M,N] strides[N,1]
  fact K == K "K"
  parallel _n.b in 0..N step 12 partial {
    lanes _n in _n.b..min(N, _n.b + 12) {
      loop _m in 0..M {
        %z = fill 0 over(_m, _n)
        loop _k in 0..K {
          %x = load %a[in0.s0*_m + _k]
          %y = load %b[in1.s0*_k + _n]
          %z = update_fma %z, %x, %y
        }
        %c = load %bias[0]
        %r = add %z, %c
        %s = relu %r
        store %out[N*_m + _n], %s
      }
    }
  }
}
)";

TEST(LinearInterpreter, MatmulForAnySteps) {
  const Tensor a = random({7, 5}, 1), b = random({5, 26}, 2);
  const auto expected = [&](std::int64_t i) {
    double sum = 0.5;
    for (std::int64_t k = 0; k < 5; ++k) sum += a.at(i / 26 * 5 + k) * b.at(k * 26 + i % 26);
    return std::max(sum, 0.0);
  };
  for (const Steps& rows : std::vector<Steps>{{{1, false}}, {{3, true}}, {{4, false}, {2, false}, {1, false}}, {{8, false}, {1, false}}})
    for (const Steps& lanes : std::vector<Steps>{{{1, false}}, {{12, true}}, {{8, false}, {4, true}}}) {
      LinearIR ir = parse_linear(kMatmul);
      set_steps(ir, "_m", rows);
      set_steps(ir, "_n", lanes);
      if (lanes[0].first > 1) verify_registers(ir);
      expect_near(interpret(ir, {a, b})[0], expected);
    }
  // The inner loop unrolled instead of rows.
  LinearIR ir = parse_linear(kMatmul);
  set_steps(ir, "_k", {{2, true}});
  set_steps(ir, "_n", {{12, true}});
  expect_near(interpret(ir, {a, b})[0], expected);
}

/// Online softmax over blocks of keys, queries in the lanes; scores cross loops.
const char* const kAttention = R"(linear @attention lanes=4 symbols(S, T, in0.s0, in1.s0, in2.s0) {
  input %q: f32[S,6] strides[in0.s0,1]
  input %k: f32[T,6] strides[in1.s0,1]
  input %v: f32[T,5] strides[in2.s0,1]
  output %out: f32[S,5] strides[5,1]
  parallel _q.b in 0..S step 8 partial {
    lanes _q in _q.b..min(S, _q.b + 8) {
      %max = fill lowest over(_q)
      %sum = fill 0 over(_q)
      %acc = fill 0 over(_q, _d)
      loop _k.b in 0..T step 6 partial {
        %new = fill lowest over(_q)
        loop _k in _k.b..min(T, _k.b + 6) {
          %s = fill 0 over(_q, _k)
          loop _e in 0..6 {
            %x = load %q[in0.s0*_q + _e]
            %y = load %k[in1.s0*_k + _e]
            %s = update_fma %s, %x, %y
          }
          %new = update_max_number %new, %s
        }
        %top = max %max, %new
        %shift = sub %max, %top
        %c = exp %shift
        %max = assign %max, %top
        %scaled = mul %sum, %c
        %sum = assign %sum, %scaled
        loop _d in 0..5 {
          %t = mul %acc, %c
          %acc = assign %acc, %t
        }
        loop _k in _k.b..min(T, _k.b + 6) {
          %l = sub %s, %max
          %p = exp %l
          %sum = update_sum %sum, %p
          loop _d in 0..5 {
            %w = load %v[in2.s0*_k + _d]
            %acc = update_fma %acc, %p, %w
          }
        }
      }
      loop _d in 0..5 {
        %r = div %acc, %sum
        store %out[5*_q + _d], %r
      }
    }
  }
}
)";

TEST(LinearInterpreter, OnlineSoftmax) {
  const std::int64_t S = 11, T = 16;
  const Tensor q = random({S, 6}, 1), k = random({T, 6}, 2), v = random({T, 5}, 3);
  const auto expected = [&](std::int64_t i) {
    const std::int64_t row = i / 5, d = i % 5;
    double sum = 0, weighted = 0;
    for (std::int64_t key = 0; key < T; ++key) {
      double score = 0;
      for (std::int64_t e = 0; e < 6; ++e) score += q.at(row * 6 + e) * k.at(key * 6 + e);
      sum += std::exp(score);
      weighted += std::exp(score) * v.at(key * 5 + d);
    }
    return weighted / sum;
  };
  for (const Steps& keys : std::vector<Steps>{{{1, false}}, {{4, true}}, {{2, false}, {1, false}}})
    for (const Steps& lanes : std::vector<Steps>{{{1, false}}, {{8, true}}, {{8, false}, {4, true}}}) {
      LinearIR ir = parse_linear(kAttention);
      set_steps(ir, "_k", keys);
      set_steps(ir, "_q", lanes);
      expect_near(interpret(ir, {q, k, v})[0], expected);
    }
}

/// Rows of a tile that outlive the loop they are computed in, in scratch that two buffers share.
std::string scratch_kernel(const std::string& offset_a, const std::string& offset_b) {
  return R"(linear @scratch lanes=4 symbols(S) {
    input %x: f32[S] strides[1]
    output %y: f32[S] strides[1]
    worker %A: f32[S] offset=)" + offset_a + R"(
    worker %B: f32[S] offset=)" + offset_b + R"(
    parallel _one in 0..1 {
      lanes _i in 0..S step 4 partial {
        %a = load %x[_i]
        store %A[_i], %a
      }
      lanes _i in 0..S step 4 partial {
        %b = load %A[S - 1 - _i]
        store %B[_i], %b
      }
      lanes _i in 0..S step 4 partial {
        %c = load %B[_i]
        store %y[_i], %c
      }
    }
  })";
}

TEST(LinearInterpreter, ScratchLiesAtItsOffsets) {
  const Tensor x = random({6});
  expect_near(run(scratch_kernel("0", "4*S"), {x})[0], [&](std::int64_t i) { return x.at(5 - i); });
  expect_near(run(scratch_kernel("4*S", "0"), {x})[0], [&](std::int64_t i) { return x.at(5 - i); });
  expect_error(scratch_kernel("0", "0"), {x}, "of %A is read, but %B was written over it");
  expect_error(scratch_kernel("0", "4"), {x}, "of %A is read, but %B was written over it");
  expect_error(scratch_kernel("0", "4*S + 2"), {x}, "%B has offset 26");
  expect_error(scratch_kernel("0", "0 - 4"), {x}, "%B has offset -4");
}

TEST(LinearInterpreter, PhasesAndCallScratch) {
  // A sum over all elements: partial sums, then their sum.
  const char* const text = R"(linear @sum lanes=4 symbols(S) {
    input %x: f32[S] strides[1]
    output %y: f32[] strides[]
    call %partial: f32[ceil_div(S, 8)]
    parallel _b in 0..S step 8 partial {
      %sums = fill 0 over(_i)
      lanes _i in _b..min(S, _b + 8) step 4 partial {
        %a = load %x[_i]
        %sums = update_sum %sums, %a
      }
      %sum = lanes_sum %sums
      store %partial[floor_div(_b, 8)], %sum
    }
    parallel _one in 0..1 {
      %total = fill 0
      loop _j in 0..ceil_div(S, 8) {
        %p = load %partial[_j]
        %total = update_sum %total, %p
      }
      store %y[0], %total
    }
  })";
  const Tensor x = random({21});
  double sum = 0;
  for (int i = 0; i < 21; ++i) sum += x.at(i);
  EXPECT_NEAR(run(text, {x})[0].at(0), sum, 1e-5);
}

TEST(LinearInterpreter, PhasesTakeTurnsInRounds) {
  // Scratch for the units of a round only; with rounds of another size the second phase reads the copy of another unit.
  const auto kernel = [](const std::string& round, const std::string& slot) {
    return R"(linear @rounds lanes=4 symbols(B, S) {
      input %x: f32[B,S] strides[S,1]
      output %y: f32[B,S] strides[S,1]
      call %copy: f32[2*S]
      parallel _b in 0..B round )" + round + R"( {
        loop _i in 0..S {
          %a = load %x[S*_b + _i]
          store %copy[S*)" + slot + R"( + _i], %a
        }
      }
      parallel _b in 0..B round )" + round + R"( {
        parallel _i in 0..S {
          %c = load %copy[S*)" + slot + R"( + S - 1 - _i]
          store %y[S*_b + _i], %c
        }
      }
    })";
  };
  const Tensor x = random({5, 3});
  const auto reversed = [&](std::int64_t i) { return x.at(i / 3 * 3 + 2 - i % 3); };
  expect_near(run(kernel("2", "mod(_b, 2)"), {x})[0], reversed);
  expect_near(run(kernel("1", "0"), {x})[0], reversed);
  expect_error(kernel("2", "0"), {x}, "is written by two work items of one phase");
  expect_error(kernel("3", "mod(_b, 2)"), {x}, "is written by two work items of one phase");
  expect_error(kernel("0 - 1", "0"), {x}, "a round of -1 units");
}

TEST(LinearInterpreter, AlternativesOfCopies) {
  const auto kernel = [](const std::string& used) {
    return R"(linear @copy lanes=4 symbols(S) {
      input %x: f32[S] strides[1]
      output %y: f32[S] strides[1]
      define used = )" + used + R"(
      call %copy: f32[select(used, S, 0)] used used else %x
      parallel _b in 0..1 {
        loop _i in 0..select(used, S, 0) {
          %a = load %x[_i]
          %b = add %a, %a
          store %copy[_i], %b
        }
      }
      parallel _i in 0..S {
        %c = load %copy[_i]
        store %y[_i], %c
      }
    })";
  };
  const Tensor x = random({5});
  expect_near(run(kernel("less(S, 6)"), {x})[0], [&](std::int64_t i) { return 2 * x.at(i); });
  expect_near(run(kernel("less(S, 5)"), {x})[0], [&](std::int64_t i) { return x.at(i); });
}

// ---- details of the semantics

TEST(LinearInterpreter, MemoryRounds) {
  const char* const text = R"(linear @round lanes=4 {
    output %f: f32[] strides[]
    output %h: bf16[] strides[]
    output %i: i32[] strides[]
    output %b: bool[] strides[]
    %x = fill 2.7182818284590452
    store %f[0], %x
    store %h[0], %x
    store %i[0], %x
    store %b[0], %x
  })";
  const std::vector<Tensor> out = run(text, {});
  EXPECT_EQ(out[0].at(0), static_cast<double>(2.7182818284590452F));
  EXPECT_EQ(out[1].at(0), 2.71875);
  EXPECT_EQ(out[2].at(0), 2);
  EXPECT_EQ(out[3].at(0), 1);
}

TEST(LinearInterpreter, Operations) {
  const double nan = std::nan(""), inf = HUGE_VAL;
  const auto one = [](const std::string& op, double a, double b = 0, double c = 0) {
    const auto number = [](double x) { return std::isnan(x) ? "nan" : std::to_string(x); };
    return run("linear @op lanes=4 {\n output %y: f64[] strides[]\n %a = fill " + std::string(number(a)) + "\n %b = fill " +
                   number(b) + "\n %c = fill " + number(c) + "\n %x = " + op + "\n store %y[0], %x\n}",
               {})[0].at(0);
  };
  EXPECT_EQ(one("relu %a", -1), 0);
  EXPECT_TRUE(std::isnan(one("relu %a", nan)));
  EXPECT_TRUE(std::isnan(one("max %a, %b", nan, 1)));
  EXPECT_TRUE(std::isnan(one("max %a, %b", 1, nan)));
  EXPECT_TRUE(std::isnan(one("min %a, %b", 1, nan)));
  EXPECT_EQ(one("leaky_relu %a, alpha=0.25", -4), -1);
  EXPECT_EQ(one("hard_sigmoid %a, alpha=0.25", 1), 0.75);
  EXPECT_EQ(one("round %a", 2.5), 2);
  EXPECT_EQ(one("sign %a", -3), -1);
  EXPECT_EQ(one("not %a", 0), 1);
  EXPECT_EQ(one("is_inf %a", -inf), 1);
  EXPECT_EQ(one("is_nan %a", nan), 1);
  EXPECT_EQ(one("to_bool %a", -2), 1);
  EXPECT_EQ(one("and %a, %b", 1, 0), 0);
  EXPECT_EQ(one("xor %a, %b", 1, 0), 1);
  EXPECT_EQ(one("less_equal %a, %b", 1, 1), 1);
  EXPECT_EQ(one("where %a, %b, %c", 0, 1, 2), 2);
  EXPECT_EQ(one("prelu %a, %b", -2, 3), -6);
  EXPECT_EQ(one("reciprocal %a", 4), 0.25);
  EXPECT_EQ(one("rsqrt %a", 4), 0.5);
  EXPECT_EQ(one("exp2_softmax %a", -inf), 0);
  EXPECT_NEAR(one("gelu %a", 1), 0.8413447460685429, 1e-12);
  EXPECT_NEAR(one("gelu_tanh %a", 1), 0.8411919906082768, 1e-12);
  EXPECT_NEAR(one("silu %a", 1), 0.7310585786300049, 1e-12);
  EXPECT_NEAR(one("softplus %a", 800), 800, 1e-9);
  EXPECT_NEAR(one("elu %a, alpha=2", -1), 2 * std::expm1(-1.0), 1e-12);
  EXPECT_EQ(one("pow %a, %b", 2, 10), 1024);
}

/// An index that is no polynomial in the tile's variables: a transposed copy over one flat loop.
TEST(LinearInterpreter, IndicesNeedNotBeLinear) {
  const char* const text = R"(linear @transpose lanes=4 symbols(M, N, in0.s0) {
    input %x: f32[M,N] strides[in0.s0,1]
    output %y: f32[N,M] strides[M,1]
    parallel _one in 0..1 {
      lanes _i in 0..M*N step 4 partial {
        %a = load %x[in0.s0*floor_div(_i, N) + mod(_i, N)]
        %n = integer _i
        %b = add %a, %n
        store %y[M*mod(_i, N) + floor_div(_i, N)], %b
      }
    }
  })";
  const Tensor x = random({3, 5});
  expect_near(run(text, {x})[0], [&](std::int64_t i) { return x.at(i % 3 * 5 + i / 3) + static_cast<double>(i % 3 * 5 + i / 3); });
}

/// A loop with a condition goes on while some lane asks for it; what the last iteration made stays.
TEST(LinearInterpreter, LoopsWithAConditionMayEndEarly) {
  const char* const text = R"(linear @search lanes=4 symbols(N) {
    input %x: f32[N] strides[1]
    output %y: f32[N] strides[1]
    parallel _one in 0..1 {
      lanes _n in 0..N step 4 partial {
        %x1 = load %x[_n]
        %n = fill 0 over(_n)
        loop _i in 0..5 while %d <= 0 {
          %one = fill 1
          %n = update_sum %n, %one
          %d = sub %n, %x1
        }
        store %y[_n], %d
      }
    }
  })";
  Tensor x = Tensor::zeros(Precision::f32, {5});
  for (const auto& [i, value] : {std::pair(0, 1), {2, 2}, {4, 9}}) x.set(i, value);
  expect_near(run(text, {x})[0], [&](std::int64_t i) { return (i < 4 ? 3 : 5) - x.at(i); });
}

/// One item of work does not see what another left: values, and what is folded into them, vary over parallel loops.
TEST(LinearInterpreter, RunningValuesStartAnewInEachIteration) {
  const char* const text = R"(linear @rows lanes=4 symbols(M, N, in0.s0) {
    input %x: f32[M,N] strides[in0.s0,1]
    output %y: f32[M] strides[1]
    parallel _one in 0..1 {
      loop _m in 0..M {
        %s = fill 0
        loop _n in 0..N {
          %a = load %x[in0.s0*_m + _n]
          %s = update_sum %s, %a
        }
      }
      loop _m in 0..M {
        store %y[_m], %s
      }
    }
  })";
  const Tensor x = random({3, 5});
  expect_near(run(text, {x})[0], [&](std::int64_t i) {
    double sum = 0;
    for (int n = 0; n < 5; ++n) sum += x.at(i * 5 + n);
    return sum;
  });
}

TEST(LinearInterpreter, ManyElementsDoNotTakeLong) {
  LinearIR ir = parse_linear(kSoftmax);
  set_steps(ir, "_n", {{16, false}, {4, true}});
  const Tensor x = random({100, 100});
  for (int i = 0; i < 20; ++i) interpret(ir, {x});
}

// ---- errors

TEST(LinearInterpreter, BindingIsChecked) {
  const Tensor a = random({7, 5}), b = random({5, 6});
  expect_error(kMatmul, {a}, "interpreting Linear IR @matmul: expected 2 inputs, given 1");
  expect_error(kMatmul, {a, random({4, 6})}, "input 'b': dimension 0 is 4; expected K = 5");
  expect_error(kMatmul, {a, random({6})}, "input 'b': expected 2 dimensions, given 1");
  expect_error(kMatmul, {a, Tensor::zeros(Precision::f64, {5, 6})}, "input 'b': expected f32, given f64");
  expect_error(kMatmul, {a, b}, "input 'a': dimension 0 is 7; expected M = 8", {{"M", 8}});
  expect_error(kMatmul, {a, b}, "input 'a': stride 0 is 9; that of a dense tensor is 5", {{"in0.s0", 9}});
  const char* const text = R"(linear @facts lanes=4 symbols(H, S) {
    input %x: f32[S*H] strides[1]
    output %y: f32[S] strides[1]
    fact 4 divides S "the sequence"
    parallel _i in 0..S {
      %a = load %x[H*_i]
      store %y[_i], %a
    }
  })";
  expect_error(text, {random({24})}, "symbol H is not determined by the inputs");
  expect_error(text, {random({24})}, "dimension 0 is 24; expected H*S = 16", {{"H", 2}, {"S", 8}});
  expect_error(text, {random({24})}, "the sequence", {{"H", 4}, {"S", 6}});
  EXPECT_EQ(run(text, {random({24})}, {{"H", 3}, {"S", 8}})[0].size(), 8);
}

std::string kernel(const std::string& body) {
  return "linear @k lanes=4 symbols(S) {\n input %x: f32[S] strides[1]\n output %y: f32[S] strides[1]\n"
         " worker %T: f32[S]\n call %C: f32[S]\n" + body + "\n}";
}

TEST(LinearInterpreter, AccessesAreChecked) {
  const Tensor x = random({6});
  expect_error(kernel("parallel _i in 0..S { %a = load %x[_i + 1]\n store %y[_i], %a }"), {x},
               "'%a = load %x[_i + 1]' at _i=5: index 6 of %x is outside of its 6 elements");
  expect_error(kernel("parallel _one in 0..1 { lanes _i in 0..S step 4 partial { %a = load %x[_i - 2]\n store %y[_i], %a } }"), {x},
               "at _one=0, _i=0: index -2 of %x is outside");
  expect_error(kernel("parallel _one in 0..1 { lanes _i in 0..S step 4 partial { %a = load %x[_i]\n store %y[_i + 1], %a } }"), {x},
               "_i=5: index 6 of %y is outside");
  expect_error(kernel("parallel _i in 0..S { %a = load %T[_i]\n store %y[_i], %a }"), {x}, "index 0 of %T is read before it is written");
  expect_error(kernel("parallel _i in 0..S { %a = load %y[_i]\n store %y[_i], %a }"), {x}, "index 0 of %y is read before it is written");
  expect_error(kernel("parallel _i in 0..S - 1 { %a = load %x[_i]\n store %y[_i], %a }"), {x}, "element 5 of output 'y' is never written");
}

TEST(LinearInterpreter, WorkItemsAreKeptApart) {
  const Tensor x = random({6});
  expect_error(kernel("parallel _i in 0..S { %a = load %x[_i]\n store %y[0], %a }"), {x},
               "_i=1: index 0 of %y is written by two work items of one phase");
  expect_error(kernel("parallel _i in 0..S { %a = load %x[_i]\n store %C[_i], %a\n %b = load %C[0]\n store %y[_i], %b }"), {x},
               "_i=1: index 0 of %C is read, but another work item of this phase writes it");
  expect_error(kernel("parallel _i in 0..S { %a = load %x[_i]\n store %T[_i], %a\n %b = load %T[0]\n store %y[_i], %b }"), {x},
               "_i=1: index 0 of %T is read, but another work item wrote it");
  expect_error(kernel("parallel _i in 0..S { %a = load %x[_i]\n store %T[_i], %a }\n"
                      "parallel _i in 0..S { %b = load %T[_i]\n store %y[_i], %b }"), {x},
               "scratch of a worker does not outlive one");
  // The same through scratch of the call.
  expect_near(run(kernel("parallel _i in 0..S { %a = load %x[_i]\n store %C[_i], %a }\n"
                         "parallel _i in 0..S { %b = load %C[S - 1 - _i]\n store %y[_i], %b }"), {x})[0],
              [&](std::int64_t i) { return x.at(5 - i); });
}

TEST(LinearInterpreter, ValuesAreChecked) {
  const Tensor x = random({6});
  expect_error(kernel("parallel _one in 0..1 { loop _i in 0..S - 1 { %a = load %x[_i] }\n loop _i in 0..S { store %y[_i], %a } }"), {x},
               "'store %y[_i], %a' at _one=0, _i=5: %a is read before it is written");
  // Not what the iteration before left.
  expect_error(kernel("parallel _j in 0..S { loop _i in 0..S - _j { %a = load %x[_i] }\n loop _i in _j.._j + 1 { store %y[_i], %a } }"), {x},
               "_j=3, _i=3: %a is read before it is written");
  expect_error(kernel("parallel _i in 0..S { %a = load %x[_i]\n store %y[_i], %b }"), {x}, "%b is read before it is written on every path");
}

TEST(LinearInterpreter, ScratchSizesAreChecked) {
  expect_error("linear @k lanes=4 symbols(S) {\n worker %T: f32[S] }", {}, "%T has -1 elements", {{"S", -1}});
  expect_error("linear @k lanes=4 symbols(S) {\n worker %T: f32[S] }", {}, "elements", {{"S", std::int64_t{1} << 60}});
}

}  // namespace
}  // namespace burin::linear
