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
  /// One line for each axis, and one for the pairs.
  std::string to_string() const {
    std::string out;
    for (const auto& [axis, values] : counts_) {
      out += "  " + axis + ":";
      for (const auto& [value, n] : values) out += " " + value + "=" + std::to_string(n);
      out += "\n";
    }
    return out + "  pairs: " + std::to_string(pairs_.size()) + " of " + std::to_string(all_pairs()) +
           " (some exclude each other)\n";
  }

 private:
  using Pair = std::pair<Feature, Feature>;

  /// Of axes of graphs: of runs, nothing is known of what meets.
  std::size_t all_pairs() const {
    std::set<std::string> of_graphs;
    for (const auto& [a, b] : pairs_) of_graphs.insert({a.first, b.first});
    std::size_t values = 0, pairs = 0;
    for (const std::string& axis : of_graphs) {
      pairs += values * counts_.at(axis).size();
      values += counts_.at(axis).size();
    }
    return pairs;
  }

  std::map<std::string, std::map<std::string, std::int64_t>> counts_;
  std::set<Pair> pairs_;
};

}  // namespace burin::testing
