// Attentions as exporters write them: whole models, of which the tokenizer has to make one Subgraph. Every choice is a
// feature with a name.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "tests/support/generated_graph_builder.h"
#include "tests/support/graph_generator.h"
#include "tests/support/random_shapes.h"

namespace burin::testing {
namespace {

constexpr double kLowest = -3.4028234663852886e38;

/// Static sizes that are all large would keep the interpreter busy for seconds.
constexpr double kMostStaticWork = 1e6;

/// Scores beyond lose what a softmax without a maximum can give in f32.
constexpr double kMostWithoutMaximum = 30;

const std::vector<std::string>& mask_forms() {
  static const std::vector<std::string> forms = {"none", "B11K", "B1QK", "1HQK", "BHQK", "QK", "H11"};
  return forms;
}

class AttentionGenerator : GeneratedGraphBuilder {
 public:
  explicit AttentionGenerator(Random& random) : GeneratedGraphBuilder(random) { out_.carved_as = "sdpa"; }

  GeneratedGraph run() {
    choose_dimensions();
    choose_batches();
    choose_batching();
    Known q = operand("q", query_batch_, queries_, head_size_), k = operand("k", key_batch_, keys_, head_size_),
          v = operand("v", value_batch_, keys_, value_size_);
    choose_scale();
    if (scale_ == "on_query" || scale_ == "on_both") q = scaled(q);
    if (scale_ == "on_key" || scale_ == "on_both") k = scaled(k);
    q = merged(q);
    k = merged(repeated(k));
    v = merged(repeated(v));
    Known x = split(scores(q, k));
    const std::string outputs =
        feature_of("outputs", {"one", "one", "one", "one", "one", "one", "probabilities", "scores", "reduced", "all"});
    if (outputs == "scores" || outputs == "all") output(x);
    x = score_chain(bias(x));
    x = softmax(x);
    x = probability_chain(x);
    if (outputs == "probabilities" || outputs == "all") output(x);
    if (outputs == "reduced") output(apply(OpKind::ReduceMax, {x.id}, x.low, x.high, x.error, {{"axes", std::vector<std::int64_t>{last_axis(x)}}}));
    Known y = split(weighted(batching_ == "flat" ? merged(x) : x, v));
    y.low = -2 * std::max(x.magnitude(), 1e-3) * 4 * std::max(v.magnitude(), 1.0), y.high = -y.low;
    output(output_chain(y));
    return finish();
  }

 private:
  std::string feature_of(const std::string& axis, const std::vector<std::string>& values) {
    const std::string value = random_.pick(values);
    feature(axis, value);
    return value;
  }

  // ---- small things ----

  std::int64_t rank() const { return static_cast<std::int64_t>(batch_.size()) + 2; }
  std::int64_t last_axis(const Known& x) { return static_cast<std::int64_t>(shape(x).size()) - 1; }
  Shape shape(const Known& x) { return graph().value(x.id).shape; }

  ValueId op(OpKind kind, std::vector<ValueId> in, Attributes attributes = {}) {
    return graph().add_op(kind, "", std::move(in), std::move(attributes));
  }
  Known moved(Known x, OpKind kind, std::vector<ValueId> more, Attributes attributes = {}) {
    more.insert(more.begin(), x.id);
    x.id = op(kind, more, std::move(attributes));
    return x;
  }

  ValueId integer(const Expr& e) {
    if (const auto number = e.as_constant()) return graph().add_constant("", Tensor::scalar(Precision::i64, static_cast<double>(*number)));
    Value known;
    known.precision = Precision::i64;
    known.elements = {e};
    return graph().add_value(std::move(known));
  }
  ValueId integers(const Shape& elements) {
    Value known;
    known.precision = Precision::i64;
    known.shape = {Expr(static_cast<std::int64_t>(elements.size()))};
    known.elements = elements;
    return graph().add_value(std::move(known));
  }

  Known reshape(const Known& x, const Shape& to) { return moved(x, OpKind::Reshape, {integers(to)}, {{"allowzero", std::int64_t{1}}}); }
  Known unsqueeze(const Known& x, std::int64_t axis) {
    return moved(x, OpKind::Unsqueeze, {}, {{"axes", std::vector<std::int64_t>{axis}}});
  }
  Known transpose(const Known& x, std::vector<std::int64_t> perm) {
    return moved(x, OpKind::Transpose, {}, {{"perm", std::move(perm)}});
  }
  Known matrix_transposed(const Known& x) {
    const std::size_t n = shape(x).size();
    return transpose(x, swapped(n, n - 2, n - 1));
  }
  static std::vector<std::int64_t> swapped(std::size_t n, std::size_t i, std::size_t j) {
    std::vector<std::int64_t> perm(n);
    std::iota(perm.begin(), perm.end(), 0);
    std::swap(perm[i], perm[j]);
    return perm;
  }
  std::vector<std::int64_t> shuffled(std::size_t n) {
    std::vector<std::int64_t> perm(n);
    std::iota(perm.begin(), perm.end(), 0);
    for (std::size_t i = n; i-- > 1;) std::swap(perm[i], perm[static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(i) + 1))]);
    return perm;
  }

