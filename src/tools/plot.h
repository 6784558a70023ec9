#pragma once

#include <string>
#include <utility>
#include <vector>

namespace burin::tools {

/// Curves over one axis.
struct Plot {
  struct Series {
    std::string label;
    std::vector<std::pair<double, double>> points;  ///< positive, in the order of x
  };
  std::string title, x_label, y_label;
  std::vector<Series> series;  ///< one at the least, each with a point
};

/// Both axes are logarithmic where x spans much, linear and from zero otherwise.
std::string to_svg(const Plot& plot);

}  // namespace burin::tools
