#include "codegen/early_tiles.h"

#include <algorithm>
#include <optional>

namespace burin::codegen {

using linear::Expression;
using linear::Op;
using linear::ValueId;

/// Trees of element-wise expressions with transposed loads as leaves. Each has several leaves, and nobody else reads what is
/// inside of it.
void EarlyTiles::find(std::vector<Step>& steps, const Tile& t) {
  std::map<ValueId, std::vector<Step*>> trees;  // by the value of the root
  const auto take = [&](Step& root, std::vector<Step*> tree) {
    tree.push_back(&root);
    trees[root.expression->out] = std::move(tree);
  };
  for (Step& s : steps) {
    const Expression& e = *s.expression;
    if (s.transposed && e.op == Op::load && ir_.memory[e.memory].kind == linear::Memory::Kind::input && !s.paired) {
      take(s, {});
      continue;
    }
    if (info(e.op).kind != linear::OpClass::value || linear::is_integer(e.op)) continue;
    std::vector<Step*> tree;
    const bool is_early = std::ranges::all_of(e.in, [&](ValueId v) {
      const auto operand = trees.find(v);
      if (operand == trees.end()) return !values_.spans_rows(v, t) && !values_.spans_lanes(v, t);
      tree.insert(tree.end(), operand->second.begin(), operand->second.end());
      return facts_.readers.at(v).size() == facts_.writers.at(v);  // one in each version of a loop
    });
    if (!is_early || tree.empty()) continue;
    for (const ValueId v : e.in) trees.erase(v);
    take(s, std::move(tree));
  }
  early_.clear();
  for (const auto& [root, tree] : trees) {
    if (std::ranges::count_if(tree, [](const Step* s) { return s->expression->op == Op::load; }) < 2) continue;
    for (Step* s : tree) {
      s->early = true;
      early_[s->expression->out] = s;
      s->transposed = s->expression->out == root;
    }
  }
}

void EarlyTiles::emit(const Step& root, const Tile& t, std::int64_t vector) {
  readers_.clear();
  transposed_.transpose_into(root.expression->out, whole(root.expression->out, t, vector), t, vector);
}

/// Of several tiles one is read as a whole, then vector by vector what is computed with it: memory likes that better than lines
/// of both in turns, and no more than one tile is in registers.
std::vector<VReg> EarlyTiles::whole(ValueId v, const Tile& t, std::int64_t vector) {
  const std::vector<ValueId>& operands = early_.at(v)->expression->in;
  const auto first = std::ranges::find_if(operands, [&](ValueId operand) { return early_.count(operand) != 0; });
  const bool is_leaf = first == operands.end();
  std::vector<VReg> tile = is_leaf ? std::vector<VReg>(static_cast<std::size_t>(transposed_.vectors_in_memory(t)), kNoReg) : whole(*first, t, vector);
  for (VReg& x : tile) x = is_leaf ? next(v, t, vector) : next(v, t, vector, {*first, x});
  return tile;
}

VReg EarlyTiles::next(ValueId v, const Tile& t, std::int64_t vector, std::pair<ValueId, VReg> known) {
  if (v == known.first) return known.second;
  const Step& s = *early_.at(v);
  const Expression& e = *s.expression;
  b_.set_origin(origins_.of(e));
  if (e.op == Op::load) return readers_.try_emplace(v, transposed_, s, t, vector).first->second.next();
  std::vector<Element> in;
  for (const ValueId operand : e.in)
    in.push_back(early_.count(operand) != 0 ? Element{next(operand, t, vector, known), std::nullopt} : values_.element(operand, 0, 0));
  b_.set_origin(origins_.of(e));
  return elementwise_.emit(e, in);
}

}  // namespace burin::codegen
