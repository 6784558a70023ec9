#include "tests/support/graph_generator.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <set>

#include "tests/support/random_shapes.h"

namespace burin::testing {
namespace {

/// Rounding of one f32 operation, with room for the functions of a few ulp.
constexpr double kEpsilon = 2.5e-7;

/// A value of the graph with what is known of its elements.
struct Known {
  ValueId id = kNone;
  double low = -2, high = 2;
  double error = 0;    ///< absolute, of a computation in f32
  bool exact = false;  ///< f32 computations agree to the last bit
  double magnitude() const { return std::max(std::abs(low), std::abs(high)); }
};

/// What both generators need: a graph under construction, inputs with telling names, element-wise operations with
/// bounds of their results.
class Builder {
 public:
  explicit Builder(Random& random) : random_(random) { out_.graph.name = "fuzz"; }

 protected:
  Graph& graph() { return out_.graph; }
  void feature(const std::string& axis, const std::string& value) { out_.features.emplace_back(axis, value); }

  std::string fresh_name(const std::string& prefix) { return prefix + std::to_string(graph().inputs.size()); }

  Known input(const std::string& prefix, const Shape& shape) {
    Known v;
    v.id = graph().add_input(fresh_name(prefix), Precision::f32, shape);
    v.exact = true;
    if (prefix == "pos") v.low = 0.5;
    if (prefix == "unit") v.low = -1, v.high = 1;
    return v;
  }

  Known scalar(double number) {
    const auto x = static_cast<float>(number);
    return {graph().add_constant("", Tensor::scalar(Precision::f32, x)), x, x, 0, true};
  }

  /// A constant of rank 0 or 1.
  Known random_scalar(double low, double high) {
    Known s = scalar(random_.real(low, high));
    if (random_.chance(0.2)) {
      Tensor t = Tensor::from_f32({1}, {static_cast<float>(s.low)});
      s.id = graph().add_constant("", t);
    }
    return s;
  }

  Known apply(OpKind op, std::vector<ValueId> in, double low, double high, double error, Attributes attributes = {}) {
    Known v{graph().add_op(op, "", std::move(in), std::move(attributes)), low, high, 0, false};
    v.error = error + kEpsilon * v.magnitude();
    feature("op", std::string(info(op).text));
    return v;
  }

  /// An operation of one argument that is monotone or bounded; nothing where `x` is outside of what is well conditioned.
  std::optional<Known> unary(OpKind op, const Known& x) {
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
        return apply(op, {x.id}, std::min(lo, 0.0), std::max(hi, 0.0), x.error, {{"alpha", random_.chance(0.5) ? 0.25 : 0.01}});
      case OpKind::HardSigmoid: return apply(op, {x.id}, 0, 1, x.error, {{"alpha", 0.2}});
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

  std::optional<Known> binary(OpKind op, const Known& a, const Known& b) {
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
      case OpKind::PRelu:
        return apply(op, {a.id, b.id}, -ma * std::max(mb, 1.0), ma * std::max(mb, 1.0), a.error * std::max(mb, 1.0) + ma * b.error);
      default: return std::nullopt;
    }
  }

  std::optional<Known> power(const Known& x) {
    const double exponent = random_.pick({2.0, 3.0, 0.5, -1.0, 1.7});
    if (exponent == 2.0 || exponent == 3.0) {
      if (x.magnitude() > 8) return std::nullopt;
      const double top = std::pow(x.magnitude(), exponent);
      return apply(OpKind::Pow, {x.id, scalar(exponent).id}, -top, top, exponent * top / std::max(x.magnitude(), 0.1) * x.error);
    }
    if (x.low < 0.25 || x.high > 20) return std::nullopt;
    const auto [lo, hi] = std::minmax({std::pow(x.low, exponent), std::pow(x.high, exponent)});
    return apply(OpKind::Pow, {x.id, scalar(exponent).id}, lo, hi, 20 * x.error);
  }

  Known clip(const Known& x, double low, double high) {
    const bool with_low = random_.chance(0.85), with_high = !with_low || random_.chance(0.85);
    std::vector<ValueId> in = {x.id, with_low ? scalar(low).id : kNone};
    if (with_high) in.push_back(scalar(high).id);
    Known v = apply(OpKind::Clip, in, with_low ? std::clamp(x.low, low, std::max(low, high)) : std::min(x.low, high),
                    with_high ? std::min(std::max(x.high, low), high) : std::max(x.high, low), 0);
    v.error = x.error;
    v.exact = x.exact;
    return v;
  }

  Known without_nan(const Known& x) {
    const ValueId is_nan = graph().add_op(OpKind::IsNaN, "", {x.id});
    feature("op", "is_nan");
    Known v = apply(OpKind::Where, {is_nan, scalar(0).id, x.id}, std::min(0.0, x.low), std::max(0.0, x.high), 0);
    v.error = x.error;
    return v;
  }

  void output(const Known& v) {
    graph().outputs.push_back(v.id);
    out_.rounding.push_back(v.error);
  }

  GeneratedGraph finish() {
    verify(out_.graph);
    return std::move(out_);
  }

  Random& random_;
  GeneratedGraph out_;
};

const std::vector<std::string>& mask_forms() {
  static const std::vector<std::string> forms = {"none", "B11K", "B1QK", "1HQK", "BHQK", "QK", "H11"};
  return forms;
}

class AttentionGenerator : Builder {
 public:
  explicit AttentionGenerator(Random& random) : Builder(random) {}

  GeneratedGraph run() {
    choose_dimensions();
    Known q = operand("q", heads_, queries_, head_size_), k = operand("k", kv_heads_, keys_, head_size_),
          v = operand("v", kv_heads_, keys_, value_size_);
    scale_ = random_.pick({0, 1, 2, 3});
    feature("scale", std::vector<std::string>{"none", "mul", "div", "on_query"}[static_cast<std::size_t>(scale_)]);
    if (scale_ == 3) q = *binary(random_.chance(0.5) ? OpKind::Mul : OpKind::Div, q, scalar(random_.chance(0.5) ? 0.25 : 4));
    Known x = product(q, transposed_key(k));
    x = score_chain(x);
    x = softmax(x);
    x = probability_chain(x);
    if (random_.chance(0.1)) {
      output(x);
      feature("outputs", "probabilities");
    } else {
      feature("outputs", "one");
    }
    Known y = product(x, repeated(v));
    y.low = -2 * std::max(x.magnitude(), 1e-3) * 4, y.high = -y.low;
    output(output_chain(y));
    return finish();
  }

 private:
  // ---- dimensions ----

  Expr dimension(const std::string& symbol, double symbolic, std::int64_t size) {
    return random_.chance(symbolic) ? Expr::symbol(symbol) : Expr(size);
  }

