#include "linear/pairs.h"

#include "linear/analysis.h"

namespace burin::linear {
namespace {

bool takes_turns(const Item& item, const std::string& lane_variable) {
  if (item.is_loop() || lane_variable.empty()) return false;
  const Expression& e = item.expression;
  if (e.op != Op::load && e.op != Op::store) return false;
  const auto c = e.index.coefficient(lane_variable);
  return c && *c == Expr(2);
}

/// Something that the block writes may be what it reads between the two.
bool is_written(const Block& block, MemoryId memory) {
  for (const Item& item : block)
    if (effects(item).stores.count(memory) != 0) return true;
  return false;
}

/// The first that takes turns with the one at the position.
std::optional<std::size_t> first_partner(const Block& block, std::size_t position, const std::string& lane_variable) {
  if (!takes_turns(block[position], lane_variable)) return std::nullopt;
  const Expression& e = block[position].expression;
  if (e.op == Op::load && is_written(block, e.memory)) return std::nullopt;
  for (std::size_t i = 0; i < block.size(); ++i) {
    if (i == position || !takes_turns(block[i], lane_variable)) continue;
    const Expression& other = block[i].expression;
    const auto distance = (other.index - e.index).as_constant();
    if (other.op == e.op && other.memory == e.memory && distance && (*distance == 1 || *distance == -1)) return i;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::size_t> partner_in_pairs(const Block& block, std::size_t position, const std::string& lane_variable) {
  const auto partner = first_partner(block, position, lane_variable);
  // Of two that are the same, one has no partner.
  return partner && first_partner(block, *partner, lane_variable) == position ? partner : std::nullopt;
}

}  // namespace burin::linear
