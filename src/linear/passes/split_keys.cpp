// Where queries are few, an item of work is a block of keys, not all keys of a head: there are items for all workers, and
// neighbouring items read neighbouring memory. A second phase combines what the blocks have made.
//
//     parallel _h in 0..H {                         parallel _k.n in 0..ceil_div(S, 256) {
//       %max = fill -inf                              parallel _h in 0..H {
//       lanes _k in 0..S {                              %max = fill lowest
//         %t = ...  update_max %max, %t }               lanes _k in 256*_k.n.. { %t = ...  update_max %max, %t }
//       %m = lanes_max %max                             %m = lanes_max %max
//       %sum = fill 0                                   store %m.part[H*_k.n + _h], %m
//       lanes _k in 0..S {                              %sum = fill 0
//         %e = exp2(%t - %m)                            lanes _k in 256*_k.n.. { %e = exp2(%t - %m)  update_sum %sum, %e }
//         update_sum %sum, %e }                         store %l.part[H*_k.n + _h], lanes_sum %sum
//       %l = lanes_sum %sum                             lanes _e {
//       lanes _e {                                        %o = fill 0
//         %o = fill 0                        ->           loop _k in 256*_k.n.. { update_fma %o, %e, v }
//         loop _k in 0..S { update_fma %o, %e, v }        store %o.part[...], %o } } }
//         store %out, %o / %l } }                     parallel _h in 0..H {
//                                                       %m = fill lowest
//                                                       loop _k.n { update_max %m, load %m.part[H*_k.n + _h] }
//                                                       %l = fill 0
//                                                       loop _k.n { %c = exp2(load %m.part[...] - %m)
//                                                                   update_fma %l, %c, load %l.part[...] }
//                                                       lanes _e {
//                                                         %o = fill 0
//                                                         loop _k.n { %c = ...  update_fma %o, %c, load %o.part[...] }
//                                                         store %out, %o / %l } }
//
// Both phases are the old one, in which one half is left out. Legal where all that follows the exponential is linear in it,
// key by key, and nobody else reads scores or probabilities; the maximum starts at the lowest float: see
// rewrite_online_softmax.cpp. The blocks are the same for any number of workers, and so are the results.

#include <algorithm>
#include <limits>
#include <map>
#include <optional>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

/// What a loop over all keys makes, and blocks of keys make in parts.
struct Result {
  ValueId running = kNone;  ///< the variable that the loop folds into
  ValueId value = kNone;    ///< what others read: the variable itself, or its lanes folded
  bool is_maximum = false;
};

/// What is done with the score less its maximum.
struct Weight {
  std::optional<double> factor;
  Op exponential{};
};

/// The softmax between two products.
class Pattern {
 public:
  std::string keys;  ///< variable of all loops over keys
  ValueId scores = kNone;
  Result maximum;
  std::vector<Result> sums;
  Weight weight;

  /// Whether the body of an item of work is one that can be split.
  bool match(const Block& body) {
    find_maximum(body, nullptr);
    if (keys.empty()) return false;
    find_definitions(body, false);
    find_folds();
    return maximum.value != kNone && maximum.value != maximum.running && classify() && bounds_agree(body);
  }

  const Loop* key_loop() const { return key_loop_; }

 private:
  struct Place {
    const Expression* expression;
    bool in_keys;
  };

  void find_maximum(const Block& block, const Loop* lanes) {
    for (const Item& item : block) {
      if (item.is_loop()) {
        find_maximum(item.loop->body(), item.loop->lanes ? item.loop.get() : lanes);
      } else if (item.expression.op == Op::update_max_number && lanes != nullptr && keys.empty()) {
        keys = lanes->var;
        key_loop_ = lanes;
        maximum = {item.expression.out, kNone, true};
        scores = item.expression.in[1];
      }
    }
  }

  void find_definitions(const Block& block, bool in_keys) {
    for (const Item& item : block) {
      if (item.is_loop()) {
        find_definitions(item.loop->body(), in_keys || item.loop->var == keys);
        continue;
      }
      const Expression& e = item.expression;
      places_.push_back({&e, in_keys});
      if (info(e.op).kind == OpClass::update) continue;
      if (in_keys && e.out != kNone) made_of_keys_.insert(e.out);
      if (e.op == Op::fill) numbers_[e.out] = e.imm;
    }
  }

  /// A variable stands for the fold of its lanes, where there is one.
  void find_folds() {
    maximum.value = maximum.running;
    for (const Place& p : places_)
      if (info(p.expression->op).kind == OpClass::lanes) folds_[p.expression->in[0]] = p.expression->out;
    if (const auto it = folds_.find(maximum.running); it != folds_.end()) maximum.value = it->second;
  }

