#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/random_inputs.h"

namespace burin::tools {

/// What `--dim NAME=WORD` asks for.
struct Dimension {
  std::string name, word;
  std::vector<std::int64_t> values;
  /// The values are calls of one measurement, not measurements of their own.
  bool distribution = false;
};

/// From the words of --dim: a number, a list `8,16`, a range `8..128` or `8..128:8` (with a step),
/// lengths around a mean `normal:MEAN:DEVIATION:COUNT` (the same in each process). Throws
/// burin::Error that names the option.
std::vector<Dimension> parse_dimensions(const std::vector<std::string>& words);

std::vector<std::string> names_of(const std::vector<Dimension>& dimensions);

/// One measurement: the shapes that its calls go over in turn.
struct Case {
  nlohmann::ordered_json dims;  ///< the value of each dimension, the word of a distribution
  std::vector<Symbols> shapes;
  bool distribution = false;
};

/// Every combination of the dimensions' values, the last dimension fastest.
std::vector<Case> cases_of(const std::vector<Dimension>& dimensions);

}  // namespace burin::tools
