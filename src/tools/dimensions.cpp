#include "tools/dimensions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "burin/error.h"
#include "tools/arguments.h"

namespace burin::tools {
namespace {

constexpr std::int64_t kMostValues = 1'000'000;

std::int64_t to_extent(const std::string& word, const std::string& what) {
  const std::int64_t value = to_integer(word, what);
  if (value < 1) throw Error(fmt::format("{}: expected at least 1, given {}", what, value));
  return value;
}

std::vector<std::int64_t> list(const std::string& word, const std::string& what) {
  std::vector<std::int64_t> values;
  for (const std::string& part : split(word, ',')) values.push_back(to_extent(part, what));
  return values;
}

std::vector<std::int64_t> range(const std::string& word, std::size_t dots,
                                const std::string& what) {
  const std::vector<std::string> upper = split(word.substr(dots + 2), ':');
  if (upper.size() > 2) throw Error(what + ": expected LOW..HIGH or LOW..HIGH:STEP");
  const std::int64_t low = to_extent(word.substr(0, dots), what), high = to_extent(upper[0], what);
  const std::int64_t step = upper.size() == 2 ? to_extent(upper[1], what) : 1;
  if (high < low) throw Error(fmt::format("{}: {} is below {}", what, high, low));
  if ((high - low) / step >= kMostValues) throw Error(what + ": too many values");
  std::vector<std::int64_t> values;
  for (std::int64_t v = low; v <= high; v += step) values.push_back(v);
  return values;
}

/// `seed` keeps the lengths of two dimensions apart.
std::vector<std::int64_t> normal(const std::vector<std::string>& parts, std::uint64_t seed,
                                 const std::string& what) {
  if (parts.size() != 4) throw Error(what + ": expected normal:MEAN:DEVIATION:COUNT");
  const auto mean = static_cast<double>(to_extent(parts[1], what));
  const auto deviation = static_cast<double>(to_extent(parts[2], what));
  const std::int64_t count = to_extent(parts[3], what);
  if (count > kMostValues) throw Error(what + ": too many values");
  std::mt19937_64 random(seed);
  std::normal_distribution<double> lengths(mean, deviation);
  std::vector<std::int64_t> values;
  for (std::int64_t i = 0; i < count; ++i)
    values.push_back(std::max<std::int64_t>(1, std::llround(lengths(random))));
  return values;
}

Dimension parse_dimension(const NamedWord& named, std::uint64_t seed) {
  const auto& [name, word] = named;
  const std::string what = fmt::format("--dim {}={}", name, word);
  Dimension d{name, word, {}, false};
  const std::vector<std::string> parts = split(word, ':');
  const std::size_t dots = word.find("..");
  if (parts[0] == "normal") {
    d.values = normal(parts, seed, what);
    d.distribution = true;
  } else {
    d.values = dots == std::string::npos ? list(word, what) : range(word, dots, what);
  }
  return d;
}

/// Calls of one case: as many as its longest distribution has lengths.
std::size_t calls_of(const std::vector<Dimension>& dimensions) {
  std::size_t calls = 1;
  for (const Dimension& d : dimensions)
    if (d.distribution) calls = std::max(calls, d.values.size());
  return calls;
}

}  // namespace

std::vector<Dimension> parse_dimensions(const std::vector<std::string>& words) {
  std::vector<Dimension> dimensions;
  for (const NamedWord& word : named_words(words, "--dim"))
    dimensions.push_back(parse_dimension(word, dimensions.size()));
  return dimensions;
}

std::vector<std::string> names_of(const std::vector<Dimension>& dimensions) {
  std::vector<std::string> names;
  for (const Dimension& d : dimensions) names.push_back(d.name);
  return names;
}

std::vector<Case> cases_of(const std::vector<Dimension>& dimensions) {
  const std::size_t calls = calls_of(dimensions);
  std::vector<Case> cases = {
      {nlohmann::ordered_json::object(), std::vector<Symbols>(calls), false}};
  for (const Dimension& d : dimensions) {
    if (d.distribution) {
      for (Case& c : cases) {
        c.dims[d.name] = d.word;
        c.distribution = true;
        for (std::size_t i = 0; i < calls; ++i) c.shapes[i][d.name] = d.values[i % d.values.size()];
      }
      continue;
    }
    std::vector<Case> longer;
    for (const Case& c : cases) {
      for (std::int64_t value : d.values) {
        longer.push_back(c);
        longer.back().dims[d.name] = value;
        for (Symbols& s : longer.back().shapes) s[d.name] = value;
      }
    }
    cases = std::move(longer);
  }
  return cases;
}

}  // namespace burin::tools