  bool classify() {
    for (const Place& p : places_)
      if (!classify(*p.expression, p.in_keys)) return false;
    return !linear_.empty() && !sums.empty();
  }

  bool classify(const Expression& e, bool in_keys) {
    const auto weights = std::count_if(e.in.begin(), e.in.end(), [&](ValueId v) { return linear_.count(v) != 0; });
    const bool is_sum = (e.op == Op::update_sum || e.op == Op::update_fma) && weights == 1 && linear_.count(e.out) == 0;
    if (e.out == maximum.running || e.out == maximum.value) return is_part_of_maximum(e);
    if (e.out == scores) return is_part_of_score(e);
    if (e.op == Op::sub && e.in[0] == scores && e.in[1] == maximum.value) return shifted_.insert(e.out).second;
    if (e.op == Op::mul && shifted_.count(e.in[0]) != 0) return scale(e);
    if (is_exponential(e.op) && shifted_.count(e.in[0]) != 0) return exponentiate(e);
    if (e.op == Op::mul && weights == 1) return linear_.insert(e.out).second;
    if (is_sum && in_keys && made_of_keys_.count(e.out) == 0) return add_sum(e.out);
    if (weights != 0 || std::any_of(e.in.begin(), e.in.end(), [&](ValueId v) { return is_inside(v) || is_unfolded(v, e); })) return false;
    // What else is done for each key leaves nothing behind.
    const bool leaves = e.op == Op::store || (info(e.op).kind == OpClass::update && made_of_keys_.count(e.out) == 0);
    return !(in_keys && leaves) && (in_keys || std::none_of(e.in.begin(), e.in.end(), [&](ValueId v) { return made_of_keys_.count(v) != 0; }));
  }

  bool is_part_of_maximum(const Expression& e) const {
    return e.op == Op::fill || (e.op == Op::update_max_number && e.in[1] == scores) || e.out == maximum.value;
  }

  /// A score may be summed where it is.
  bool is_part_of_score(const Expression& e) const {
    return std::ranges::none_of(e.in, [&](ValueId v) { return v != scores && (is_inside(v) || linear_.contains(v)); });
  }

  /// Read by nobody but those that classify() knows.
  bool is_inside(ValueId v) const {
    return v == scores || v == maximum.value || v == maximum.running || shifted_.count(v) != 0;
  }

  /// A sum whose lanes another expression folds.
  bool is_unfolded(ValueId v, const Expression& e) const {
    return std::ranges::any_of(sums, [&](const Result& r) { return v == r.running && v != r.value && e.out != r.value; });
  }

  bool scale(const Expression& e) {
    const auto factor = numbers_.find(e.in[1]);
    if (factor == numbers_.end() || weight.factor) return false;
    weight.factor = factor->second;
    return shifted_.insert(e.out).second;
  }

  bool exponentiate(const Expression& e) {
    if (!linear_.empty()) return false;
    weight.exponential = e.op;
    return linear_.insert(e.out).second;
  }

  bool add_sum(ValueId running) {
    const auto fold = folds_.find(running);
    for (const Result& r : sums)
      if (r.running == running) return false;
    sums.push_back({running, fold == folds_.end() ? running : fold->second, false});
    return true;
  }

  bool bounds_agree(const Block& body) const {
    bool agree = true;
    for_each_loop(body, [&](const Loop& loop) {
      if (loop.var == keys) agree &= loop.begin == key_loop_->begin && loop.end == key_loop_->end && !loop.condition;
    });
    return agree && key_loop_->begin == Expr(0);
  }

  const Loop* key_loop_ = nullptr;
  std::vector<Place> places_;
  std::set<ValueId> made_of_keys_;  ///< defined inside of a loop over keys
  std::map<ValueId, double> numbers_;
  std::map<ValueId, ValueId> folds_;
  std::set<ValueId> shifted_, linear_;  ///< score - maximum; its exponential and what is linear in that
};

/// Where the parts of one result lie.
struct Parts {
  MemoryId memory = kNone;
  Expr index;
};

class KeySplit {
 public:
  KeySplit(LinearIR& ir, const Schedule& schedule) : ir_(ir), schedule_(schedule) {}

