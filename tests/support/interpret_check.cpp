#include "tests/support/interpret_check.h"

#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

namespace burin::testing {

SymbolValues small_symbols(const Graph& graph) {
  constexpr std::int64_t values[] = {2, 3, 5, 7, 11, 13, 17, 19};
  SymbolValues symbols;
  for (const std::string& symbol : graph.symbols())
    symbols[symbol] = values[symbols.size() % std::size(values)];
  return symbols;
}

std::vector<Tensor> random_inputs(const Graph& graph, const SymbolValues& symbols,
                                  std::uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> real(-2, 2);
  std::uniform_int_distribution<int> integer(0, 3);
  std::vector<Tensor> inputs;
  for (const ValueId id : graph.inputs) {
    const Value& value = graph.value(id);
    Dims dims;
    for (const Expr& dimension : value.shape) dims.push_back(dimension.evaluate(symbols));
    Tensor tensor = Tensor::zeros(value.precision, dims);
    for (std::int64_t i = 0; i < tensor.size(); ++i) {
      if (is_float(value.precision)) {
        tensor.set(i, real(random));
      } else {
        tensor.set_int(
            i, value.precision == Precision::boolean ? integer(random) % 2 : integer(random));
      }
    }
    inputs.push_back(std::move(tensor));
  }
  return inputs;
}

Graph parse_with_weights(const std::string& text) {
  Graph graph = parse_graph(text);
  const std::vector<Tensor> contents = random_inputs(graph, small_symbols(graph), 17);
  std::vector<ValueId> inputs;
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    Value& value = graph.value(graph.inputs[i]);
    if (value.name.starts_with('w'))
      value.constant = contents[i];
    else
      inputs.push_back(graph.inputs[i]);
  }
  graph.inputs = inputs;
  verify(graph);
  return graph;
}

double relative_difference(const Tensor& expected, const Tensor& actual) {
  constexpr double infinite = std::numeric_limits<double>::infinity();
  if (expected.precision() != actual.precision() || expected.dims() != actual.dims())
    return infinite;
  double magnitude = 0, difference = 0;
  for (std::int64_t i = 0; i < expected.size(); ++i) {
    const double x = expected.at(i), y = actual.at(i);
    if (std::isnan(x) && std::isnan(y)) continue;
    if (x == y) {
      if (std::isfinite(x)) magnitude = std::max(magnitude, std::abs(x));
      continue;
    }
    if (!std::isfinite(x) || !std::isfinite(y)) return infinite;
    magnitude = std::max(magnitude, std::abs(x));
    difference = std::max(difference, std::abs(x - y));
  }
  return difference == 0 ? 0 : difference / std::max(magnitude, 1e-30);
}

void expect_same_results(const Graph& before, const Graph& after, const std::vector<Tensor>& inputs,
                         const SymbolValues& symbols, double tolerance) {
  const std::vector<Tensor> expected = interpret(before, inputs, symbols);
  const std::vector<Tensor> actual = interpret(after, inputs, symbols);
  ASSERT_EQ(expected.size(), actual.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_LE(relative_difference(expected[i], actual[i]), tolerance)
        << "output " << i << " of\n"
        << print(before) << "\nand of\n"
        << print(after);
}

void expect_same_results(const Graph& before, const Graph& after, double tolerance) {
  const SymbolValues symbols = small_symbols(before);
  for (const std::uint32_t seed : {1U, 2U})
    expect_same_results(before, after, random_inputs(before, symbols, seed), symbols, tolerance);
}

}  // namespace burin::testing
