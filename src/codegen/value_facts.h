#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "linear/linear_ir.h"

namespace burin::codegen {

/// What is known of the values of a kernel from all of its expressions.
struct ValueFacts {
  explicit ValueFacts(const linear::LinearIR& ir);

  std::vector<std::set<std::string>> varies;  ///< linear::dependences
  std::set<linear::ValueId> words;            ///< linear::words_of
  std::map<linear::ValueId, std::vector<const linear::Expression*>> readers;
  std::map<linear::ValueId, std::size_t> writers;
  std::set<linear::ValueId> updated;
  std::set<linear::ValueId> numbers;  ///< running maxima that may lose a NaN
};

}  // namespace burin::codegen
