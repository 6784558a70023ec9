#include "linear/dependence.h"

#include <algorithm>
#include <iterator>

#include "linear/analysis.h"

namespace burin::linear {
namespace {

LoopKind kind_of(const Loop& loop) {
  if (loop.lanes) return LoopKind::lanes;
  if (std::ranges::all_of(loop.versions, [](const Loop::Version& v) { return v.step == 1; })) return LoopKind::single;
  return loop.parallel || is_block_loop(loop) ? LoopKind::block : LoopKind::rows;
}

void insert(Dependence::Set& set, Dependence::Variable v) {
  const auto at = std::ranges::lower_bound(set, v);
  if (at == set.end() || *at != v) set.insert(at, v);
}

}  // namespace

bool contains(const Dependence::Set& set, Dependence::Variable v) { return std::ranges::binary_search(set, v); }

Dependence::Dependence(const LinearIR& ir) : values_(ir.values.size()), folded_(ir.values.size()) {
  classify(ir.phases);
  for_each_expression(ir.phases, [this](const Expression& e) {
    if (info(e.op).kind == OpClass::memory || is_integer(e.op)) indices_.emplace(&e, variables_of(e.index));
  });
  do {  // sets only grow
    changed_ = false;
    visit(ir.phases);
  } while (changed_);
}

void Dependence::classify(const Block& block) {
  for_each_loop(block, [this](const Loop& loop) {
    const auto [found, is_new] = numbers_.emplace(loop.var, static_cast<Variable>(names_.size()));
    if (is_new) {
      names_.push_back(loop.var);
      is_lanes_.push_back(false);
    }
    if (loop.lanes) is_lanes_[found->second] = true;
    kinds_.emplace(&loop, kind_of(loop));
  });
}

Dependence::Variable Dependence::variable(const std::string& name) const {
  const auto found = numbers_.find(name);
  return found == numbers_.end() ? kNone : found->second;
}

Dependence::Set Dependence::variables_of(const Expr& e) const {
  Set out;
  for (const std::string& symbol : e.symbols())
    if (const Variable v = variable(symbol); v != kNone) insert(out, v);
  return out;
}

bool Dependence::varies(ValueId value, Variable v) const { return contains(values_[value], v); }

bool Dependence::add(Set& to, const Set& from) {
  if (std::ranges::includes(to, from)) return false;
  Set merged;
  std::ranges::set_union(to, from, std::back_inserter(merged));
  to = std::move(merged);
  changed_ = true;
  return true;
}

void Dependence::visit(const Block& block) {
  for (const Item& item : block) {
    if (!item.is_loop()) {
      visit(item.expression);
      continue;
    }
    const Loop& loop = *item.loop;
    const LoopKind kind = kinds_.at(&loop);
    const Set without_tiles = without_tiles_;
    const Set not_lanes = not_lanes_;
    if (kind == LoopKind::single || kind == LoopKind::block) insert(without_tiles_, variable(loop.var));
    if (kind != LoopKind::lanes) insert(not_lanes_, variable(loop.var));
    for (const Loop::Version& version : loop.versions) visit(version.body);
    without_tiles_ = without_tiles;
    not_lanes_ = not_lanes;
  }
}

void Dependence::visit(const Expression& e) {
  if (e.out == kNone) return;
  Set& out = values_[e.out];
  switch (info(e.op).kind) {
    case OpClass::memory: add(out, indices_.at(&e)); return;
    case OpClass::update:
      for (std::size_t i = 1; i < e.in.size(); ++i) add(folded_[e.out], values_[e.in[i]]);
      return;
    case OpClass::lanes: {
      Set rest;
      std::ranges::copy_if(values_[e.in[0]], std::back_inserter(rest), [this](Variable v) { return !is_lanes_[v] || contains(not_lanes_, v); });
      add(out, rest);
      return;
    }
    case OpClass::segments:
    case OpClass::value: break;
  }
  if (is_integer(e.op)) add(out, indices_.at(&e));
  for (const ValueId in : e.in) add(out, values_[in]);
  if (e.op != Op::fill) return;
  Set own;
  for (const std::string& name : e.over)
    if (const Variable v = variable(name); v != kNone) insert(own, v);
  for (const Variable v : without_tiles_)
    if (contains(folded_[e.out], v)) insert(own, v);
  add(out, own);
}

}  // namespace burin::linear
