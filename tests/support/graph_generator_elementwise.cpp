#include "tests/support/graph_generator.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "tests/support/generated_graph_builder.h"
#include "tests/support/random_shapes.h"

namespace burin::testing {
namespace {

class ElementwiseGenerator : GeneratedGraphBuilder {
 public:
  explicit ElementwiseGenerator(Random& random) : GeneratedGraphBuilder(random) {}

  GeneratedGraph run() {
    choose_dimensions();
    choose_transposes();
    add_leaf({});
    const std::int64_t length = random_.between(1, 10);
    feature("nodes", std::to_string(length));
    for (std::int64_t i = 0; i < length; ++i) step();
    choose_outputs();
    return finish();
  }

 private:
  /// A float, an integer or a boolean, with the dimensions in which it is not 1.
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

  /// A group that folds something leaves the last axis where it is, and one that takes it apart.
  void choose_transposes() {
    if (rank_ < 2 || !random_.chance(0.25)) return;
    moves_last_ = rank_ < 3 || random_.chance(0.6);
    transposes_ = true;
  }

  // ---- transposes of what is read and written ----

  /// Which dimension comes where; nothing where all stay.
  std::optional<std::vector<std::int64_t>> random_permutation(std::size_t rank) {
    if (!transposes_ || rank != rank_ || random_.chance(0.5)) return std::nullopt;
    std::vector<std::int64_t> perm;
    std::vector<std::int64_t> left;
    for (std::size_t d = 0; d < rank; ++d) left.push_back(static_cast<std::int64_t>(d));
    while (!left.empty()) {
      const auto last = static_cast<std::int64_t>(rank) - 1;
      const bool stays = !moves_last_ && left.size() == 1;
      const std::int64_t next = stays ? last : random_.pick(left);
      if (!moves_last_ && left.size() > 1 && next == last) continue;
      perm.push_back(next);
      std::erase(left, next);
    }
    feature("transpose", perm.back() + 1 == static_cast<std::int64_t>(rank) ? "outer" : "last");
    return perm;
  }

  ValueId transpose(ValueId x, const std::vector<std::int64_t>& perm) { return graph().add_op(OpKind::Transpose, "", {x}, {{"perm", perm}}); }

  /// A value of this shape, made with this one or with its dimensions in another order.
  template <typename Make>
  ValueId transposed_at_times(const Shape& shape, Make&& make) {
    const auto perm = random_permutation(shape.size());
    if (!perm) return make(shape);
    Shape before = shape;
    for (std::size_t d = 0; d < shape.size(); ++d) before[static_cast<std::size_t>((*perm)[d])] = shape[d];
    return transpose(make(before), *perm);
  }

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
      if (transposes_ || full.size() != rank_ || !full[d] || whole_.contains(d) || !dims_[d].as_symbol().value_or("").starts_with("N") || !random_.chance(0.05))
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
      const ValueId id = transposed_at_times(shape, [&](const Shape& before) {
        item.value = input(prefix, before);
        return item.value.id;
      });
      item.value.id = id;
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
    item.value.id = transposed_at_times(shape_of(item.full), [&](const Shape& shape) { return graph().add_input(fresh_name("flag"), Precision::boolean, shape); });
    item.value.exact = true;
    count_form(item.full);
    items_.push_back(item);
    return items_.size() - 1;
  }

  std::size_t add_integer_leaf(Precision precision) {
    Item item;
    item.full = random_form();
    item.precision = precision;
    item.leaf = true;
    item.value.exact = true;
    const Shape shape = shape_of(item.full);
    const auto dims = constant_dims(shape);
    if (dims && random_.chance(0.4)) {
      Tensor t = Tensor::zeros(precision, *dims);
      for (std::int64_t i = 0; i < t.size(); ++i) t.set_int(i, random_.chance(0.3) ? random_.pick(special_integers()) : random_.between(-20, 20));
      item.value.id = graph().add_constant("", t);
    } else {
      item.value.id = transposed_at_times(
          shape, [&](const Shape& before) { return graph().add_input(fresh_name(random_.pick<const char*>({"wild", "small"})), precision, before); });
    }
    count_form(item.full);
    items_.push_back(item);
    return items_.size() - 1;
  }

