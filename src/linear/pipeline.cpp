#include "linear/passes/passes.h"

namespace burin::linear {

PassPipeline<LinearIR> linear_pipeline(const Schedule& schedule) {
  PassPipeline<LinearIR> p(
      "linear", [](const LinearIR& ir) { return print(ir); }, [](const LinearIR& ir) { verify(ir); });
  p.add({"fuse-loops", "neighbouring loops over one variable become one", fuse_loops, false});
  p.add({"hoist-invariants", "what does not change in a loop moves in front of it", hoist_invariants, false});
  p.add({"share-loads", "one load of an element serves all that follow", share_loads, false});
  p.add({"rewrite-online-softmax", "blocks of keys with a running maximum and sum, where the schedule says so",
         [schedule](LinearIR& ir) { return rewrite_online_softmax(ir, schedule); }, false});
  p.add({"isolate-transposes", "accesses across the lanes get loops of their own", isolate_transposes, false});
  p.add({"tile-loops", "rows and lanes that one iteration computes in registers",
         [schedule](LinearIR& ir) { return tile_loops(ir, schedule); }, true});
  p.add({"insert-buffers", "values that cross loops go through scratch", insert_buffers, true});
  p.add({"reuse-in-place", "a buffer takes over the memory of one that ends where it begins", reuse_in_place, false});
  p.add({"expand-versions", "narrower bodies for tails",
         [schedule](LinearIR& ir) { return expand_versions(ir, schedule); }, true});
  p.add({"allocate-scratch", "buffers to offsets, coloured by live range", allocate_scratch, true});
  return p;
}

}  // namespace burin::linear
