// Score rows -> online softmax: the key loops are cut into blocks, and one loop over the blocks carries the running
// maximum, the running sum and the output, which is rescaled whenever the maximum grows (Milakov and Gimelshein,
// arXiv:1805.02867). Scratch then does not grow with the number of keys.
//
//     %max = fill -inf                              %max = fill lowest   %sum = fill 0
//     loop _k in 0..S {                             loop _d { store %o.carried[_d], 0 }
//       %t = ...  update_max %max, %t }             loop _k.b in 0..S step 128 {
//     %sum = fill 0                                   %previous = %max
//     loop _k in 0..S {                               loop _k in _k.b.. { %t = ...  update_max %max, %t }
//       %e = exp2(%t - %max)                          %c = exp2(%previous - %max)   %sum = %sum * %c
//       update_sum %sum, %e }                 ->      loop _k in _k.b.. { %e = exp2(%t - %max)  update_sum %sum, %e }
//     loop _d {                                       loop _d {
//       %o = fill 0                                     %o = load %o.carried[_d] * %c
//       loop _k in 0..S { update_fma %o, %e, v }        loop _k in _k.b.. { update_fma %o, %e, v }
//       store %out, %o / %sum }                         store %o.carried[_d], %o }
//                                                   }
//                                                   loop _d { store %out, %o.carried[_d] / %sum }
//
// Legal only if all that follows the exponential is linear in it, key by key, and nobody else reads scores or
// probabilities. The maximum starts at the lowest float, not at -inf: a first block that is wholly masked with -inf then
// gives no NaN.

#include <algorithm>
#include <limits>
#include <optional>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

/// The parts of a block that holds a softmax between two products.
struct Pattern {
  std::size_t scores = 0, exponentials = 0;  ///< positions of the two key loops
  ValueId maximum = kNone;
  std::size_t maximum_fill = 0;
  Op exponential{};
  std::vector<ValueId> sums;
  std::vector<std::size_t> sum_fills;
  std::vector<std::size_t> products;  ///< positions of loops that hold the second products
};

class OnlineSoftmax {
 public:
  OnlineSoftmax(LinearIR& ir, const Schedule& schedule) : ir_(ir), schedule_(schedule) {}

  bool run() {
    bool changed = false;
    for_each_loop(ir_.phases, [&](Loop& loop) {
      if (!loop.lanes || changed) return;
      lanes_ = &loop;
      Block& block = inside_conditions(loop.body());
      if (auto pattern = match(block)) {
        rewrite(block, *pattern);
        changed = true;
      }
    });
    return changed;
  }

 private:
  /// The block itself, or that of the loop with a condition that is all it holds.
  static Block& inside_conditions(Block& block) {
    const bool wraps = block.size() == 1 && block[0].is_loop() && block[0].loop->condition;
    return wraps ? inside_conditions(block[0].loop->body()) : block;
  }

  // ---- match ----

  std::optional<Pattern> match(const Block& block) {
    Pattern p;
    if (!find_maximum(block, p) || !find_exponentials(block, p) || !find_products(block, p)) return std::nullopt;
    return p;
  }

  static const Expression* fill_of(const Block& block, ValueId v, std::size_t& position) {
    for (std::size_t i = 0; i < block.size(); ++i)
      if (!block[i].is_loop() && block[i].expression.op == Op::fill && block[i].expression.out == v) {
        position = i;
        return &block[i].expression;
      }
    return nullptr;
  }

  bool find_maximum(const Block& block, Pattern& p) {
    for (std::size_t i = 0; i < block.size(); ++i) {
      if (!block[i].is_loop()) continue;
      for (const Item& item : block[i].loop->body())
        if (!item.is_loop() && item.expression.op == Op::update_max_number) {
          p.scores = i;
          p.maximum = item.expression.out;
          scores_ = item.expression.in[1];
          return fill_of(block, p.maximum, p.maximum_fill) != nullptr;
        }
    }
    return false;
  }

  /// The loop with exp(score - maximum), in which everything derived from the exponential is linear in it.
  bool find_exponentials(const Block& block, Pattern& p) {
    const Loop& first = *block[p.scores].loop;
    for (std::size_t i = p.scores + 1; i < block.size(); ++i) {
      if (effects(block[i]).reads.count(p.maximum) == 0) continue;
      if (p.exponentials != 0 || !block[i].is_loop()) return false;  // one loop reads it, no more
      const Loop& loop = *block[i].loop;
      if (loop.var != first.var || !(loop.begin == first.begin) || !(loop.end == first.end)) return false;
      p.exponentials = i;
      if (!collect_linear(loop.body(), p)) return false;
    }
    if (p.exponentials == 0 || linear_.empty()) return false;
    for (ValueId sum : p.sums) {
      std::size_t position = 0;
      if (fill_of(block, sum, position) == nullptr) return false;
      p.sum_fills.push_back(position);
    }
    return true;
  }

