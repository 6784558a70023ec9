#pragma once

#include "burin/graph.h"

namespace burin::linear {

/// Integers of a body lie in f32 registers, where all up to this magnitude are exact.
inline constexpr std::int64_t kExactIntegers = std::int64_t{1} << 24;

/// At least the magnitude of every element of an integer value that is computed from positions (Range) and known
/// integers. Throws burin::Error where none can be said.
Expr integer_bound(const Graph& body, ValueId value);

}  // namespace burin::linear