  void choose_dimensions() {
    rank_ = random_.chance(0.85) ? 4 : random_.chance(0.7) ? 3 : 2;
    feature("rank", std::to_string(rank_));
    // Static sizes that are all large would keep the interpreter busy for seconds.
    do choose_sizes();
    while (at_least(kv_heads_) * static_cast<double>(group_) * at_least(batch_) * at_least(queries_) * at_least(keys_) *
               (at_least(head_size_) + at_least(value_size_)) > 1e6);
    feature("heads", group_ > 1 ? (kv_heads_.is_constant() ? "grouped" : "grouped_symbolic") : "plain");
    feature("keys", cross_ ? "cross" : "self");
    feature("lengths", queries_.is_constant() ? "static" : "dynamic");
    feature("head_size", head_size_.is_constant() ? head_size_.to_string() : "dynamic");
    feature("value_size", value_size_ == head_size_ ? "same" : "other");
  }

  static double at_least(const Expr& e) { return static_cast<double>(e.as_constant().value_or(4)); }

  void choose_sizes() {
    batch_ = dimension("B", 0.7, random_.between(1, 2));
    group_ = rank_ > 2 && random_.chance(0.3) ? random_.between(2, 4) : 1;
    kv_heads_ = dimension("Hkv", 0.25, random_.between(1, 3));
    heads_ = kv_heads_ * group_;
    queries_ = dimension("S", 0.75, random_.pick(tail_sizes()));
    cross_ = random_.chance(0.3);
    keys_ = cross_ ? dimension("T", 0.75, random_.pick(tail_sizes())) : queries_;
    head_size_ = head_size("D");
    value_size_ = random_.chance(0.2) ? head_size("Dv") : head_size_;
  }

  Expr head_size(const std::string& symbol) {
    return random_.chance(0.15) ? Expr::symbol(symbol) : Expr(random_.pick(head_sizes()));
  }

  /// The dimensions of a shape of rank 4 that the rank of this graph has.
  Shape leading(const Expr& heads) const {
    Shape shape;
    if (rank_ == 4) shape.push_back(batch_);
    if (rank_ >= 3) shape.push_back(heads);
    return shape;
  }

  std::vector<std::int64_t> swapped(std::size_t i, std::size_t j) const {
    std::vector<std::int64_t> perm(static_cast<std::size_t>(rank_));
    for (std::size_t d = 0; d < perm.size(); ++d) perm[d] = static_cast<std::int64_t>(d);
    std::swap(perm[i], perm[j]);
    return perm;
  }

  Known transpose(Known x, std::vector<std::int64_t> perm) {
    x.id = graph().add_op(OpKind::Transpose, "", {x.id}, {{"perm", std::move(perm)}});
    return x;
  }

  // ---- operands ----

  /// [.., S, D] however it is stored, with an element-wise operation on the way at times.
  Known operand(const std::string& which, const Expr& heads, const Expr& length, const Expr& size) {
    const std::size_t row = static_cast<std::size_t>(rank_) - 2;
    Shape shape = leading(heads);
    shape.push_back(length);
    shape.push_back(size);
    layout_ = random_.chance(0.6) && rank_ >= 3 ? 1 : 0;
    if (which == "k" && layout_ == 0 && random_.chance(0.3)) layout_ = 2;
    feature("layout_" + which, layout_ == 0 ? "BHSD" : layout_ == 1 ? "BSHD" : "BHDS");
    if (layout_ == 1) std::swap(shape[row - 1], shape[row]);
    if (layout_ == 2) std::swap(shape[row], shape[row + 1]);
    Known x = input("unit", shape);
    if (random_.chance(0.2)) x = operand_op(x, layout_ == 2 ? Expr(1) : size);
    if (which == "k") key_layout_ = layout_;
    if (layout_ == 1 && which == "k" && random_.chance(0.5)) {
      // [B,S,H,D] -> [B,H,D,S] at once
      auto perm = swapped(row - 1, row);
      std::swap(perm[row], perm[row + 1]);
      key_layout_ = 2;
      return transpose(x, perm);
    }
    if (layout_ == 1) x = transpose(x, swapped(row - 1, row));
    return x;
  }

  Known operand_op(const Known& x, const Expr& size) {
    feature("operand_op", "yes");
    switch (random_.below(5)) {
      case 0: return *binary(OpKind::Mul, x, random_scalar(0.5, 1.5));
      case 1: return *binary(OpKind::Add, x, input("unit", {size}));
      case 2: return *unary(OpKind::Relu, x);
      case 3: return *unary(OpKind::Tanh, x);
      default: return *binary(OpKind::Mul, x, input("unit", {size}));
    }
  }

  Known repeated(Known x) {
    if (group_ > 1)
      x.id = graph().add_op(OpKind::Repeat, "", {x.id}, {{"axis", static_cast<std::int64_t>(rank_ - 3)}, {"times", group_}});
    return x;
  }

  /// [.., D, S], the heads repeated before or behind.
  Known transposed_key(Known k) {
    const auto row = static_cast<std::size_t>(rank_) - 2;
    if (key_layout_ == 2) return repeated(k);
    if (random_.chance(0.5)) return repeated(transpose(k, swapped(row, row + 1)));
    return transpose(repeated(k), swapped(row, row + 1));
  }

  Known product(const Known& a, const Known& b) {
    Known v{graph().add_op(OpKind::MatMul, "", {a.id, b.id}), 0, 0, 0, false};
    v.high = a.magnitude() * b.magnitude() * std::sqrt(128.0) * 2;
    v.low = -v.high;
    v.error = (a.error * b.magnitude() + b.error * a.magnitude()) * 12 + kEpsilon * v.high;
    return v;
  }

  // ---- between the products ----

  Known score_chain(Known x) {
    mask_ = random_.pick(mask_forms());
    bool masked = mask_ == "none" || (rank_ < 4 && mask_.size() == 4) || (rank_ == 2 && mask_ == "H11");
    if (masked) mask_ = "none";
    feature("mask", mask_);
    if (masked) feature("mask_kind", "none");
    bool scaled = scale_ == 0 || scale_ == 3;
    const std::int64_t length = random_.between(1, 6);
    feature("chain", std::to_string(length));
    for (std::int64_t i = 0; i < length; ++i) {
      if (!scaled && (random_.chance(0.6) || i + 1 == length)) {
        x = scale_ == 1 ? *binary(OpKind::Mul, x, random_scalar(0.1, 0.4)) : *binary(OpKind::Div, x, random_scalar(2.5, 9));
        scaled = true;
      } else if (!masked && (random_.chance(0.5) || i + 1 == length)) {
        x = mask(x, i + 1 == length);
        masked = true;
      } else {
        x = score_op(x);
      }
    }
    if (!scaled) x = *binary(OpKind::Mul, x, scalar(0.125));
    if (!masked) x = mask(x, true);
    return x;
  }

  Shape mask_shape() const {
    if (mask_ == "B11K") return {batch_, 1, 1, keys_};
    if (mask_ == "B1QK") return {batch_, 1, queries_, keys_};
    if (mask_ == "1HQK") return {1, heads_, queries_, keys_};
    if (mask_ == "BHQK") return {batch_, heads_, queries_, keys_};
    if (mask_ == "QK") return {queries_, keys_};
    return {heads_, 1, 1};
  }

