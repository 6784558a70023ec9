// Kernels against the reference interpreter: random graphs, each compiled once for each instruction set and run at
// random shapes around every tail, with all memory between pages that may not be touched.
//
//   BURIN_SEED=N        replays a run (each run takes a new seed and prints it)
//   BURIN_CASE=KIND:I   of that run one graph alone: attention:17, elementwise:3, product:5
//   BURIN_FUZZ_SCALE=X  multiplies the number of graphs
//
// Graphs that once failed are kept as text in tests/filetests/reproducers/. Lines in front of the graph:
//
//   // symbols: B=1 S=17    shapes to run at, beside random ones; may be repeated
//   // rounding: 1e-4       what rounding may cost, as an absolute error (1e-5)
//   // refused: some words   compile() throws an Error with these words: the graph cannot be one kernel

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <sstream>
#include <unistd.h>

#include "burin/compile.h"
#include "burin/error.h"
#include "dataflow/dataflow.h"
#include "graph/axes.h"
#include "linear/linear_ir.h"
#include "linear/lower.h"
#include "linear/passes/passes.h"
#include "schedule/schedule.h"
#include "target/target_info.h"
#include "tests/support/coverage.h"
#include "tests/support/graph_generator.h"
#include "tests/support/guarded_call.h"
#include "tests/support/interpret_check.h"
#include "tests/support/random_shapes.h"

namespace burin::testing {
namespace {

constexpr int kGraphs = 1000;     ///< attentions, and as many element-wise ones
constexpr int kProducts = 300;    ///< products with a weight
constexpr std::size_t kShapes = 5;        ///< of each graph
constexpr int kMaxFailures = 20;  ///< then the run ends
constexpr double kBudget = 2e5;   ///< multiplications of one run of the interpreter, about
constexpr double kLinearBudget = 2e4;  ///< the same of the interpreter of Linear IR
constexpr double kTolerance = 2e-5;

// ---- what a crash prints ----

char crash_message[1 << 16];

void on_crash(int signal) {
  const char* text = "\ncrashed in a kernel: ";
  (void)!write(STDERR_FILENO, text, strlen(text));
  (void)!write(STDERR_FILENO, crash_message, strlen(crash_message));
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void catch_crashes() {
  for (int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) std::signal(signal, on_crash);
}

void announce(const std::string& message) {
  std::strncpy(crash_message, message.c_str(), sizeof(crash_message) - 1);
}

// ---- the run ----

std::uint64_t run_seed() {
  static const std::uint64_t seed = [] {
    const char* given = std::getenv("BURIN_SEED");
    return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  }();
  return seed;
}

double run_scale() {
  const char* given = std::getenv("BURIN_FUZZ_SCALE");
  return given != nullptr ? std::strtod(given, nullptr) : 1;
}

std::vector<Isa> instruction_sets() {
  std::vector<Isa> out;
  for (Isa isa : {Isa::avx2, Isa::avx512})
    if (isa <= host_target().isa)
      out.push_back(isa);
    else
      fmt::print("skipped {}: this machine (or BURIN_ISA) offers {}\n", to_string(isa), to_string(host_target().isa));
  return out;
}

std::string describe(const std::map<std::string, std::int64_t>& symbols) {
  std::string out;
  for (const auto& [name, value] : symbols) out += fmt::format(" {}={}", name, value);
  return out;
}

std::string describe_worst(const Tensor& expected, const Tensor& actual) {
  std::int64_t worst = -1;
  double worst_difference = -1;
  for (std::int64_t i = 0; i < expected.size(); ++i) {
    const double x = expected.at(i), y = actual.at(i);
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    const double d = std::isfinite(x) && std::isfinite(y) ? std::abs(x - y) : INFINITY;
    if (d > worst_difference) worst = i, worst_difference = d;
  }
  if (worst < 0) return "none";
  return fmt::format("element {} of {} {}: expected {}, got {}", worst, expected.size(), to_string(expected.dims()),
                     expected.at(worst), actual.at(worst));
}

/// NaNs and infinities match, other elements differ by no more than rounding.
bool agree(const Tensor& expected, const Tensor& actual, double rounding) {
  if (expected.precision() != actual.precision() || expected.dims() != actual.dims()) return false;
  double magnitude = 0, difference = 0;
  for (std::int64_t i = 0; i < expected.size(); ++i) {
    const double x = expected.at(i), y = actual.at(i);
    if (std::isnan(x) && std::isnan(y)) continue;
    if (x != y && !(std::isfinite(x) && std::isfinite(y))) return false;
    if (!std::isfinite(x)) continue;
    magnitude = std::max(magnitude, std::abs(x));
    difference = std::max(difference, std::abs(x - y));
  }
  return difference <= kTolerance * magnitude + rounding + 1e-30;
}

bool same_bits(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].bytes() > 0 && std::memcmp(a[i].data(), b[i].data(), a[i].bytes()) != 0) return false;
  return true;
}

class Fuzzer {
 public:
  using Generator = std::function<GeneratedGraph(Random&)>;