  static Shape with(Shape batch, const Expr& rows, const Expr& columns) {
    batch.push_back(rows);
    batch.push_back(columns);
    return batch;
  }

  // ---- dimensions ----

  Expr dimension(const std::string& symbol, double symbolic, std::int64_t size) {
    return random_.chance(symbolic) ? Expr::symbol(symbol) : Expr(size);
  }

  void choose_dimensions() {
    const std::string rank = random_.chance(0.6) ? "4" : random_.pick<std::string>({"2", "3", "5"});
    feature("rank", rank);
    has_heads_ = rank != "2";
    has_batch_ = rank == "4" || rank == "5";
    has_outer_ = rank == "5";
    do choose_sizes();
    while (at_least(kv_heads_) * static_cast<double>(group_) * at_least(outer_) * at_least(main_batch_) * at_least(queries_) *
               at_least(keys_) * (at_least(head_size_) + at_least(value_size_)) > kMostStaticWork);
    choose_repeat();
    feature("keys", cross_ ? "cross" : "self");
    feature("lengths", queries_.is_constant() ? "static" : "dynamic");
    feature("head_size", head_size_.is_constant() ? head_size_.to_string() : "dynamic");
    feature("value_size", value_size_ == head_size_ ? "same" : "other");
  }

  static double at_least(const Expr& e) { return static_cast<double>(e.as_constant().value_or(4)); }

  void choose_sizes() {
    outer_ = has_outer_ ? dimension("B2", 0.5, random_.between(1, 2)) : Expr(1);
    main_batch_ = has_batch_ ? dimension("B", 0.7, random_.between(1, 2)) : Expr(1);
    group_ = has_heads_ && random_.chance(0.4) ? random_.between(2, 4) : 1;
    kv_heads_ = has_heads_ ? dimension("Hkv", 0.25, random_.between(1, 3)) : Expr(1);
    queries_ = dimension("S", 0.75, random_.chance(0.15) ? 1 : random_.pick(tail_sizes()));
    cross_ = random_.chance(0.4);
    keys_ = cross_ ? dimension("T", 0.75, random_.pick(tail_sizes())) : queries_;
    head_size_ = head_size("D");
    value_size_ = random_.chance(0.2) ? head_size("Dv") : head_size_;
  }

  Expr head_size(const std::string& symbol) {
    return random_.chance(0.15) ? Expr::symbol(symbol) : Expr(random_.pick(head_sizes()));
  }

  /// How heads of K and V become those of Q.
  void choose_repeat() {
    std::vector<std::string> ways = {"none"};
    if (group_ > 1) {
      ways = {"expand", "tile", "concat", "stack", "five"};
      if (kv_heads_.is_constant()) ways.insert(ways.end(), {"gather_elements", "gather_whole"});
      if (kv_heads_ == Expr(1)) ways.insert(ways.end(), 3, "broadcast");
    }
    repeat_ = feature_of("repeat", ways);
    feature("heads", group_ == 1 ? "plain" : kv_heads_ == Expr(1) ? "multi_query" : kv_heads_.is_constant() ? "grouped" : "grouped_symbolic");
    heads_ = kv_heads_ * group_;
  }

  /// The batch dimensions of scores, and what of them each operand has.
  void choose_batches() {
    if (has_outer_) batch_.push_back(outer_);
    if (has_batch_) batch_.push_back(main_batch_);
    if (repeat_ == "five") batch_.push_back(kv_heads_);
    if (has_heads_) batch_.push_back(repeat_ == "five" ? Expr(group_) : heads_);
    query_batch_ = key_batch_ = value_batch_ = batch_;
    if (has_heads_ && repeat_ != "none" && repeat_ != "five") key_batch_.back() = value_batch_.back() = kv_heads_;
    if (repeat_ == "five") key_batch_.back() = value_batch_.back() = 1;
    std::vector<std::string> ways = {"none", "none", "none"};
    if (has_batch_) ways = {"none", "none", "none", "none", "none", "keys", "queries", "values", "lower_rank", "mask"};
    broadcast_ = feature_of("broadcast", ways);
    const std::size_t outer = has_outer_ ? 1 : 0;
    if (broadcast_ == "keys") key_batch_[outer] = value_batch_[outer] = 1;
    if (broadcast_ == "queries") query_batch_[outer] = 1;
    if (broadcast_ == "values" || broadcast_ == "mask") query_batch_[outer] = key_batch_[outer] = 1;
    if (broadcast_ == "mask") value_batch_[outer] = 1;
    if (broadcast_ == "lower_rank") for (Shape* batch : {&key_batch_, &value_batch_}) batch->erase(batch->begin(), batch->begin() + static_cast<std::ptrdiff_t>(outer) + 1);
  }

