#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "burin/error.h"
#include "burin/onnx.h"
#include "host/model.h"
#include "tools/arguments.h"
#include "tools/commands.h"
#include "tools/dimensions.h"
#include "tools/plot.h"
#include "tools/process.h"
#include "tools/progress.h"
#include "tools/random_inputs.h"

namespace burin::tools {
namespace {

using Clock = std::chrono::steady_clock;

struct BenchOptions {
  std::string model, plot;
  std::vector<std::string> dims, ranges;
  EngineOptions engine;
  std::optional<double> seconds;
  bool json = false;
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

/// A model with the inputs that the command line asks for.
class Subject {
 public:
  Subject(Graph source, const BenchOptions& options, bool tokenize)
      : model_(std::move(source), model_options(options.engine, tokenize)) {}

  void run(const std::vector<Tensor>& inputs) { model_.run(inputs); }
  double seconds(const std::vector<Tensor>& inputs) {
    const auto start = Clock::now();
    model_.run(inputs);
    return seconds_since(start);
  }
  const Graph& graph() const { return model_.graph(); }

 private:
  host::Model model_;
};

/// Makes the inputs of a shape. Throws burin::Error where the command line does not fit the model.
class InputMaker {
 public:
  InputMaker(const Graph& graph, const BenchOptions& options,
             const std::vector<Dimension>& dimensions)
      : graph_(graph), ranges_(parse_ranges(options.ranges, graph)) {
    check_dimensions(names_of(dimensions), graph);
  }
  std::vector<Tensor> operator()(const Symbols& shape) const {
    return random_inputs(graph_, shape, ranges_);
  }

 private:
  const Graph& graph_;
  Ranges ranges_;
};

std::set<Symbols> shapes_of(const std::vector<Case>& cases) {
  std::set<Symbols> shapes;
  for (const Case& c : cases) shapes.insert(c.shapes.begin(), c.shapes.end());
  return shapes;
}

// ---- memory ----

/// Reads all weights into memory, at a shape that takes little else.
void touch_weights(Subject& subject, const InputMaker& inputs,
                   const std::vector<Dimension>& dimensions) {
  Symbols smallest;
  for (const Dimension& d : dimensions) smallest[d.name] = 1;
  try {
    subject.run(inputs(smallest));
  } catch (const Error&) {
    // Not every model takes dimensions of 1; its weights then count as memory of the run.
  }
}

struct PeakMemory {
  double peak_mb = 0, above_weights_mb = 0;
};

/// Of a process that loads the model in one mode only and runs each shape three times.
PeakMemory peak_memory(const BenchOptions& options, const std::vector<Dimension>& dimensions,
                       const std::set<Symbols>& shapes, bool tokenize) {
  constexpr int kRuns = 3;
  const std::string result = in_child_process([&] {
    Progress progress;
    Subject subject(load_onnx(options.model), options, tokenize);
    const InputMaker inputs(subject.graph(), options, dimensions);
    touch_weights(subject, inputs, dimensions);
    const double loading = peak_resident_mb(), weights = resident_mb();
    reset_peak_resident();
    std::size_t done = 0;
    for (const Symbols& shape : shapes) {
      progress.show(fmt::format("memory, {}: shape {} of {}",
                                tokenize ? "tokenized" : "stand-alone", ++done, shapes.size()));
      const std::vector<Tensor> tensors = inputs(shape);
      for (int i = 0; i < kRuns; ++i) subject.run(tensors);
    }
    const double running = peak_resident_mb();
    return nlohmann::json{std::max(loading, running), running - weights}.dump();
  });
  const auto numbers = nlohmann::json::parse(result);
  return {numbers[0], numbers[1]};
}

// ---- latency ----

/// How long one measurement goes on.
class Budget {
 public:
  Budget(const Case& c, std::optional<double> seconds) : case_(c), seconds_(seconds) {}