  Fuzzer(std::string kind, Generator generate, Coverage& coverage, int graphs = kGraphs)
      : kind_(std::move(kind)), generate_(std::move(generate)), coverage_(coverage), graphs_(graphs) {}

  void run() {
    catch_crashes();
    fmt::print("BURIN_SEED={}\n", run_seed());
    std::fflush(stdout);
    const char* one = std::getenv("BURIN_CASE");
    const auto count = static_cast<int>(graphs_ * run_scale());
    if (one != nullptr) {
      const std::string text = one, prefix = kind_ + ":";
      if (text.rfind(prefix, 0) == 0) run_case(std::atoi(text.c_str() + prefix.size()));
      return;
    }
    for (int i = 0; i < count && failures_ < kMaxFailures; ++i) run_case(i);
    fmt::print("{}: {} graphs, {} runs, {} failures\n{}", kind_, count, runs_, failures_, coverage_.to_string());
    if (count >= graphs_ && failures_ == 0) {
      const std::vector<std::string> missing = coverage_.missing();
      EXPECT_TRUE(missing.empty()) << "never covered: " << missing.front() << " and " << missing.size() - 1 << " more";
    }
  }

  /// A graph that once failed.
  void run_file(const std::filesystem::path& file) {
    catch_crashes();
    std::ifstream stream(file);
    std::stringstream text;
    text << stream.rdbuf();
    text_ = text.str();
    replay_ = file.string();
    announce(text_);
    try {
      GeneratedGraph g;
      g.graph = parse_graph(text_);
      std::string line;
      double rounding = 1e-5;
      std::string refused;
      std::vector<std::map<std::string, std::int64_t>> given;
      while (std::getline(text, line)) {
        if (line.rfind("// rounding:", 0) == 0) rounding = std::strtod(line.c_str() + 12, nullptr);
        if (line.rfind("// symbols:", 0) == 0) given.push_back(parse_symbols(line.substr(11)));
        if (line.rfind("// refused: ", 0) == 0) refused = line.substr(12);
      }
      if (!refused.empty()) return expect_refusal(g.graph, refused);
      g.rounding.assign(g.graph.outputs.size(), rounding);
      for (std::uint64_t seed = 1; seed <= 8; ++seed) {
        Random random(seed);
        check_graph(g, random, given);
        check_linear(g, random);
      }
    } catch (const std::exception& e) {
      fail(fmt::format("error: {}", e.what()));
    }
  }

 private:
  struct Shaped {
    std::map<std::string, std::int64_t> symbols;
    std::vector<Tensor> inputs, expected;
  };

  void expect_refusal(const Graph& graph, const std::string& words) {
    try {
      compile(graph);
    } catch (const Error& e) {
      if (std::string(e.what()).find(words) == std::string::npos) fail(fmt::format("refused for another reason: {}", e.what()));
      return;
    }
    fail("was not refused");
  }

  static std::map<std::string, std::int64_t> parse_symbols(const std::string& text) {
    std::map<std::string, std::int64_t> symbols;
    std::istringstream words(text);
    for (std::string word; words >> word;)
      if (const std::size_t at = word.find('='); at != std::string::npos) symbols[word.substr(0, at)] = std::stoll(word.substr(at + 1));
    return symbols;
  }

