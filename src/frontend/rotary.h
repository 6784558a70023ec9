#pragma once

#include "frontend/node_importer.h"

namespace burin::frontend {

/// Rotates pairs of elements of the last dimension by angles, as exporters write it:
///
///     %y = add (mul %x, %cos), (mul (turned %x), %sin)
///
/// where turned(x) has each pair (a, b) as (-b, a). A pair is (x[i], x[i + D/2]), or neighbours
/// (`interleaved`). `cos` and `sin` have an element for each pair and broadcast to x otherwise.
/// Elements from `size` on stay as they are.
ValueId rotate_pairs(NodeImporter& n, ValueId x, ValueId cos, ValueId sin, bool interleaved,
                     const Expr& size);

/// Rows of a cache for the positions: [P, R] and [B, S] -> [B, S, R].
ValueId rows_at(NodeImporter& n, ValueId cache, ValueId positions);

}  // namespace burin::frontend
