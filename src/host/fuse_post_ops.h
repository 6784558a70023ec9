#pragma once

#include <memory>
#include <vector>

#include "burin/graph.h"
#include "host/kernel.h"

namespace burin::host {

/// One operation that oneDNN applies to a product's result before it is stored.
struct PostOp {
  NodeId node = kNone;
  ValueId operand = kNone;  ///< the other tensor of a binary operation; kNone: an activation
};

/// A product with a constant weight, and what follows it.
struct FusedProduct {
  NodeId product = kNone;  ///< MatMul or Gemm
  ValueId bias = kNone;    ///< a constant vector, added first (beside the one that a Gemm has)
  std::vector<PostOp> post_ops;  ///< in order
  std::vector<NodeId> absorbed;  ///< the nodes that are computed beside the product, in order
  ValueId result = kNone;        ///< of the last of them
  /// What it reads at run time: the product's first input, then those of a Gemm's third input and
  /// of the post-ops' operands that are not constant.
  std::vector<ValueId> inputs;
};

/// Finds the products of a graph with what oneDNN can compute along with them:
///
///     %1 = matmul %x, W ; %2 = add %1, bias ; %3 = gelu %2 ; %4 = add %3, %residual
///
/// is one primitive, to be run in the place of the last absorbed node. A value in between that has
/// other readers, or is an output of the graph, ends the chain; so no operand depends on the
/// product. A product with nothing to absorb is in the list, too. Activations are expected as one
/// node (dataflow::fuse_activations).
std::vector<FusedProduct> fuse_post_ops(const Graph& graph);

/// Its inputs are FusedProduct::inputs, its output FusedProduct::result.
std::unique_ptr<Kernel> make_fused_product(const Graph& graph, const FusedProduct& fused,
                                           KernelContext& context);

}  // namespace burin::host
