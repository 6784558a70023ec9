#include "tests/support/graph_generator.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "tests/support/generated_graph_builder.h"
#include "tests/support/random_shapes.h"

namespace burin::testing {
namespace {

const std::vector<std::string>& mask_forms() {
  static const std::vector<std::string> forms = {"none", "B11K", "B1QK", "1HQK", "BHQK", "QK", "H11"};
  return forms;
}

class AttentionGenerator : GeneratedGraphBuilder {
 public:
  explicit AttentionGenerator(Random& random) : GeneratedGraphBuilder(random) {}

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

}  // namespace

GeneratedGraph generate_attention(Random& random) { return AttentionGenerator(random).run(); }

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

}  // namespace burin::testing