  /// The products may have heads as part of one batch dimension, or windows of images; operands have them apart.
  void choose_batching() {
    std::vector<std::string> ways = {"plain"};
    if (has_batch_ && !has_outer_ && repeat_ != "five" && repeat_ != "broadcast" && broadcast_ == "none") ways = {"plain", "plain", "flat", "windows", "windows"};
    batching_ = feature_of("batching", ways);
    if (batching_ == "flat") merged_batch_ = {main_batch_ * heads_};
    if (batching_ != "windows") return;
    const Expr windows = random_.between(2, 3);
    for (Shape* batch : {&query_batch_, &key_batch_, &value_batch_}) batch->insert(batch->begin() + 1, windows);
    merged_batch_ = batch_ = {main_batch_ * windows, heads_};
  }
  Known merged(const Known& x) {
    if (batching_ == "plain") return x;
    const Shape whole = shape(x);
    return reshape(x, with(merged_batch_, whole[whole.size() - 2], whole.back()));
  }
  Known split(const Known& x) {
    if (batching_ != "flat") return x;
    const Shape whole = shape(x);
    return reshape(x, with(batch_, whole[whole.size() - 2], whole.back()));
  }

  // ---- operands ----

  /// [.., length, size], however it is stored, with element-wise operations on the way at times.
  Known operand(const std::string& which, const Shape& batch, const Expr& length, const Expr& size) {
    const Shape wanted = with(batch, length, size);
    const std::size_t n = wanted.size();
    std::vector<std::string> layouts = {"plain", "transposed", "permuted"};
    if (!batch.empty()) layouts.insert(layouts.end(), {"rows_first", "rows_first"});
    const bool is_known = n >= 3 && batch.back().is_constant() && size.is_constant() && batch.back() != Expr(1);
    if (is_known) layouts.insert(layouts.end(), {"merged", "merged"});
    const std::string layout = feature_of("layout_" + which, layouts);
    const auto leaf = [&](const Shape& shape) { return which == "q" ? query_leaf(shape) : input("unit", shape); };
    if (layout == "plain") return with_operations(leaf(wanted), which);
    std::vector<std::int64_t> perm = layout == "transposed" ? swapped(n, n - 2, n - 1) : layout == "permuted" ? shuffled(n) : swapped(n, n - 3, n - 2);
    Shape stored(n);
    for (std::size_t d = 0; d < n; ++d) stored[static_cast<std::size_t>(perm[d])] = wanted[d];
    if (layout != "merged") {
      const bool early = random_.chance(0.5);
      Known x = leaf(stored);
      if (early) x = with_operations(x, which);
      x = transpose(x, perm);
      if (early) return x;
      return with_operations(x, which);
    }
    Shape merged(stored.begin(), stored.end() - 2);
    merged.push_back(stored[n - 2] * stored[n - 1]);
    return transpose(reshape(with_operations(leaf(merged), which), stored), perm);
  }

  /// Queries that a model has learned are a constant.
  Known query_leaf(const Shape& shape) {
    Dims dims;
    for (const Expr& e : shape)
      if (const auto size = e.as_constant()) dims.push_back(*size);
    // (A constant matrix is the weight of a projection.)
    const bool constant = dims.size() == shape.size() && dims.size() >= 3 && random_.chance(0.5);
    feature("queries", constant ? "constant" : "input");
    if (!constant) return input("unit", shape);
    std::vector<float> numbers(static_cast<std::size_t>(element_count(dims, "constant")));
    for (float& x : numbers) x = static_cast<float>(random_.between(-8, 8)) / 8;
    return {graph().add_constant("", Tensor::from_f32(dims, numbers)), -1, 1, 0, true};
  }

  Known with_operations(Known x, const std::string& which) {
    const std::int64_t count = random_.chance(0.7) ? 0 : random_.between(1, 3);
    feature("ops_" + which, std::to_string(count));
    for (std::int64_t i = 0; i < count; ++i) x = operand_op(x);
    return x;
  }