  void run_case(int index) {
    Random random(run_seed() * 1000003 + static_cast<std::uint64_t>(index) * 2 + (kind_ == "attention" ? 0 : 1) + (kind_ == "product" ? 1U << 30 : 0));
    replay_ = fmt::format("BURIN_SEED={} BURIN_CASE={}:{} test_fuzz --gtest_filter='Differential.*'", run_seed(), kind_, index);
    announce(replay_ + " (while generating)\n");
    try {
      const GeneratedGraph generated = generate_(random);
      text_ = print(generated.graph);
      check_graph(generated, random);
    } catch (const std::exception& e) {
      fail(fmt::format("error: {}", e.what()));
    }
  }

  void fail(const std::string& what) {
    ++failures_;
    ADD_FAILURE() << what << "\n" << replay_ << "\n" << text_;
  }

  void check_graph(const GeneratedGraph& generated, Random& random,
                   const std::vector<std::map<std::string, std::int64_t>>& given = {}) {
    coverage_.count(generated.features);
    std::vector<Shaped> shapes;
    for (std::size_t i = 0; i < kShapes + given.size(); ++i) {
      Shaped s;
      s.symbols = i < given.size() ? given[i] : random_symbols(generated.graph, random, kBudget);
      s.inputs = random_contents(generated.graph, s.symbols, random);
      s.expected = interpret(generated.graph, s.inputs, s.symbols);
      shapes.push_back(std::move(s));
    }
    for (Isa isa : instruction_sets_) check_kernel(generated, shapes, isa, random);
    if (random.chance(0.1)) check_linear(generated, random);
  }

  void check_kernel(const GeneratedGraph& generated, const std::vector<Shaped>& shapes, Isa isa, Random& random) {
    CompileOptions options;
    options.isa = to_string(isa);
    options.verify = random.chance(0.125);
    draw_schedule(options, random);
    if (kind_ != "elementwise" && options.softmax_form != "online" && random.chance(0.25)) options.brgemm = "onednn";
    const std::string how = text_of(options);
    announce(fmt::format("{}\n{}\n{} compiling\n", replay_, text_, how));
    coverage_.count("isa", options.isa);
    if (kind_ == "attention") coverage_.count("softmax_form", options.softmax_form.empty() ? "by shape" : options.softmax_form);
    if (kind_ == "attention") coverage_.count("pack", options.pack_reads ? "always" : "by shape");
    if (kind_ == "attention") coverage_.count("few_queries", options.few_queries ? "any number" : "by shape");
    if (options.verify) coverage_.count("verify", "yes");
    std::optional<CompiledSubgraph> compiled;
    try {
      compiled.emplace(compile(generated.graph, options));
      if (!options.brgemm.empty()) coverage_.count("brgemm", options.brgemm);
    } catch (const Error& e) {
      if (!options.brgemm.empty() && std::string(e.what()).find("no BRGEMM executor") != std::string::npos) return;
      return fail(fmt::format("{}: compile: {}", how, e.what()));
    }
    const CodegenStatistics before = codegen_statistics();
    for (const Shaped& s : shapes)
      if (!check_run(*compiled, generated, s, options, random)) return;
    EXPECT_EQ(before.events, codegen_statistics().events) << replay_;
  }

  /// What the schedule leaves to large shapes happens at small ones, too.
  void draw_schedule(CompileOptions& options, Random& random) const {
    constexpr std::int64_t kSmallCache = 8192, kAnyNumber = 1000000;
    if (kind_ != "attention") {
      if (random.chance(0.25)) options.cache_bytes = kSmallCache;
      return;
    }
    const std::vector<std::string> forms = {"score_rows", "online", ""};
    options.softmax_form = random.pick(forms);
    if (options.softmax_form.empty()) {
      options.cache_bytes = kSmallCache;
      if (random.chance(0.5)) options.few_queries = kAnyNumber;
    }
    if (random.chance(0.5)) options.pack_reads = 1;
  }

  static std::string text_of(const CompileOptions& options) {
    return fmt::format("{} {}{}{}{}", options.isa, options.softmax_form.empty() ? "any form" : options.softmax_form,
                       options.pack_reads ? " packed" : "", options.few_queries ? " few queries" : "", options.cache_bytes ? " small caches" : "");
  }