  bool spent(std::size_t pairs) const {
    const double elapsed = seconds_since(start_);
    if (pairs < kFewestPairs) return false;
    if (case_.distribution)
      return pairs >= case_.shapes.size() || (seconds_ && elapsed >= *seconds_);
    if (seconds_) return elapsed >= *seconds_;
    return (pairs >= kPairs && elapsed >= kEnoughSeconds) || elapsed >= kMostSeconds;
  }

 private:
  static constexpr std::size_t kFewestPairs = 5, kPairs = 30;
  static constexpr double kEnoughSeconds = 1, kMostSeconds = 20;
  const Case& case_;
  std::optional<double> seconds_;
  Clock::time_point start_ = Clock::now();
};

/// Seconds of each call, pair by pair.
struct Pairs {
  std::vector<double> tokenized, standalone;

  double speedup() const {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < tokenized.size(); ++i)
      ratios.push_back(standalone[i] / tokenized[i]);
    return median(std::move(ratios));
  }
};

struct Latency {
  double best_ms = 0, median_ms = 0;
};

Latency latency(const std::vector<double>& seconds) {
  return {*std::min_element(seconds.begin(), seconds.end()) * 1e3, median(seconds) * 1e3};
}

/// What it costs that a length is seldom the one before: the same lengths in random order and
/// sorted, where each one comes in a row.
struct ShapeChanges {
  double random_over_sorted = 0;  ///< of the total times
  double resident_growth_mb = 0;  ///< after the largest length ran once
};

/// One line of the report.
struct Result {
  nlohmann::ordered_json dims;
  std::size_t pairs = 0;
  Latency tokenized, standalone;
  double speedup = 0;
  std::optional<double> new_shape_us;
  std::optional<ShapeChanges> shape_changes;  ///< of a distribution
  std::uint64_t codegen_events = 0;
};

/// Both modes of a model, side by side.
class Measurement {
 public:
  Measurement(const BenchOptions& options, const std::vector<Dimension>& dimensions,
              const std::vector<Case>& cases)
      : Measurement(load_onnx(options.model), options, dimensions, cases) {}

  Result measure(const Case& c, Progress& progress, const std::string& what) {
    const Pairs pairs = time_pairs(c, progress, what);
    Result result;
    result.dims = c.dims;
    result.pairs = pairs.tokenized.size();
    result.tokenized = latency(pairs.tokenized);
    result.standalone = latency(pairs.standalone);
    result.speedup = pairs.speedup();
    result.new_shape_us = new_shape_us(c.shapes.front());
    result.codegen_events = codegen_statistics().events - events_;
    if (!c.distribution) return result;
    Subject in_order(load_onnx(options_.model), options_, true);
    const std::uint64_t events = codegen_statistics().events;
    result.shape_changes = shape_changes(c, in_order, progress, what);
    result.codegen_events += codegen_statistics().events - events;
    return result;
  }

 private:
  Measurement(const Graph& source, const BenchOptions& options,
              const std::vector<Dimension>& dimensions, const std::vector<Case>& cases)
      : options_(options),
        tokenized_(source, options, true),
        standalone_(source, options, false),
        inputs_(tokenized_.graph(), options, dimensions),
        events_(codegen_statistics().events),
        seen_(shapes_of(cases)),
        varied_(varied_dimension(dimensions)) {}

  /// The one that the command line sweeps; else the largest, where the next value changes least.
  static std::string varied_dimension(const std::vector<Dimension>& dimensions) {
    const Dimension* best = nullptr;
    for (const Dimension& d : dimensions) {
      if (d.values.size() > 1) return d.name;
      if (best == nullptr || d.values[0] > best->values[0]) best = &d;
    }
    return best == nullptr ? "" : best->name;
  }