  Known mask(const Known& x, bool last) {
    const Shape shape = mask_shape();
    if (mask_ == "H11") {
      feature("mask_kind", "slope");
      return *binary(random_.chance(0.5) ? OpKind::Add : OpKind::Mul, x, input("pos", shape));
    }
    extreme_ = true;
    if (mask_.find("QK") != std::string::npos && random_.chance(0.5)) return position_mask(x, last);
    if (random_.chance(0.3)) {
      feature("mask_kind", "boolean");
      const ValueId m = graph().add_input(fresh_name("mask_bool"), Precision::boolean, shape);
      const Known fill = scalar(random_.pick<double>({-1e4, -1e9, -3.4028234663852886e38, -INFINITY}));
      const bool inverted = random_.chance(0.3);
      const ValueId condition = inverted ? graph().add_op(OpKind::Not, "", {m}) : m;
      if (inverted) feature("op", "not");
      Known v = inverted ? apply(OpKind::Where, {condition, fill.id, x.id}, x.low, x.high, x.error)
                         : apply(OpKind::Where, {condition, x.id, fill.id}, x.low, x.high, x.error);
      return v;
    }
    feature("mask_kind", "additive");
    Known v = *binary(OpKind::Add, x, input(last && random_.chance(0.5) ? "mask_any" : "mask_add", shape));
    return v;
  }

  ValueId integer(const Expr& e) {
    if (const auto number = e.as_constant()) return graph().add_constant("", Tensor::scalar(Precision::i64, static_cast<double>(*number)));
    Value known;
    known.precision = Precision::i64;
    known.elements = {e};
    return graph().add_value(std::move(known));
  }

  ValueId positions(const Expr& length) { return graph().add_op(OpKind::Range, "", {integer(0), integer(length), integer(1)}); }
  ValueId op(OpKind kind, std::vector<ValueId> in, Attributes attributes = {}) {
    return graph().add_op(kind, "", std::move(in), std::move(attributes));
  }

  /// Which keys a query sees, from the positions of both: [S, T].
  ValueId visible() {
    const Expr distance = random_.chance(0.3) ? keys_ - queries_ : Expr(random_.pick<std::int64_t>({0, 0, 1, -1, -3, 7, 20}));
    const ValueId key = positions(keys_), last = op(OpKind::Add, {positions(queries_), integer(distance)});
    const auto column = [&](ValueId v) { return op(OpKind::Unsqueeze, {v}, {{"axes", std::vector<std::int64_t>{1}}}); };
    const ValueId query = column(last);
    const std::string kind = random_.pick<std::string>({"causal", "window", "future"});
    feature("mask_kind", kind);
    if (kind == "future") return op(random_.chance(0.5) ? OpKind::GreaterOrEqual : OpKind::Greater, {key, query});
    ValueId seen = random_.chance(0.5)   ? op(OpKind::LessOrEqual, {key, query})
                   : random_.chance(0.5) ? op(OpKind::Not, {op(OpKind::Less, {query, key})})
                                         : op(OpKind::GreaterOrEqual, {query, key});
    if (kind == "causal") return seen;
    const ValueId first = op(OpKind::Sub, {query, integer(random_.pick<std::int64_t>({0, 1, 2, 5, 16, 33}))});
    return op(OpKind::And, {op(OpKind::Greater, {key, first}), seen});
  }

  /// A row may see nothing. What follows the mask then works on the fill, of which a large one would have to be a
  /// number of f32 still: the maximum is one, read from memory or not.
  Known position_mask(const Known& x, bool last) {
    ValueId seen = visible();
    if (random_.chance(0.3)) {
      feature("padding", "yes");
      seen = op(OpKind::And, {seen, graph().add_input(fresh_name("mask_bool"), Precision::boolean, {keys_})});
    }
    // What is added keeps nothing of small scores; a choice may be of any number.
    if (random_.chance(0.5)) {
      const Known fill = scalar(last && random_.chance(0.6) ? -3.4028234663852886e38 : -INFINITY);
      return apply(OpKind::Add, {x.id, op(OpKind::Where, {seen, scalar(0).id, fill.id})}, x.low, x.high, x.error);
    }
    const Known fill = scalar(last ? random_.pick<double>({-1e4, -1e9, -3.4028234663852886e38, -INFINITY})
                                   : random_.pick<double>({-1e4, -INFINITY}));
    return apply(OpKind::Where, {seen, x.id, fill.id}, x.low, x.high, x.error);
  }

  /// An operation on scores; behind a mask only such as keep order and sign of what is masked.
  Known score_op(const Known& x) {
    for (;;) {
      std::optional<Known> v;
      switch (random_.below(extreme_ ? 8 : 16)) {
        case 0: v = binary(OpKind::Mul, x, random_scalar(0.25, 1)); break;
        case 1: {  // soft cap
          const double cap = random_.real(3, 20);
          v = binary(OpKind::Mul, *unary(OpKind::Tanh, *binary(OpKind::Div, x, scalar(cap))), scalar(cap));
          break;
        }
        case 2: v = unary(OpKind::Relu, x); break;
        case 3: v = clip(x, -5, 6); break;
        case 4: v = unary(OpKind::Sigmoid, x); break;
        case 5: v = without_nan(x); break;
        case 6: v = binary(OpKind::Max, x, scalar(-3)); break;
        case 7: v = unary(OpKind::Tanh, x); break;
        case 8: v = unary(OpKind::Abs, x); break;
        case 9: v = unary(OpKind::Exp, x); break;
        case 10: v = binary(random_.chance(0.5) ? OpKind::Add : OpKind::Sub, x, random_scalar(-2, 2)); break;
        case 11: v = unary(OpKind::Neg, x); break;
        case 12: v = unary(OpKind::LeakyRelu, x); break;
        case 13: v = unary(OpKind::Gelu, x); break;
        case 14: v = rank_ == 2 ? binary(OpKind::Sub, x, random_scalar(-2, 2)) : binary(OpKind::Mul, x, input("unit", {heads_, 1, 1})); break;
        default: v = rank_ == 2 ? std::nullopt : binary(OpKind::Add, x, input("x", {heads_, queries_, keys_})); break;
      }
      if (v && v->magnitude() < 200) return *v;
      if (v) return clip(*v, -20, 20);
    }
  }

  Known softmax(const Known& x) {
    Known v = apply(OpKind::Softmax, {x.id}, 0, 1, 2 * x.error, {{"axis", static_cast<std::int64_t>(rank_ - 1)}});
    return v;
  }

