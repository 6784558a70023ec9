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
  const ValueId v = root.expression->out;
  std::map<ValueId, TransposedTiles::Reader> readers;
  std::vector<VReg> tile;
  for (std::int64_t k = 0; k < transposed_.vectors_in_memory(t); ++k) tile.push_back(next_vector(v, t, vector, readers));
  transposed_.transpose_into(v, std::move(tile), t, vector);
}

VReg EarlyTiles::next_vector(ValueId v, const Tile& t, std::int64_t vector, std::map<ValueId, TransposedTiles::Reader>& readers) {
  const Step& s = *early_.at(v);
  const Expression& e = *s.expression;
  b_.set_origin(origins_.of(e));
  if (e.op == Op::load) return readers.try_emplace(v, transposed_, s, t, vector).first->second.next();
  std::vector<Element> in;
  for (const ValueId operand : e.in)
    in.push_back(early_.count(operand) != 0 ? Element{next_vector(operand, t, vector, readers), std::nullopt} : values_.element(operand, 0, 0));
  b_.set_origin(origins_.of(e));
  return elementwise_.emit(e, in);
}

}  // namespace burin::codegen