  bool check_run(const CompiledSubgraph& compiled, const GeneratedGraph& generated, const Shaped& s, const CompileOptions& options,
                 Random& random) {
    CallOptions call;
    call.strided = random.chance(1.0 / 3);
    call.workers = static_cast<int>(random.between(1, 3));
    call.thread_pool = random.chance(0.1);
    const std::string what = fmt::format("{} strided={} workers={} pool={} symbols:{}", text_of(options), call.strided, call.workers,
                                         call.thread_pool, describe(s.symbols));
    announce(fmt::format("{}\n{}\n{}\n", replay_, text_, what));
    try {
      Invocation invocation = compiled.invocation(call.workers);
      const std::vector<Tensor> actual = guarded_call(invocation, generated.graph, s.inputs, call, random);
      ++runs_;
      coverage_.count("strides", call.strided ? "wide" : "dense");
      coverage_.count("workers", std::to_string(call.workers));
      for (std::size_t i = 0; i < actual.size(); ++i)
        if (!agree(s.expected[i], actual[i], generated.rounding[i])) {
          fail(fmt::format("{}: output {}: {} (rounding {})\nright without one of: {}", what, i,
                           describe_worst(s.expected[i], actual[i]), generated.rounding[i], culprits(generated, s, options, call)));
          return false;
        }
      count_tails(s);
      if (!random.chance(0.3)) return true;
      CallOptions other = call;
      other.workers = 1 + call.workers % 3;
      other.strided = !call.strided;
      Invocation second = compiled.invocation(other.workers);
      if (!same_bits(actual, guarded_call(second, generated.graph, s.inputs, other, random))) {
        fail(fmt::format("{}: other bits with {} workers, strided={}", what, other.workers, other.strided));
        return false;
      }
    } catch (const Error& e) {
      fail(fmt::format("{}: {}", what, e.what()));
      return false;
    }
    return true;
  }

  /// The passes without any one of which the result is right.
  std::string culprits(const GeneratedGraph& generated, const Shaped& s, CompileOptions options, const CallOptions& call) {
    std::vector<std::string> names;
    const auto on_graph = dataflow_pipeline();
    for (const auto& pass : on_graph.passes()) names.push_back(pass.name);
    const auto on_loops = linear::linear_pipeline(Schedule{});
    for (const auto& pass : on_loops.passes()) names.push_back(pass.name);
    std::string out;
    for (const std::string& name : names) {
      options.disabled_passes = {name};
      try {
        Invocation invocation = compile(generated.graph, options).invocation(call.workers);
        Random random(1);
        const std::vector<Tensor> actual = guarded_call(invocation, generated.graph, s.inputs, call, random);
        bool right = true;
        for (std::size_t i = 0; i < actual.size(); ++i) right &= agree(s.expected[i], actual[i], generated.rounding[i]);
        if (right) out += " " + name;
      } catch (const Error&) {  // a pass that others rely on
      }
    }
    return out;
  }

  void count_tails(const Shaped& s) {
    for (const Tensor& t : s.expected) {
      if (t.dims().empty()) continue;
      if (t.size() == 0) {
        coverage_.count("tail", "empty");
        continue;
      }
      const std::int64_t n = t.dims().back();
      coverage_.count("tail", n == 1 ? "one" : n % 16 == 0 ? "none" : n < 8 ? "below_8" : n < 16 ? "below_16" : "some");
    }
  }

