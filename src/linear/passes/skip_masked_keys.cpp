// Keys that a mask hides from every query of a block are not visited. Where comparisons of positions decide what is
// hidden (causal masks, windows), that is a matter of the key loops' bounds:
//
//     lanes _q in _q.b..min(S, _q.b + 48) {         lanes _q in _q.b..min(S, _q.b + 48) {
//       %i = integer _q                               loop _all in 0..2 while %max <= -1.7e+38 {
//       %max = fill -inf                                %i = integer _q
//       loop _k in 0..S {                               %max = fill -inf
//         %j = integer _k                               loop _k in 0..min(S, S*_all + _q.b + 48) {
//         %c = less_equal %j, %i               ->         ...
//         %t = where %c, %s, lowest                     loop _k in 0..min(S, S*_all + _q.b + 48) {
//         %max = update_max_number %max, %t }             ...
//       loop _k in 0..S {
//         %d = sub %t, %max
//         %e = exp2 %d
//         %sum = update_sum %sum, %e }
//
// What is hidden must not show: the probability of a hidden key is exactly 0, and all that is done with probabilities is
// to multiply and add them up. It is 0 if the row has a key that is not hidden, by any mask. A row without one has the
// same value for all keys (save where that is -inf: it is NaN either way), also for those that are left out. So a block
// with such a row is done once more with all keys; its running maximum tells. (A row that is NaN shows that behind its
// keys, where it is divided by its sum. Where it is divided before, or a Where selects of its probabilities, keys that are
// hidden by -inf are not left out: there the row is not done again.)

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "linear/analysis.h"
#include "linear/integer_range.h"
#include "linear/passes/passes.h"
#include "support/expr_node.h"

namespace burin::linear {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
/// A score of at most this, in a row with a score of more than half of it, has the probability 0: half of it is far
/// below the exponent of the smallest f32.
constexpr double kHidden = -512;
/// A mask that is added hides whatever it is added to, if it is at most this: no score comes near it.
constexpr double kHidesAny = -1e30;

bool is_comparison(Op op) {
  return op == Op::less || op == Op::less_equal || op == Op::greater || op == Op::greater_equal;
}

/// What every value is made from; variables (that are updated) are made from nothing that is known.
class Definitions {
 public:
  explicit Definitions(const LinearIR& ir) : by_value_(ir.values.size()) {
    for_each_expression(ir.phases, [&](const Expression& e) {
      if (e.out != kNone)
        by_value_[e.out] = info(e.op).kind == OpClass::update ? &kVariable
                           : by_value_[e.out] == nullptr      ? &e
                                                              : &kVariable;
    });
  }

  /// Null for a variable.
  const Expression* of(ValueId v) const { return by_value_[v] == &kVariable ? nullptr : by_value_[v]; }

 private:
  inline static const Expression kVariable{};
  std::vector<const Expression*> by_value_;
};

/// What is known of values if one comparison has a given result.
class Assumption {
 public:
  Assumption(const Definitions& definitions, const Expression& comparison, bool result)
      : definitions_(definitions), comparison_(comparison), result_(result) {}

  std::optional<double> exact(ValueId v) const {
    const auto [known, fresh] = exact_.try_emplace(v);
    return fresh ? known->second = find_exact(v) : known->second;
  }

  /// A number that the value does not exceed.
  std::optional<double> upper(ValueId v) const {
    const auto [known, fresh] = upper_.try_emplace(v);
    return fresh ? known->second = find_upper(v) : known->second;
  }

 private:
  using Known = std::optional<double>;

  Known find_exact(ValueId v) const {
    const Expression* e = definitions_.of(v);
    if (e == nullptr) return std::nullopt;
    if (e == &comparison_) return result_ ? 1 : 0;
    const auto in = [&](std::size_t i) { return exact(e->in[i]); };
    switch (e->op) {
      case Op::fill: return e->imm;
      case Op::logical_not: return negated(in(0));
      case Op::to_bool: return negated(negated(in(0)));
      case Op::logical_and: return either(in(0), in(1), 0);
      case Op::logical_or: return either(in(0), in(1), 1);
      case Op::equal: return both(in(0), in(1), [](double a, double b) { return a == b ? 1.0 : 0.0; });
      case Op::add: return both(in(0), in(1), [](double a, double b) { return a + b; });
      case Op::sub: return both(in(0), in(1), [](double a, double b) { return a - b; });
      case Op::mul: return both(in(0), in(1), [](double a, double b) { return a * b; });
      case Op::where:
        if (const auto condition = in(0)) return in(*condition != 0 ? 1 : 2);
        return std::nullopt;
      default: return std::nullopt;
    }
  }

