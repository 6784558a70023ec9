#pragma once

#include "burin/graph.h"
#include "support/pass_pipeline.h"

/// Graph -> Graph passes over the body of one Subgraph, in the order of the pipeline.
///
/// Each gives true if it changed the graph, keeps what the graph computes (within rounding; each
/// file says where special values differ), and opens with a comment that shows before -> after. One
/// pass a file.
namespace burin {

namespace dataflow {

bool keep_reduced_dims(Graph& graph);
bool decompose_softmax(Graph& graph);
bool decompose_log_softmax(Graph& graph);
bool decompose_layer_norm(Graph& graph);
bool decompose_rms_norm(Graph& graph);
bool decompose_channel_norms(Graph& graph);
bool decompose_reduce_l2(Graph& graph);
bool separate_pieces(Graph& graph);
bool matmul_to_brgemm(Graph& graph);
bool constants_to_scalars(Graph& graph);
bool fuse_activations(Graph& graph);
bool convert_power_to_power_static(Graph& graph);
bool divide_by_constant_to_multiply(Graph& graph);
bool multiply_by_reciprocal_to_divide(Graph& graph);
bool move_divide_behind_brgemm(Graph& graph);
bool fold_scale_into_query(Graph& graph);
bool fold_exp_base(Graph& graph);
bool fuse_transpose_brgemm(Graph& graph);
bool divide_by_rows_to_multiply(Graph& graph);
bool precision_propagation(Graph& graph);
bool algebraic_folding(Graph& graph);
bool common_subexpressions(Graph& graph);
bool dead_code(Graph& graph);
bool own_positions(Graph& graph);
bool own_results(Graph& graph);

}  // namespace dataflow

/// All passes in order. What comes out of it holds only: element-wise operations, ReduceSum,
/// ReduceMean, ReduceMax, ReduceMin and ReduceProd with keepdims=1, Brgemm, and views
/// (Transpose, Squeeze, Unsqueeze, Repeat, and Expand and Reshape where the body came with one), and
/// positions (Range and what is computed of it), each read once; Slices of inputs, and Concats that
/// put outputs together (graph/pieces.h). Each output is made by a node of its own.
const PassPipeline<Graph>& dataflow_pipeline();

}  // namespace burin
