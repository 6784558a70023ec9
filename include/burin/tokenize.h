#pragma once

#include <string>
#include <vector>

#include "burin/export.h"
#include "burin/graph.h"

namespace burin {

struct TokenizeOptions {
  bool attention = true;  ///< carve scaled dot-product attention
  bool products = true;   ///< carve products with a constant weight, and what follows them
  bool elementwise =
      true;  ///< carve groups of element-wise, normalisation and reduction operations
};

/// A part of the model that became a Subgraph node.
struct CarvedSubgraph {
  std::string name;                ///< of the node and of its body
  std::string kind;                ///< "sdpa", "product" or "elementwise"
  std::vector<std::string> nodes;  ///< the model's nodes that it replaces
  NodeId node = kNone;
};

/// A candidate that was left as it is.
struct Rejection {
  std::vector<std::string> nodes;
  std::string reason;
};

struct TokenizeReport {
  int attentions_total = 0;  ///< softmaxes between two matrix products, carved or not
  int attentions_carved = 0;
  std::vector<CarvedSubgraph> subgraphs;
  std::vector<Rejection> rejected;
};

/// Replaces the fusable parts of a canonicalized graph by Subgraph nodes: attentions first, then
/// products with weights, then element-wise groups. What the graph computes does not change. A body is a Graph with inputs and
/// outputs of its own, has the symbols of the graph around it, and holds small constants
/// and the weights of products itself.
BURIN_EXPORT TokenizeReport tokenize(Graph& graph, const TokenizeOptions& options = {});

}  // namespace burin
