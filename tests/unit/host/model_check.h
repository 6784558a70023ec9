#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "burin/graph.h"
#include "host/model.h"
#include "tests/support/interpret_check.h"

namespace burin::host {

using Symbols = testing::SymbolValues;

/// Results of f32 kernels against double precision, relative to the largest magnitude.
inline constexpr double kModelTolerance = 2e-5;

inline Model make_model(const Graph& graph, bool tokenize, int threads = 1) {
  ModelOptions options;
  options.tokenize = tokenize;
  options.threads = threads;
  options.compile.verify = true;
  return Model(graph, options);
}

/// As relative_difference, but absolute where all magnitudes are below 1: terms that cancel out
/// leave their rounding.
inline double difference(const Tensor& expected, const Tensor& actual) {
  double magnitude = 0;
  for (std::int64_t i = 0; i < expected.size(); ++i)
    if (std::isfinite(expected.at(i))) magnitude = std::max(magnitude, std::abs(expected.at(i)));
  return testing::relative_difference(expected, actual) * std::min(1.0, std::max(magnitude, 1e-30));
}

/// Runs the model once and compares all outputs with the interpreter's.
inline void expect_right(Model& model, const Graph& graph, const Symbols& symbols,
                         std::uint32_t seed = 1) {
  const std::vector<Tensor> inputs = testing::random_inputs(graph, symbols, seed);
  const std::vector<Tensor> copies = testing::random_inputs(graph, symbols, seed);
  const std::vector<Tensor> expected = interpret(graph, inputs, symbols);
  const std::vector<Tensor> actual = model.run(inputs);
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i)
    EXPECT_LE(difference(expected[i], actual[i]), kModelTolerance) << "output " << i << " of\n"
                                                                   << print(model.graph());
  for (std::size_t i = 0; i < inputs.size(); ++i)
    EXPECT_EQ(testing::relative_difference(copies[i], inputs[i]), 0) << "input " << i;
}

/// Why the compiler refused what was carved; empty if it took all.
inline std::string refusals(const Model& model) {
  std::string reasons;
  for (const Rejection& rejection : model.report().rejected)
    if (rejection.reason.starts_with("subgraph '")) reasons += rejection.reason + "\n";
  return reasons;
}

/// Carved and not, with one thread and two, at each of the shapes in turn.
inline void expect_model(const Graph& graph, const std::vector<Symbols>& shapes) {
  for (const bool tokenize : {false, true})
    for (const int threads : {1, 2}) {
      SCOPED_TRACE(std::string(tokenize ? "tokenized" : "plain") + ", threads " +
                   std::to_string(threads));
      Model model = make_model(graph, tokenize, threads);
      // The interpreter would be right as well: all that is carved has to be compiled.
      EXPECT_EQ(refusals(model), "");
      for (const Symbols& symbols : shapes) expect_right(model, graph, symbols);
    }
}
inline void expect_model(const std::string& text, const std::vector<Symbols>& shapes) {
  expect_model(testing::parse_with_weights(text), shapes);
}

}  // namespace burin::host
