#pragma once

#include <map>
#include <string>
#include <vector>

#include "burin/graph.h"
#include "tests/support/coverage.h"
#include "tests/support/random.h"

/// Random bodies of subgraphs for differential tests: the same for the same source of choices.
///
/// What an input holds follows from its name (see random_shapes.h), so that the text of a graph says all that is
/// needed to run it again. Results are well conditioned: no comparison or rounding acts on a value that two correct
/// computations may disagree about, no argument lies near a pole.
namespace burin::testing {

struct GeneratedGraph {
  Graph graph;
  /// For each output a bound of what rounding may cost, as an absolute error.
  std::vector<double> rounding;
  Features features;
  /// The graph is a whole model and not the body of a subgraph: it is canonicalized and carved first, and nothing that
  /// belongs to this kind of subgraph ("sdpa") may be left.
  std::string carved_as = {};
};

/// MatMul -> element-wise chain -> Softmax -> chain -> MatMul, in the forms in which exporters write it.
GeneratedGraph generate_attention(Random& random);
/// Trees of element-wise operations, reductions and normalizations over any axes, and parts of the last axis.
GeneratedGraph generate_elementwise(Random& random);
/// A product of an activation with a constant weight, and element-wise operations behind it.
GeneratedGraph generate_product(Random& random);

/// The values of the feature axes that a run must have seen.
void declare_attention_features(Coverage& coverage);
void declare_elementwise_features(Coverage& coverage);
void declare_product_features(Coverage& coverage);

}  // namespace burin::testing
