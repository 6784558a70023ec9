#include "burin/tokenize.h"

#include "tokenize/attention.h"
#include "tokenize/elementwise.h"
#include "tokenize/product.h"

namespace burin {

TokenizeReport tokenize(Graph& graph, const TokenizeOptions& options) {
  TokenizeReport report;
  if (options.attention) carve_attentions(graph, report);
  if (options.products) carve_products(graph, report);
  if (options.elementwise) carve_elementwise(graph, report);
#ifndef NDEBUG
  verify(graph);
#endif
  return report;
}

}  // namespace burin
