#include "linear/analysis.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "burin/error.h"
#include "support/bounds.h"
#include "linear/dependence.h"
#include "support/expr_node.h"

namespace burin::linear {
namespace {

void add_effects(const Expression& e, Effects& out) {
  out.reads.insert(e.in.begin(), e.in.end());
  if (e.out != kNone) out.writes.insert(e.out);
  if (e.op == Op::load) out.loads.insert(e.memory);
  if (e.op == Op::store) out.stores.insert(e.memory);
}

template <typename T>
bool meet(const std::set<T>& a, const std::set<T>& b) {
  return std::any_of(a.begin(), a.end(), [&](const T& x) { return b.count(x) != 0; });
}

void visit_blocks(Block& block, Path& path, const std::function<void(Block&, const Path&)>& f) {
  f(block, path);
  for (Item& item : block) {
    if (!item.is_loop()) continue;
    path.loops.push_back(item.loop.get());
    for (Loop::Version& v : item.loop->versions) visit_blocks(v.body, path, f);
    path.loops.pop_back();
  }
}

}  // namespace

std::vector<std::set<std::string>> dependences(const LinearIR& ir) {
  const Dependence dependence(ir);
  std::vector<std::set<std::string>> names(ir.values.size());
  for (ValueId v = 0; v < ir.values.size(); ++v)
    for (Dependence::Variable variable : dependence.of(v)) names[v].insert(dependence.variables()[variable]);
  return names;
}

Effects effects(const Block& block) {
  Effects out;
  for_each_expression(block, [&](const Expression& e) { add_effects(e, out); });
  for_each_loop(block, [&](const Loop& loop) {
    if (loop.condition) out.reads.insert(loop.condition->value);
  });
  return out;
}

Effects effects(const Item& item) {
  Effects out;
  if (!item.is_loop()) {
    add_effects(item.expression, out);
    return out;
  }
  if (item.loop->condition) out.reads.insert(item.loop->condition->value);
  for (const Loop::Version& v : item.loop->versions) {
    Effects inside = effects(v.body);
    out.reads.merge(inside.reads);
    out.writes.merge(inside.writes);
    out.loads.merge(inside.loads);
    out.stores.merge(inside.stores);
  }
  return out;
}

bool depends(const Effects& later, const Effects& earlier) {
  return meet(later.reads, earlier.writes) || meet(later.writes, earlier.reads) || meet(later.writes, earlier.writes) ||
         meet(later.loads, earlier.stores) || meet(later.stores, earlier.loads) || meet(later.stores, earlier.stores);
}

AccessMode access_mode(const Expression& e, const std::string& lane_variable) {
  if (lane_variable.empty() || !e.index.uses(lane_variable)) return AccessMode::splat;
  const auto c = e.index.coefficient(lane_variable);
  if (!c) return AccessMode::across;
  if (*c == Expr(1)) return AccessMode::vector;
  const Bounds bounds = bounds_of(*c);
  return e.op == Op::load && bounds.low >= 0 && bounds.high <= 1 ? AccessMode::either : AccessMode::across;
}

std::set<ValueId> words_of(const LinearIR& ir) {
  std::set<ValueId> words;
  for_each_expression(ir.phases, [&](const Expression& e) {
    switch (e.op) {
      case Op::integer_i32:
      case Op::add_i32:
      case Op::sub_i32:
      case Op::mul_i32:
      case Op::mul_high_u32:
      case Op::byte_of:
      case Op::update_sum_i32:
      case Op::update_max_i32:
      case Op::update_min_i32:
      case Op::update_prod_i32:
      case Op::lanes_sum_i32:
      case Op::lanes_max_i32:
      case Op::lanes_min_i32:
      case Op::lanes_prod_i32:
      case Op::div_i32:
      case Op::div_i64_low:
      case Op::div_i64_high:
      case Op::sign_word:
      case Op::to_i32: words.insert(e.out); break;
      case Op::load:
        if (ir.memory[e.memory].precision == Precision::i32) words.insert(e.out);
        break;
      case Op::where:
      case Op::assign:
        if (words.contains(e.in.back())) words.insert(e.out);
        break;
      default: break;
    }
  });
  return words;
}

Loop loop_over(std::string variable, Expr begin, Expr end, Block body, std::int64_t step) {
  Loop loop;
  loop.var = std::move(variable);
  loop.begin = std::move(begin);
  loop.end = std::move(end);
  loop.versions.push_back({step, step > 1, std::move(body)});
  return loop;
}

void rename_values(LinearIR& ir, Block& block) {
  std::map<ValueId, ValueId> values;
  for_each_expression(block, [&](Expression& e) {
    for (ValueId& v : e.in)
      if (const auto made = values.find(v); made != values.end()) v = made->second;
    if (e.out == kNone) return;
    const auto [made, fresh] = values.try_emplace(e.out, e.out);
    if (fresh) made->second = ir.new_value(ir.values[e.out]);
    e.out = made->second;
  });
}

Expression store_of(MemoryId memory, Expr index, ValueId value) {
  Expression e;
  e.op = Op::store;
  e.memory = memory;
  e.index = std::move(index);
  e.in = {value};
  return e;
}

Expression prefetch_of(MemoryId memory, Expr index, bool second_level) {
  Expression e;
  e.op = Op::prefetch;
  e.memory = memory;
  e.index = std::move(index);
  e.second_level = second_level;
  return e;
}

bool is_memory(const Expression& e) { return info(e.op).kind == OpClass::memory; }

bool is_exponential(Op op) { return op == Op::exp || op == Op::exp2 || op == Op::exp2_softmax; }

std::ptrdiff_t operations_in(const Block& block) {
  return std::ranges::count_if(block, [](const Item& item) { return !item.is_loop() && !is_memory(item.expression); });
}

const Loop* block_loop_of(const Loop& lanes, const Path& path) {
  const auto found = std::ranges::find_if(path.loops, [&](const Loop* l) { return lanes.begin == Expr::symbol(l->var); });
  return found == path.loops.end() ? nullptr : *found;
}

std::string Path::lane_variable() const {
  for (const Loop* l : loops)
    if (l->lanes) return l->var;
  return "";
}

bool Path::has(std::string_view variable) const {
  return std::any_of(loops.begin(), loops.end(), [&](const Loop* l) { return l->var == variable; });
}

void for_each_block(Block& root, const std::function<void(Block&, const Path&)>& f) {
  Path path;
  visit_blocks(root, path, f);
}

bool uses_loop_variable(const Expr& e) {
  for (const std::string& s : e.symbols())
    if (s.front() == '_') return true;
  return false;
}

std::vector<Expr> operands_of(const Expr& e, Expr::Function function) {
  std::vector<Expr> out = {e};
  if (const Expr::Node::Atom* atom = Expr::Node::lone_function(e, function))
    for (const Expr& argument : atom->arguments) std::ranges::move(operands_of(argument, function), std::back_inserter(out));
  return out;
}

Expr extent_bound(const Loop& loop) {
  const Expr exact = loop.end - loop.begin;
  if (!uses_loop_variable(exact)) return exact;
  for (const Expr& begin : operands_of(loop.begin, Expr::Function::max))
    for (const Expr& end : operands_of(loop.end, Expr::Function::min))
      if (!uses_loop_variable(end - begin)) return end - begin;
  throw Error(fmt::format("loop {}: no bound for the extent {}", loop.var, exact.to_string()));
}

std::vector<Loop*> parallel_nest(Loop& phase) {
  std::vector<Loop*> nest = {&phase};
  for (;;) {
    Block& body = nest.back()->body();
    if (body.size() != 1 || !body[0].is_loop() || !body[0].loop->parallel) return nest;
    nest.push_back(body[0].loop.get());
  }
}

std::vector<const Loop*> parallel_nest(const Loop& phase) {
  const std::vector<Loop*> nest = parallel_nest(const_cast<Loop&>(phase));
  return {nest.begin(), nest.end()};
}

bool same_range(const Loop& a, const Loop& b) { return a.var == b.var && a.begin == b.begin && a.end == b.end; }

bool loads_own_vector(const LinearIR& ir, const Expression& e, const Loop& counter, const std::string& lane_variable) {
  return e.op == Op::load && ir.memory[e.memory].kind == Memory::Kind::input && e.index.uses(counter.var) &&
         access_mode(e, lane_variable) == AccessMode::vector;
}

Expr iterations(const Loop& loop) { return ceil_div(loop.end - loop.begin, loop.versions.front().step); }

bool holds_product(const Loop& loop) {
  bool found = false;
  for_each_expression(loop.body(), [&](const Expression& e) { found |= e.op == Op::update_fma; });
  return found;
}

std::set<ValueId> sums_of_products(const Block& block) {
  std::set<ValueId> sums;
  for_each_expression(block, [&](const Expression& e) {
    if (e.op == Op::update_fma) sums.insert(e.out);
  });
  return sums;
}

bool holds_folded_product(const Loop& loop) {
  std::set<ValueId> folded;
  for_each_expression(loop.body(), [&](const Expression& e) {
    if (info(e.op).kind == OpClass::lanes) folded.insert(e.in[0]);
  });
  return meet(sums_of_products(loop.body()), folded);
}

bool is_block_loop(const Loop& loop) {
  bool found = false;
  for (const Loop::Version& v : loop.versions)
    for_each_loop(v.body, [&](const Loop& inner) { found |= inner.begin.uses(loop.var) || inner.end.uses(loop.var); });
  return found;
}

Expr scratch_bytes(const LinearIR& ir, Memory::Kind kind) {
  Expr bytes = 0;
  for (const Memory& m : ir.memory)
    if (m.kind == kind && m.offset)
      bytes = max(bytes, *m.offset + m.elements * static_cast<std::int64_t>(size_of(m.precision)));
  return bytes;
}

}  // namespace burin::linear
