#pragma once

#include <map>
#include <vector>

#include "burin/graph.h"

namespace burin::linear {

/// Integers of a body lie in f32 registers, where all up to this magnitude are exact.
inline constexpr std::int64_t kExactIntegers = std::int64_t{1} << 24;

/// At least the magnitude of every element of an integer value that is computed from positions (Range) and known
/// integers; of each value computed once, however often it is asked for.
class IntegerBounds {
 public:
  explicit IntegerBounds(const Graph& body) : body_(body) {}

  /// Throws burin::Error where none can be said.
  const Expr& of(ValueId value);

 private:
  Expr bound_anew(ValueId id, std::vector<ValueId>& open) const;

  const Graph& body_;
  std::map<ValueId, Expr> known_;
};

}  // namespace burin::linear