  bool run() {
    if (ir_.phases.size() != 1) return false;
    nest_ = parallel_nest(*ir_.phases[0].loop);
    Block& body = nest_.back()->body();
    if (!pattern_.match(body)) return false;
    block_variable_ = fresh_variable(ir_, pattern_.keys + ".n");
    blocks_ = ceil_div(pattern_.key_loop()->end, schedule_.key_block);
    place_parts();
    Item second = ir_.phases[0].clone();
    Block& combined = parallel_nest(*second.loop).back()->body();
    rename(combined);
    combine(combined);
    split(body);
    ir_.phases.push_back(std::move(second));
    return true;
  }

 private:
  // ---- memory

  std::vector<Result> results() const {
    std::vector<Result> all = pattern_.sums;
    all.insert(all.begin(), pattern_.maximum);
    return all;
  }

  /// Of a block, a number for each work item; inside of it, for each row and lane.
  void place_parts() {
    const std::vector<std::set<std::string>> varies = dependences(ir_);
    std::map<ValueId, std::vector<const Loop*>> loops;
    for_each_block(ir_.phases, [&](Block& block, const Path& path) {
      for (const Item& item : block)
        if (!item.is_loop() && item.expression.out != kNone) loops.try_emplace(item.expression.out, path.loops);
    });
    for (const Result& r : results()) {
      Expr size = 1, index = 0;
      for (bool lanes : {true, false})
        for (std::size_t i = loops.at(r.value).size(); i-- > 0;) {
          const Loop& loop = *loops.at(r.value)[i];
          if (loop.parallel || loop.lanes != lanes || varies[r.value].count(loop.var) == 0) continue;
          index += (Expr::symbol(loop.var) - loop.begin) * size;
          size *= extent_bound(loop);
        }
      for (std::size_t i = nest_.size(); i-- > 0;) {
        index += Expr::symbol(nest_[i]->var) * size;
        size *= nest_[i]->end;
      }
      Memory m;
      m.kind = Memory::Kind::call;
      m.name = ir_.values[r.value] + ".part";
      m.elements = size * blocks_;
      parts_[r.value] = {ir_.new_memory(std::move(m)), index + Expr::symbol(block_variable_) * size};
    }
  }

  Expression access(Op op, const Parts& parts) const {
    Expression e;
    e.op = op;
    e.memory = parts.memory;
    e.index = parts.index;
    return e;
  }

  // ---- a block of keys

  void split(Block& body) {
    const Expr begin = Expr::symbol(block_variable_) * schedule_.key_block;
    const std::string keys = pattern_.keys;
    for_each_loop(body, [&](Loop& loop) {
      if (loop.var != keys) return;
      loop.end = min(begin + schedule_.key_block, loop.end);
      loop.begin = begin;
    });
    const std::vector<Result> all = results();
    edit(body, [&](Block& block, std::size_t i) {
      Item& item = block[i];
      if (!item.is_loop() && item.expression.op == Op::fill && item.expression.out == pattern_.maximum.running)
        item.expression.imm = std::numeric_limits<float>::lowest();
      if (!item.is_loop() && item.expression.op == Op::store) {
        block.erase(block.begin() + static_cast<std::ptrdiff_t>(i));
        return i;
      }
      const Result* r = finished_by(item, all);
      if (r == nullptr) return i + 1;
      Expression store = access(Op::store, parts_.at(r->value));
      store.in = {r->value};
      block.insert(block.begin() + static_cast<std::ptrdiff_t>(i) + 1, Item(std::move(store)));
      return i + 2;
    });
    remove_dead(body);

    // Heads, the innermost parallel loop, lie beside one another for each key.
    Loop& heads = *nest_.back();
    Loop blocks = loop_over(block_variable_, 0, blocks_);
    blocks.parallel = true;
    blocks.body().emplace_back(std::move(heads));
    heads = std::move(blocks);
  }

  // ---- the second phase

  void rename(Block& body) {
    const auto rename = [&](ValueId& v) {
      const auto [it, fresh] = names_.try_emplace(v, kNone);
      if (fresh) it->second = ir_.new_value(ir_.values[v]);
      v = it->second;
    };
    for_each_expression(body, [&](Expression& e) {
      for (ValueId& v : e.in) rename(v);
      if (e.out != kNone) rename(e.out);
    });
  }