  Known operand_op(const Known& x) {
    const Shape whole = shape(x);
    const Expr last = whole.back();
    for (;;) {
      std::optional<Known> v;
      switch (random_.below(8)) {
        case 0: v = binary(OpKind::Mul, x, random_scalar(0.5, 1.5)); break;
        case 1: v = binary(OpKind::Add, x, input("unit", {last})); break;
        case 2: v = unary(OpKind::Relu, x); break;
        case 3: v = unary(OpKind::Tanh, x); break;
        case 4: v = clip(x, -0.75, 0.75); break;
        case 5: v = binary(OpKind::Div, x, input("pos", {1})); break;
        case 6: v = binary(OpKind::Mul, input("unit", Shape(whole.end() - 2, whole.end())), x); break;
        default: v = binary(OpKind::Mul, x, input("unit", {last})); break;
      }
      if (v && v->magnitude() <= 2) return *v;
    }
  }

  // ---- repeated heads ----

  Known repeated(const Known& x) {
    if (group_ == 1 || repeat_ == "five" || repeat_ == "broadcast") return x;
    const Shape from = shape(x);
    const auto axis = static_cast<std::int64_t>(from.size()) - 3;
    Shape to = from;
    to[static_cast<std::size_t>(axis)] = heads_;
    if (repeat_ == "tile") {
      Shape times(from.size(), Expr(1));
      times[static_cast<std::size_t>(axis)] = group_;
      return moved(x, OpKind::Tile, {integers(times)});
    }
    if (repeat_ == "gather_elements" || repeat_ == "gather_whole") {
      const std::int64_t kv = *kv_heads_.as_constant();
      Shape indices;
      for (std::int64_t i = 0; i < kv * group_; ++i) indices.emplace_back(repeat_ == "gather_whole" ? i % kv : i / group_);
      return moved(x, OpKind::Gather, {integers(indices)}, {{"axis", axis}});
    }
    if (repeat_ == "concat")
      return moved(x, OpKind::Concat, std::vector<ValueId>(static_cast<std::size_t>(group_) - 1, x.id), {{"axis", axis}});
    Known one = unsqueeze(x, axis + 1);
    if (repeat_ == "stack") {
      one = moved(one, OpKind::Concat, std::vector<ValueId>(static_cast<std::size_t>(group_) - 1, one.id), {{"axis", axis + 1}});
    } else {
      Shape expanded = shape(one);
      expanded[static_cast<std::size_t>(axis) + 1] = group_;
      one = moved(one, OpKind::Expand, {integers(expanded)});
    }
    return reshape(one, to);
  }

  // ---- the products ----

  void choose_scale() {
    scale_ = feature_of("scale", {"none", "mul", "div", "tensor", "per_head", "on_query", "on_key", "on_both"});
    if (scale_ == "per_head" && !has_heads_) scale_ = "tensor";
  }
  Known scaled(const Known& x) { return *binary(random_.chance(0.5) ? OpKind::Mul : OpKind::Div, x, scalar(random_.chance(0.5) ? 0.5 : 2)); }

  Known product(const Known& a, const Known& b) {
    Known v{op(OpKind::MatMul, {a.id, b.id}), 0, 0, 0, false};
    v.high = a.magnitude() * b.magnitude() * std::sqrt(128.0) * 2;
    v.low = -v.high;
    v.error = (a.error * b.magnitude() + b.error * a.magnitude()) * 12 + kEpsilon * v.high;
    return v;
  }

  /// Q K^T, or (K Q^T)^T.
  Known scores(const Known& q, const Known& k) {
    if (feature_of("scores", {"plain", "plain", "plain", "transposed"}) == "plain") return product(q, matrix_transposed(k));
    return matrix_transposed(product(k, matrix_transposed(q)));
  }

  /// P V, or (V^T P^T)^T.
  Known weighted(const Known& p, const Known& v) {
    if (feature_of("result", {"plain", "plain", "plain", "transposed"}) == "plain") return product(p, v);
    return matrix_transposed(product(matrix_transposed(v), matrix_transposed(p)));
  }

  // ---- between the products ----