  Known find_upper(ValueId v) const {
    if (const auto known = exact(v)) return known;
    const Expression* e = definitions_.of(v);
    if (e == nullptr) return std::nullopt;
    const auto in = [&](std::size_t i) { return upper(e->in[i]); };
    switch (e->op) {
      case Op::add: return sum(in(0), in(1));
      case Op::sub: return sum(in(0), std::nullopt);
      case Op::mul: return scaled(e->in[0], e->in[1]);
      case Op::min: return least(in(0), in(1));
      case Op::max: return largest(in(0), in(1));
      case Op::where:
        if (const auto condition = exact(e->in[0])) return in(*condition != 0 ? 1 : 2);
        return largest(in(1), in(2));
      default: return std::nullopt;
    }
  }

  static Known negated(const Known& a) { return a ? Known(*a == 0 ? 1 : 0) : a; }
  /// And, Or: one operand that decides, or both.
  static Known either(const Known& a, const Known& b, double decisive) {
    if ((a && *a == decisive) || (b && *b == decisive)) return decisive;
    return a && b ? Known(1 - decisive) : std::nullopt;
  }
  template <typename F>
  static Known both(const Known& a, const Known& b, F&& f) {
    return a && b ? Known(f(*a, *b)) : std::nullopt;
  }
  static Known sum(const Known& a, const Known& b) {
    if (a && b) return *a + *b;  // of bounds
    const Known one = a ? a : b;
    return one && *one <= kHidesAny ? one : std::nullopt;
  }
  static Known least(const Known& a, const Known& b) { return a && b ? Known(std::min(*a, *b)) : a ? a : b; }
  static Known largest(const Known& a, const Known& b) {
    return both(a, b, [](double x, double y) { return std::max(x, y); });
  }
  Known scaled(ValueId a, ValueId b) const {
    for (const auto& [value, factor] : {std::pair(a, exact(b)), std::pair(b, exact(a))})
      if (factor && *factor > 0) return both(upper(value), factor, [](double x, double y) { return x * y; });
    return std::nullopt;
  }

  const Definitions& definitions_;
  const Expression& comparison_;
  bool result_;
  // Each value is looked at once: values may be used many times over.
  mutable std::map<ValueId, Known> exact_, upper_;
};

/// Bounds of the keys that a block of queries needs.
struct Needed {
  std::vector<Expr> begins, ends;
  double hidden = -kInfinity;  ///< at most this are the scores of the others
};

class MaskedKeys {
 public:
  MaskedKeys(LinearIR& ir, const Schedule& schedule) : ir_(ir), schedule_(schedule), definitions_(ir) {}

  bool run() {
    bool changed = false;
    for_each_loop(ir_.phases, [&](Loop& loop) {
      if (!loop.lanes || changed) return;
      lanes_ = &loop;
      changed = find_softmax() && nothing_shows() && restrict_keys();
    });
    return changed;
  }

 private:
  // ---- the softmax and what is done with its probabilities

  bool find_softmax() {
    keys_ = nullptr;
    for (Item& item : lanes_->body()) {
      if (!item.is_loop() || item.loop->lanes) continue;
      for (const Item& inner : item.loop->body()) {
        if (inner.is_loop() || inner.expression.op != Op::update_max_number) continue;
        keys_ = item.loop.get();
        maximum_ = inner.expression.out;
        scores_ = inner.expression.in[1];
        return true;
      }
    }
    return false;
  }

  bool is_exponential_of_scores(const Expression& e) const { return is_exponential(e.op) && is_shifted(e.in[0]); }

  /// score - maximum, perhaps times a positive number.
  bool is_shifted(ValueId v) const {
    const Expression* e = definitions_.of(v);
    if (e == nullptr) return false;
    if (e->op == Op::sub) return e->in[0] == scores_ && e->in[1] == maximum_;
    const Expression* factor = e->op == Op::mul ? definitions_.of(e->in[1]) : nullptr;
    return factor != nullptr && factor->op == Op::fill && factor->imm >= 1 && is_shifted(e->in[0]);
  }