  void combine(Block& body) {
    std::vector<Result> all = results();
    std::map<ValueId, Parts> parts;
    for (Result& r : all) {
      parts[names_.at(r.value)] = parts_.at(r.value);
      r.running = names_.at(r.running), r.value = names_.at(r.value);
    }
    std::map<ValueId, std::vector<std::string>> over;
    for_each_expression(body, [&](const Expression& e) {
      if (e.op == Op::fill) over[e.out] = e.over;
    });
    edit(body, [&](Block& block, std::size_t i) {
      const Result* r = finished_by(block[i], all);
      if (r == nullptr) return i + 1;
      Block made;
      if (r->value != r->running) {
        std::vector<std::string> rows = over.at(r->running);
        std::erase(rows, pattern_.keys);
        made.emplace_back(fill(*r, std::move(rows)));
      }
      made.emplace_back(combining(*r, parts, all.front().value));
      const std::size_t added = made.size();
      block.erase(block.begin() + static_cast<std::ptrdiff_t>(i));
      block.insert(block.begin() + static_cast<std::ptrdiff_t>(i), std::make_move_iterator(made.begin()), std::make_move_iterator(made.end()));
      return i + added;
    });
    remove_dead(body);
  }

  static Expression fill(const Result& r, std::vector<std::string> over) {
    Expression e;
    e.op = Op::fill;
    e.imm = r.is_maximum ? std::numeric_limits<float>::lowest() : 0;
    e.over = std::move(over);
    e.out = r.value;
    return e;
  }

  Loop combining(const Result& r, const std::map<ValueId, Parts>& parts, ValueId maximum) {
    Loop loop = loop_over(block_variable_, 0, blocks_);
    Block& body = loop.body();
    const auto load = [&](ValueId of) {
      Expression e = access(Op::load, parts.at(of));
      e.out = ir_.new_value("part");
      body.emplace_back(e);
      return e.out;
    };
    const auto emit = [&](Op op, std::vector<ValueId> in, double imm = 0) {
      Expression e;
      e.op = op;
      e.in = std::move(in);
      e.imm = imm;
      e.out = info(op).kind == OpClass::update ? e.in[0] : ir_.new_value(info(op).text);
      body.emplace_back(e);
      return e.out;
    };
    const ValueId part_maximum = load(maximum);
    if (r.is_maximum) {
      emit(Op::update_max_number, {r.value, part_maximum});
      return loop;
    }
    ValueId shift = emit(Op::sub, {part_maximum, maximum});
    if (pattern_.weight.factor) shift = emit(Op::mul, {shift, emit(Op::fill, {}, *pattern_.weight.factor)});
    const ValueId weight = emit(pattern_.weight.exponential, {shift});
    emit(Op::update_fma, {r.value, weight, load(r.value)});
    return loop;
  }

  // ---- both

  /// Calls f(block, i) for each item, those inside first; f gives where to go on.
  template <typename F>
  static void edit(Block& block, F&& f) {
    for (std::size_t i = 0; i < block.size();) {
      if (block[i].is_loop()) edit(block[i].loop->body(), f);
      i = f(block, i);
    }
  }

  /// The result that is complete behind the item: the fold of its lanes, or the loop over keys.
  const Result* finished_by(const Item& item, const std::vector<Result>& all) const {
    for (const Result& r : all) {
      const bool folded = r.value != r.running;
      if (folded && !item.is_loop() && item.expression.out == r.value && info(item.expression.op).kind == OpClass::lanes) return &r;
      if (!folded && item.is_loop() && item.loop->var == pattern_.keys && effects(item).writes.count(r.running) != 0) return &r;
    }
    return nullptr;
  }

  /// What no store needs.
  static void remove_dead(Block& body) {
    std::set<ValueId> needed;
    for (std::size_t before = 0, first = 1; first != 0 || needed.size() != before; first = 0) {
      before = needed.size();
      for_each_expression(static_cast<const Block&>(body), [&](const Expression& e) {
        if (e.op == Op::store || needed.count(e.out) != 0) needed.insert(e.in.begin(), e.in.end());
      });
    }
    remove_unless(body, needed);
  }

  static void remove_unless(Block& block, const std::set<ValueId>& needed) {
    for (Item& item : block)
      if (item.is_loop()) remove_unless(item.loop->body(), needed);
    std::erase_if(block, [&](const Item& item) {
      return item.is_loop() ? item.loop->body().empty() : item.expression.op != Op::store && needed.count(item.expression.out) == 0;
    });
  }

  LinearIR& ir_;
  const Schedule& schedule_;
  std::vector<Loop*> nest_;
  Pattern pattern_;
  std::string block_variable_;
  Expr blocks_;
  std::map<ValueId, Parts> parts_;
  std::map<ValueId, ValueId> names_;  ///< of the second phase, by those of the first
};

}  // namespace

bool split_keys(LinearIR& ir, const Schedule& schedule) { return schedule.few_queries && KeySplit(ir, schedule).run(); }

}  // namespace burin::linear
