#pragma once

#include "burin/graph.h"
#include "host/kernels/row.h"

// The loops of element-wise operations, one file a function; null where there are none for the
// types.
namespace burin::host {

RowFunction unary_row(const Node& node, Precision x);
RowFunction binary_row(const Node& node, Precision a, Precision b);
RowFunction ternary_row(const Node& node,
                        Precision x);  ///< x: of the elements that are chosen or clipped
RowFunction cast_row(Precision from, Precision to);

}  // namespace burin::host