  /// The lengths of a distribution are not warmed up: that they change is what it measures.
  Pairs time_pairs(const Case& c, Progress& progress, const std::string& what) {
    constexpr int kWarmUpRuns = 2;
    std::map<Symbols, std::vector<Tensor>> inputs_of;
    for (const Symbols& shape : c.shapes)
      if (inputs_of.count(shape) == 0) inputs_of[shape] = inputs_(shape);
    for (int i = 0; i < kWarmUpRuns; ++i) {
      tokenized_.run(inputs_of[c.shapes.front()]);
      standalone_.run(inputs_of[c.shapes.front()]);
    }
    Pairs pairs;
    const Budget budget(c, options_.seconds);
    for (std::size_t i = 0; !budget.spent(i); ++i) {
      const std::vector<Tensor>& inputs = inputs_of[c.shapes[i % c.shapes.size()]];
      // What runs second finds other caches than what runs first: they take turns.
      if (i % 2 == 0) pairs.tokenized.push_back(tokenized_.seconds(inputs));
      pairs.standalone.push_back(standalone_.seconds(inputs));
      if (i % 2 == 1) pairs.tokenized.push_back(tokenized_.seconds(inputs));
      progress.show(fmt::format("{}: pair {}", what, i + 1));
    }
    return pairs;
  }

  /// Tokenized mode, in two models that take turns, so that neither sees the other's shapes.
  ShapeChanges shape_changes(const Case& c, Subject& in_order, Progress& progress,
                             const std::string& what) {
    std::vector<Symbols> sorted = c.shapes;
    std::sort(sorted.begin(), sorted.end());
    tokenized_.run(inputs_(sorted.back()));
    in_order.run(inputs_(sorted.back()));
    const double resident = resident_mb();
    double random_seconds = 0, sorted_seconds = 0;
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      if (i % 2 == 0) random_seconds += tokenized_.seconds(inputs_(c.shapes[i]));
      sorted_seconds += in_order.seconds(inputs_(sorted[i]));
      if (i % 2 == 1) random_seconds += tokenized_.seconds(inputs_(c.shapes[i]));
      progress.show(fmt::format("{}: changing shapes, {} of {}", what, i + 1, sorted.size()));
    }
    return {random_seconds / sorted_seconds, resident_mb() - resident};
  }

  /// Dimensions of one extent move together: exporters give one length several names.
  Symbols neighbour(const Symbols& base, std::int64_t distance) const {
    Symbols shape = base;
    for (auto& [name, extent] : shape)
      if (base.at(name) == base.at(varied_)) extent += distance;
    return shape;
  }

  /// Tokenized mode: how much longer the first run at a shape takes than later ones. The median of
  /// a few shapes near `base`; none where the model takes no other.
  std::optional<double> new_shape_us(const Symbols& base) {
    constexpr std::size_t kShapes = 3, kMostFailures = 16;
    constexpr std::int64_t kFarthest = 4096;
    if (varied_.empty()) return std::nullopt;
    std::vector<double> extra;
    std::size_t failures = 0;
    for (std::int64_t distance = 1; distance <= kFarthest; ++distance) {
      for (std::int64_t sign : {-1, 1}) {
        const Symbols shape = neighbour(base, sign * distance);
        if (shape.at(varied_) < 1 || !seen_.insert(shape).second) continue;
        if (const auto seconds = first_run_extra(base, shape))
          extra.push_back(*seconds * 1e6);
        else
          ++failures;
        if (extra.size() == kShapes || failures == kMostFailures)
          return extra.empty() ? std::nullopt : std::optional(median(extra));
      }
    }
    return extra.empty() ? std::nullopt : std::optional(median(extra));
  }