  static const std::vector<std::int64_t>& special_integers() {
    static const std::vector<std::int64_t> numbers = {INT64_MIN, INT64_MAX, INT32_MIN, INT32_MAX, std::int64_t{1} << 32, std::int64_t{1} << 24, 0x9e3779b9};
    return numbers;
  }

  std::size_t add_leaf_of(Precision precision) {
    if (precision == Precision::boolean) return add_boolean_leaf();
    return precision == Precision::f32 ? add_leaf({}) : add_integer_leaf(precision);
  }

  /// An item of the precision, an old one in most cases.
  std::size_t pick_item(Precision precision, bool exact = false) {
    std::vector<std::size_t> fitting;
    for (std::size_t i = 0; i < items_.size(); ++i)
      if (items_[i].precision == precision && (!exact || items_[i].value.exact)) {
        fitting.push_back(i);
        if (!items_[i].used) fitting.push_back(i), fitting.push_back(i);
      }
    if (fitting.empty() || random_.chance(0.25)) return add_leaf_of(precision);
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
    if (draw < 0.92) return try_normalize();
    if (draw < 0.96) return try_integers();
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
    const auto op = random_.pick({OpKind::Add, OpKind::Sub, OpKind::Mul, OpKind::Div, OpKind::Min, OpKind::Max, OpKind::PRelu, OpKind::Mod});
    if (op == OpKind::Mod) return try_float_remainder();
    // PRelu broadcasts its slope to x, not the other way round.
    if (op == OpKind::PRelu && (!one_at_call_.empty() || joined({i, j}) != items_[i].full)) return false;
    const std::optional<Known> v = binary(op, items_[i].value, items_[j].value);
    if (!v) return false;
    add(*v, {i, j});
    return true;
  }

