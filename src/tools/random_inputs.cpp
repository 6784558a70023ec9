#include "tools/random_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <random>

#include "burin/error.h"
#include "tools/arguments.h"

namespace burin::tools {
namespace {

Range parse_range(const NamedWord& word) {
  const std::string what = fmt::format("--range {}={}", word.first, word.second);
  const std::vector<std::string> bounds = split(word.second, ':');
  if (bounds.size() != 2) throw Error(what + ": expected LOW:HIGH");
  const Range range{to_integer(bounds[0], what), to_integer(bounds[1], what)};
  if (range.high <= range.low)
    throw Error(fmt::format("{}: {} is not below {}", what, range.low, range.high));
  return range;
}

/// The range of an input without --range; none for normal numbers.
std::optional<Range> default_range(const Value& input) {
  auto named = [&](const char* part) { return input.name.find(part) != std::string::npos; };
  if (is_float(input.precision)) return std::nullopt;
  if (input.precision == Precision::boolean || named("mask")) return Range{1, 2};
  if (named("type")) return Range{0, 1};
  return Range{1, 100};
}

void fill(Tensor& t, const std::optional<Range>& range, std::mt19937_64& random) {
  if (!range) {
    std::normal_distribution<double> normal;
    for (std::int64_t i = 0; i < t.size(); ++i) t.set(i, normal(random));
  } else if (is_float(t.precision())) {
    std::uniform_real_distribution<double> uniform(static_cast<double>(range->low),
                                                   static_cast<double>(range->high));
    for (std::int64_t i = 0; i < t.size(); ++i) t.set(i, uniform(random));
  } else {
    std::uniform_int_distribution<std::int64_t> uniform(range->low, range->high - 1);
    for (std::int64_t i = 0; i < t.size(); ++i) t.set_int(i, uniform(random));
  }
}

}  // namespace

Ranges parse_ranges(const std::vector<std::string>& words, const Graph& graph) {
  Ranges ranges;
  for (const NamedWord& word : named_words(words, "--range")) {
    if (std::none_of(graph.inputs.begin(), graph.inputs.end(),
                     [&](ValueId id) { return graph.value(id).name == word.first; }))
      throw Error(fmt::format("--range {}: the model has no such input", word.first));
    ranges[word.first] = parse_range(word);
  }
  return ranges;
}

void check_dimensions(const std::vector<std::string>& names, const Graph& graph) {
  std::set<std::string> known;
  for (ValueId id : graph.inputs) {
    for (const Expr& e : graph.value(id).shape) {
      for (const std::string& s : e.symbols()) {
        known.insert(s);
        if (std::find(names.begin(), names.end(), s) == names.end())
          throw Error(fmt::format("input '{}': give --dim {}=N", graph.value(id).name, s));
      }
    }
  }
  for (const std::string& name : names)
    if (known.count(name) == 0)
      throw Error(fmt::format("--dim {}: no input of the model has such a dimension", name));
}

std::vector<Tensor> random_inputs(const Graph& graph, const Symbols& symbols,
                                  const Ranges& ranges) {
  std::mt19937_64 random(0);
  std::vector<Tensor> inputs;
  for (ValueId id : graph.inputs) {
    const Value& v = graph.value(id);
    Dims dims;
    for (const Expr& e : v.shape) dims.push_back(e.evaluate(symbols));
    Tensor t = Tensor::zeros(v.precision, dims);
    const auto given = ranges.find(v.name);
    fill(t, given == ranges.end() ? default_range(v) : given->second, random);
    inputs.push_back(std::move(t));
  }
  return inputs;
}

}  // namespace burin::tools
