#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/graph_generator.h"
#include "tests/support/random.h"

namespace burin::testing {

/// Rounding of one f32 operation, with room for the functions of a few ulp.
inline constexpr double kEpsilon = 2.5e-7;

/// A value of the graph with what is known of its elements.
struct Known {
  ValueId id = kNone;
  double low = -2, high = 2;
  double error = 0;    ///< absolute, of a computation in f32
  bool exact = false;  ///< f32 computations agree to the last bit
  double magnitude() const { return std::max(std::abs(low), std::abs(high)); }
};

/// What all generators need: a graph under construction, inputs with telling names, element-wise operations with bounds
/// of their results.
class GeneratedGraphBuilder {
 public:
  explicit GeneratedGraphBuilder(Random& random) : random_(random) { out_.graph.name = "fuzz"; }

 protected:
  Graph& graph() { return out_.graph; }
  void feature(const std::string& axis, const std::string& value) { out_.features.emplace_back(axis, value); }

  std::string fresh_name(const std::string& prefix) { return prefix + std::to_string(graph().inputs.size()); }

  Known input(const std::string& prefix, const Shape& shape);
  Known scalar(double number);
  /// A constant of rank 0 or 1.
  Known random_scalar(double low, double high);
  Known apply(OpKind op, std::vector<ValueId> in, double low, double high, double error, Attributes attributes = {});
  /// An operation of one argument that is monotone or bounded; nothing where `x` is outside of what is well conditioned.
  std::optional<Known> unary(OpKind op, const Known& x);
  std::optional<Known> binary(OpKind op, const Known& a, const Known& b);
  std::optional<Known> power(const Known& x);
  Known clip(const Known& x, double low, double high);
  Known without_nan(const Known& x);
  void output(const Known& v);
  GeneratedGraph finish();

  Random& random_;
  GeneratedGraph out_;
};

}  // namespace burin::testing