  Known probability_chain(Known x) {
    const std::int64_t length = random_.chance(0.6) ? 0 : random_.between(1, 3);
    feature("probability_chain", std::to_string(length));
    for (std::int64_t i = 0; i < length; ++i) switch (random_.below(7)) {
        case 0: x = *binary(OpKind::Mul, x, random_scalar(0.5, 2)); break;
        case 1: x = *binary(OpKind::Mul, x, input("unit", rank_ == 4 ? Shape{batch_, 1, 1, keys_} : Shape{keys_})); break;
        case 2: {
          const ValueId m = graph().add_input(fresh_name("mask_bool"), Precision::boolean,
                                              rank_ == 4 && random_.chance(0.5) ? Shape{batch_, 1, queries_, keys_} : Shape{queries_, keys_});
          x = apply(OpKind::Where, {m, x.id, scalar(0).id}, std::min(x.low, 0.0), std::max(x.high, 0.0), x.error);
          break;
        }
        case 3: x = without_nan(x); break;
        case 4: x = clip(x, 0.001, 0.7); break;
        case 5: x = *binary(OpKind::Add, x, random_scalar(0, 0.01)); break;
        default: x = *unary(OpKind::Relu, x); break;
      }
    return x;
  }

  Known output_chain(Known y) {
    const auto row = static_cast<std::size_t>(rank_) - 2;
    const bool transposed = rank_ >= 3 && random_.chance(0.6);
    feature("layout_out", transposed ? "BSHD" : "BHSD");
    const bool early = random_.chance(0.5);
    Shape shape = leading(heads_);
    shape.push_back(queries_);
    shape.push_back(value_size_);
    if (early && random_.chance(0.5)) y = output_op(y, shape);
    if (transposed) {
      y = transpose(y, swapped(row - 1, row));
      std::swap(shape[row - 1], shape[row]);
    }
    if (!early && random_.chance(0.5)) y = output_op(y, shape);
    return y;
  }

  Known output_op(const Known& y, const Shape& shape) {
    feature("output_op", "yes");
    switch (random_.below(5)) {
      case 0: return *binary(OpKind::Mul, y, random_scalar(0.5, 2));
      case 1: return *binary(OpKind::Add, y, input("x", shape));
      case 2: return *binary(OpKind::Add, y, input("x", {shape.back()}));
      case 3: return *unary(OpKind::Relu, y);
      default: return *unary(OpKind::Silu, y);
    }
  }

  int rank_ = 4, layout_ = 0, key_layout_ = 0, scale_ = 0;
  std::int64_t group_ = 1;
  Expr batch_, kv_heads_, heads_, queries_, keys_, head_size_, value_size_;
  std::string mask_;
  bool cross_ = false;    ///< keys of another length than queries
  bool extreme_ = false;  ///< a mask has put lowest or infinite numbers among the scores
};

class ElementwiseGenerator : Builder {
 public:
  explicit ElementwiseGenerator(Random& random) : Builder(random) {}

  GeneratedGraph run() {
    choose_dimensions();
    add_leaf({});
    const std::int64_t length = random_.between(1, 10);
    feature("nodes", std::to_string(length));
    for (std::int64_t i = 0; i < length; ++i) step();
    choose_outputs();
    return finish();
  }

 private:
  /// A float or a boolean, with the dimensions in which it is not 1.
  struct Item {
    Known value;
    Precision precision = Precision::f32;
    std::vector<bool> full;  ///< for each of its dimensions
    bool used = false, leaf = false;
  };

  void choose_dimensions() {
    rank_ = static_cast<std::size_t>(random_.between(1, 4));
    feature("rank", std::to_string(rank_));
    for (std::size_t d = 0; d < rank_; ++d) {
      const bool symbolic = random_.chance(0.6), last = d + 1 == rank_;
      const std::string symbol = d == 0 && rank_ > 2 ? "B" : "N" + std::to_string(d);
      dims_.push_back(symbolic ? Expr::symbol(symbol) : Expr(last ? last_size() : random_.between(1, 5)));
      if (last) feature("innermost", symbolic ? "dynamic" : "static");
    }
  }

  /// Even at times, so that it has halves.
  std::int64_t last_size() { return random_.chance(0.3) ? 2 * random_.between(1, 50) : random_.pick(tail_sizes()); }

  // ---- leaves ----

  Shape shape_of(const std::vector<bool>& full) const {
    Shape shape;
    for (std::size_t d = 0; d < full.size(); ++d) shape.push_back(full[d] ? dims_[rank_ - full.size() + d] : Expr(1));
    return shape;
  }

  std::vector<bool> random_form() {
    if (random_.chance(0.45)) return std::vector<bool>(rank_, true);
    std::vector<bool> full(static_cast<std::size_t>(random_.between(0, static_cast<std::int64_t>(rank_))));
    for (std::size_t d = 0; d < full.size(); ++d) full[d] = random_.chance(0.6);
    return full;
  }

  void count_form(const std::vector<bool>& full) {
    const bool all = std::all_of(full.begin(), full.end(), [](bool b) { return b; });
    if (full.empty()) return feature("form", "scalar");
    if (all) return feature("form", full.size() == rank_ ? "full" : "missing_outer");
    if (std::none_of(full.begin(), full.end(), [](bool b) { return b; })) return feature("form", "ones");
    feature("form", full.back() ? "outer_one" : "inner_one");
  }

  std::size_t add_leaf(std::string prefix) {
    if (prefix.empty()) prefix = random_.pick<const char*>({"x", "x", "grid", "pos", "unit"});
    const std::vector<bool> full = items_.empty() ? std::vector<bool>(rank_, true) : random_form();
    Shape shape = shape_of(full);
    count_form(full);
    // A size that only the call tells to be 1 or not.
    for (std::size_t d = rank_ < 2 ? rank_ : rank_ - 2; d < rank_; ++d) {
      if (full.size() != rank_ || !full[d] || whole_.contains(d) || !dims_[d].as_symbol().value_or("").starts_with("N") || !random_.chance(0.05))
        continue;
      shape[d] = Expr::symbol("P" + dims_[d].as_symbol()->substr(1));
      feature("form", d + 1 == rank_ ? "last_one_at_call" : "one_at_call");
      one_at_call_.insert(d);
    }
    Item item;
    item.full = full;
    item.leaf = true;
    if (std::optional<Dims> dims = constant_dims(shape); dims && !items_.empty() && random_.chance(0.4)) {
      std::vector<float> numbers(static_cast<std::size_t>(element_count(*dims, "constant")));
      const double low = prefix == "pos" ? 0.5 : -2;
      for (float& x : numbers) x = static_cast<float>(random_.between(static_cast<std::int64_t>(low * 8), 16)) / 8;
      item.value = {graph().add_constant("", Tensor::from_f32(*dims, numbers)), low, 2, 0, true};
      feature("leaf", dims->empty() ? "constant_scalar" : "constant_tensor");
    } else {
      item.value = input(prefix, shape);
      feature("leaf", "input");
    }
    items_.push_back(item);
    return items_.size() - 1;
  }

  static std::optional<Dims> constant_dims(const Shape& shape) {
    Dims dims;
    std::int64_t n = 1;
    for (const Expr& e : shape) {
      if (!e.is_constant()) return std::nullopt;
      dims.push_back(*e.as_constant());
      n *= dims.back();
    }
    if (n > 64 || n == 0) return std::nullopt;
    return dims;
  }