  bool is_made_by(ValueId v, Op op) const {
    const Expression* made = definitions_.of(v);
    return made != nullptr && made->op == op;
  }

  /// A row of NaN (0 / 0) would look like one of zeros, if none of its keys were visited.
  bool hides_nan(const Expression& e) const {
    switch (e.op) {
      case Op::div: return true;
      case Op::mul: return is_made_by(e.in[0], Op::reciprocal) || is_made_by(e.in[1], Op::reciprocal);
      case Op::where: return !is_made_by(e.in[0], Op::is_nan);
      default: return false;
    }
  }

  /// 0 where the probability is.
  bool is_zero(const Expression& e) const {
    const auto zero = [&](std::size_t i) {
      const Expression* made = definitions_.of(e.in[i]);
      return zeros_.count(e.in[i]) != 0 || (made != nullptr && made->op == Op::fill && made->imm == 0);
    };
    switch (e.op) {
      case Op::mul: return zero(0) || zero(1);
      case Op::div: return zero(0);
      case Op::where: return zero(1) && zero(2);
      default: return is_exponential_of_scores(e);
    }
  }

  /// Behind the key loops nothing depends on keys whose probability is 0, and these loops are all alike.
  bool nothing_shows() {
    zeros_.clear();
    hides_nan_ = false;
    for_each_expression(lanes_->body(), [&](const Expression& e) {
      if (!is_zero(e)) return;
      zeros_.insert(e.out);
      hides_nan_ |= hides_nan(e);
    });
    bool fine = !zeros_.empty();
    for_each_loop(lanes_->body(), [&](const Loop& loop) {
      if (loop.var != keys_->var) return;
      fine &= loop.begin == keys_->begin && loop.end == keys_->end && nothing_shows(loop);
    });
    return fine;
  }

  bool nothing_shows(const Loop& loop) const {
    const Block& body = loop.body();
    std::set<ValueId> own;
    for_each_expression(body, [&](const Expression& e) {
      if (e.out != kNone && info(e.op).kind != OpClass::update) own.insert(e.out);
    });
    bool fine = true;
    for_each_expression(body, [&](const Expression& e) {
      if (e.op == Op::store) fine = false;
      if (info(e.op).kind != OpClass::update || own.count(e.out) != 0) return;
      const bool is_maximum = e.op == Op::update_max_number && e.out == maximum_ && e.in[1] == scores_;
      const bool adds_zero = (e.op == Op::update_sum || e.op == Op::update_fma) &&
                             std::any_of(e.in.begin() + 1, e.in.end(), [&](ValueId v) { return zeros_.count(v) != 0; });
      fine &= is_maximum || adds_zero;
    });
    return fine;
  }

  // ---- which keys are hidden

  /// An integer as an expression of positions.
  std::optional<Expr> position(ValueId v) const {
    const Expression* e = definitions_.of(v);
    if (e == nullptr) return std::nullopt;
    if (e->op == Op::integer) return e->index;
    if (e->op == Op::fill) {
      // Sums of two are exact as well.
      constexpr double kLargest = static_cast<double>(kExactIntegers) / 2;
      if (std::abs(e->imm) > kLargest || std::floor(e->imm) != e->imm) return std::nullopt;
      return Expr(static_cast<std::int64_t>(e->imm));
    }
    if (e->op != Op::add && e->op != Op::sub) return std::nullopt;
    const auto a = position(e->in[0]), b = position(e->in[1]);
    if (!a || !b) return std::nullopt;
    return e->op == Op::add ? *a + *b : *a - *b;
  }

  /// What is at least 0 just where the comparison has the result.
  std::optional<Expr> where_it_is(const Expression& comparison, bool result) const {
    const auto a = position(comparison.in[0]), b = position(comparison.in[1]);
    if (!a || !b) return std::nullopt;
    const bool ascends = comparison.op == Op::less || comparison.op == Op::less_equal;
    const bool is_strict = comparison.op == Op::less || comparison.op == Op::greater;
    const Expr holds = (ascends ? *b - *a : *a - *b) - (is_strict ? 1 : 0);
    return result ? holds : 0 - holds - 1;
  }

  Needed find_needed() const {
    Needed needed;
    for_each_expression(lanes_->body(), [&](const Expression& e) {
      if (!is_comparison(e.op)) return;
      for (const bool result : {false, true}) {
        const auto hidden = Assumption(definitions_, e, result).upper(scores_);
        if (!hidden || *hidden > kHidden) continue;
        const auto region = where_it_is(e, result);
        if (hides_nan_ && std::isinf(*hidden)) continue;
        if (region && add_bound(*region, needed)) needed.hidden = std::max(needed.hidden, *hidden);
      }
    });
    return needed;
  }