  bool try_float_remainder() {
    const std::size_t i = pick_item(Precision::f32, true), j = add_leaf("pos");
    const std::optional<Known> v = binary(OpKind::Mod, items_[i].value, items_[j].value);
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

  // ---- integers ----

  /// Several steps, as what has none in it so far seldom gets the next one.
  bool try_integers() {
    const Precision precision = random_.pick({Precision::i32, Precision::i64});
    feature("integers", std::string(to_string(precision)));
    for (std::int64_t n = random_.between(1, 8); n > 0; --n) integer_step(precision);
    return true;
  }

  void integer_step(Precision precision) {
    const std::size_t i = pick_item(precision);
    const auto compute = [&](OpKind op, const std::vector<std::size_t>& of, Precision to, Attributes attributes = {}) {
      std::vector<ValueId> in;
      for (const std::size_t k : of) in.push_back(items_[k].value.id);
      Known v = apply(op, in, 0, 1, 0, std::move(attributes));
      v.exact = true, v.error = 0;
      add(v, of, to);
      feature("integer_op", std::string(info(op).text));
    };
    const auto constant = [&](std::int64_t x) { return graph().add_constant("", integer_scalar(precision, x)); };
    const auto compute_with = [&](OpKind op, std::int64_t x, Attributes attributes = {}) {
      Known v = apply(op, {items_[i].value.id, constant(x)}, 0, 1, 0, std::move(attributes));
      v.exact = true, v.error = 0;
      feature("integer_op", std::string(info(op).text));
      add(v, {i}, precision);
    };
    const std::int64_t draw = random_.below(13);
    if (draw < 3) return compute(random_.pick({OpKind::Add, OpKind::Sub, OpKind::Mul, OpKind::Min, OpKind::Max}), {i, pick_item(precision)}, precision);
    if (draw < 4) return compute(random_.pick({OpKind::Neg, OpKind::Abs, OpKind::Sign, OpKind::Relu}), {i}, precision);
    if (draw >= 10) {
      const Attributes fmod = random_.chance(0.5) ? Attributes{} : Attributes{{"fmod", std::int64_t{1}}};
      const auto divisor = random_.chance(0.2) ? random_.pick(special_integers()) : random_.between(-9, 9);
      feature("integer_division", draw == 12 ? "by a constant" : "by a tensor");
      if (draw == 10) return compute(OpKind::Div, {i, pick_item(precision)}, precision);
      if (draw == 11) return compute(OpKind::Mod, {i, pick_item(precision)}, precision, fmod);
      return random_.chance(0.5) ? compute_with(OpKind::Div, divisor) : random_.chance(0.7) ? compute_with(OpKind::Mod, divisor, fmod) : compute_with(OpKind::Pow, random_.between(0, 9));
    }
    if (draw < 6) {
      const auto op = random_.pick({OpKind::Equal, OpKind::Less, OpKind::LessOrEqual, OpKind::Greater, OpKind::GreaterOrEqual});
      return compute(op, {i, pick_item(precision)}, Precision::boolean);
    }
    if (draw < 7) return compute(OpKind::Where, {pick_item(Precision::boolean), i, pick_item(precision)}, precision);
    if (draw < 8) {
      Known v = apply(OpKind::Clip, {items_[i].value.id, constant(random_.between(-10, 0)), constant(random_.between(0, 1000))}, 0, 1, 0);
      v.exact = true, v.error = 0;
      feature("integer_op", "clip");
      return add(v, {i}, precision);
    }
    if (draw < 9) {
      const Precision from = random_.pick({Precision::f32, Precision::boolean, precision == Precision::i32 ? Precision::i64 : Precision::i32});
      feature("integer_cast", std::string("from ") + std::string(to_string(from)));
      return compute(OpKind::Cast, {pick_exact(from)}, precision, {{"to", std::string(to_string(precision))}});
    }
    feature("integer_cast", "to f32");
    if (random_.chance(0.3)) return compute(OpKind::Cast, {i}, Precision::boolean, {{"to", std::string("bool")}});
    compute(OpKind::Cast, {i}, Precision::f32, {{"to", std::string("f32")}});
    items_.back().value.low = -0x1p63, items_.back().value.high = 0x1p63;
  }

  /// What may be truncated: a result with an error might be another integer.
  std::size_t pick_exact(Precision precision) {
    const std::size_t i = pick_item(precision, true);
    return items_[i].value.exact ? i : add_leaf({});
  }

  static Tensor integer_scalar(Precision precision, std::int64_t x) {
    Tensor t = Tensor::zeros(precision, {});
    t.set_int(0, x);
    return t;
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
  std::optional<std::pair<std::size_t, std::size_t>> pick_axis(Precision precision = Precision::f32) {
    const std::size_t i = pick_item(precision);
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
    return !moves_last_ && item.full[axis] && !one_at_call_.contains(d) && !dims_[d].as_symbol().value_or("").starts_with("B");
  }

  /// Of integers, which wrap.
  bool try_integer_reduce() {
    const Precision precision = random_.pick({Precision::i32, Precision::i64});
    const auto picked = pick_axis(precision);
    if (!picked) return false;
    const auto [i, axis] = *picked;
    const auto op = precision == Precision::i32 && random_.chance(0.2)
                        ? OpKind::ReduceProd
                        : random_.pick({OpKind::ReduceSum, OpKind::ReduceMean, OpKind::ReduceMax, OpKind::ReduceMin});
    Known v = apply(op, {items_[i].value.id}, 0, 1, 0, {{"axes", std::vector<std::int64_t>{static_cast<std::int64_t>(axis)}}, {"keepdims", std::int64_t{1}}});
    v.exact = true, v.error = 0;
    add(v, {i}, precision);
    items_.back().full[axis] = false;
    feature("integer_op", std::string(info(op).text));
    if (!random_.chance(0.5)) return true;
    const std::size_t r = items_.size() - 1;
    Known back = apply(random_.pick({OpKind::Sub, OpKind::Max, OpKind::Mod}), {items_[i].value.id, v.id}, 0, 1, 0);
    back.exact = true, back.error = 0;
    add(back, {i, r}, precision);
    return true;
  }

  bool try_reduce() {
    if (random_.chance(0.2)) return try_integer_reduce();
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
    // (Two axes are 20000 elements, which are summed one by one where the lanes belong to what has nothing to do with them.)
    v.error = x.error * (sum || norm ? 15 : 1) + kEpsilon * x.magnitude() * (sum || norm ? 40 : axes.size() > 1 ? 200 : 4);
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
      feature("reduction", "keepdims_0");
      if (random_.chance(0.5)) {  // and what is computed of it
        if (const auto next_one = unary(random_.pick({OpKind::Tanh, OpKind::Relu, OpKind::Abs, OpKind::Sigmoid}), w)) w = *next_one;
        feature("reduction", "keepdims_0_read");
      }
      extra_outputs_.push_back(w);
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
    if (random_.chance(0.25)) {  // factors and summands of a batch
      const Known x = item.value;
      const ValueId scale = input("x", {channels}).id, bias = input("x", {channels}).id, mean = input("x", {channels}).id;
      const double limit = 3 * x.magnitude() + 9;
      add(apply(OpKind::BatchNormalization, {x.id, scale, bias, mean, input("pos", {channels}).id}, -limit, limit, 3 * x.error + 4 * kEpsilon * limit, attributes), {i});
      return true;
    }
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
    if (moves_last_ || item.full.empty() || !item.full.back() || one_at_call_.contains(rank_ - 1)) return false;
    const auto size = dims_.back().as_constant();
    if (!size || *size % 2 != 0) return false;
    if (pieces_.empty()) pieces_ = random_.chance(0.5) ? "halves" : "interleaved";
    whole_.insert(rank_ - 1);
    if (pieces_ == "interleaved") {  // a Reshape of all dimensions
      if (!one_at_call_.empty()) return false;
      for (std::size_t d = 0; d < rank_; ++d) whole_.insert(d);
    }
    const auto axis = static_cast<std::int64_t>(item.full.size()) - 1;
    const auto [first, second] = halves(item.value.id, axis, *size);
    Known a = item.value, b = item.value;
    a.id = first, b.id = second;
    items_[i].used = true;
    if (random_.chance(0.5)) {
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
      Known result = item.value;
      if (std::ranges::count(item.full, false) == 0)
        if (const auto perm = random_permutation(item.full.size())) result.id = transpose(result.id, *perm);
      output(result);
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
  bool transposes_ = false, moves_last_ = false;
  std::string pieces_;                 ///< how the last dimension is taken apart: one way in a graph
  Shape dims_;
  std::vector<Item> items_;
  std::vector<Known> extra_outputs_;
};

}  // namespace

GeneratedGraph generate_elementwise(Random& random) { return ElementwiseGenerator(random).run(); }

void declare_elementwise_features(Coverage& coverage) {
  coverage.declare("rank", {"1", "2", "3", "4"});
  coverage.declare("innermost", {"static", "dynamic"});
  coverage.declare("form", {"scalar", "full", "missing_outer", "ones", "outer_one", "inner_one", "one_at_call", "last_one_at_call"});
  coverage.declare("folded", {"last", "middle", "first", "two"});
  coverage.declare("transpose", {"outer", "last"});
  coverage.declare("pieces", {"halves", "halves_gate", "interleaved", "interleaved_gate"});
  coverage.declare("leaf", {"input", "constant_scalar", "constant_tensor"});
  coverage.declare("nodes", {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"});
  coverage.declare("outputs", {"one", "few", "many", "boolean", "reduced"});
  coverage.declare("integers", {"i32", "i64"});
  coverage.declare("integer_op", {"add", "sub", "mul", "min", "max", "neg", "abs", "equal", "less", "less_equal", "greater", "greater_equal", "where", "clip", "cast",
                                  "sign", "relu", "div", "mod", "pow", "reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod"});
  coverage.declare("integer_division", {"by a constant", "by a tensor"});
  coverage.declare("power", {"integer exponent"});
  coverage.declare("integer_cast", {"from f32", "from bool", "from i32", "from i64", "to f32"});
  coverage.declare("reduction", {"keepdims_0", "keepdims_0_read"});
  coverage.declare("op", {"abs", "neg", "sqrt", "rsqrt", "reciprocal", "square", "exp", "exp2", "log", "tanh", "sigmoid", "erf",
                          "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "hard_sigmoid", "hard_swish", "floor", "ceil",
                          "round", "sign", "sin", "cos", "not", "is_nan", "cast", "add", "sub", "mul", "div", "mod", "pow", "min", "max",
                          "prelu", "and", "or", "xor", "equal", "less", "less_equal", "greater", "greater_equal", "where", "clip",
                          "reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_l2", "softmax", "log_softmax", "layer_norm",
                          "rms_norm", "group_norm", "instance_norm", "batch_norm"});
}

}  // namespace burin::testing
