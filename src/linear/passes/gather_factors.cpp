// What a normalisation multiplies by and another factor that is known in front of the same loop are multiplied there:
//
//     %r = rsqrt %a                                 %r = rsqrt %a
//     %c = load %scale[_c]                          %c = load %scale[_c]
//     lanes _n in 0..N {                    ->      %f = mul %r, %c
//       %y = mul %d, %r                             lanes _n in 0..N {
//       %z = mul %y, %c }                             %z = mul %d, %f }

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

class GatherFactors {
 public:
  explicit GatherFactors(LinearIR& ir) : ir_(ir) {
    for_each_block(ir_.phases, [&](Block& block, const Path& path) {
      for (const Item& item : block)
        if (!item.is_loop()) count(item.expression, path);
    });
  }

  bool run() {
    visit(ir_.phases);
    return !made_.empty();
  }

 private:
  void count(const Expression& e, const Path& path) {
    for (const ValueId v : e.in) ++uses_[v];
    if (e.out == kNone) return;
    ++writes_[e.out];
    for (const Loop* loop : path.loops) written_in_[e.out].insert(loop->var);
    if (e.op == Op::rsqrt || e.op == Op::reciprocal) inverses_.insert(e.out);
  }

  /// In front of the loop: nor does a neighbour over the same elements write it, through which it goes element by element.
  bool is_known(ValueId v, const Loop& loop) const {
    const auto found = written_in_.find(v);
    return found == written_in_.end() || !found->second.contains(loop.var);
  }

  /// Inner loops first: a factor goes on outwards, as far as it is known.
  void visit(Block& block) {
    for (std::size_t i = 0; i < block.size(); ++i) {
      if (!block[i].is_loop()) continue;
      visit(block[i].loop->body());
      if (block[i].loop->parallel) continue;
      Block factors = lift(*block[i].loop);
      gather(*block[i].loop, factors);
      const std::size_t count = factors.size();
      block.insert(block.begin() + static_cast<std::ptrdiff_t>(i), std::make_move_iterator(factors.begin()),
                   std::make_move_iterator(factors.end()));
      i += count;
    }
  }

  /// Factors that were made in front of an inner loop.
  Block lift(Loop& loop) const {
    Block factors;
    std::erase_if(loop.body(), [&](Item& item) {
      const Expression& e = item.expression;
      if (item.is_loop() || !made_.contains(e.out) || !is_known(e.in[0], loop) || !is_known(e.in[1], loop)) return false;
      factors.push_back(std::move(item));
      return true;
    });
    return factors;
  }

  void gather(Loop& loop, Block& factors) {
    Block& body = loop.body();
    std::map<ValueId, std::size_t> scaled;  // by its result: a product with an inverse that is known in front
    for (std::size_t i = 0; i < body.size(); ++i) {
      Expression& e = body[i].expression;
      if (body[i].is_loop() || (e.op != Op::mul && e.op != Op::fma)) continue;
      const bool left = is_known(e.in[0], loop);
      if (left == is_known(e.in[1], loop)) continue;
      const auto [factor, other] = left ? std::pair(e.in[0], e.in[1]) : std::pair(e.in[1], e.in[0]);
      if (const auto first = scaled.find(other); first != scaled.end()) {
        const Expression& inner = body[first->second].expression;
        const bool right = is_known(inner.in[1], loop);
        e.in[0] = inner.in[right ? 0 : 1];
        e.in[1] = product(inner.in[right ? 1 : 0], factor, factors);
        body.erase(body.begin() + static_cast<std::ptrdiff_t>(first->second));
        scaled.clear();
        --i;
      } else if (e.op == Op::mul && inverses_.contains(factor) && uses_[e.out] == 1 && writes_[e.out] == 1 && writes_[other] == 1) {
        scaled[e.out] = i;
      }
    }
  }

  ValueId product(ValueId a, ValueId b, Block& block) {
    Expression e;
    e.op = Op::mul;
    e.in = {a, b};
    e.out = ir_.new_value("factor");
    block.emplace_back(e);
    made_.insert(e.out);
    for (const ValueId v : e.in)
      if (const auto found = written_in_.find(v); found != written_in_.end()) written_in_[e.out].insert(found->second.begin(), found->second.end());
    return e.out;
  }

  LinearIR& ir_;
  std::map<ValueId, int> uses_, writes_;
  std::map<ValueId, std::set<std::string>> written_in_;  ///< variables of the loops around each write
  std::set<ValueId> inverses_, made_;
};

}  // namespace

bool gather_factors(LinearIR& ir) { return GatherFactors(ir).run(); }

}  // namespace burin::linear