  Known score_chain(Known x) {
    mask_ = random_.pick(mask_forms());
    const bool fits = (has_batch_ || mask_.size() < 4) && (has_heads_ || mask_ != "H11");
    if (!fits || mask_ == "none") mask_ = "none";
    if (broadcast_ == "mask" && (mask_.empty() || mask_[0] != 'B')) mask_ = "B11K";
    feature("mask", mask_);
    bool masked = mask_ == "none", scaled = scale_ == "none" || scale_.starts_with("on_");
    if (masked) feature("mask_kind", "none");
    const std::int64_t length = random_.between(1, 6);
    feature("chain", std::to_string(length));
    views_ = feature_of("views", {"none", "none", "none", "merge", "unsqueeze", "transpose", "rows"});
    const std::int64_t moved_at = views_ == "none" ? -1 : random_.below(length);
    for (std::int64_t i = 0; i < length; ++i) {
      if (!scaled && (random_.chance(0.6) || i + 1 == length)) {
        x = scale_scores(x);
        scaled = true;
      } else if (!masked && (random_.chance(0.5) || i + 1 == length)) {
        x = mask(x, i + 1 == length);
        masked = true;
      } else {
        x = score_op(x);
      }
      if (i == moved_at) x = through_views(x);
    }
    if (!scaled) x = scale_scores(x);
    if (!masked) x = mask(x, true);
    return x;
  }

  /// (Behind a mask of the lowest float at most 1: the product is a number of f32.)
  Known factor(const Shape& shape) {
    const Known pos = input("pos", shape);
    return extreme_ ? *binary(OpKind::Mul, pos, scalar(0.5)) : pos;
  }

  Known scale_scores(const Known& x) {
    if (scale_ == "mul") return *binary(OpKind::Mul, x, random_scalar(0.1, 0.4));
    if (scale_ == "div") return *binary(OpKind::Div, x, random_scalar(2.5, 9));
    if (scale_ == "tensor") return *binary(OpKind::Mul, x, factor({1}));
    return *binary(OpKind::Mul, factor({batch_.back(), 1, 1}), x);
  }

  /// There and back, with an operation on the way.
  Known through_views(const Known& x) {
    const Shape before = shape(x);
    const std::int64_t n = static_cast<std::int64_t>(before.size());
    const std::string way = n > 2 ? views_ : "transpose";
    if (way == "merge" && n >= 4) {
      Shape merged = {before[0] * before[1]};
      merged.insert(merged.end(), before.begin() + 2, before.end());
      return reshape(score_op_alone(reshape(x, merged)), before);
    }
    if (way == "rows") {  // a softmax of old opsets is one of matrices
      Expr rows = 1;
      for (std::size_t d = 0; d + 1 < before.size(); ++d) rows *= before[d];
      return reshape(score_op_alone(reshape(x, {rows, before.back()})), before);
    }
    if (way == "unsqueeze") {
      const std::int64_t at = random_.below(n - 1);
      return moved(score_op_alone(unsqueeze(x, at)), OpKind::Squeeze, {}, {{"axes", std::vector<std::int64_t>{at}}});
    }
    return matrix_transposed(score_op_alone(matrix_transposed(x)));
  }
  /// (Behind a mask the lowest float stays what it is: the maximum of a row of such is a number of f32.)
  Known score_op_alone(const Known& x) {
    return !extreme_ && random_.chance(0.5) ? *binary(OpKind::Mul, x, random_scalar(0.5, 1)) : clip(x, -5, 6);
  }

  Shape mask_shape() const {
    Shape batch(batch_.size(), Expr(1));
    const std::size_t outer = has_outer_ ? 1 : 0;
    if (mask_ == "QK") return {queries_, keys_};
    if (mask_ == "H11") return {batch_.back(), 1, 1};
    if (mask_[0] == 'B') batch[outer] = batch_[outer];
    if (mask_[1] == 'H') batch.back() = batch_.back();
    if (mask_ == "B11K") return with(batch, 1, keys_);
    return with(batch, queries_, keys_);
  }

  Known mask(const Known& x, bool last) {
    const Shape shape = mask_shape();
    if (mask_ == "H11") {
      feature("mask_kind", "slope");
      return *binary(random_.chance(0.5) ? OpKind::Add : OpKind::Mul, x, input("pos", shape));
    }
    extreme_ = true;
    if (mask_.find("QK") != std::string::npos && broadcast_ != "mask" && random_.chance(0.5)) return position_mask(x, last);
    if (random_.chance(0.3)) {
      feature("mask_kind", "boolean");
      const Known fill = scalar(random_.pick<double>({-1e4, -1e9, kLowest, -INFINITY, -INFINITY}));
      const bool hides_rows = fill.low == -INFINITY && random_.chance(0.5);
      if (hides_rows) feature("hidden_rows", "boolean");
      const ValueId m = graph().add_input(fresh_name(hides_rows ? "mask_rows" : "mask_bool"), Precision::boolean, shape);
      const bool inverted = random_.chance(0.3);
      const ValueId condition = inverted ? op(OpKind::Not, {m}) : m;
      if (inverted) feature("op", "not");
      row_mask_ = m;
      Known v = inverted ? apply(OpKind::Where, {condition, fill.id, x.id}, x.low, x.high, x.error)
                         : apply(OpKind::Where, {condition, x.id, fill.id}, x.low, x.high, x.error);
      return v;
    }
    feature("mask_kind", "additive");
    const std::string kind = random_.pick<std::string>({"mask_add", "mask_add", "mask_rows", last ? "mask_any" : "mask_add"});
    if (kind == "mask_rows") feature("hidden_rows", "additive");
    return add_mask(x, input(kind, shape));
  }