  std::size_t add_boolean_leaf() {
    Item item;
    item.full = random_form();
    item.precision = Precision::boolean;
    item.leaf = true;
    item.value.id = graph().add_input(fresh_name("flag"), Precision::boolean, shape_of(item.full));
    item.value.exact = true;
    count_form(item.full);
    items_.push_back(item);
    return items_.size() - 1;
  }

  /// An item of the precision, an old one in most cases.
  std::size_t pick_item(Precision precision, bool exact = false) {
    std::vector<std::size_t> fitting;
    for (std::size_t i = 0; i < items_.size(); ++i)
      if (items_[i].precision == precision && (!exact || items_[i].value.exact)) {
        fitting.push_back(i);
        if (!items_[i].used) fitting.push_back(i), fitting.push_back(i);
      }
    if (fitting.empty() || random_.chance(0.25)) return precision == Precision::boolean ? add_boolean_leaf() : add_leaf({});
    return random_.pick(fitting);
  }

  // ---- operations ----

  std::vector<bool> joined(const std::vector<std::size_t>& of) const {
    std::size_t rank = 0;
    for (std::size_t i : of) rank = std::max(rank, items_[i].full.size());
    std::vector<bool> full(rank, false);
    for (std::size_t i : of)
      for (std::size_t d = 0; d < items_[i].full.size(); ++d)
        if (items_[i].full[d]) full[rank - items_[i].full.size() + d] = true;
    return full;
  }

  void add(const Known& value, const std::vector<std::size_t>& of, Precision precision = Precision::f32) {
    Item item;
    item.value = value;
    item.precision = precision;
    item.full = joined(of);
    for (std::size_t i : of) items_[i].used = true;
    items_.push_back(item);
  }

  void step() {
    for (int attempt = 0; attempt < 100; ++attempt) {
      if (try_step()) break;
    }
    // Nothing grows without bounds.
    if (items_.back().precision == Precision::f32 && (items_.back().value.magnitude() > 1000 || items_.back().value.error > 1e-2)) {
      const std::size_t i = items_.size() - 1;
      add(clip(*unary(OpKind::Tanh, items_[i].value), -0.75, 0.75), {i});
    }
  }

  bool try_step() {
    const double draw = random_.real(0, 1);
    if (draw < 0.3) return try_unary();
    if (draw < 0.6) return try_binary();
    if (draw < 0.66) return try_compare();
    if (draw < 0.71) return try_logical();
    if (draw < 0.77) return try_where();
    if (draw < 0.85) return try_reduce();
    if (draw < 0.93) return try_normalize();
    return try_pieces();
  }

  bool try_unary() {
    const std::int64_t draw = random_.below(30);
    // Some operations want positive arguments, which are rare among the values so far.
    const std::size_t i = draw == 3 || draw == 4 ? add_leaf("pos") : pick_item(Precision::f32);
    const Known x = items_[i].value;
    std::optional<Known> v;
    if (draw == 0) {
      v = clip(x, random_.real(-2, 0), random_.real(0.1, 2));
    } else if (draw == 1) {
      v = power(x);
    } else if (draw == 2) {
      v = without_nan(x);
    } else if (draw == 3 || draw == 4) {
      v = unary(random_.pick({OpKind::Sqrt, OpKind::Rsqrt, OpKind::Reciprocal, OpKind::Log}), x);
    } else {
      v = unary(random_.pick({OpKind::Abs, OpKind::Neg, OpKind::Relu, OpKind::Sqrt, OpKind::Rsqrt, OpKind::Reciprocal,
                              OpKind::Square, OpKind::Exp, OpKind::Exp2, OpKind::Log, OpKind::Tanh, OpKind::Sigmoid,
                              OpKind::Erf, OpKind::Elu, OpKind::LeakyRelu, OpKind::HardSigmoid, OpKind::HardSwish,
                              OpKind::Gelu, OpKind::Silu, OpKind::Softplus, OpKind::Sin, OpKind::Cos, OpKind::Floor,
                              OpKind::Ceil, OpKind::Round, OpKind::Sign}),
                x);
    }
    if (!v) return false;
    add(*v, {i});
    return true;
  }

  bool try_binary() {
    const std::size_t i = pick_item(Precision::f32);
    const std::size_t j = random_.chance(0.2) ? add_leaf({}) : pick_item(Precision::f32);
    const auto op = random_.pick({OpKind::Add, OpKind::Sub, OpKind::Mul, OpKind::Div, OpKind::Min, OpKind::Max, OpKind::PRelu});
    // PRelu broadcasts its slope to x, not the other way round.
    if (op == OpKind::PRelu && (!one_at_call_.empty() || joined({i, j}) != items_[i].full)) return false;
    const std::optional<Known> v = binary(op, items_[i].value, items_[j].value);
    if (!v) return false;
    add(*v, {i, j});
    return true;
  }

  bool try_compare() {
    const std::size_t i = pick_item(Precision::f32, true), j = pick_item(Precision::f32, true);
    if (!items_[i].value.exact || !items_[j].value.exact) return false;
    const auto op = random_.pick({OpKind::Equal, OpKind::Less, OpKind::LessOrEqual, OpKind::Greater, OpKind::GreaterOrEqual});
    Known v = apply(op, {items_[i].value.id, items_[j].value.id}, 0, 1, 0);
    v.exact = true;
    v.error = 0;
    add(v, {i, j}, Precision::boolean);
    return true;
  }

  bool try_logical() {
    const std::size_t i = pick_item(Precision::boolean);
    const std::int64_t draw = random_.below(5);
    Known v;
    if (draw == 0) {
      v = apply(OpKind::Not, {items_[i].value.id}, 0, 1, 0);
    } else if (draw == 1) {
      v = apply(OpKind::Cast, {items_[i].value.id}, 0, 1, 0, {{"to", std::string("f32")}});
      v.exact = true, v.error = 0;
      add(v, {i}, Precision::f32);
      return true;
    } else {
      const std::size_t j = pick_item(Precision::boolean);
      v = apply(random_.pick({OpKind::And, OpKind::Or, OpKind::Xor}), {items_[i].value.id, items_[j].value.id}, 0, 1, 0);
      v.exact = true, v.error = 0;
      add(v, {i, j}, Precision::boolean);
      return true;
    }
    v.exact = true, v.error = 0;
    add(v, {i}, Precision::boolean);
    return true;
  }

  bool try_where() {
    const std::size_t c = pick_item(Precision::boolean), i = pick_item(Precision::f32), j = pick_item(Precision::f32);
    const Known &a = items_[i].value, &b = items_[j].value;
    Known v = apply(OpKind::Where, {items_[c].value.id, a.id, b.id}, std::min(a.low, b.low), std::max(a.high, b.high), 0);
    v.error = a.error + b.error;
    v.exact = a.exact && b.exact;
    add(v, {c, i, j});
    return true;
  }

  /// Of the graph's dimensions, which one an item calls `d`.
  std::size_t dimension(const Item& item, std::size_t d) const { return rank_ - item.full.size() + d; }

