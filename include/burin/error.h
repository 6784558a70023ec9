#pragma once

#include <stdexcept>
#include <string>

#include "burin/export.h"

namespace burin {

/// The one exception type of the library.
///
/// Thrown for everything that a caller, a model file or the machine can get wrong. The message names
/// the tensor, dimension, node or file offset concerned, with the expected and the given value.
/// Kernels themselves never throw.
class BURIN_EXPORT Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}
};

}  // namespace burin
