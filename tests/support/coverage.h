#pragma once

#include <cstdint>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace burin::testing {

/// What a graph (or a run of it) exercises: (axis, value), as ("mask", "B11S").
using Feature = std::pair<std::string, std::string>;
using Features = std::vector<Feature>;

/// Counts how often each value of each axis was exercised, and each pair of values of two axes in one graph. Values that
/// were declared and never counted are missing.
class Coverage {
 public:
  void declare(const std::string& axis, const std::vector<std::string>& values) {
    for (const std::string& v : values) counts_[axis].try_emplace(v, 0);
  }
  /// The two values cannot meet in one graph.
  void exclude(const Feature& a, const Feature& b) { excluded_.insert(ordered(a, b)); }

  void count(const std::string& axis, const std::string& value) { ++counts_[axis][value]; }
  /// All features of one graph.
  void count(const Features& features) {
    for (const auto& [axis, value] : features) count(axis, value);
    const std::set<Feature> all(features.begin(), features.end());
    for (auto a = all.begin(); a != all.end(); ++a)
      for (auto b = std::next(a); b != all.end(); ++b)
        if (a->first != b->first) pairs_.insert({*a, *b});
  }

  /// "axis=value" of what was declared and never counted.
  std::vector<std::string> missing() const {
    std::vector<std::string> out;
    for (const auto& [axis, values] : counts_)
      for (const auto& [value, n] : values)
        if (n == 0) out.push_back(axis + "=" + value);
    return out;
  }
  /// "axis=value axis=value" of two axes of graphs that never met, though they may.
  std::vector<std::string> missing_pairs() const {
    std::vector<std::string> out;
    for_each_pair([&](const Feature& a, const Feature& b, bool met) {
      if (!met) out.push_back(a.first + "=" + a.second + " " + b.first + "=" + b.second);
    });
    return out;
  }
  /// One line for each axis, and one for the pairs.
  std::string to_string() const {
    std::string out;
    for (const auto& [axis, values] : counts_) {
      out += "  " + axis + ":";
      for (const auto& [value, n] : values) out += " " + value + "=" + std::to_string(n);
      out += "\n";
    }
    std::int64_t possible = 0, seen = 0;
    for_each_pair([&](const Feature&, const Feature&, bool met) { ++possible, seen += met ? 1 : 0; });
    return out + "  pairs: " + std::to_string(seen) + " of " + std::to_string(possible) + "\n";
  }

 private:
  using Pair = std::pair<Feature, Feature>;
  static Pair ordered(const Feature& a, const Feature& b) { return a < b ? Pair{a, b} : Pair{b, a}; }

  /// Of axes of graphs: of runs, nothing is known of what meets.
  template <typename Visit>
  void for_each_pair(const Visit& visit) const {
    std::set<std::string> of_graphs;
    for (const auto& [a, b] : pairs_) of_graphs.insert({a.first, b.first});
    std::vector<Feature> all;
    for (const auto& [axis, values] : counts_)
      if (of_graphs.count(axis) != 0)
        for (const auto& [value, n] : values) all.emplace_back(axis, value);
    for (auto a = all.begin(); a != all.end(); ++a)
      for (auto b = std::next(a); b != all.end(); ++b)
        if (a->first != b->first && excluded_.count(ordered(*a, *b)) == 0) visit(*a, *b, pairs_.count(ordered(*a, *b)) != 0);
  }

  std::map<std::string, std::map<std::string, std::int64_t>> counts_;
  std::set<Pair> pairs_, excluded_;
};

}  // namespace burin::testing
