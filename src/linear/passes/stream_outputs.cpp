// Outputs that are too large to be found in a cache later need not go through it: whole vectors are written past the
// caches, where the schedule says so. The line that is written is not read from memory first, and nothing that is
// still needed makes room for it.
//
//     store %y[N*_m + _n], %x    ->    store %y[N*_m + _n], %x past caches
//
// Where rows lie in the lanes, those are vectors of which a tile of rows is transposed.

#include <algorithm>

#include "linear/analysis.h"
#include "linear/pairs.h"
#include "linear/passes/passes.h"

namespace burin::linear {

namespace {

/// Whether the block is a tile of as many elements of a row as there are lanes, and the store goes along them.
bool is_transposed_tile(const Expression& store, const Block& block, const Path& path, const std::string& lane, std::int64_t lanes) {
  const Loop& row = *path.loops.back();
  const auto along = store.index.coefficient(row.var);
  const auto is_body = [&](const Loop::Version& v) { return &v.body == &block && v.step == lanes && !v.partial; };
  return access_mode(store, lane) == AccessMode::across && !row.lanes && !row.parallel && along && *along == Expr(1) &&
         std::ranges::any_of(row.versions, is_body);
}

}  // namespace

bool stream_outputs(LinearIR& ir, const Schedule& schedule) {
  if (!schedule.stream) return false;
  bool changed = false;
  for_each_block(ir.phases, [&](Block& block, const Path& path) {
    const std::string lane = path.lane_variable();
    for (std::size_t i = 0; i < block.size(); ++i) {
      Expression& e = block[i].expression;
      if (block[i].is_loop() || e.op != Op::store || ir.memory[e.memory].kind != Memory::Kind::output ||
          ir.memory[e.memory].precision != Precision::f32)
        continue;
      if (access_mode(e, lane) != AccessMode::vector && !partner_in_pairs(block, i, lane) &&
          !is_transposed_tile(e, block, path, lane, ir.lanes))
        continue;
      e.past_caches = true;
      changed = true;
    }
  });
  return changed;
}

}  // namespace burin::linear