  /// An item and one of its axes, with elements along it in all that is broadcast with it; mostly the last one.
  std::optional<std::pair<std::size_t, std::size_t>> pick_axis() {
    const std::size_t i = pick_item(Precision::f32);
    const Item& item = items_[i];
    if (item.full.empty()) return std::nullopt;
    const std::size_t last = item.full.size() - 1;
    const std::size_t axis = random_.chance(0.6) ? last : static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(item.full.size())));
    if (!may_be_folded(item, axis)) return std::nullopt;
    whole_.insert(dimension(item, axis));
    feature("folded", axis == last ? "last" : axis == 0 ? "first" : "middle");
    return std::pair{i, axis};
  }

  /// (Nothing is folded out of no elements.)
  bool may_be_folded(const Item& item, std::size_t axis) const {
    const std::size_t d = dimension(item, axis);
    return item.full[axis] && !one_at_call_.contains(d) && !dims_[d].as_symbol().value_or("").starts_with("B");
  }

  bool try_reduce() {
    const auto picked = pick_axis();
    if (!picked) return false;
    const auto [i, axis] = *picked;
    const Known x = items_[i].value;
    auto op = random_.pick({OpKind::ReduceSum, OpKind::ReduceMean, OpKind::ReduceMax, OpKind::ReduceMin, OpKind::ReduceL2});
    std::vector<std::int64_t> axes = {static_cast<std::int64_t>(axis)};
    const std::size_t next = axis + 1;
    if (op != OpKind::ReduceSum && next < items_[i].full.size() && may_be_folded(items_[i], next) && random_.chance(0.5)) {
      axes.push_back(static_cast<std::int64_t>(next));
      whole_.insert(dimension(items_[i], next));
      feature("folded", "two");
    }
    if (op == OpKind::ReduceL2 && (axes.size() > 1 || x.error > 1e-5)) op = OpKind::ReduceMean;
    const Attributes attributes = {{"axes", axes}, {"keepdims", std::int64_t{1}}};
    const bool sum = op == OpKind::ReduceSum, norm = op == OpKind::ReduceL2;
    const double low = sum ? std::min(x.low, x.low * 150) : norm ? 0 : x.low;
    Known v = apply(op, {x.id}, low, sum ? std::max(x.high, x.high * 150) : norm ? 13 * x.magnitude() : x.high, 0, attributes);
    v.error = x.error * (sum || norm ? 15 : 1) + kEpsilon * x.magnitude() * (sum || norm ? 40 : 4);
    v.exact = x.exact && (op == OpKind::ReduceMax || op == OpKind::ReduceMin);
    if (v.exact) v.error = 0;
    add(v, {i});
    for (const std::int64_t a : axes) items_.back().full[static_cast<std::size_t>(a)] = false;
    if (random_.chance(0.5)) {  // back to the rows
      const std::size_t r = items_.size() - 1;
      if (const auto w = binary(random_.pick({OpKind::Sub, OpKind::Add, OpKind::Mul, OpKind::Max}), x, v)) add(*w, {i, r});
    } else if (random_.chance(0.2)) {  // without the axis, as an output alone
      Attributes dropped = attributes;
      dropped["keepdims"] = std::int64_t{0};
      Known w = apply(op, {x.id}, v.low, v.high, v.error, dropped);
      extra_outputs_.push_back(w);
      feature("reduction", "keepdims_0");
    }
    return true;
  }

  bool try_normalize() {
    const auto picked = pick_axis();
    if (!picked) return false;
    const auto [i, axis] = *picked;
    const Known x = items_[i].value;
    const std::int64_t draw = items_[i].full.size() > 2 && random_.chance(0.6) ? 4 : random_.below(4);
    // Rows of equal elements: what is left of them behind the mean is its rounding.
    const bool centres = draw == 2 || draw == 4;
    const double epsilon = centres ? random_.pick({1e-4, 1e-3, 0.1}) : random_.pick({1e-5, 1e-3, 0.1});
    const double error = (x.error + (centres ? 12 : 1) * kEpsilon * x.magnitude()) / std::sqrt(epsilon);
    const auto from = static_cast<std::int64_t>(axis);
    if (draw == 0) {
      add(apply(OpKind::Softmax, {x.id}, 0, 1, 2 * x.error, {{"axis", from}}), {i});
      return true;
    }
    if (draw == 1) {
      const double m = 2 * x.magnitude() + 6;
      add(apply(OpKind::LogSoftmax, {x.id}, -m, 0, 2 * x.error + kEpsilon * m, {{"axis", from}}), {i});
      return true;
    }
    if (error > 1e-3) return false;
    if (draw == 4) return channel_norm(i, epsilon, error);
    return norm_from(i, axis, draw == 2, epsilon, error);
  }

  /// A layer or RMS normalisation of all axes from this one on.
  bool norm_from(std::size_t i, std::size_t axis, bool centres, double epsilon, double error) {
    const Known x = items_[i].value;
    Shape shape;
    for (std::size_t d = axis; d < items_[i].full.size(); ++d) {
      if (!may_be_folded(items_[i], d)) return false;
      whole_.insert(dimension(items_[i], d));
      shape.push_back(dims_[dimension(items_[i], d)]);
    }
    const double m = std::sqrt(shape.size() > 1 ? 20000 : 145);  // (x - mean) / deviation is at most sqrt(n)
    std::vector<ValueId> in = {x.id, input("x", shape).id};
    const Attributes attributes = {{"axis", static_cast<std::int64_t>(axis)}, {"epsilon", epsilon}};
    if (centres && random_.chance(0.7)) in.push_back(input("x", shape).id);
    add(apply(centres ? OpKind::LayerNormalization : OpKind::RMSNormalization, in, -2 * m - 2, 2 * m + 2, 2 * error, attributes), {i});
    return true;
  }

  /// [N, C, ...]: over what follows, for each channel or group of channels.
  bool channel_norm(std::size_t i, double epsilon, double error) {
    const Item item = items_[i];
    if (item.full.size() < 3 || !item.full[0]) return false;
    for (std::size_t d = 1; d < item.full.size(); ++d)
      if (!may_be_folded(item, d)) return false;
    for (std::size_t d = 1; d < item.full.size(); ++d) whole_.insert(dimension(item, d));
    const Expr channels = dims_[dimension(item, 1)];
    const auto count = channels.as_constant();
    const bool grouped = count && random_.chance(0.6);
    const std::int64_t groups = grouped ? (*count % 2 == 0 && random_.chance(0.5) ? *count / 2 : random_.chance(0.5) ? 1 : *count) : 1;
    Attributes attributes = {{"epsilon", epsilon}};
    if (grouped) attributes["num_groups"] = groups;
    const ValueId scale = input("x", {channels}).id, bias = input("x", {channels}).id;
    const double m = 2 * std::sqrt(20000) + 2;
    add(apply(grouped ? OpKind::GroupNormalization : OpKind::InstanceNormalization, {items_[i].value.id, scale, bias}, -m, m, 4 * error, attributes), {i});
    return true;
  }

