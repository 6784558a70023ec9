// One load of an element (one fill of a constant, one integer) serves all that follow it in its block and in the loops inside:
//
//     %a = load %x[_n]                        %a = load %x[_n]
//     %b = mul %a, %a                    ->   %b = mul %a, %a
//     %c = load %x[_n]                        %d = add %a, %b
//     %d = add %c, %b

#include <fmt/format.h>

#include <map>
#include <tuple>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

class Sharing {
 public:
  explicit Sharing(LinearIR& ir) : ir_(ir) {
    for_each_expression(ir.phases, [&](const Expression& e) {
      if (e.op == Op::store) stored_.insert(e.memory);
      if (info(e.op).kind == OpClass::update) updated_.insert(e.out);
    });
  }

  bool run() {
    visit(ir_.phases, {});
    return changed_;
  }

 private:
  using Key = std::tuple<Op, MemoryId, std::string>;
  using Available = std::map<Key, ValueId>;

  bool sharable(const Expression& e) const {
    if (e.op == Op::load) return stored_.count(e.memory) == 0;
    if (is_integer(e.op)) return true;
    return e.op == Op::fill && e.over.empty() && updated_.count(e.out) == 0;
  }
  static Key key(const Expression& e) {
    return {e.op, e.memory, e.op == Op::fill ? fmt::format("{}", e.imm) : e.index.to_string()};
  }

  void visit(Block& block, Available available) {
    Block kept;
    for (Item& item : block) {
      if (item.is_loop()) {
        for (Loop::Version& v : item.loop->versions) visit(v.body, available);
      } else {
        Expression& e = item.expression;
        for (ValueId& v : e.in)
          if (auto it = replaced_.find(v); it != replaced_.end()) v = it->second;
        if (sharable(e)) {
          auto [it, fresh] = available.try_emplace(key(e), e.out);
          if (!fresh) {
            replaced_[e.out] = it->second;
            changed_ = true;
            continue;
          }
        }
      }
      kept.push_back(std::move(item));
    }
    block = std::move(kept);
  }

  LinearIR& ir_;
  std::set<MemoryId> stored_;
  std::set<ValueId> updated_;
  std::map<ValueId, ValueId> replaced_;
  bool changed_ = false;
};

}  // namespace

bool share_loads(LinearIR& ir) { return Sharing(ir).run(); }

}  // namespace burin::linear
