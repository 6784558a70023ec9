#include <memory>

#include "linear/passes/passes.h"

namespace burin::linear {

PassPipeline<LinearIR> linear_pipeline(const Schedule& given) {
  const auto schedule = std::make_shared<const Schedule>(given);  // of all passes
  PassPipeline<LinearIR> p(
      "linear", [](const LinearIR& ir) { return print(ir); }, [](const LinearIR& ir) { verify(ir); });
  p.add({"outline_products", "products go out of the lane loop, for a BRGEMM executor, where the schedule says so",
         [schedule](LinearIR& ir) { return outline_products(ir, *schedule); }, false});
  p.add({"fuse_loops", "neighbouring loops over one variable become one",
         [schedule](LinearIR& ir) { return fuse_loops(ir, *schedule); }, false});
  p.add({"fold_by_rows", "what is only folded down columns is read row by row, where the schedule says so",
         [schedule](LinearIR& ir) { return fold_by_rows(ir, *schedule); }, false});
  p.add({"hoist_invariants", "what does not change in a loop moves in front of it", hoist_invariants, false});
  p.add({"share_loads", "one load of an element serves all that follow", share_loads, false});
  p.add({"pack_rows", "several short rows lie in one vector, where the schedule says so",
         [schedule](LinearIR& ir) { return pack_rows(ir, *schedule); }, false});
  p.add({"repeat_operands", "what repeats along the lanes is copied several times, side by side, by a phase in front", repeat_operands, true});
  p.add({"pack_operands", "what many items read is copied first, in the order in which they read it",
         [schedule](LinearIR& ir) { return pack_operands(ir, *schedule); }, false});
  p.add({"skip_masked_keys", "key loops end (and begin) with what a causal mask or a window leaves",
         [schedule](LinearIR& ir) { return skip_masked_keys(ir, *schedule); }, false});
  p.add({"rewrite_online_softmax", "blocks of keys with a running maximum and sum, where the schedule says so",
         [schedule](LinearIR& ir) { return rewrite_online_softmax(ir, *schedule); }, false});
  p.add({"split_keys", "items of work are blocks of keys, combined by a second phase, where queries are few",
         [schedule](LinearIR& ir) { return split_keys(ir, *schedule); }, false});
  p.add({"pack_constants", "constant matrices lie in memory as blocks of lanes read them", pack_constants, false});
  p.add({"isolate_transposes", "accesses across the lanes get loops of their own", isolate_transposes, false});
  p.add({"tile_loops", "rows and lanes that one iteration computes in registers",
         [schedule](LinearIR& ir) { return tile_loops(ir, *schedule); }, true});
  p.add({"contract_multiply_add", "a product that is only added is one operation with the sum", contract_multiply_add, false});
  p.add({"sink_operands", "what is cheap stands in front of its first use", sink_operands, false});
  p.add({"recompute_values", "what is cheap is computed again rather than kept, where the schedule says so",
         [schedule](LinearIR& ir) { return recompute_values(ir, *schedule); }, false});
  p.add({"join_moments", "a mean and the squares around it are folded at once, where the schedule says so",
         [schedule](LinearIR& ir) { return join_moments(ir, *schedule); }, false});
  p.add({"gather_factors", "known factors of a normalisation are one", gather_factors, false});
  p.add({"insert_buffers", "values that cross loops go through scratch", insert_buffers, true});
  p.add({"stagger_rows", "times over a row go on with those over its neighbours, where the schedule says so",
         [schedule](LinearIR& ir) { return stagger_rows(ir, *schedule); }, false});
  p.add({"reuse_in_place", "a buffer takes over the memory of one that ends where it begins",
         [schedule](LinearIR& ir) { return reuse_in_place(ir, *schedule); }, false});
  p.add({"jam_groups", "heads of a group load their keys once, where queries are few",
         [schedule](LinearIR& ir) { return jam_groups(ir, *schedule); }, false});
  p.add({"prefetch_rows", "later times over a row bring the next one",
         [schedule](LinearIR& ir) { return prefetch_rows(ir, *schedule); }, false});
  p.add({"prefetch_next", "later times over rows or a panel ask for the next ones, where no cache has them",
         [schedule](LinearIR& ir) { return prefetch_next(ir, *schedule); }, false});
  p.add({"prefetch_next_block", "blocks of rows across the lanes ask for the next ones, where no cache has them",
         [schedule](LinearIR& ir) { return prefetch_next_block(ir, *schedule); }, false});
  p.add({"prefetch_ahead", "what is in no cache is asked for before it is needed, where the schedule says so",
         [schedule](LinearIR& ir) { return prefetch_ahead(ir, *schedule); }, false});
  p.add({"delay_stores", "stores of a panel of columns go along with what is computed of the next, where the schedule says so",
         [schedule](LinearIR& ir) { return delay_stores(ir, *schedule); }, false});
  p.add({"expand_versions", "narrower bodies for tails",
         [schedule](LinearIR& ir) { return expand_versions(ir, *schedule); }, true});
  p.add({"prefetch_across", "what lies across memory is brought before it is read",
         [schedule](LinearIR& ir) { return prefetch_across(ir, *schedule); }, false});
  p.add({"prefetch_keys", "keys and values are asked for some keys ahead, where queries are few",
         [schedule](LinearIR& ir) { return prefetch_keys(ir, *schedule); }, false});
  p.add({"prefetch_panels", "the next panel of a constant matrix is brought while this one is used",
         [schedule](LinearIR& ir) { return prefetch_panels(ir, *schedule); }, false});
  p.add({"stream_outputs", "large outputs are written past the caches, where the schedule says so",
         [schedule](LinearIR& ir) { return stream_outputs(ir, *schedule); }, false});
  p.add({"allocate_scratch", "buffers to offsets, coloured by live range", allocate_scratch, true});
  return p;
}

}  // namespace burin::linear
