#pragma once

#include <cstddef>
#include <set>
#include <vector>

#include "plugins/onnxruntime/part.h"

namespace burin::ort {

/// The nodes in front of these that compute what they read from positions and dimensions alone, as causal masks are
/// computed: a kernel that does that itself need not read the mask, and knows which keys it hides. In the order of the
/// model.
std::vector<std::size_t> position_cone(const ModelIndex& model, const KnownValues& known,
                                       const std::set<std::size_t>& nodes);

}  // namespace burin::ort
