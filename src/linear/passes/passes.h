#pragma once

#include "linear/linear_ir.h"
#include "schedule/schedule.h"
#include "support/pass_pipeline.h"

namespace burin::linear {

// Linear IR -> Linear IR, one pass a file; each says whether it changed anything. The files' comments show
// before -> after.

bool outline_products(LinearIR& ir, const Schedule& schedule);
bool fuse_loops(LinearIR& ir, const Schedule& schedule);
bool fold_by_rows(LinearIR& ir, const Schedule& schedule);
bool hoist_invariants(LinearIR& ir);
bool share_loads(LinearIR& ir);
bool pack_constants(LinearIR& ir);
bool pack_rows(LinearIR& ir, const Schedule& schedule);
bool repeat_operands(LinearIR& ir);
bool pack_operands(LinearIR& ir, const Schedule& schedule);
bool isolate_transposes(LinearIR& ir);
bool skip_masked_keys(LinearIR& ir, const Schedule& schedule);
bool rewrite_online_softmax(LinearIR& ir, const Schedule& schedule);
bool split_keys(LinearIR& ir, const Schedule& schedule);
bool tile_loops(LinearIR& ir, const Schedule& schedule);
bool contract_multiply_add(LinearIR& ir);
bool sink_operands(LinearIR& ir);
bool recompute_values(LinearIR& ir, const Schedule& schedule);
bool join_moments(LinearIR& ir, const Schedule& schedule);
bool gather_factors(LinearIR& ir);
bool insert_buffers(LinearIR& ir);
bool reuse_in_place(LinearIR& ir, const Schedule& schedule);
bool stagger_rows(LinearIR& ir, const Schedule& schedule);
bool jam_groups(LinearIR& ir, const Schedule& schedule);
bool prefetch_rows(LinearIR& ir, const Schedule& schedule);
bool prefetch_next(LinearIR& ir, const Schedule& schedule);
bool prefetch_next_block(LinearIR& ir, const Schedule& schedule);
bool prefetch_ahead(LinearIR& ir, const Schedule& schedule);
bool delay_stores(LinearIR& ir, const Schedule& schedule);
bool expand_versions(LinearIR& ir, const Schedule& schedule);
bool prefetch_across(LinearIR& ir, const Schedule& schedule);
bool prefetch_keys(LinearIR& ir, const Schedule& schedule);
bool prefetch_panels(LinearIR& ir, const Schedule& schedule);
bool stream_outputs(LinearIR& ir, const Schedule& schedule);
bool allocate_scratch(LinearIR& ir);

/// The whole way from lowered Linear IR to what the code generator reads, as one table.
PassPipeline<LinearIR> linear_pipeline(const Schedule& schedule);

}  // namespace burin::linear
