#include "tools/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>
#include <tuple>

namespace burin::tools {
namespace {

constexpr double kWidth = 720, kHeight = 440;
constexpr double kLeft = 76, kRight = kWidth - 24, kTop = 48, kBottom = kHeight - 60;
/// From this ratio of the largest to the smallest x on, small values would crowd on a linear axis.
constexpr double kLogarithmicFrom = 8;
/// Okabe and Ito's colours, which the colour-blind tell apart; markers differ as well.
constexpr std::array<const char*, 4> kColours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7"};

struct Axis {
  double low = 0, high = 1;
  bool logarithmic = false;
  std::vector<double> ticks;

  /// 0 at the low end, 1 at the high end.
  double position(double value) const {
    return logarithmic ? std::log(value / low) / std::log(high / low)
                       : (value - low) / (high - low);
  }
};

/// 1, 2 or 5 times a power of ten, so that about `count` steps span the extent.
double round_step(double extent, int count) {
  const double raw = extent / count, power = std::pow(10, std::floor(std::log10(raw)));
  for (double factor : {1.0, 2.0, 5.0})
    if (factor * power >= raw) return factor * power;
  return 10 * power;
}

Axis linear_axis(double highest) {
  constexpr int kSteps = 8;
  const double step = round_step(highest, kSteps);
  Axis axis;
  axis.high = step * std::ceil(highest / step);
  for (int i = 0; i * step <= axis.high * (1 + 1e-9); ++i) axis.ticks.push_back(i * step);
  return axis;
}

Axis logarithmic_axis(double lowest, double highest) {
  constexpr double kMargin = 1.15;
  Axis axis;
  axis.logarithmic = true;
  axis.low = lowest / kMargin;
  axis.high = highest * kMargin;
  for (double power = std::pow(10, std::floor(std::log10(axis.low))); power <= axis.high;
       power *= 10)
    for (double factor : {1.0, 2.0, 5.0})
      if (const double tick = factor * power; tick >= axis.low && tick <= axis.high)
        axis.ticks.push_back(tick);
  return axis;
}

struct Extent {
  double low = std::numeric_limits<double>::infinity(), high = 0;
  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

/// The points' own values where they are few and far apart, as after a sweep by factors.
std::vector<double> ticks_at_points(const Axis& axis, const Plot& plot) {
  constexpr std::size_t kMost = 10;
  constexpr double kApart = 0.05;
  std::vector<double> ticks;
  for (const auto& [x, y] : plot.series.front().points) {
    if (!ticks.empty() && axis.position(x) - axis.position(ticks.back()) < kApart) return {};
    ticks.push_back(x);
  }
  return ticks.size() <= kMost ? ticks : std::vector<double>{};
}

std::pair<Axis, Axis> axes(const Plot& plot) {
  Extent x, y;
  for (const Plot::Series& s : plot.series) {
    for (const auto& [px, py] : s.points) {
      x.include(px);
      y.include(py);
    }
  }
  if (x.high / x.low < kLogarithmicFrom) return {linear_axis(x.high), linear_axis(y.high)};
  Axis horizontal = logarithmic_axis(x.low, x.high);
  if (auto ticks = ticks_at_points(horizontal, plot); !ticks.empty())
    horizontal.ticks = std::move(ticks);
  return {std::move(horizontal), logarithmic_axis(y.low, y.high)};
}

std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      default: out += c;
    }
  }
  return out;
}

/// Writes one plot.
class Writer {
 public:
  explicit Writer(const Plot& plot) : plot_(plot) { std::tie(x_, y_) = axes(plot); }

  std::string write() {
    add("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} "
        "{1}\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n"
        "<rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>\n",
        kWidth, kHeight);
    add("<text x=\"{}\" y=\"26\" font-size=\"16\" text-anchor=\"middle\">{}</text>\n", middle_x(),
        escaped(plot_.title));
    write_x_axis();
    write_y_axis();
    for (std::size_t i = 0; i < plot_.series.size(); ++i) write_series(i);
    write_legend();
    svg_ += "</svg>\n";
    return std::move(svg_);
  }

 private:
  template <typename... T>
  void add(fmt::format_string<T...> format, T&&... arguments) {
    fmt::format_to(std::back_inserter(svg_), format, std::forward<T>(arguments)...);
  }

  static double middle_x() { return (kLeft + kRight) / 2; }
  double pixel_x(double value) const { return kLeft + x_.position(value) * (kRight - kLeft); }
  double pixel_y(double value) const { return kBottom - y_.position(value) * (kBottom - kTop); }

  void line(double x0, double y0, double x1, double y1, const char* colour) {
    add("<path d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\" stroke=\"{}\"/>\n", x0, y0, x1, y1, colour);
  }

  void write_x_axis() {
    for (double tick : x_.ticks) {
      line(pixel_x(tick), kTop, pixel_x(tick), kBottom, "#e4e4e4");
      add("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{:g}</text>\n", pixel_x(tick),
          kBottom + 20, tick);
    }
    line(kLeft, kBottom, kRight, kBottom, "#222");
    add("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", middle_x(), kBottom + 46,
        escaped(plot_.x_label));
  }

  void write_y_axis() {
    for (double tick : y_.ticks) {
      line(kLeft, pixel_y(tick), kRight, pixel_y(tick), "#e4e4e4");
      add("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:g}</text>\n", kLeft - 8,
          pixel_y(tick) + 4.5, tick);
    }
    line(kLeft, kTop, kLeft, kBottom, "#222");
    add("<text transform=\"translate(20 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
        (kTop + kBottom) / 2, escaped(plot_.y_label));
  }

  /// A disc, a square, and so on in turn.
  void marker(std::size_t series, double x, double y) {
    const char* colour = kColours[series % kColours.size()];
    if (series % 2 == 0)
      add("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\" fill=\"{}\"/>\n", x, y, colour);
    else
      add("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"7\" height=\"7\" fill=\"{}\"/>\n", x - 3.5,
          y - 3.5, colour);
  }

  void write_series(std::size_t i) {
    const auto& points = plot_.series[i].points;
    std::string path;
    for (const auto& [x, y] : points)
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? 'M' : 'L', pixel_x(x), pixel_y(y));
    add("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>\n", path,
        kColours[i % kColours.size()]);
    // On a dense curve markers would only thicken the line.
    constexpr std::size_t kMostMarkers = 40;
    if (points.size() > kMostMarkers) return;
    for (const auto& [x, y] : points) marker(i, pixel_x(x), pixel_y(y));
  }

  /// In the upper left corner, which rising curves leave free.
  void write_legend() {
    for (std::size_t i = 0; i < plot_.series.size(); ++i) {
      const double x = kLeft + 16, y = kTop + 18 + 20 * static_cast<double>(i);
      line(x, y, x + 26, y, kColours[i % kColours.size()]);
      marker(i, x + 13, y);
      add("<text x=\"{}\" y=\"{}\">{}</text>\n", x + 34, y + 4.5, escaped(plot_.series[i].label));
    }
  }

  const Plot& plot_;
  Axis x_, y_;
  std::string svg_;
};

}  // namespace

std::string to_svg(const Plot& plot) { return Writer(plot).write(); }

}  // namespace burin::tools
