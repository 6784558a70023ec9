#include "dataflow/dataflow.h"

namespace burin {
namespace {

PassPipeline<Graph> make_pipeline() {
  using namespace dataflow;
  PassPipeline<Graph> p(
      "dataflow", [](const Graph& graph) { return print(graph); },
      [](const Graph& graph) { verify(graph); });
  constexpr bool required = true;

  // Down to primitive operations.
  p.add(
      {"keep_reduced_dims", "reductions keep the reduced axis as 1", keep_reduced_dims, required});
  p.add({"decompose_softmax", "max, sub, exp, sum, div", decompose_softmax, required});
  p.add({"decompose_log_softmax", "max, sub, exp, sum, log, sub", decompose_log_softmax, required});
  p.add({"decompose_layer_norm", "mean, sub, square, mean, rsqrt, mul", decompose_layer_norm,
         required});
  p.add({"decompose_rms_norm", "square, mean, rsqrt, mul", decompose_rms_norm, required});
  p.add({"decompose_channel_norms", "groups of channels get an axis, then as a layer norm",
         decompose_channel_norms, required});
  p.add({"decompose_reduce_l2", "square, sum, sqrt", decompose_reduce_l2, required});
  p.add({"separate_pieces", "Slices move to the inputs, Concats to the outputs", separate_pieces,
         required});
  p.add({"matmul_to_brgemm", "matrix products whose ports may permute axes", matmul_to_brgemm,
         required});

  // Clean up what exporters spell out.
  p.add({"constants_to_scalars", "one-element and splat constants become numbers",
         constants_to_scalars});
  p.add({"fuse_activations", "spelled-out GELU, SiLU, hard swish become one operation",
         fuse_activations});
  p.add({"convert_power_to_power_static", "pow by a constant becomes square, sqrt, ...",
         convert_power_to_power_static});
  p.add({"divide_by_constant_to_multiply", "division by a constant becomes multiplication",
         divide_by_constant_to_multiply});
  p.add({"algebraic_folding", "identities of algebra", algebraic_folding});

  // Attention.
  p.add({"multiply_by_reciprocal_to_divide", "a spelled-out softmax divides by its sum",
         multiply_by_reciprocal_to_divide});
  p.add({"move_divide_behind_brgemm", "the divide of a softmax moves behind the product with V",
         move_divide_behind_brgemm});
  p.add(
      {"fold_scale_into_query", "factors of the scores move to the query", fold_scale_into_query});
  p.add({"fold_exp_base", "exp becomes exp2, log2(e) goes into the query's factor", fold_exp_base});
  p.add({"fuse_transpose_brgemm", "transposes become permutations of the ports",
         fuse_transpose_brgemm});

  p.add({"divide_by_rows_to_multiply", "one division a row", divide_by_rows_to_multiply});
  p.add({"precision_propagation", "casts come in where kernels need them, and go where they meet",
         precision_propagation, required});
  p.add({"late_algebraic_folding", "identities of algebra, once more", algebraic_folding});
  p.add({"common_subexpressions", "what is equal is computed once", common_subexpressions});
  p.add({"dead_code", "what nobody reads goes away", dead_code, required});
  p.add({"own_positions", "positions of queries are not those of keys", own_positions, required});
  p.add({"own_results", "each output is made by a node, and stands once", own_results, required});
  return p;
}

}  // namespace

const PassPipeline<Graph>& dataflow_pipeline() {
  static const PassPipeline<Graph> pipeline = make_pipeline();
  return pipeline;
}

}  // namespace burin