  bool collect_linear(const Block& body, Pattern& p) {
    ValueId shifted = kNone;
    for (const Item& item : body) {
      if (item.is_loop()) return false;
      const Expression& e = item.expression;
      const auto derived = std::count_if(e.in.begin(), e.in.end(), [&](ValueId v) { return linear_.count(v) != 0; });
      if (e.op == Op::sub && e.in[0] == scores_ && e.in[1] == p.maximum) {
        shifted = e.out;
      } else if (shifted != kNone && is_exponential(e.op) && e.in[0] == shifted) {
        p.exponential = e.op;
        linear_.insert(e.out);
      } else if (e.op == Op::update_sum && derived == 1 && linear_.count(e.in[1]) != 0) {
        p.sums.push_back(e.out);
      } else if (e.op == Op::mul && derived == 1) {
        linear_.insert(e.out);
      } else if (derived != 0 || reads(e, p.maximum) || reads(e, scores_) || reads(e, shifted) ||
                 info(e.op).kind == OpClass::update || e.op == Op::store) {
        return false;
      }
    }
    return true;
  }

  static bool reads(const Expression& e, ValueId v) { return std::find(e.in.begin(), e.in.end(), v) != e.in.end(); }

  /// All other readers of the probabilities are products summed over the same keys.
  bool find_products(const Block& block, Pattern& p) {
    for (std::size_t i = 0; i < block.size(); ++i) {
      if (i == p.scores || i == p.exponentials) continue;
      const Effects e = effects(block[i]);
      const bool uses = std::any_of(linear_.begin(), linear_.end(), [&](ValueId v) { return e.reads.count(v) != 0; });
      if (e.reads.count(scores_) != 0) return false;
      if (!uses) continue;
      if (i < p.exponentials || !block[i].is_loop() || !is_product(*block[i].loop, block[p.scores].loop->var)) return false;
      p.products.push_back(i);
    }
    return !p.products.empty();
  }

  /// A loop { fill 0; loop over the keys { products of the probabilities }; whatever follows }.
  bool is_product(const Loop& loop, const std::string& key) const {
    const Block& body = loop.body();
    if (body.size() < 2 || body[0].is_loop() || body[0].expression.op != Op::fill || body[0].expression.imm != 0) return false;
    if (!body[1].is_loop() || body[1].loop->var != key) return false;
    const ValueId sum = body[0].expression.out;
    for (const Item& item : body[1].loop->body()) {
      if (item.is_loop()) return false;
      const Expression& e = item.expression;
      const bool uses = std::any_of(e.in.begin(), e.in.end(), [&](ValueId v) { return linear_.count(v) != 0; });
      const bool product = e.op == Op::update_fma && e.out == sum &&
                           std::count_if(e.in.begin(), e.in.end(), [&](ValueId v) { return linear_.count(v) != 0; }) == 1;
      if (uses && !product) return false;
    }
    for (std::size_t i = 2; i < body.size(); ++i) {
      const Effects e = effects(body[i]);
      if (std::any_of(linear_.begin(), linear_.end(), [&](ValueId v) { return e.reads.count(v) != 0; })) return false;
    }
    return true;
  }

  // ---- rewrite ----

  ValueId emit(Block& block, Op op, std::vector<ValueId> in, std::string_view hint) {
    Expression e;
    e.op = op;
    e.in = std::move(in);
    e.out = info(op).kind == OpClass::update ? e.in[0] : ir_.new_value(hint);
    block.emplace_back(e);
    return e.out;
  }

  ValueId emit_fill(Block& block, std::vector<std::string> over, std::string_view hint) {
    Expression e;
    e.op = Op::fill;
    e.over = std::move(over);
    e.out = ir_.new_value(hint);
    block.emplace_back(e);
    return e.out;
  }

  /// The carried output of one product loop.
  struct Carried {
    MemoryId memory;
    Expr index;
  };

  Carried make_carried(const Loop& loop) {
    const Expr lanes = ceil_div(extent_bound(*lanes_), ir_.lanes) * ir_.lanes;
    Memory m;
    m.kind = Memory::Kind::worker;
    m.name = "carried";
    m.elements = extent_bound(loop) * lanes;
    const Expr index = (Expr::symbol(loop.var) - loop.begin) * lanes + Expr::symbol(lanes_->var) - lanes_->begin;
    return {ir_.new_memory(std::move(m)), index};
  }

  static Expression memory_access(Op op, const Carried& carried) {
    Expression e;
    e.op = op;
    e.memory = carried.memory;
    e.index = carried.index;
    return e;
  }

