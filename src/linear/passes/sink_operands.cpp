// A load or a cheap operation stands in front of its first use, if it is a plain one: its register
// is free until then, most of all while a function is computed in many steps.
//
//     %y = load %b[_i]                         %x = load %a[_i]
//     %t = add %y, 1                           %s = silu %x
//     %x = load %a[_i]               ->        %y = load %b[_i]
//     %s = silu %x                             %t = add %y, 1
//     %r = mul %s, %t                          %r = mul %s, %t

#include <algorithm>

#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

/// One instruction, or hardly more; a function would take its operands' place in turn.
bool is_cheap(Op op) {
  switch (op) {
    case Op::load:
    case Op::abs:
    case Op::neg:
    case Op::square:
    case Op::add:
    case Op::sub:
    case Op::mul:
    case Op::fma:
    case Op::fnma: return true;
    default: return false;
  }
}

bool reads(const Item& item, ValueId v) {
  const std::vector<ValueId>& in = item.expression.in;
  return std::find(in.begin(), in.end(), v) != in.end();
}

/// Where the expression at `from` may go: right in front of the first that reads it. It stays where
/// a loop, a store (of memory that may be an input's) or a variable that changes comes before.
std::size_t position_for(const Block& block, std::size_t from) {
  const Expression& e = block[from].expression;
  for (std::size_t to = from + 1; to < block.size(); ++to) {
    if (block[to].is_loop()) break;
    if (reads(block[to], e.out)) return to - 1;
    const Expression& passed = block[to].expression;
    if (e.op == Op::load && passed.op == Op::store) break;
    if (std::find(e.in.begin(), e.in.end(), passed.out) != e.in.end()) break;
  }
  return from;
}

bool sink_in(Block& block) {
  bool changed = false;
  for (std::size_t i = block.size(); i-- > 0;) {
    if (block[i].is_loop()) {
      if (block[i].loop->brgemm) continue;  // an executor knows it by its form
      for (Loop::Version& v : block[i].loop->versions) changed |= sink_in(v.body);
      continue;
    }
    if (!is_cheap(block[i].expression.op)) continue;
    const std::size_t to = position_for(block, i);
    const auto at = [&](std::size_t n) { return block.begin() + static_cast<std::ptrdiff_t>(n); };
    std::rotate(at(i), at(i + 1), at(to + 1));
    changed |= to != i;
  }
  return changed;
}

}  // namespace

bool sink_operands(LinearIR& ir) { return sink_in(ir.phases); }

}  // namespace burin::linear
