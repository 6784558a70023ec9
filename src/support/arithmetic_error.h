#pragma once

#include "burin/error.h"

namespace burin {

/// Integer arithmetic has no result: it overflows, gives an expression that is too large, or divides by zero. (For those who
/// go on without the result, and must not take another error for this one.)
class ArithmeticError : public Error {
 public:
  using Error::Error;
};

}  // namespace burin
