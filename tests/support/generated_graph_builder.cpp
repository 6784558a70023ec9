#include "tests/support/generated_graph_builder.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace burin::testing {

Known GeneratedGraphBuilder::input(const std::string& prefix, const Shape& shape) {
  Known v;
  v.id = graph().add_input(fresh_name(prefix), Precision::f32, shape);
  v.exact = true;
  if (prefix == "pos") v.low = 0.5;
  if (prefix == "unit") v.low = -1, v.high = 1;
  return v;
}

Known GeneratedGraphBuilder::scalar(double number) {
  const auto x = static_cast<float>(number);
  return {graph().add_constant("", Tensor::scalar(Precision::f32, x)), x, x, 0, true};
}

Known GeneratedGraphBuilder::random_scalar(double low, double high) {
  Known s = scalar(random_.real(low, high));
  if (random_.chance(0.2)) {
    Tensor t = Tensor::from_f32({1}, {static_cast<float>(s.low)});
    s.id = graph().add_constant("", t);
  }
  return s;
}

Known GeneratedGraphBuilder::apply(OpKind op, std::vector<ValueId> in, double low, double high, double error,
                                   Attributes attributes) {
  Known v{graph().add_op(op, "", std::move(in), std::move(attributes)), low, high, 0, false};
  v.error = error + kEpsilon * v.magnitude();
  feature("op", std::string(info(op).text));
  return v;
}

std::optional<Known> GeneratedGraphBuilder::unary(OpKind op, const Known& x) {
  const double m = x.magnitude(), lo = x.low, hi = x.high;
  auto monotone = [&](const std::function<double(double)>& f, double slope, double floor_error = 0) {
    return apply(op, {x.id}, f(lo), f(hi), slope * x.error + floor_error);
  };
  auto exactly = [&](Known v) {
    v.error = x.error;
    v.exact = x.exact;
    return v;
  };
  switch (op) {
    case OpKind::Abs: return exactly(apply(op, {x.id}, 0, m, 0));
    case OpKind::Neg: return exactly(apply(op, {x.id}, -hi, -lo, 0));
    case OpKind::Relu: return exactly(apply(op, {x.id}, std::max(lo, 0.0), std::max(hi, 0.0), 0));
    case OpKind::Sqrt:
      if (lo < 0.1) return std::nullopt;
      return monotone([](double v) { return std::sqrt(v); }, 2);
    case OpKind::Rsqrt:
      if (lo < 0.1) return std::nullopt;
      return apply(op, {x.id}, 1 / std::sqrt(hi), 1 / std::sqrt(lo), 16 * x.error);
    case OpKind::Reciprocal:
      if (lo < 0.25 && hi > -0.25) return std::nullopt;
      return apply(op, {x.id}, 1 / hi, 1 / lo, 16 * x.error);
    case OpKind::Square: return apply(op, {x.id}, 0, m * m, 2 * m * x.error);
    case OpKind::Exp:
      if (hi > 5) return std::nullopt;
      return monotone([](double v) { return std::exp(v); }, std::exp(hi));
    case OpKind::Exp2:
      if (hi > 7) return std::nullopt;
      return monotone([](double v) { return std::exp2(v); }, std::exp2(hi));
    case OpKind::Log:
      if (lo < 0.25) return std::nullopt;
      return monotone([](double v) { return std::log(v); }, 4, kEpsilon);
    case OpKind::Tanh: return monotone([](double v) { return std::tanh(v); }, 1);
    case OpKind::Sigmoid: return monotone([](double v) { return 1 / (1 + std::exp(-v)); }, 1);
    case OpKind::Erf: return monotone([](double v) { return std::erf(v); }, 1.2);
    case OpKind::Elu:
    case OpKind::LeakyRelu:
      return apply(op, {x.id}, std::min({lo, 0.0, -1.0}), std::max(hi, 0.0), x.error, random_.chance(0.3) ? Attributes{} : Attributes{{"alpha", random_.chance(0.5) ? 0.25 : 0.01}});
    case OpKind::HardSigmoid: return apply(op, {x.id}, 0, 1, x.error, random_.pick<Attributes>({{}, {{"alpha", 0.25}}, {{"alpha", 0.25}, {"beta", 0.375}}}));
    case OpKind::HardSwish: return apply(op, {x.id}, -0.5, std::max(hi, 0.0), 2 * x.error);
    case OpKind::Gelu:
      return apply(op, {x.id}, -0.2, std::max(hi, 0.0), 1.2 * x.error,
                   {{"approximate", std::string(random_.chance(0.5) ? "tanh" : "none")}});
    case OpKind::Silu: return apply(op, {x.id}, -0.3, std::max(hi, 0.0), 1.2 * x.error);
    case OpKind::Softplus: return monotone([](double v) { return v > 30 ? v : std::log1p(std::exp(v)); }, 1, kEpsilon);
    case OpKind::Sin:
    case OpKind::Cos:
      if (m > 100) return std::nullopt;
      return apply(op, {x.id}, -1, 1, x.error);
    case OpKind::Floor:
    case OpKind::Ceil:
    case OpKind::Round:
      if (!x.exact) return std::nullopt;
      return exactly(apply(op, {x.id}, std::floor(lo), std::ceil(hi), 0));
    case OpKind::Sign:
      if (!x.exact) return std::nullopt;
      return exactly(apply(op, {x.id}, -1, 1, 0));
    default: return std::nullopt;
  }
}

