// Merges neighbouring loops over the same variable, so that values pass in registers:
//
//     loop _k in 0..S { %t = ... }                  loop _k in 0..S {
//     %max = fill -inf over(_q)                 ->    %t = ...
//     loop _k in 0..S {                               %max = update_max %max, %t
//       %max = update_max %max, %t }                }            (the fill moves in front)
//
// Illegal where the second loop needs what the first has only when it ends (a finished reduction), or where something
// between them needs the first and is needed by the second. Where queries are few, a loop of a product has rows that
// others have not: it does not join an earlier one. Where rows are folded side by side, a loop over rows that goes over their
// elements does not join the one whose folds it needs: these are done for several rows at once.

#include <algorithm>
#include <optional>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

bool same_space(const Loop& a, const Loop& b) {
  return same_range(a, b) && a.lanes == b.lanes && !a.parallel && !b.parallel &&
         !a.brgemm && !b.brgemm && !a.condition && !b.condition;
}

/// Values that are written in the block but defined outside of it: running values that are complete only behind it.
std::set<ValueId> running_values(const Block& block) {
  std::set<ValueId> defined, running;
  for_each_expression(block, [&](const Expression& e) {
    if (info(e.op).kind == OpClass::update) {
      if (defined.count(e.out) == 0) running.insert(e.out);
    } else if (e.out != kNone) {
      defined.insert(e.out);
    }
  });
  return running;
}

bool touches_any(const Effects& e, const std::set<ValueId>& values) {
  return std::any_of(values.begin(), values.end(),
                     [&](ValueId v) { return e.reads.count(v) != 0 || e.writes.count(v) != 0; });
}

bool fusable(const Loop& a, const Loop& b) {
  return same_space(a, b) && !touches_any(effects(b.body()), running_values(a.body())) &&
         !touches_any(effects(a.body()), running_values(b.body()));
}

/// Indices in (first, second) that `second` needs, directly or through others, and that must move in front of `first`.
/// Gives nothing if one of them needs `first`.
bool find_movable(const Block& block, std::size_t first, std::size_t second, std::vector<std::size_t>& moved) {
  const Effects from = effects(block[first]);
  std::vector<Effects> needed = {effects(block[second])};
  for (std::size_t i = second; i-- > first + 1;) {
    const Effects e = effects(block[i]);
    const bool is_needed = std::any_of(needed.begin(), needed.end(), [&](const Effects& n) { return depends(n, e); });
    if (!is_needed) continue;
    if (depends(e, from)) return false;
    needed.push_back(e);
    moved.push_back(i);
  }
  std::reverse(moved.begin(), moved.end());
  return true;
}

void merge(Block& block, std::size_t first, std::size_t second, const std::vector<std::size_t>& moved) {
  Loop& target = *block[first].loop;
  for (Item& item : block[second].loop->body()) target.body().push_back(std::move(item));
  Block result;
  for (std::size_t i = 0; i < first; ++i) result.push_back(std::move(block[i]));
  for (std::size_t i : moved) result.push_back(std::move(block[i]));
  result.push_back(std::move(block[first]));
  for (std::size_t i = first + 1; i < block.size(); ++i)
    if (i != second && !std::binary_search(moved.begin(), moved.end(), i)) result.push_back(std::move(block[i]));
  block = std::move(result);
}

/// What is computed, behind the loops inside of a loop over rows, from a fold of their elements.
std::set<ValueId> folded_values(const Loop& rows) {
  std::set<ValueId> folded;
  for (const Item& item : rows.body()) {
    if (item.is_loop() || item.expression.out == kNone) continue;
    const Expression& e = item.expression;
    const auto is_folded = [&](ValueId v) { return folded.contains(v); };
    if (info(e.op).kind == OpClass::lanes || std::ranges::any_of(e.in, is_folded)) folded.insert(e.out);
  }
  return folded;
}

bool needs_folds(const Loop& second, const Loop& first) {
  const auto reads_folds = [folded = folded_values(first)](const Item& item) { return item.is_loop() && touches_any(effects(item), folded); };
  return std::ranges::any_of(second.body(), reads_folds);
}

/// What must move in front of the first of two loops so that the second joins it; nothing if it cannot.
std::optional<std::vector<std::size_t>> movable(const Block& block, std::size_t first, std::size_t second, const Schedule& schedule) {
  std::vector<std::size_t> moved;
  if (!block[second].is_loop() || !fusable(*block[first].loop, *block[second].loop)) return std::nullopt;
  if (schedule.few_queries && holds_product(*block[second].loop)) return std::nullopt;
  if ((schedule.side_by_side || schedule.staggered) && needs_folds(*block[second].loop, *block[first].loop)) return std::nullopt;
  if (!find_movable(block, first, second, moved)) return std::nullopt;
  return moved;
}

/// Each loop with those behind it.
bool fuse_neighbours(Block& block, const Schedule& schedule) {
  bool changed = false;
  for (std::size_t first = 0; first < block.size(); ++first) {
    if (!block[first].is_loop()) continue;
    for (std::size_t second = first + 1; second < block.size();) {
      const auto moved = movable(block, first, second, schedule);
      if (!moved) {
        ++second;
        continue;
      }
      merge(block, first, second, *moved);
      first += moved->size();
      second = first + 1;
      changed = true;
    }
  }
  return changed;
}

bool fuse_block(Block& block, const Schedule& schedule) {
  bool changed = false;
  while (fuse_neighbours(block, schedule)) changed = true;
  for (Item& item : block)
    if (item.is_loop()) changed |= fuse_block(item.loop->body(), schedule);
  return changed;
}

}  // namespace

bool fuse_loops(LinearIR& ir, const Schedule& schedule) { return fuse_block(ir.phases, schedule); }

}  // namespace burin::linear