  Known add_mask(const Known& x, const Known& mask) {
    return apply(OpKind::Add, {x.id, mask.id}, x.low + mask.low, x.high + mask.high, x.error + kEpsilon * std::abs(kHidden));
  }

  /// A bias by distance or position, in the forms in which models make it.
  Known bias(const Known& x) {
    std::vector<std::string> ways = {"none", "none", "none", "none", "none"};
    if (has_heads_) ways.insert(ways.end(), {"transposed", "alibi"});
    if (batching_ == "windows") ways = {"windows"};
    if (batching_ != "windows") ways.emplace_back("gathered");
    const std::string way = feature_of("bias", ways);
    if (way == "none") return x;
    if (way == "transposed") {  // a table that is read by distance has the heads last
      const Known table = input("x", {queries_, keys_, batch_.back()});
      return *binary(OpKind::Add, x, unsqueeze(transpose(table, {2, 0, 1}), 0));
    }
    if (way == "alibi") {
      const Known distance = moved(Known{op(OpKind::Sub, {positions(keys_), column(positions(queries_))}), -150, 150, 0, true}, OpKind::Cast, {},
                                   {{"to", std::string("f32")}});
      const Known slope = *binary(OpKind::Mul, input("unit", {batch_.back(), 1, 1}), scalar(0.05));
      return *binary(OpKind::Add, x, *binary(OpKind::Mul, slope, distance));
    }
    if (way == "windows") {  // each window of an image has a mask of its own
      extreme_ = true;
      const Expr windows = query_batch_[1];
      const Known mask = unsqueeze(unsqueeze(input("mask_add", {windows, queries_, keys_}), 1), 0);
      return reshape(add_mask(reshape(x, with(query_batch_, queries_, keys_)), mask), shape(x));
    }
    // What queries say of relative positions, gathered for each key.
    const std::int64_t spread = 6;
    const Known terms = input("x", with(batch_, queries_, Expr(spread)));
    const ValueId distance = op(OpKind::Sub, {positions(keys_), column(positions(queries_))});
    const ValueId bounded = op(OpKind::Min, {op(OpKind::Max, {distance, integer(0)}), integer(spread - 1)});
    const ValueId index = op(OpKind::Expand, {bounded, integers(with(batch_, queries_, keys_))});
    return *binary(OpKind::Add, x, moved(terms, OpKind::GatherElements, {index}, {{"axis", rank() - 1}}));
  }

  ValueId positions(const Expr& length) { return graph().add_op(OpKind::Range, "", {integer(0), integer(length), integer(1)}); }
  ValueId column(ValueId v) { return op(OpKind::Unsqueeze, {v}, {{"axes", std::vector<std::int64_t>{1}}}); }