  // ---- parts of the last dimension ----

  ValueId integers(const std::vector<std::int64_t>& numbers) {
    Tensor t = Tensor::zeros(Precision::i64, {static_cast<std::int64_t>(numbers.size())});
    for (std::size_t i = 0; i < numbers.size(); ++i) t.set_int(static_cast<std::int64_t>(i), numbers[i]);
    return graph().add_constant("", t);
  }

  /// Both halves of the last dimension; or the elements at even and at odd places.
  std::pair<ValueId, ValueId> halves(ValueId x, std::int64_t axis, std::int64_t size) {
    const auto slice = [&](std::int64_t begin, std::int64_t end, std::int64_t step) {
      return graph().add_op(OpKind::Slice, "", {x, integers({begin}), integers({end}), integers({axis}), integers({step})});
    };
    if (pieces_ == "interleaved") return {slice(0, size, 2), slice(1, size, 2)};
    if (random_.chance(0.5)) return {slice(0, size / 2, 1), slice(size / 2, random_.chance(0.5) ? size : INT64_MAX, 1)};
    const NodeId split = graph().add_node(OpKind::Split, "", {x}, {{"axis", axis}}, 2);
    return {graph().node(split).outputs[0], graph().node(split).outputs[1]};
  }

  ValueId joined_halves(ValueId first, ValueId second, std::int64_t axis) {
    if (pieces_ != "interleaved") return graph().add_op(OpKind::Concat, "", {first, second}, {{"axis", axis}});
    const std::vector<std::int64_t> stacked = {axis + 1};
    for (ValueId* v : {&first, &second}) *v = graph().add_op(OpKind::Unsqueeze, "", {*v}, {{"axes", stacked}});
    const ValueId pairs = graph().add_op(OpKind::Concat, "", {first, second}, {{"axis", axis + 1}});
    std::vector<std::int64_t> shape(static_cast<std::size_t>(axis) + 1, 0);
    shape.back() = *dims_.back().as_constant();
    return graph().add_op(OpKind::Reshape, "", {pairs, integers(shape)});
  }

  /// What RoPE does to its operand, or a gate and its value.
  bool try_pieces() {
    const std::size_t i = pick_item(Precision::f32);
    const Item item = items_[i];
    if (item.full.empty() || !item.full.back() || one_at_call_.contains(rank_ - 1)) return false;
    const auto size = dims_.back().as_constant();
    if (!size || *size % 2 != 0) return false;
    if (pieces_.empty()) pieces_ = random_.chance(0.5) ? "halves" : "interleaved";
    whole_.insert(rank_ - 1);
    const auto axis = static_cast<std::int64_t>(item.full.size()) - 1;
    const auto [first, second] = halves(item.value.id, axis, *size);
    Known a = item.value, b = item.value;
    a.id = first, b.id = second;
    items_[i].used = true;
    if (random_.chance(0.3)) {
      feature("pieces", pieces_ + "_gate");
      const auto gate = *unary(random_.pick({OpKind::Silu, OpKind::Gelu, OpKind::Sigmoid}), a);
      extra_outputs_.push_back(*binary(OpKind::Mul, gate, b));
      return true;
    }
    feature("pieces", pieces_);
    const Known minus = *unary(OpKind::Neg, b);
    Known rotated = item.value;
    rotated.low = -item.value.magnitude(), rotated.high = item.value.magnitude();
    rotated.id = joined_halves(minus.id, first, axis);
    add(rotated, {i});
    return true;
  }

  // ---- outputs ----

  void choose_outputs() {
    bool reduced = false, boolean = false;
    for (const Item& item : items_) {
      const bool inner = item.used && !item.leaf && random_.chance(0.05);
      if (item.leaf || (item.used && !inner)) continue;
      output(item.value);
      boolean |= item.precision == Precision::boolean;
      reduced |= std::find(item.full.begin(), item.full.end(), false) != item.full.end();
    }
    for (const Known& v : extra_outputs_) output(v);
    feature("outputs", graph().outputs.size() == 1 ? "one" : graph().outputs.size() < 4 ? "few" : "many");
    if (boolean) feature("outputs", "boolean");
    if (reduced) feature("outputs", "reduced");
  }

  std::size_t rank_ = 1;
  std::set<std::size_t> one_at_call_;  ///< dimensions in which an input may have one element where others have more
  std::set<std::size_t> whole_;        ///< dimensions in which that must not be: what is folded or taken apart
  std::string pieces_;                 ///< how the last dimension is taken apart: one way in a graph
  Shape dims_;
  std::vector<Item> items_;
  std::vector<Known> extra_outputs_;
};

class ProductGenerator : Builder {
 public:
  explicit ProductGenerator(Random& random) : Builder(random) {}

  GeneratedGraph run() {
    choose_dimensions();
    Known y = product();
    const std::int64_t length = random_.below(6);
    feature("epilogue", std::to_string(length));
    for (std::int64_t i = 0; i < length; ++i) {
      if (i > 0 && random_.chance(0.05)) {
        output(y);
        feature("outputs", "inner");
      }
      y = step(y);
    }
    output(y);
    return finish();
  }

 private:
  void choose_dimensions() {
    depth_ = random_.pick({1, 2, 3, 5, 7, 8, 16, 17, 31, 33, 64, 65});
    columns_ = random_.pick(tail_sizes());
    feature("depth", depth_ < 4 ? "few" : depth_ % 8 == 0 ? "even" : "odd");
    const bool dynamic = random_.chance(0.8);
    feature("rows", dynamic ? "dynamic" : "static");
    if (random_.chance(0.4)) rows_.push_back(random_.chance(0.8) ? Expr::symbol("B") : Expr(random_.between(1, 3)));
    feature("rank", std::to_string(rows_.size() + 2));
    feature("columns", columns_ < 16 ? "few" : columns_ % 16 == 0 ? "even" : "odd");
    rows_.push_back(dynamic ? Expr::symbol("M") : Expr(random_.pick({1, 3, 8, 13, 48, 50})));
  }

  Shape with_rows(const Expr& innermost) const {
    Shape shape = rows_;
    shape.push_back(innermost);
    return shape;
  }

  /// Multiples of 1/8, so that their products are exact.
  Known constant(const Dims& dims, std::int64_t low, std::int64_t high) {
    std::vector<float> numbers(static_cast<std::size_t>(element_count(dims, "constant")));
    for (float& x : numbers) x = static_cast<float>(random_.between(low * 8, high * 8)) / 8;
    return {graph().add_constant("", Tensor::from_f32(dims, numbers)), static_cast<double>(low), static_cast<double>(high), 0, true};
  }

  Known product() {
    const bool transposed = random_.chance(0.3);
    feature("weight", transposed ? "transposed" : "plain");
    const Known x = input("unit", with_rows(depth_));
    Known weight = constant(transposed ? Dims{columns_, depth_} : Dims{depth_, columns_}, -1, 1);
    if (transposed) weight.id = graph().add_op(OpKind::Transpose, "", {weight.id}, {{"perm", std::vector<std::int64_t>{1, 0}}});
    Known y{graph().add_op(OpKind::MatMul, "", {x.id, weight.id})};
    y.high = static_cast<double>(depth_);
    y.low = -y.high;
    y.error = kEpsilon * y.high;
    return y;
  }

