#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace burin::testing {

/// What a graph (or a run of it) exercises: (axis, value), as ("mask", "B11S").
using Feature = std::pair<std::string, std::string>;
using Features = std::vector<Feature>;

/// Counts how often each value of each axis was exercised. Values that were declared and never counted are missing.
class Coverage {
 public:
  void declare(const std::string& axis, const std::vector<std::string>& values) {
    for (const std::string& v : values) counts_[axis].try_emplace(v, 0);
  }
  void count(const std::string& axis, const std::string& value) { ++counts_[axis][value]; }
  void count(const Features& features) {
    for (const auto& [axis, value] : features) count(axis, value);
  }
  /// "axis=value" of what was declared and never counted.
  std::vector<std::string> missing() const {
    std::vector<std::string> out;
    for (const auto& [axis, values] : counts_)
      for (const auto& [value, n] : values)
        if (n == 0) out.push_back(axis + "=" + value);
    return out;
  }
  /// One line for each axis.
  std::string to_string() const {
    std::string out;
    for (const auto& [axis, values] : counts_) {
      out += "  " + axis + ":";
      for (const auto& [value, n] : values) out += " " + value + "=" + std::to_string(n);
      out += "\n";
    }
    return out;
  }

 private:
  std::map<std::string, std::map<std::string, std::int64_t>> counts_;
};

}  // namespace burin::testing
