#pragma once

#include <map>
#include <string>

#include "burin/tokenize.h"

namespace burin {

/// How many nodes of each operation are no Subgraph, by name.
std::map<std::string, int> standalone_operations(const Graph& graph);

/// What was carved out of the graph, what was left, and why; the text that `burin inspect` prints.
std::string describe(const Graph& graph, const TokenizeReport& report);

}  // namespace burin