  /// Keys with region >= 0 are hidden: region = a * key + b * query + c.
  bool add_bound(const Expr& region, Needed& needed) const {
    const auto a = region.coefficient(keys_->var), of_query = region.coefficient(lanes_->var);
    const auto b = of_query ? of_query->as_constant() : std::nullopt;
    if (!a || !b) return false;
    const Expr rest = region - *a * Expr::symbol(keys_->var);
    const auto at = [&](const Expr& query) { return rest.substitute({{lanes_->var, query}}); };
    const Expr first = lanes_->begin, last = first + extent_bound(*lanes_) - 1;
    if (is_zero_or_one(*a)) {
      const Expr end = 0 - at(*b < 0 ? last : first);  // the largest of the first keys that are hidden
      needed.ends.push_back(keys_->end + *a * (end - keys_->end));
    } else if (is_zero_or_one(0 - *a)) {
      const Expr begin = at(*b > 0 ? first : last) + 1;  // the least of the first keys that are not
      needed.begins.push_back(keys_->begin - *a * (begin - keys_->begin));
    } else {
      return false;
    }
    return true;
  }

  /// 0 only at calls where the mask has one key for all: then it tells nothing.
  static bool is_zero_or_one(const Expr& e) {
    if (e == Expr(1)) return true;
    const Expr::Node::Atom* select = Expr::Node::lone_function(e, Expr::Function::select);
    return select != nullptr && select->arguments[1] == Expr(0) && select->arguments[2] == Expr(1);
  }

  // ---- the change

  bool restrict_keys() {
    Needed needed = find_needed();
    if (needed.begins.empty() && needed.ends.empty()) return false;
    keep_tiles_whole(needed);
    Expr all = 0;  // how many keys more than are needed
    if (std::isfinite(needed.hidden)) {
      const std::string variable = fresh_variable(ir_, "_all");
      all = (keys_->end - keys_->begin) * Expr::symbol(variable);
      repeat_for_hidden_rows(variable, needed.hidden / 2);
    }
    Expr begin = keys_->begin, end = keys_->end;
    for (const Expr& e : needed.begins) begin = max(begin, all == Expr(0) ? e : min(e, keys_->end) - all);
    for (const Expr& e : needed.ends)
      end = min(end, (all == Expr(0) || is_behind_begin(e) ? e : max(e, keys_->begin)) + all);
    const std::string key = keys_->var;
    for_each_loop(lanes_->body(), [&](Loop& loop) {
      if (loop.var != key) return;
      loop.begin = begin;
      loop.end = end;
    });
    return true;
  }

  /// Known to be: no block of queries begins before the first.
  bool is_behind_begin(const Expr& key) const {
    return ir_.facts.proves_at_least(key - lanes_->begin - keys_->begin, 0);
  }

  /// A window of a known width begins a little earlier, so that no tile of keys is left over.
  void keep_tiles_whole(Needed& needed) const {
    if (needed.begins.size() != 1 || needed.ends.size() != 1) return;
    const std::int64_t tile = schedule_.product_rows.front();
    const auto width = (needed.ends[0] - needed.begins[0]).as_constant();
    if (width && *width > 0) needed.begins[0] -= (tile - *width % tile) % tile;
  }

  void repeat_for_hidden_rows(const std::string& variable, double at_most) {
    Loop all = loop_over(variable, 0, 2, std::move(lanes_->body()));
    all.condition = Loop::Condition{maximum_, at_most};
    lanes_->body().clear();
    lanes_->body().emplace_back(std::move(all));
  }

  LinearIR& ir_;
  const Schedule& schedule_;
  const Definitions definitions_;
  Loop* lanes_ = nullptr;
  Loop* keys_ = nullptr;  ///< the loop that makes the scores
  ValueId maximum_ = kNone, scores_ = kNone;
  bool hides_nan_ = false;
  std::set<ValueId> zeros_;  ///< 0 for keys whose probability is 0
};

}  // namespace

bool skip_masked_keys(LinearIR& ir, const Schedule& schedule) { return MaskedKeys(ir, schedule).run(); }

}  // namespace burin::linear