  /// Which keys a query sees, from the positions of both: [S, T].
  ValueId visible() {
    const Expr distance = random_.chance(0.3) ? keys_ - queries_ : Expr(random_.pick<std::int64_t>({0, 0, 1, -1, -3, 7, 20}));
    const ValueId key = positions(keys_), last = op(OpKind::Add, {positions(queries_), integer(distance)});
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
      const Known fill = scalar(last && random_.chance(0.6) ? kLowest : -INFINITY);
      return apply(OpKind::Add, {x.id, op(OpKind::Where, {seen, scalar(0).id, fill.id})}, x.low, x.high, x.error);
    }
    const Known fill = scalar(last ? random_.pick<double>({-1e4, -1e9, kLowest, -INFINITY})
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
        case 14: v = has_heads_ ? binary(OpKind::Mul, x, input("unit", {batch_.back(), 1, 1})) : binary(OpKind::Sub, x, random_scalar(-2, 2)); break;
        default: v = binary(OpKind::Add, x, input("x", has_heads_ ? Shape{batch_.back(), queries_, keys_} : Shape{queries_, keys_})); break;
      }
      if (v && v->magnitude() < 200) return *v;
      if (v) return clip(*v, -20, 20);
    }
  }

  // ---- the softmax ----

  Known softmax(const Known& x) {
    std::vector<std::string> ways = {"op", "op", "op", "op", "op", "spelled", "squeezed", "reciprocal", "minus_maximum"};
    if (!extreme_) ways.emplace_back("minus_mean");
    if (keys_ == Expr(1)) ways = {"op"};  // there is nothing to reduce
    if (x.magnitude() < kMostWithoutMaximum && keys_ != Expr(1)) ways.insert(ways.end(), {"no_maximum", "no_maximum"});
    const std::string way = feature_of("softmax", ways);
    const std::vector<std::int64_t> last = {last_axis(x)};
    if (way == "op") return normalized(op(OpKind::Softmax, {x.id}, {{"axis", last.front()}}), x);
    const auto reduced = [&](OpKind kind, ValueId value) {
      if (way != "squeezed") return op(kind, {value}, {{"axes", last}});
      return op(OpKind::Unsqueeze, {op(kind, {value}, {{"axes", last}, {"keepdims", std::int64_t{0}}})}, {{"axes", last}});
    };
    const ValueId shifted =
        way == "no_maximum" ? x.id : op(OpKind::Sub, {x.id, reduced(way == "minus_mean" ? OpKind::ReduceMean : OpKind::ReduceMax, x.id)});
    if (way == "minus_maximum" || way == "minus_mean") return normalized(op(OpKind::Softmax, {shifted}, {{"axis", last.front()}}), x);
    const ValueId exponentials = op(OpKind::Exp, {shifted});
    const ValueId sum = reduced(OpKind::ReduceSum, exponentials);
    if (way == "reciprocal") return normalized(op(OpKind::Mul, {exponentials, op(OpKind::Reciprocal, {sum})}), x);
    return normalized(op(OpKind::Div, {exponentials, sum}), x);
  }
  static Known normalized(ValueId id, const Known& x) { return {id, 0, 1, 2 * x.error + kEpsilon, false}; }

  Known probability_chain(Known x) {
    const std::int64_t length = random_.chance(0.6) ? 0 : random_.between(1, 3);
    feature("probability_chain", std::to_string(length));
    for (std::int64_t i = 0; i < length; ++i) switch (random_.below(7)) {
        case 0: x = *binary(OpKind::Mul, x, random_scalar(0.5, 2)); break;
        case 1: x = *binary(OpKind::Mul, x, input("unit", random_.chance(0.5) ? with(ones_but_heads(), 1, keys_) : Shape{keys_})); break;
        case 2: {
          const ValueId m = graph().add_input(fresh_name("mask_bool"), Precision::boolean,
                                              random_.chance(0.5) ? with(ones_but_heads(), queries_, keys_) : Shape{queries_, keys_});
          x = apply(OpKind::Where, {m, x.id, scalar(0).id}, std::min(x.low, 0.0), std::max(x.high, 0.0), x.error);
          break;
        }
        case 3: x = without_nan(x); break;
        case 4: x = clip(x, 0.001, 0.7); break;
        case 5: x = *binary(OpKind::Add, x, random_scalar(0, 0.01)); break;
        default: x = *unary(OpKind::Relu, x); break;
      }
    if (row_mask_ != kNone && random_.chance(0.4)) {  // the mask of the scores once more
      feature("mask_again", "yes");
      x = apply(OpKind::Where, {row_mask_, x.id, scalar(0).id}, std::min(x.low, 0.0), std::max(x.high, 0.0), x.error);
    }
    return x;
  }

  Shape ones_but_heads() const {
    Shape batch(batch_.size(), Expr(1));
    if (has_heads_) batch.back() = batch_.back();
    return batch;
  }

  // ---- behind ----

  Known output_chain(Known y) {
    const std::int64_t count = random_.chance(0.5) ? 0 : random_.between(1, 3);
    feature("ops_out", std::to_string(count));
    const std::int64_t early = random_.between(0, count);
    for (std::int64_t i = 0; i < early; ++i) y = output_op(y);
    const Shape before = shape(y);
    const std::size_t n = before.size();
    std::vector<std::string> layouts = {"plain", "permuted"};
    if (n >= 3) layouts.insert(layouts.end(), {"rows_first", "rows_first", "merged", "merged"});
    const std::string layout = feature_of("layout_out", layouts);
    if (layout == "permuted") y = transpose(y, shuffled(n));
    if (layout == "rows_first" || layout == "merged") y = transpose(y, swapped(n, n - 3, n - 2));
    if (layout == "merged") {
      Shape merged = shape(y);
      merged[n - 2] *= merged[n - 1];
      merged.pop_back();
      y = reshape(y, merged);
    }
    for (std::int64_t i = early; i < count; ++i) y = output_op(y);
    return y;
  }

  Known output_op(const Known& y) {
    const Shape whole = shape(y);
    const bool is_known = whole.back().is_constant();
    switch (random_.below(8)) {
      case 0: return *binary(OpKind::Mul, y, random_scalar(0.5, 2));
      case 1: return *binary(OpKind::Add, y, input("x", whole));
      case 7: return *binary(OpKind::Mul, y, *unary(OpKind::Sigmoid, *binary(OpKind::Add, y, input("x", whole))));
      case 2: return *binary(OpKind::Add, y, is_known ? input("x", {whole.back()}) : random_scalar(-1, 1));
      case 3: return *unary(OpKind::Relu, y);
      case 4: return *unary(OpKind::Silu, y);
      case 5: return *binary(OpKind::Mul, input("unit", whole), y);
      default: return clip(y, -0.75, 0.75);
    }
  }

  bool has_heads_ = false, has_batch_ = false, has_outer_ = false;
  std::int64_t group_ = 1;
  Expr outer_, main_batch_, kv_heads_, heads_, queries_, keys_, head_size_, value_size_;
  Shape batch_, query_batch_, key_batch_, value_batch_, merged_batch_;
  std::string mask_, scale_, repeat_, broadcast_, batching_, views_;
  ValueId row_mask_ = kNone;
  bool cross_ = false;    ///< keys of another length than queries
  bool extreme_ = false;  ///< a mask has put lowest or infinite numbers among the scores
};

}  // namespace