  Known step(const Known& y) {
    for (;;) {
      const std::optional<Known> v = try_step(y);
      if (!v) continue;
      return v->magnitude() < 500 && v->error < 1e-3 ? *v : clip(*unary(OpKind::Tanh, *v), -0.75, 0.75);
    }
  }

  std::optional<Known> try_step(const Known& y) {
    switch (random_.below(9)) {
      case 0: return select(y);
      case 1: {
        feature("operand", "itself");
        const Known gate = *unary(random_.pick({OpKind::Sigmoid, OpKind::Tanh}), y);
        return binary(random_.pick({OpKind::Mul, OpKind::Add}), y, gate);
      }
      case 2: return clip(y, random_.real(-2, 0), random_.real(0.1, 2));
      case 3:
      case 4:
        return unary(random_.pick({OpKind::Relu, OpKind::Gelu, OpKind::Silu, OpKind::Tanh, OpKind::Sigmoid, OpKind::Erf, OpKind::Neg,
                                   OpKind::Abs, OpKind::Exp, OpKind::LeakyRelu, OpKind::HardSwish, OpKind::Elu, OpKind::Softplus}),
                     y);
      default: {
        const bool divides = random_.chance(0.15);
        const Known other = operand(divides ? "pos" : "x");
        if (divides) return binary(OpKind::Div, y, other);
        const auto op = random_.pick({OpKind::Add, OpKind::Mul, OpKind::Sub, OpKind::Max, OpKind::Min});
        return random_.chance(0.5) ? binary(op, y, other) : binary(op, other, y);
      }
    }
  }

  Known select(const Known& y) {
    feature("operand", "condition");
    const ValueId condition = graph().add_input(fresh_name("flag"), Precision::boolean, with_rows(columns_));
    const Known other = operand("x");
    Known v = apply(OpKind::Where, {condition, y.id, other.id}, std::min(y.low, other.low), std::max(y.high, other.high), 0);
    v.error = y.error + other.error;
    return v;
  }

  Known operand(const std::string& prefix) {
    const std::int64_t low = prefix == "pos" ? 1 : -2;
    switch (random_.below(6)) {
      case 0: feature("operand", "number"); return random_scalar(static_cast<double>(low), 2);
      case 1: feature("operand", "vector"); return constant({columns_}, low, 2);
      case 2: feature("operand", "vector_input"); return input(prefix, {columns_});
      case 3: feature("operand", "one_a_row"); return input(prefix, with_rows(1));
      default: feature("operand", "same_shape"); return input(prefix, with_rows(columns_));
    }
  }

  std::int64_t depth_ = 1, columns_ = 1;
  Shape rows_;
};

}  // namespace

GeneratedGraph generate_attention(Random& random) { return AttentionGenerator(random).run(); }
GeneratedGraph generate_elementwise(Random& random) { return ElementwiseGenerator(random).run(); }
GeneratedGraph generate_product(Random& random) { return ProductGenerator(random).run(); }

void declare_attention_features(Coverage& coverage) {
  coverage.declare("mask", mask_forms());
  coverage.declare("mask_kind", {"none", "additive", "boolean", "slope", "causal", "window", "future"});
  coverage.declare("padding", {"yes"});
  coverage.declare("scale", {"none", "mul", "div", "on_query"});
  coverage.declare("rank", {"2", "3", "4"});
  coverage.declare("heads", {"plain", "grouped", "grouped_symbolic"});
  coverage.declare("keys", {"self", "cross"});
  coverage.declare("lengths", {"static", "dynamic"});
  coverage.declare("head_size", {"dynamic", "8", "16", "24", "33", "40", "64", "72", "80", "128"});
  coverage.declare("value_size", {"same", "other"});
  for (const char* axis : {"layout_q", "layout_v", "layout_out"}) coverage.declare(axis, {"BHSD", "BSHD"});
  coverage.declare("layout_k", {"BHSD", "BSHD", "BHDS"});
  coverage.declare("chain", {"1", "2", "3", "4", "5", "6"});
  coverage.declare("probability_chain", {"0", "1", "2", "3"});
  coverage.declare("operand_op", {"yes"});
  coverage.declare("output_op", {"yes"});
  coverage.declare("outputs", {"one", "probabilities"});
  coverage.declare("op", {"add", "sub", "mul", "div", "tanh", "relu", "clip", "abs", "sigmoid", "exp", "neg", "leaky_relu", "gelu",
                          "silu", "max", "where", "is_nan", "not", "softmax"});
}

void declare_elementwise_features(Coverage& coverage) {
  coverage.declare("rank", {"1", "2", "3", "4"});
  coverage.declare("innermost", {"static", "dynamic"});
  coverage.declare("form", {"scalar", "full", "missing_outer", "ones", "outer_one", "inner_one", "one_at_call", "last_one_at_call"});
  coverage.declare("folded", {"last", "middle", "first", "two"});
  coverage.declare("pieces", {"halves", "halves_gate", "interleaved", "interleaved_gate"});
  coverage.declare("leaf", {"input", "constant_scalar", "constant_tensor"});
  coverage.declare("nodes", {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"});
  coverage.declare("outputs", {"one", "few", "many", "boolean", "reduced"});
  coverage.declare("reduction", {"keepdims_0"});
  coverage.declare("op", {"abs", "neg", "sqrt", "rsqrt", "reciprocal", "square", "exp", "exp2", "log", "tanh", "sigmoid", "erf",
                          "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "hard_sigmoid", "hard_swish", "floor", "ceil",
                          "round", "sign", "sin", "cos", "not", "is_nan", "cast", "add", "sub", "mul", "div", "pow", "min", "max",
                          "prelu", "and", "or", "xor", "equal", "less", "less_equal", "greater", "greater_equal", "where", "clip",
                          "reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_l2", "softmax", "log_softmax", "layer_norm",
                          "rms_norm", "group_norm", "instance_norm"});
}

void declare_product_features(Coverage& coverage) {
  coverage.declare("rank", {"2", "3"});
  coverage.declare("rows", {"static", "dynamic"});
  coverage.declare("depth", {"few", "even", "odd"});
  coverage.declare("columns", {"few", "even", "odd"});
  coverage.declare("weight", {"plain", "transposed"});
  coverage.declare("epilogue", {"0", "1", "2", "3", "4", "5"});
  coverage.declare("outputs", {"inner"});
  coverage.declare("operand", {"number", "vector", "vector_input", "one_a_row", "same_shape", "itself", "condition"});
  coverage.declare("op", {"add", "sub", "mul", "div", "max", "min", "relu", "gelu", "silu", "tanh", "sigmoid", "where", "clip"});
}

}  // namespace burin::testing
