// Element-wise operations with numpy broadcasting. The functions are lambdas, each written beside
// its operation in add_elementwise(); the templates above it are the loops.

#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include <fmt/format.h>

#include "burin/error.h"
#include "graph/interpreter_ops.h"
#include "support/integer_division.h"

namespace burin::interpreter {

namespace {

using Int = std::int64_t;

// ---------------------------------------------------------------------------------------------------------
// Loops

template <typename Out, typename In, typename F>
PlainTensor map(const PlainTensor& x, const F& f) {
  const In* from = x.data<In>();
  std::vector<Out> to(static_cast<std::size_t>(x.size()));
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = f(from[i]);
  return {x.dims(), std::move(to)};
}

template <typename Out, typename A, typename B, typename F>
PlainTensor map(const PlainTensor& a, const PlainTensor& b, const F& f) {
  const Dims dims = broadcast_dims(a.dims(), b.dims());
  std::vector<Out> to(static_cast<std::size_t>(product(dims)));
  Out* out = to.data();
  const A* x = a.data<A>();
  const B* y = b.data<B>();
  // The result is dense: its offset just goes on.
  for_each_run<2>(dims, {broadcast_strides(a.dims(), dims), broadcast_strides(b.dims(), dims)},
                  [&](const auto& starts, std::int64_t count, const auto& steps) {
                    const A* p = x + starts[0];
                    const B* q = y + starts[1];
                    if (steps[0] == 1 && steps[1] == 1) {
                      for (std::int64_t i = 0; i < count; ++i) out[i] = f(p[i], q[i]);
                    } else if (steps[0] == 1 && steps[1] == 0) {
                      const B right = *q;
                      for (std::int64_t i = 0; i < count; ++i) out[i] = f(p[i], right);
                    } else {
                      for (std::int64_t i = 0; i < count; ++i)
                        out[i] = f(p[i * steps[0]], q[i * steps[1]]);
                    }
                    out += count;
                  });
  return {dims, std::move(to)};
}

template <typename T>
PlainTensor choose(const PlainTensor& condition, const PlainTensor& a, const PlainTensor& b) {
  const Dims dims = broadcast_dims(broadcast_dims(condition.dims(), a.dims()), b.dims());
  std::vector<T> to(static_cast<std::size_t>(product(dims)));
  T* out = to.data();
  const Int* c = condition.data<Int>();
  const T* x = a.data<T>();
  const T* y = b.data<T>();
  for_each_run<3>(dims,
                  {broadcast_strides(condition.dims(), dims), broadcast_strides(a.dims(), dims),
                   broadcast_strides(b.dims(), dims)},
                  [&](const auto& starts, std::int64_t count, const auto& steps) {
                    for (std::int64_t i = 0; i < count; ++i)
                      out[i] = c[starts[0] + i * steps[0]] != 0 ? x[starts[1] + i * steps[1]]
                                                                : y[starts[2] + i * steps[2]];
                    out += count;
                  });
  return {dims, std::move(to)};
}

// ---------------------------------------------------------------------------------------------------------
// Forms of operations: which kinds of elements they take and give

template <auto F>
Results floats(const Node&, const Graph&, Inputs in) {
  return {map<double, double>(*in[0], F)};
}

/// F for floats, G for integers.
template <auto F, auto G>
Results numbers(const Node&, const Graph&, Inputs in) {
  if (in[0]->is_float()) return {map<double, double>(*in[0], F)};
  return {map<Int, Int>(*in[0], G)};
}

Results unchanged(const Node&, const Graph&, Inputs in) { return {*in[0]}; }

/// floats() that leaves integers alone.
template <auto F>
Results rounding(const Node& node, const Graph& graph, Inputs in) {
  return in[0]->is_float() ? floats<F>(node, graph, in) : unchanged(node, graph, in);
}

void check_same_kind(const PlainTensor& a, const PlainTensor& b) {
  if (a.is_float() != b.is_float())
    fail(fmt::format("both inputs must hold the same kind of elements, given {} and {}",
                     a.is_float() ? "floats" : "integers", b.is_float() ? "floats" : "integers"));
}

/// F for floats, G for integers.
template <auto F, auto G>
Results numbers2(const Node&, const Graph&, Inputs in) {
  check_same_kind(*in[0], *in[1]);
  if (in[0]->is_float()) return {map<double, double, double>(*in[0], *in[1], F)};
  return {map<Int, Int, Int>(*in[0], *in[1], G)};
}

template <auto F>
Results compare(const Node&, const Graph&, Inputs in) {
  check_same_kind(*in[0], *in[1]);
  return {with_type_of(*in[0], [&]<typename T>() {
    return map<Int, T, T>(*in[0], *in[1], [](T a, T b) { return static_cast<Int>(F(a, b)); });
  })};
}

/// F on booleans.
template <auto F>
Results logical(const Node&, const Graph&, Inputs in) {
  return {map<Int, Int, Int>(*in[0], *in[1],
                             [](Int a, Int b) { return static_cast<Int>(F(a != 0, b != 0)); })};
}

// ---------------------------------------------------------------------------------------------------------
// Formulas that need more than a line

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

double gelu(double x) {
  return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
}  // 1 + erf, without cancellation

double gelu_tanh(double x) {
  return 0.5 * x *
         (1.0 + std::tanh(std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}

double sign(double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : x; }  // NaN and zero stay

double minimum(double a, double b) {
  return std::isnan(a) || a < b ? a : b;
}  // NaN wins, as in numpy
double maximum(double a, double b) { return std::isnan(a) || a > b ? a : b; }

double modulo(double a, double b) {
  const double r = std::fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

Int power(Int base, Int exponent) {
  if (exponent < 0) {
    if (base == 0) fail("integer zero to a negative power");
    return base == 1 ? 1 : base == -1 ? (exponent % 2 != 0 ? -1 : 1) : 0;
  }
  Int result = 1;
  for (; exponent != 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result = wrap_mul(result, base);
    base = wrap_mul(base, base);
  }
  return result;
}

// ---------------------------------------------------------------------------------------------------------
// Operations with attributes, or of mixed kinds

Results leaky_relu(const Node& node, const Graph&, Inputs in) {
  const double alpha = node.float_attribute("alpha", 0.01);
  return {map<double, double>(*in[0], [=](double x) { return x < 0 ? alpha * x : x; })};
}

Results elu(const Node& node, const Graph&, Inputs in) {
  const double alpha = node.float_attribute("alpha", 1.0);
  return {map<double, double>(*in[0], [=](double x) { return x < 0 ? alpha * std::expm1(x) : x; })};
}

Results gelu_op(const Node& node, const Graph&, Inputs in) {
  const std::string approximate = node.string_attribute("approximate", "none");
  if (approximate == "none") return {map<double, double>(*in[0], gelu)};
  if (approximate == "tanh") return {map<double, double>(*in[0], gelu_tanh)};
  fail(fmt::format("attribute approximate: expected none or tanh, given '{}'", approximate));
}

Results hard_sigmoid(const Node& node, const Graph&, Inputs in) {
  const double alpha = node.float_attribute("alpha", 0.2);
  const double beta = node.float_attribute("beta", 0.5);
  return {map<double, double>(
      *in[0], [=](double x) { return minimum(maximum(alpha * x + beta, 0.0), 1.0); })};
}

Results is_inf(const Node& node, const Graph&, Inputs in) {
  const bool positive = node.int_attribute("detect_positive", 1) != 0;
  const bool negative = node.int_attribute("detect_negative", 1) != 0;
  return {map<Int, double>(*in[0], [=](double x) {
    return static_cast<Int>(std::isinf(x) && (x > 0 ? positive : negative));
  })};
}

Results is_nan_op(const Node&, const Graph&, Inputs in) {
  return {map<Int, double>(*in[0], [](double x) { return static_cast<Int>(std::isnan(x)); })};
}

Results logical_not(const Node&, const Graph&, Inputs in) {
  return {map<Int, Int>(*in[0], [](Int x) { return static_cast<Int>(x == 0); })};
}

PlainTensor rounded(const PlainTensor& x, Precision to) {
  switch (to) {
    case Precision::f64: return x;
    case Precision::f32:
      return map<double, double>(
          x, [](double v) { return static_cast<double>(static_cast<float>(v)); });
    default: return PlainTensor(x.to_tensor(to));
  }
}

/// (f32 is rounded to once, not by way of f64.)
PlainTensor from_integers(const PlainTensor& x, Precision to) {
  if (to == Precision::f32) return map<double, Int>(x, [](Int v) { return static_cast<double>(static_cast<float>(v)); });
  return rounded(map<double, Int>(x, [](Int v) { return static_cast<double>(v); }), to);
}

/// A Cast sees what a tensor of the input's precision would hold: a double just below 2 that stands for
/// the float 2 must not be truncated to 1.
Results cast(const Node& node, const Graph& graph, Inputs in) {
  const PlainTensor x =
      in[0]->is_float() ? rounded(*in[0], graph.value(node.inputs[0]).precision) : *in[0];
  const Precision to = precision_from_string(node.string_attribute("to", "f32"));
  if (is_float(to))
    return {x.is_float() ? rounded(x, to) : from_integers(x, to)};
  if (!x.is_float()) return {map<Int, Int>(x, [=](Int v) { return wrap_to(to, v); })};
  if (to == Precision::boolean)
    return {map<Int, double>(x, [](double v) { return static_cast<Int>(v != 0); })};
  return {map<Int, double>(x, [=](double v) { return cast_to_integer(to, v); })};
}

/// The result has the kind of the base.
Results pow(const Node&, const Graph&, Inputs in) {
  const PlainTensor &base = *in[0], &exponent = *in[1];
  if (base.is_float() && exponent.is_float())
    return {map<double, double, double>(base, exponent,
                                        [](double x, double y) { return std::pow(x, y); })};
  if (base.is_float())
    return {map<double, double, Int>(
        base, exponent, [](double x, Int y) { return std::pow(x, static_cast<double>(y)); })};
  if (exponent.is_float())
    return {map<Int, Int, double>(base, exponent, [](Int x, double y) {
      return to_integer(std::pow(static_cast<double>(x), y));
    })};
  return {map<Int, Int, Int>(base, exponent, power)};
}

Results mod(const Node& node, const Graph& graph, Inputs in) {
  if (node.int_attribute("fmod", 0) != 0)
    return numbers2<[](double a, double b) { return std::fmod(a, b); },
                    [](Int a, Int b) { return remainder_of(a, b); }>(node, graph, in);
  return numbers2<[](double a, double b) { return modulo(a, b); },
                  [](Int a, Int b) { return modulo_of(a, b); }>(node, graph, in);
}

Results where(const Node&, const Graph&, Inputs in) {
  check_same_kind(*in[1], *in[2]);
  return {with_type_of(*in[1], [&]<typename T>() { return choose<T>(*in[0], *in[1], *in[2]); })};
}

Results clip(const Node&, const Graph&, Inputs in) {
  for (const std::size_t i : {1, 2}) {
    if (!has(in, i)) continue;
    check_same_kind(*in[0], *in[i]);
    scalar_number(*in[i], i == 1 ? "min" : "max");
  }
  return {with_type_of(*in[0], [&]<typename T>() {
    T low = std::numeric_limits<T>::lowest(), high = std::numeric_limits<T>::max();
    if constexpr (std::is_same_v<T, double>) {
      high = std::numeric_limits<double>::infinity();
      low = -high;
    }
    if (has(in, 1)) low = *in[1]->data<T>();
    if (has(in, 2)) high = *in[2]->data<T>();
    return map<T, T>(*in[0], [=](T x) {  // high wins if they contradict; NaN stays
      const T raised = x < low ? low : x;
      return raised > high ? high : raised;
    });
  })};
}

}  // namespace

PlainTensor scale_and_shift(const PlainTensor& x, const PlainTensor& scale,
                            const PlainTensor* bias) {
  PlainTensor result =
      map<double, double, double>(x, scale, [](double a, double b) { return a * b; });
  if (bias != nullptr)
    result = map<double, double, double>(result, *bias, [](double a, double b) { return a + b; });
  if (result.dims() != x.dims())
    fail(fmt::format("scale or bias does not broadcast to the dimensions {} of the input",
                     to_string(x.dims())));
  return result;
}

void add_elementwise(NodeTable& table) {
  using enum OpKind;

  table[Abs] = numbers<[](double x) { return std::fabs(x); },
                       [](Int x) { return x < 0 ? wrap_sub(0, x) : x; }>;
  table[Neg] = numbers<[](double x) { return -x; }, [](Int x) { return wrap_sub(0, x); }>;
  table[Sign] =
      numbers<[](double x) { return sign(x); }, [](Int x) { return Int{0 < x} - Int{x < 0}; }>;
  table[Relu] =
      numbers<[](double x) { return x < 0 ? 0.0 : x; }, [](Int x) { return x < 0 ? Int{0} : x; }>;
  table[Square] = numbers<[](double x) { return x * x; }, [](Int x) { return wrap_mul(x, x); }>;
  table[Floor] = rounding<[](double x) { return std::floor(x); }>;
  table[Ceil] = rounding<[](double x) { return std::ceil(x); }>;
  table[Round] = rounding<[](double x) { return std::nearbyint(x); }>;
  table[Sqrt] = floats<[](double x) { return std::sqrt(x); }>;
  table[Rsqrt] = floats<[](double x) { return 1.0 / std::sqrt(x); }>;
  table[Reciprocal] = floats<[](double x) { return 1.0 / x; }>;
  table[Exp] = floats<[](double x) { return std::exp(x); }>;
  table[Exp2] = floats<[](double x) { return std::exp2(x); }>;
  table[Log] = floats<[](double x) { return std::log(x); }>;
  table[Sin] = floats<[](double x) { return std::sin(x); }>;
  table[Cos] = floats<[](double x) { return std::cos(x); }>;
  table[Tanh] = floats<[](double x) { return std::tanh(x); }>;
  table[Erf] = floats<[](double x) { return std::erf(x); }>;
  table[Sigmoid] = floats<[](double x) { return sigmoid(x); }>;
  table[Silu] = floats<[](double x) { return x * sigmoid(x); }>;
  table[Softplus] =
      floats<[](double x) { return (x > 0 ? x : 0.0) + std::log1p(std::exp(-std::fabs(x))); }>;
  table[HardSwish] = floats<[](double x) { return x * minimum(maximum(x / 6.0 + 0.5, 0.0), 1.0); }>;
  table[HardSigmoid] = hard_sigmoid;
  table[LeakyRelu] = leaky_relu;
  table[Elu] = elu;
  table[Gelu] = gelu_op;
  table[Not] = logical_not;
  table[IsNaN] = is_nan_op;
  table[IsInf] = is_inf;
  table[Cast] = cast;
  table[Identity] = unchanged;

  table[Add] = numbers2<[](double a, double b) { return a + b; },
                        [](Int a, Int b) { return wrap_add(a, b); }>;
  table[Sub] = numbers2<[](double a, double b) { return a - b; },
                        [](Int a, Int b) { return wrap_sub(a, b); }>;
  table[Mul] = numbers2<[](double a, double b) { return a * b; },
                        [](Int a, Int b) { return wrap_mul(a, b); }>;
  table[Div] =
      numbers2<[](double a, double b) { return a / b; }, [](Int a, Int b) { return quotient_of(a, b); }>;
  table[Min] = numbers2<[](double a, double b) { return minimum(a, b); },
                        [](Int a, Int b) { return a < b ? a : b; }>;
  table[Max] = numbers2<[](double a, double b) { return maximum(a, b); },
                        [](Int a, Int b) { return b < a ? a : b; }>;
  table[PRelu] = numbers2<[](double x, double slope) { return x < 0 ? slope * x : x; },
                          [](Int x, Int slope) { return x < 0 ? wrap_mul(slope, x) : x; }>;
  table[Pow] = pow;
  table[Mod] = mod;
  table[And] = logical<[](bool a, bool b) { return a && b; }>;
  table[Or] = logical<[](bool a, bool b) { return a || b; }>;
  table[Xor] = logical<[](bool a, bool b) { return a != b; }>;

  table[Equal] = compare<[](auto a, auto b) { return a == b; }>;
  table[Less] = compare<[](auto a, auto b) { return a < b; }>;
  table[LessOrEqual] = compare<[](auto a, auto b) { return a <= b; }>;
  table[Greater] = compare<[](auto a, auto b) { return b < a; }>;
  table[GreaterOrEqual] = compare<[](auto a, auto b) { return b <= a; }>;

  table[Where] = where;
  table[Clip] = clip;
}

}  // namespace burin::interpreter