GeneratedGraph generate_attention(Random& random) { return AttentionGenerator(random).run(); }

void declare_attention_features(Coverage& coverage) {
  coverage.declare("mask", mask_forms());
  coverage.declare("mask_kind", {"none", "additive", "boolean", "slope", "causal", "window", "future"});
  coverage.declare("padding", {"yes"});
  coverage.declare("hidden_rows", {"boolean", "additive"});
  coverage.declare("mask_again", {"yes"});
  coverage.declare("bias", {"none", "transposed", "alibi", "windows", "gathered"});
  coverage.declare("scale", {"none", "mul", "div", "tensor", "per_head", "on_query", "on_key", "on_both"});
  coverage.declare("rank", {"2", "3", "4", "5"});
  coverage.declare("heads", {"plain", "multi_query", "grouped", "grouped_symbolic"});
  coverage.declare("repeat", {"none", "expand", "tile", "concat", "stack", "five", "gather_elements", "gather_whole", "broadcast"});
  coverage.declare("broadcast", {"none", "keys", "queries", "values", "lower_rank", "mask"});
  coverage.declare("batching", {"plain", "flat", "windows"});
  coverage.declare("queries", {"input", "constant"});
  coverage.declare("keys", {"self", "cross"});
  coverage.declare("lengths", {"static", "dynamic"});
  coverage.declare("head_size", {"dynamic", "8", "16", "24", "33", "40", "64", "72", "80", "128"});
  coverage.declare("value_size", {"same", "other"});
  for (const char* axis : {"layout_q", "layout_k", "layout_v"})
    coverage.declare(axis, {"plain", "transposed", "permuted", "rows_first", "merged"});
  coverage.declare("layout_out", {"plain", "permuted", "rows_first", "merged"});
  coverage.declare("scores", {"plain", "transposed"});
  coverage.declare("result", {"plain", "transposed"});
  coverage.declare("views", {"none", "merge", "unsqueeze", "transpose", "rows"});
  coverage.declare("softmax", {"op", "spelled", "squeezed", "reciprocal", "minus_maximum", "minus_mean", "no_maximum"});
  coverage.declare("chain", {"1", "2", "3", "4", "5", "6"});
  coverage.declare("probability_chain", {"0", "1", "2", "3"});
  for (const char* axis : {"ops_q", "ops_k", "ops_v", "ops_out"}) coverage.declare(axis, {"0", "1", "2", "3"});
  coverage.declare("outputs", {"one", "probabilities", "scores", "reduced", "all"});
  coverage.declare("op", {"add", "sub", "mul", "div", "tanh", "relu", "clip", "abs", "sigmoid", "exp", "neg", "leaky_relu", "gelu",
                          "silu", "max", "where", "is_nan", "not"});
}

}  // namespace burin::testing
