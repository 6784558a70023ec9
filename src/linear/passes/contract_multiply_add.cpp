// A product that is only added to something is one operation with the sum, rounded once:
//
//     %p = mul %x, %y
//     %s = add %p, %b          ->    %s = fma %x, %y, %b
//     %q = square %s
//     %t = sub %b, %q          ->    %t = fnma %s, %s, %b          (%b - %s * %s)
//     %r = mul %t, %t
//     %a = update_sum %a, %r   ->    %a = update_fma %a, %t, %t

#include <map>
#include <optional>
#include <set>
#include <utility>

#include "linear/linear_ir.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

class Contraction {
 public:
  explicit Contraction(LinearIR& ir) : ir_(ir) {
    for_each_expression(ir.phases, [&](const Expression& e) {
      for (const ValueId v : e.in) ++uses_[v];
      if (info(e.op).kind == OpClass::update) updated_.insert(e.out);
    });
  }

  bool run() {
    visit(ir_.phases);
    return changed_;
  }

 private:
  using Factors = std::pair<ValueId, ValueId>;

  void visit(Block& block) {
    std::map<ValueId, Factors> products;  // of this block, that nothing but one operation reads
    std::set<ValueId> contracted;
    for (Item& item : block) {
      if (item.is_loop()) {
        for (Loop::Version& v : item.loop->versions) visit(v.body);
        continue;
      }
      Expression& e = item.expression;
      if (const auto factors = factors_of(e)) products.emplace(e.out, *factors);
      for (std::size_t i = e.in.size(); i-- > 0;) {
        const auto product = products.find(e.in[i]);
        if (product == products.end() || !contract(e, i, product->second)) continue;
        contracted.insert(product->first);
        break;
      }
    }
    changed_ |= !contracted.empty();
    std::erase_if(block, [&](const Item& i) {
      return !i.is_loop() && contracted.count(i.expression.out) != 0;
    });
  }

  std::optional<Factors> factors_of(const Expression& e) const {
    if ((e.op != Op::mul && e.op != Op::square) || uses_.count(e.out) == 0 || uses_.at(e.out) != 1)
      return std::nullopt;
    // What changes may have changed when the sum comes.
    for (const ValueId v : e.in)
      if (updated_.count(v) != 0) return std::nullopt;
    return Factors{e.in.front(), e.in.back()};
  }

  /// Puts the factors of its i-th operand into the expression.
  static bool contract(Expression& e, std::size_t i, const Factors& x) {
    switch (e.op) {
      case Op::add: e.in = {x.first, x.second, e.in[1 - i]}; break;
      case Op::sub:
        if (i == 0) return false;
        e.in = {x.first, x.second, e.in[0]};
        break;
      case Op::update_sum: e.in = {e.in[0], x.first, x.second}; break;
      default: return false;
    }
    e.op = e.op == Op::add ? Op::fma : e.op == Op::sub ? Op::fnma : Op::update_fma;
    return true;
  }

  LinearIR& ir_;
  std::map<ValueId, int> uses_;
  std::set<ValueId> updated_;
  bool changed_ = false;
};

}  // namespace

bool contract_multiply_add(LinearIR& ir) { return Contraction(ir).run(); }

}  // namespace burin::linear
