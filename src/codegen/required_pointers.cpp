#include "codegen/required_pointers.h"

#include "codegen/addresses.h"
#include "linear/analysis.h"

namespace burin::codegen {

using linear::Block;
using linear::Item;
using linear::Loop;

namespace {

PointerKey key_of(linear::MemoryId memory, const Expr& index) { return {memory, split_constant(index).first}; }

}  // namespace

std::set<PointerKey> RequiredPointers::by(const Block& block) {
  std::set<PointerKey> keys;
  for (const Item& item : block) {
    if (!item.is_loop()) {
      if (linear::is_memory(item.expression)) keys.insert(key_of(item.expression.memory, item.expression.index));
      continue;
    }
    const Loop& loop = *item.loop;
    for (const PointerKey& key : inside(loop))
      if (!is_made_anew(loop, key)) keys.insert(key_of(key.first, key.second.substitute({{loop.var, loop.begin}})));
  }
  return keys;
}

const std::set<PointerKey>& RequiredPointers::inside(const Loop& loop) {
  const auto [found, fresh] = inside_.try_emplace(&loop);
  if (fresh)
    for (const Loop::Version& v : loop.versions) found->second.merge(by(v.body));
  return found->second;
}

}  // namespace burin::codegen