  /// None where the model does not take the shape.
  std::optional<double> first_run_extra(const Symbols& base, const Symbols& shape) {
    constexpr int kRuns = 5;
    try {
      const std::vector<Tensor> inputs = inputs_(shape);
      tokenized_.run(inputs_(base));
      const double first = tokenized_.seconds(inputs);
      std::vector<double> later;
      for (int i = 0; i < kRuns; ++i) later.push_back(tokenized_.seconds(inputs));
      return first - median(std::move(later));
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  const BenchOptions& options_;
  Subject tokenized_, standalone_;
  InputMaker inputs_;
  std::uint64_t events_;
  std::set<Symbols> seen_;
  std::string varied_;
};

// ---- report ----

/// Of both modes.
struct Memory {
  PeakMemory tokenized, standalone;
};

nlohmann::ordered_json to_json(const Latency& l) {
  return {{"best_ms", l.best_ms}, {"median_ms", l.median_ms}};
}

nlohmann::ordered_json to_json(const BenchOptions& options, const Result& r, const Memory& memory) {
  nlohmann::ordered_json json = {{"model", options.model},
                                 {"dims", r.dims},
                                 {"threads", options.engine.threads},
                                 {"precision", options.engine.precision},
                                 {"pairs", r.pairs},
                                 {"tokenized", to_json(r.tokenized)},
                                 {"standalone", to_json(r.standalone)},
                                 {"speedup", r.speedup},
                                 {"new_shape_us", nullptr},
                                 {"codegen_events_after_compile", r.codegen_events}};
  if (r.new_shape_us) json["new_shape_us"] = *r.new_shape_us;
  if (r.shape_changes) {
    json["random_over_sorted"] = r.shape_changes->random_over_sorted;
    json["resident_growth_mb"] = r.shape_changes->resident_growth_mb;
  }
  json["peak_mb"] = {{"tokenized", memory.tokenized.peak_mb},
                     {"standalone", memory.standalone.peak_mb}};
  json["peak_above_weights_mb"] = {{"tokenized", memory.tokenized.above_weights_mb},
                                   {"standalone", memory.standalone.above_weights_mb}};
  return json;
}

/// "batch=1 seq=31"
std::string to_text(const nlohmann::ordered_json& dims) {
  std::string text;
  for (const auto& [name, value] : dims.items())
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", name,
                        value.is_string() ? value.get<std::string>() : value.dump());
  return text;
}

void print_table_head(const BenchOptions& options, const Memory& memory) {
  auto mode = [](const char* name, const PeakMemory& m) {
    return fmt::format("{} {:.1f} MB ({:.1f} above weights)", name, m.peak_mb, m.above_weights_mb);
  };
  fmt::print("{}, {}, {} thread(s)\npeak memory: {}, {}\n", options.model, options.engine.precision,
             options.engine.threads, mode("tokenized", memory.tokenized),
             mode("stand-alone", memory.standalone));
  fmt::print("{:<28} {:>21} {:>21} {:>8} {:>10} {:>8} {:>6}\n", "", "tokenized ms",
             "stand-alone ms", "", "new shape", "code", "");
  fmt::print("{:<28} {:>10} {:>10} {:>10} {:>10} {:>8} {:>10} {:>8} {:>6}\n", "dims", "best",
             "median", "best", "median", "speedup", "us", "events", "pairs");
}

void print_table_row(const Result& r) {
  fmt::print("{:<28} {:>10.3f} {:>10.3f} {:>10.3f} {:>10.3f} {:>8.2f} {:>10} {:>8} {:>6}\n",
             to_text(r.dims), r.tokenized.best_ms, r.tokenized.median_ms, r.standalone.best_ms,
             r.standalone.median_ms, r.speedup,
             r.new_shape_us ? fmt::format("{:.1f}", *r.new_shape_us) : "-", r.codegen_events,
             r.pairs);
  if (r.shape_changes)
    fmt::print(
        "  the same lengths in random order take {:.3f} of their time sorted; resident memory "
        "grew by {:.1f} MB\n",
        r.shape_changes->random_over_sorted, r.shape_changes->resident_growth_mb);
}

void print_row(const BenchOptions& options, const Result& r, const Memory& memory) {
  if (options.json)
    fmt::print("{}\n", to_json(options, r, memory).dump());
  else
    print_table_row(r);
  // Long sweeps are read while they run.
  std::fflush(stdout);
}

/// The one dimension that is swept, for --plot.
std::string swept_dimension(const std::vector<Dimension>& dimensions) {
  std::string swept;
  for (const Dimension& d : dimensions) {
    if (d.distribution || d.values.size() == 1) continue;
    if (!swept.empty())
      throw Error(fmt::format("--plot: only one --dim may have several values, given '{}' and '{}'",
                              swept, d.name));
    swept = d.name;
  }
  if (swept.empty()) throw Error("--plot: one --dim must have several values, as in seq=8..128:8");
  return swept;
}

Error cannot_write(const BenchOptions& options) {
  return Error(fmt::format("--plot {}: cannot be written", options.plot));
}

void write_plot(std::ostream& file, const BenchOptions& options, const std::string& swept,
                const std::vector<Result>& results) {
  Plot plot;
  nlohmann::ordered_json fixed = results.front().dims;
  fixed.erase(swept);
  plot.title =
      fmt::format("{} {}, {} thread(s)", std::filesystem::path(options.model).filename().string(),
                  to_text(fixed), options.engine.threads);
  plot.x_label = swept;
  plot.y_label = "median latency, ms";
  plot.series = {{"tokenized", {}}, {"stand-alone", {}}};
  for (const Result& r : results) {
    const double x = r.dims[swept];
    plot.series[0].points.emplace_back(x, r.tokenized.median_ms);
    plot.series[1].points.emplace_back(x, r.standalone.median_ms);
  }
  file << to_svg(plot);
  if (!file.flush()) throw cannot_write(options);
}

void bench(const BenchOptions& options) {
  if (options.seconds && !(*options.seconds > 0))
    throw Error(fmt::format("--seconds {}: expected more than 0", *options.seconds));
  const std::vector<Dimension> dimensions = parse_dimensions(options.dims);
  const std::vector<Case> cases = cases_of(dimensions);
  std::string swept;
  std::ofstream plot;
  if (!options.plot.empty()) {
    swept = swept_dimension(dimensions);
    // Opened here: what cannot be written is better known before long work.
    plot.open(options.plot);
    if (!plot) throw cannot_write(options);
  }

  // First of all: it forks, and the models of this process start threads.
  Memory memory;
  memory.tokenized = peak_memory(options, dimensions, shapes_of(cases), true);
  memory.standalone = peak_memory(options, dimensions, shapes_of(cases), false);

  Measurement measurement(options, dimensions, cases);
  if (!options.json) print_table_head(options, memory);
  Progress progress;
  std::vector<Result> results;
  for (const Case& c : cases) {
    const std::string what =
        fmt::format("latency, {} ({} of {})", to_text(c.dims), results.size() + 1, cases.size());
    results.push_back(measurement.measure(c, progress, what));
    progress.clear();
    print_row(options, results.back(), memory);
  }
  if (!options.plot.empty()) write_plot(plot, options, swept, results);
}

}  // namespace

void add_bench(CLI::App& app, int& /*status*/) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* sub = app.add_subcommand("bench", "Time a whole model with and without carving");
  sub->add_option("model", options->model, "ONNX file")->required();
  sub->add_option("--dim", options->dims,
                  "Dimension, NAME=N; several measurements: 8,16,32 or 8..128 or 8..128:8; "
                  "one over random lengths: normal:MEAN:DEVIATION:COUNT (repeatable)");
  sub->add_option("--range", options->ranges,
                  "Range of a random input, NAME=LOW:HIGH (repeatable)");
  add_engine_options(*sub, options->engine);
  sub->add_option("--seconds", options->seconds,
                  "Time of each measurement, at the most for random lengths; by default 30 pairs "
                  "and a second, at most 20 s, or all random lengths");
  sub->add_flag("--json", options->json, "Print a JSON line for each measurement");
  sub->add_option("--plot", options->plot, "SVG file: median latency over the dimension swept");
  sub->callback([options] { bench(*options); });
}

}  // namespace burin::tools
