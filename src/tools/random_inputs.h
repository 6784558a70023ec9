#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "burin/graph.h"

namespace burin::tools {

/// Values of the symbols of a model's input shapes.
using Symbols = std::map<std::string, std::int64_t>;

/// What random elements of an input lie in: low <= x < high.
struct Range {
  std::int64_t low = 0, high = 1;
};
/// By name of the input.
using Ranges = std::map<std::string, Range>;

/// From the words of --range, NAME=LOW:HIGH. Throws burin::Error that names the option, also where
/// the model has no such input.
Ranges parse_ranges(const std::vector<std::string>& words, const Graph& graph);

/// The symbols of the input shapes, which --dim has to give. Throws burin::Error, naming the
/// option, where `names` lacks one of them or has another.
void check_dimensions(const std::vector<std::string>& names, const Graph& graph);

/// Inputs of the given dimensions, the same in each call. Without a range floats are normal;
/// masks (by name) and booleans are ones; token types (by name), of which a model knows two at the
/// least, are zeros; other integers are ids that the smallest vocabulary has.
std::vector<Tensor> random_inputs(const Graph& graph, const Symbols& symbols, const Ranges& ranges);

}  // namespace burin::tools
