#pragma once

#include <algorithm>
#include <vector>

#include "graph/axes.h"

namespace burin {

/// What the schedules ask of a body.
inline bool is_product(OpKind op) { return op == OpKind::Brgemm || op == OpKind::MatMul; }

inline bool has(const std::vector<AxisId>& axes, AxisId a) { return std::find(axes.begin(), axes.end(), a) != axes.end(); }

}  // namespace burin
