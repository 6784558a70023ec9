// Outputs that are too large to be found in a cache later need not go through it: whole vectors are written past the
// caches, where the schedule says so. The line that is written is not read from memory first, and nothing that is
// still needed makes room for it.
//
//     store %y[N*_m + _n], %x    ->    store %y[N*_m + _n], %x past caches

#include "linear/analysis.h"
#include "linear/pairs.h"
#include "linear/passes/passes.h"

namespace burin::linear {

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
      if (access_mode(e, lane) != AccessMode::vector && !partner_in_pairs(block, i, lane)) continue;
      e.past_caches = true;
      changed = true;
    }
  });
  return changed;
}

}  // namespace burin::linear
