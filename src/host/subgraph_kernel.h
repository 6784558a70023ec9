#pragma once

#include <cstdint>
#include <memory>

#include "burin/compile.h"
#include "host/graph_shapes.h"
#include "host/kernel.h"

namespace burin::host {

/// A Subgraph as machine code. `symbols` and `calls` (which it counts up) outlive it.
std::unique_ptr<Kernel> make_subgraph_kernel(const CompiledSubgraph& compiled, const SymbolValues& symbols, int threads,
                                             std::uint64_t& calls);

/// A Subgraph that the compiler refused, through the reference interpreter.
std::unique_ptr<Kernel> make_interpreted_subgraph(const Graph& graph, const Node& node, const SymbolValues& symbols);

}  // namespace burin::host