  static Loop like(const Loop& loop) {
    Loop copy;
    copy.var = loop.var;
    copy.begin = loop.begin;
    copy.end = loop.end;
    copy.lanes = loop.lanes;
    copy.versions.push_back({1, false, {}});
    return copy;
  }

  Loop in_block(Loop loop) const {
    const Expr start = Expr::symbol(block_variable_);
    loop.end = min(start + schedule_.key_block, loop.end);
    loop.begin = start;
    return loop;
  }

  void rewrite(Block& block, Pattern& p) {
    const Loop& keys = *block[p.scores].loop;
    block_variable_ = fresh_variable(ir_, keys.var + ".b");
    block[p.maximum_fill].expression.imm = std::numeric_limits<float>::lowest();

    Loop blocks = like(keys);
    blocks.var = block_variable_;
    blocks.versions[0].step = schedule_.key_block;
    blocks.versions[0].partial = true;
    Block& body = blocks.body();
    const std::vector<std::string> over = block[p.maximum_fill].expression.over;
    ValueId previous = emit_fill(body, over, "previous");
    emit(body, Op::assign, {previous, p.maximum}, "");
    body.emplace_back(in_block(std::move(*block[p.scores].loop)));
    const ValueId shift = emit(body, Op::sub, {previous, p.maximum}, "shift");
    const ValueId correction = emit(body, p.exponential, {shift}, "correction");
    for (ValueId sum : p.sums) emit(body, Op::assign, {sum, emit(body, Op::mul, {sum, correction}, "scaled")}, "");
    body.emplace_back(in_block(std::move(*block[p.exponentials].loop)));

    auto contains = [](const std::vector<std::size_t>& positions, std::size_t i) {
      return std::find(positions.begin(), positions.end(), i) != positions.end();
    };
    Block result, starts, behind;
    for (std::size_t i = 0; i < block.size(); ++i)
      if (i < p.scores || contains(p.sum_fills, i)) result.push_back(std::move(block[i]));
    for (std::size_t i = p.scores + 1; i < block.size(); ++i) {
      if (i == p.exponentials || contains(p.sum_fills, i)) continue;
      if (!contains(p.products, i))
        behind.push_back(std::move(block[i]));
      else
        split_product(std::move(*block[i].loop), correction, starts, body, behind);
    }
    std::move(starts.begin(), starts.end(), std::back_inserter(result));
    result.emplace_back(std::move(blocks));
    std::move(behind.begin(), behind.end(), std::back_inserter(result));
    block = std::move(result);
  }

  /// One product loop becomes three: the carried output's start, its step for a block of keys, and what follows it.
  void split_product(Loop loop, ValueId correction, Block& starts, Block& steps, Block& behind) {
    const Carried carried = make_carried(loop);
    Block body = std::move(loop.body());
    const ValueId sum = body[0].expression.out;
    const std::vector<std::string> over = body[0].expression.over;

    Loop start = like(loop);
    Expression zero = memory_access(Op::store, carried);
    zero.in = {emit_fill(start.body(), over, "zero")};
    start.body().emplace_back(std::move(zero));
    starts.emplace_back(std::move(start));

    Loop step = like(loop);
    Expression load = memory_access(Op::load, carried);
    load.out = ir_.new_value("carried");
    const ValueId loaded = load.out;
    step.body().emplace_back(std::move(load));
    const ValueId rescaled = emit(step.body(), Op::mul, {loaded, correction}, "rescaled");
    const ValueId running = emit_fill(step.body(), over, "running");
    emit(step.body(), Op::assign, {running, rescaled}, "");
    for_each_expression(body[1].loop->body(), [&](Expression& e) {
      if (e.out == sum) e.out = e.in[0] = running;
    });
    step.body().emplace_back(in_block(std::move(*body[1].loop)));
    Expression store = memory_access(Op::store, carried);
    store.in = {running};
    step.body().emplace_back(std::move(store));
    steps.emplace_back(std::move(step));

    Loop rest = like(loop);
    Expression result = memory_access(Op::load, carried);
    result.out = sum;
    rest.body().emplace_back(std::move(result));
    for (std::size_t i = 2; i < body.size(); ++i) rest.body().push_back(std::move(body[i]));
    behind.emplace_back(std::move(rest));
  }

  LinearIR& ir_;
  const Schedule& schedule_;
  const Loop* lanes_ = nullptr;
  ValueId scores_ = kNone;
  std::set<ValueId> linear_;  ///< the exponential and what is derived from it, all linear in it
  std::string block_variable_;
};

}  // namespace

bool rewrite_online_softmax(LinearIR& ir, const Schedule& schedule) {
  return schedule.softmax_form == SoftmaxForm::online && OnlineSoftmax(ir, schedule).run();
}

}  // namespace burin::linear
