// Slices move to the inputs, Concats to the outputs: see graph/pieces.h.
//
//   %lo = slice %x, 0..N                         %lo = slice %x, 0..N
//   %hi = slice %x, N..2*N                       %hi = slice %x, N..2*N
//   %r = concat (neg %hi), %lo              ->   %y0 = mul (neg %hi), 2.0
//   %y = mul %r, 2.0                             %y1 = mul %lo, 2.0
//   return %y                                    return concat %y0, %y1

#include "dataflow/dataflow.h"
#include "graph/pieces.h"

namespace burin::dataflow {

bool separate_pieces(Graph& graph) { return burin::separate_pieces(graph); }

}  // namespace burin::dataflow
