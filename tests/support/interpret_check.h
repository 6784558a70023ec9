#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "burin/graph.h"

/// What tests need to run graphs with the reference interpreter and compare results.
namespace burin::testing {

using SymbolValues = std::map<std::string, std::int64_t>;

/// Every symbol of the graph as a small number of its own: 2, 3, 5, 7, ... in the order of their
/// names.
SymbolValues small_symbols(const Graph& graph);

/// Floats in [-2, 2), booleans, or small non-negative integers; the same for the same seed.
std::vector<Tensor> random_inputs(const Graph& graph, const SymbolValues& symbols,
                                  std::uint32_t seed = 1);

/// Parses a graph whose inputs named w.. become constants with random contents.
Graph parse_with_weights(const std::string& text);

/// The largest difference, relative to the largest magnitude of the expected tensor. Infinite where
/// types, dimensions, NaNs or infinities differ.
double relative_difference(const Tensor& expected, const Tensor& actual);

/// Fails the test unless both graphs give the same for random inputs.
void expect_same_results(const Graph& before, const Graph& after, double tolerance = 1e-6);
void expect_same_results(const Graph& before, const Graph& after, const std::vector<Tensor>& inputs,
                         const SymbolValues& symbols, double tolerance = 1e-6);

}  // namespace burin::testing