std::optional<Known> GeneratedGraphBuilder::binary(OpKind op, const Known& a, const Known& b) {
  const double ma = a.magnitude(), mb = b.magnitude();
  const double error = a.error + b.error;
  switch (op) {
    case OpKind::Add: return apply(op, {a.id, b.id}, a.low + b.low, a.high + b.high, error);
    case OpKind::Sub: return apply(op, {a.id, b.id}, a.low - b.high, a.high - b.low, error);
    case OpKind::Mul: {
      const auto [lo, hi] = std::minmax({a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high});
      return apply(op, {a.id, b.id}, lo, hi, a.error * mb + b.error * ma);
    }
    case OpKind::Div: {
      if (b.low < 0.25 && b.high > -0.25) return std::nullopt;
      const auto [lo, hi] = std::minmax({a.low / b.low, a.low / b.high, a.high / b.low, a.high / b.high});
      return apply(op, {a.id, b.id}, lo, hi, 4 * a.error + 16 * ma * b.error);
    }
    case OpKind::Min:
    case OpKind::Max: {
      const bool least = op == OpKind::Min;
      Known v = apply(op, {a.id, b.id}, least ? std::min(a.low, b.low) : std::max(a.low, b.low),
                      least ? std::min(a.high, b.high) : std::max(a.high, b.high), 0);
      v.error = error;
      v.exact = a.exact && b.exact;
      return v;
    }
    case OpKind::Mod: {
      if (!a.exact || !b.exact || (b.low < 0.25 && b.high > -0.25)) return std::nullopt;
      Known v = apply(op, {a.id, b.id}, std::min(a.low, 0.0), std::max(a.high, 0.0), 0, {{"fmod", std::int64_t{1}}});
      v.error = 0;
      v.exact = true;
      return v;
    }
    case OpKind::PRelu:
      return apply(op, {a.id, b.id}, -ma * std::max(mb, 1.0), ma * std::max(mb, 1.0), a.error * std::max(mb, 1.0) + ma * b.error);
    default: return std::nullopt;
  }
}

std::optional<Known> GeneratedGraphBuilder::power(const Known& x) {
  const double exponent = random_.pick({2.0, 3.0, 0.5, -1.0, 1.7});
  const auto exponent_id = [&] {
    if (exponent != std::floor(exponent) || random_.chance(0.5)) return scalar(exponent).id;
    Tensor t = Tensor::zeros(random_.pick({Precision::i32, Precision::i64}), {});
    t.set_int(0, static_cast<std::int64_t>(exponent));
    feature("power", "integer exponent");
    return graph().add_constant("", t);
  };
  if (exponent == 2.0 || exponent == 3.0) {
    if (x.magnitude() > 8) return std::nullopt;
    const double top = std::pow(x.magnitude(), exponent);
    return apply(OpKind::Pow, {x.id, exponent_id()}, -top, top, exponent * top / std::max(x.magnitude(), 0.1) * x.error);
  }
  if (x.low < 0.25 || x.high > 20) return std::nullopt;
  const auto [lo, hi] = std::minmax({std::pow(x.low, exponent), std::pow(x.high, exponent)});
  return apply(OpKind::Pow, {x.id, exponent_id()}, lo, hi, 20 * x.error);
}

Known GeneratedGraphBuilder::clip(const Known& x, double low, double high) {
  const bool with_low = random_.chance(0.85), with_high = !with_low || random_.chance(0.85);
  std::vector<ValueId> in = {x.id, with_low ? scalar(low).id : kNone};
  if (with_high) in.push_back(scalar(high).id);
  Known v = apply(OpKind::Clip, in, with_low ? std::clamp(x.low, low, std::max(low, high)) : std::min(x.low, high),
                  with_high ? std::min(std::max(x.high, low), high) : std::max(x.high, low), 0);
  v.error = x.error;
  v.exact = x.exact;
  return v;
}

Known GeneratedGraphBuilder::without_nan(const Known& x) {
  const ValueId is_nan = graph().add_op(OpKind::IsNaN, "", {x.id});
  feature("op", "is_nan");
  Known v = apply(OpKind::Where, {is_nan, scalar(0).id, x.id}, std::min(0.0, x.low), std::max(0.0, x.high), 0);
  v.error = x.error;
  return v;
}

void GeneratedGraphBuilder::output(const Known& v) {
  graph().outputs.push_back(v.id);
  out_.rounding.push_back(v.error);
}

GeneratedGraph GeneratedGraphBuilder::finish() {
  verify(out_.graph);
  return std::move(out_);
}

}  // namespace burin::testing
