#pragma once

#include <ostream>

#include "burin/expr.h"

namespace burin {

/// For the messages of GoogleTest.
inline void PrintTo(const Expr& e, std::ostream* out) { *out << e.to_string(); }

}  // namespace burin