  /// Linear IR after lowering and after each pass, on small shapes.
  void check_linear(const GeneratedGraph& generated, Random& random) {
    announce(fmt::format("{}\n{}\nLinear IR\n", replay_, text_));
    const std::map<std::string, std::int64_t> symbols = random_symbols(generated.graph, random, kLinearBudget / 4);
    if (interpretation_work(generated.graph, symbols) > kLinearBudget) return;
    const std::vector<Tensor> inputs = random_contents(generated.graph, symbols, random);
    const std::vector<Tensor> expected = interpret(generated.graph, inputs, symbols);
    coverage_.count("linear", "yes");
    std::string stage = "dataflow";
    try {
      Graph body = generated.graph;
      dataflow_pipeline().run(body);
      const AxisMap axes = analyze_axes(body);
      const TargetInfo target = target_for(random.pick(instruction_sets_));
      ScheduleOptions overrides;
      if (kind_ == "attention" && random.chance(0.5)) overrides.softmax_form = SoftmaxForm::online;
      Schedule schedule = choose_schedule(body, axes, target, overrides);
      if (!(schedule.few_queries_when == Expr(0)) && random.chance(0.5)) schedule = schedule_few_queries(body, axes, target, schedule);
      stage = "lower";
      linear::LinearIR ir = linear::lower(body, axes, schedule, target);
      if (!linear_agrees(ir, inputs, symbols, expected, generated.rounding, stage)) return;
      const auto pipeline = linear::linear_pipeline(schedule);
      for (const auto& pass : pipeline.passes()) {
        stage = pass.name;
        if (!pass.run(ir)) continue;
        linear::verify(ir);
        if (!linear_agrees(ir, inputs, symbols, expected, generated.rounding, stage)) return;
      }
    } catch (const Error& e) {
      fail(fmt::format("Linear IR, {}, symbols:{}: {}", stage, describe(symbols), e.what()));
    }
  }

  bool linear_agrees(const linear::LinearIR& ir, const std::vector<Tensor>& inputs,
                     const std::map<std::string, std::int64_t>& symbols, const std::vector<Tensor>& expected,
                     const std::vector<double>& rounding, const std::string& stage) {
    const std::vector<Tensor> actual = linear::interpret(ir, inputs, symbols);
    for (std::size_t i = 0; i < actual.size(); ++i)
      if (!agree(expected[i], actual[i], rounding[i])) {
        fail(fmt::format("Linear IR after {}, symbols:{}: output {}: {}\n{}", stage, describe(symbols), i,
                         describe_worst(expected[i], actual[i]), linear::print(ir)));
        return false;
      }
    return true;
  }

  std::string kind_;
  Generator generate_;
  Coverage& coverage_;
  int graphs_;  ///< of a run that is not scaled
  std::vector<Isa> instruction_sets_ = instruction_sets();
  std::string replay_, text_;
  int failures_ = 0;
  std::int64_t runs_ = 0;
};

void declare_run_features(Coverage& coverage) {
  for (Isa isa : {Isa::avx2, Isa::avx512})
    if (isa <= host_target().isa) coverage.declare("isa", {std::string(to_string(isa))});
  coverage.declare("verify", {"yes"});
  coverage.declare("linear", {"yes"});
  coverage.declare("strides", {"wide", "dense"});
  coverage.declare("workers", {"1", "2", "3"});
  coverage.declare("tail", {"none", "one", "below_8", "below_16", "some", "empty"});
}

TEST(Differential, Attention) {
  Coverage coverage;
  declare_attention_features(coverage);
  declare_run_features(coverage);
  coverage.declare("softmax_form", {"score_rows", "online", "by shape"});
  coverage.declare("pack", {"always", "by shape"});
  coverage.declare("few_queries", {"any number", "by shape"});
  coverage.declare("brgemm", {"onednn"});
  Fuzzer("attention", generate_attention, coverage).run();
}

TEST(Differential, Reproducers) {
  Coverage coverage;
  const std::filesystem::path folder = std::filesystem::path(BURIN_TEST_DIR) / "filetests" / "reproducers";
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".txt") continue;
    ++files;
    std::ifstream stream(entry.path());
    const std::string text((std::istreambuf_iterator<char>(stream)), {});
    const bool attention = text.find("matmul") != std::string::npos;
    Fuzzer(attention ? "attention" : "elementwise", nullptr, coverage).run_file(entry.path());
  }
  EXPECT_GT(files, 0) << "no reproducer in " << folder;
}

TEST(Differential, Product) {
  Coverage coverage;
  declare_product_features(coverage);
  declare_run_features(coverage);
  coverage.declare("brgemm", {"onednn"});
  Fuzzer("product", generate_product, coverage, kProducts).run();
}

TEST(Differential, Elementwise) {
  Coverage coverage;
  declare_elementwise_features(coverage);
  declare_run_features(coverage);
  Fuzzer("elementwise", generate_elementwise, coverage).run();
}

}  // namespace
}  // namespace burin::testing
