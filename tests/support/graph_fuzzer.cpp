#include "tests/support/graph_fuzzer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <random>
#include <sstream>
#include <unistd.h>

#include "burin/error.h"
#include "burin/tokenize.h"
#include "dataflow/dataflow.h"
#include "graph/axes.h"
#include "graph/interpreter.h"
#include "linear/linear_ir.h"
#include "linear/lower.h"
#include "linear/passes/passes.h"
#include "schedule/schedule.h"
#include "tests/support/interpret_check.h"
#include "tests/support/random_shapes.h"

namespace burin::testing {
namespace {

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

bool same_bits(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].bytes() > 0 && std::memcmp(a[i].data(), b[i].data(), a[i].bytes()) != 0) return false;
  return true;
}

/// Integers are equal; NaNs and infinities match, other elements differ by no more than rounding.
bool agree(const Tensor& expected, const Tensor& actual, double rounding) {
  if (expected.precision() != actual.precision() || expected.dims() != actual.dims()) return false;
  if (expected.precision() == Precision::i64 || expected.precision() == Precision::i32) return same_bits({expected}, {actual});
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

bool all_agree(const std::vector<Tensor>& expected, const std::vector<Tensor>& actual, const std::vector<double>& rounding) {
  bool right = true;
  for (std::size_t i = 0; i < actual.size(); ++i) right &= agree(expected[i], actual[i], rounding[i]);
  return right;
}

std::map<std::string, std::int64_t> parse_symbols(const std::string& text) {
  std::map<std::string, std::int64_t> symbols;
  std::istringstream words(text);
  for (std::string word; words >> word;)
    if (const std::size_t at = word.find('='); at != std::string::npos)
      symbols[word.substr(0, at)] = std::stoll(word.substr(at + 1));
  return symbols;
}

std::string text_of(const CompileOptions& options) {
  return fmt::format("{} {}{}{}{}{}", options.isa, options.softmax_form.empty() ? "any form" : options.softmax_form,
                     options.pack_reads ? " packed" : "", options.few_queries ? " few queries" : "", options.cache_bytes ? " small caches" : "",
                     options.brgemm.empty() ? "" : " " + options.brgemm);
}

std::vector<NodeId> subgraphs_of(const Graph& graph) {
  std::vector<NodeId> nodes;
  for (const NodeId id : graph.order())
    if (graph.node(id).op == OpKind::Subgraph) nodes.push_back(id);
  return nodes;
}

/// A graph of one Subgraph node with this body.
Graph around(const Graph& body) {
  Graph graph;
  graph.facts = body.facts;
  std::vector<ValueId> inputs;
  for (const ValueId id : body.inputs) {
    const Value& v = body.value(id);
    inputs.push_back(graph.add_input(v.name, v.precision, v.shape));
  }
  graph.inputs = inputs;
  graph.outputs = graph.node(graph.add_subgraph("fuzz", inputs, std::make_shared<const Graph>(body))).outputs;
  return graph;
}

bool belongs_into_attention(OpKind op) { return op == OpKind::MatMul || op == OpKind::Softmax; }

/// A whole model with all of it carved that `carved_as` asks for; what is left of it at times, too.
Graph carved(const Graph& model, const std::string& carved_as, Random& random) {
  Graph graph = model;
  canonicalize(graph);
  TokenizeOptions options{.attention = carved_as == "sdpa", .products = false, .elementwise = carved_as == "elementwise"};
  if (random.chance(0.3)) options = {};
  const TokenizeReport report = tokenize(graph, options);
  for (const Rejection& left : report.rejected)
    if (carved_as != "sdpa" || !options.elementwise) throw Error("not carved: " + left.reason);
  if (report.subgraphs.empty()) throw Error("not carved, and no reason is given");
  for (const NodeId id : graph.order())
    if (carved_as == "sdpa" && belongs_into_attention(graph.node(id).op))
      throw Error(fmt::format("{} is left outside:\n{}", info(graph.node(id).op).name, print(graph)));
  return graph;
}

}  // namespace

GraphFuzzer::GraphFuzzer(std::string kind, Generator generate, Coverage& coverage, int graphs)
    : kind_(std::move(kind)),
      generate_(std::move(generate)),
      coverage_(coverage),
      graphs_(graphs),
      instruction_sets_(instruction_sets()) {}

void GraphFuzzer::run() {
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

void GraphFuzzer::run_file(const std::filesystem::path& file) {
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
    std::vector<Symbols> given;
    while (std::getline(text, line)) {
      if (line.rfind("// rounding:", 0) == 0) rounding = std::strtod(line.c_str() + 12, nullptr);
      if (line.rfind("// symbols:", 0) == 0) given.push_back(parse_symbols(line.substr(11)));
      if (line.rfind("// refused: ", 0) == 0) refused = line.substr(12);
      if (line.rfind("// carved: ", 0) == 0) g.carved_as = line.substr(11);
    }
    if (!refused.empty()) return expect_refusal(g.graph, refused);
    g.rounding.assign(g.graph.outputs.size(), rounding);
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
      Random random(seed);
      check_graph(g, random, given);
      check_linear(subject_of(g, random), g, random);
    }
  } catch (const std::exception& e) {
    fail(fmt::format("error: {}", e.what()));
  }
}

void GraphFuzzer::expect_refusal(const Graph& graph, const std::string& words) {
  try {
    compile(graph);
  } catch (const Error& e) {
    if (std::string(e.what()).find(words) == std::string::npos) fail(fmt::format("refused for another reason: {}", e.what()));
    return;
  }
  fail("was not refused");
}

void GraphFuzzer::run_case(int index) {
  Random random(run_seed() * 1000003 + static_cast<std::uint64_t>(index) * 2 + (kind_ == "attention" ? 0 : 1) +
                (kind_ == "product" ? 1U << 30 : 0));
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

void GraphFuzzer::fail(const std::string& what) {
  ++failures_;
  ADD_FAILURE() << what << "\n" << replay_ << "\n" << text_;
}

GraphFuzzer::Subject GraphFuzzer::subject_of(const GeneratedGraph& generated, Random& random) {
  return {generated.carved_as.empty() ? around(generated.graph) : carved(generated.graph, generated.carved_as, random),
          generated.rounding};
}

void GraphFuzzer::check_graph(const GeneratedGraph& generated, Random& random, const std::vector<Symbols>& given) {
  coverage_.count(generated.features);
  std::vector<Shaped> shapes;
  for (std::size_t i = 0; i < kShapes + given.size(); ++i) {
    Shaped s;
    s.symbols = i < given.size() ? given[i] : random_symbols(generated.graph, random, kBudget);
    s.inputs = random_contents(generated.graph, s.symbols, random);
    s.expected = interpret(generated.graph, s.inputs, s.symbols);
    shapes.push_back(std::move(s));
  }
  const Subject subject = subject_of(generated, random);
  for (const Isa isa : instruction_sets_) check_kernels(subject, shapes, isa, random);
  if (random.chance(0.1)) check_linear(subject, generated, random);
}

void GraphFuzzer::check_kernels(const Subject& subject, const std::vector<Shaped>& shapes, Isa isa, Random& random) {
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
  Compiled compiled;
  try {
    for (const NodeId id : subgraphs_of(subject.graph)) {
      const Graph& body = *subject.graph.node(id).body;
      compiled.emplace(&body, compile(body, options));
    }
    if (!options.brgemm.empty()) coverage_.count("brgemm", options.brgemm);
  } catch (const Error& e) {
    if (!options.brgemm.empty() && std::string(e.what()).find("no BRGEMM executor") != std::string::npos) return;
    return fail(fmt::format("{}: compile: {}", how, e.what()));
  }
  const CodegenStatistics before = codegen_statistics();
  for (const Shaped& s : shapes)
    if (!check_run(compiled, subject, s, options, random)) return;
  EXPECT_EQ(before.events, codegen_statistics().events) << replay_;
}

/// What the schedule leaves to large shapes happens at small ones, too.
void GraphFuzzer::draw_schedule(CompileOptions& options, Random& random) const {
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

/// The graph with its Subgraphs as machine code.
std::vector<Tensor> GraphFuzzer::call(const Compiled& compiled, const Subject& subject, const Shaped& s,
                                      const CallOptions& options, Random& random) const {
  return interpret_around(subject.graph, s.inputs, s.symbols,
                          [&](const Node& node, const std::vector<Tensor>& inputs, const SymbolValues& symbols) {
                            Invocation invocation = compiled.at(node.body.get()).invocation(options.workers);
                            return guarded_call(invocation, *node.body, inputs, options, random, symbols);
                          });
}

bool GraphFuzzer::check_run(const Compiled& compiled, const Subject& subject, const Shaped& s, const CompileOptions& options,
                            Random& random) {
  CallOptions how;
  how.strided = random.chance(1.0 / 3);
  how.workers = static_cast<int>(random.between(1, 3));
  how.thread_pool = random.chance(0.1);
  const std::string what = fmt::format("{} strided={} workers={} pool={} symbols:{}", text_of(options), how.strided, how.workers,
                                       how.thread_pool, describe(s.symbols));
  announce(fmt::format("{}\n{}\n{}\n", replay_, text_, what));
  try {
    const std::vector<Tensor> actual = call(compiled, subject, s, how, random);
    ++runs_;
    coverage_.count("strides", how.strided ? "wide" : "dense");
    coverage_.count("workers", std::to_string(how.workers));
    for (std::size_t i = 0; i < actual.size(); ++i)
      if (!agree(s.expected[i], actual[i], subject.rounding[i])) {
        fail(fmt::format("{}: output {}: {} (rounding {})\nright without one of: {}", what, i,
                         describe_worst(s.expected[i], actual[i]), subject.rounding[i], culprits(subject, s, options, how)));
        return false;
      }
    count_tails(s);
    // Rows of dense tensors of an element-wise group may be one longer row, which is added up in another order.
    const bool depends_on_strides = kind_ == "elementwise";
    if (!random.chance(0.3) || (depends_on_strides && how.strided)) return true;
    CallOptions other = how;
    other.workers = 1 + how.workers % 3;
    if (!depends_on_strides) other.strided = !how.strided;
    if (!same_bits(actual, call(compiled, subject, s, other, random))) {
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
std::string GraphFuzzer::culprits(const Subject& subject, const Shaped& s, CompileOptions options, const CallOptions& how) const {
  std::vector<std::string> names;
  const auto& on_graph = dataflow_pipeline();
  for (const auto& pass : on_graph.passes()) names.push_back(pass.name);
  const auto on_loops = linear::linear_pipeline(Schedule{});
  for (const auto& pass : on_loops.passes()) names.push_back(pass.name);
  std::string out;
  for (const std::string& name : names) {
    options.disabled_passes = {name};
    announce(fmt::format("{}\n{}\nwithout {}\n", replay_, text_, name));
    try {
      Compiled compiled;
      for (const NodeId id : subgraphs_of(subject.graph)) {
        const Graph& body = *subject.graph.node(id).body;
        compiled.emplace(&body, compile(body, options));
      }
      Random random(1);
      if (all_agree(s.expected, call(compiled, subject, s, how, random), subject.rounding)) out += " " + name;
    } catch (const Error&) {  // a pass that others rely on
    }
  }
  return out;
}

void GraphFuzzer::count_tails(const Shaped& s) {
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

/// Linear IR of each body after lowering and after each pass, on small shapes.
void GraphFuzzer::check_linear(const Subject& subject, const GeneratedGraph& generated, Random& random) {
  announce(fmt::format("{}\n{}\nLinear IR\n", replay_, text_));
  const Symbols symbols = random_symbols(generated.graph, random, kLinearBudget / 4);
  if (interpretation_work(generated.graph, symbols) > kLinearBudget) return;
  coverage_.count("linear", "yes");
  const std::vector<Tensor> inputs = random_contents(generated.graph, symbols, random);
  const double worst_rounding = *std::max_element(subject.rounding.begin(), subject.rounding.end());
  bool right = true;
  interpret_around(subject.graph, inputs, symbols,
                   [&](const Node& node, const std::vector<Tensor>& values, const SymbolValues& all) {
                     std::vector<double> rounding = subject.rounding;
                     if (!generated.carved_as.empty()) rounding.assign(node.outputs.size(), worst_rounding);
                     if (right) right = check_linear_body(*node.body, values, all, rounding, random);
                     return interpret(*node.body, values, all);
                   });
}

bool GraphFuzzer::check_linear_body(const Graph& given, const std::vector<Tensor>& inputs, const Symbols& symbols,
                                    const std::vector<double>& rounding, Random& random) {
  const std::vector<Tensor> expected = interpret(given, inputs, symbols);
  std::string stage = "dataflow";
  const auto agrees = [&](const linear::LinearIR& ir) {
    const std::vector<Tensor> actual = linear::interpret(ir, inputs, symbols);
    for (std::size_t i = 0; i < actual.size(); ++i)
      if (!agree(expected[i], actual[i], rounding[i])) {
        fail(fmt::format("Linear IR after {}, symbols:{}: output {}: {}\n{}", stage, describe(symbols), i,
                         describe_worst(expected[i], actual[i]), linear::print(ir)));
        return false;
      }
    return true;
  };
  try {
    Graph body = given;
    dataflow_pipeline().run(body);
    const AxisMap axes = analyze_axes(body);
    const TargetInfo target = target_for(random.pick(instruction_sets_));
    ScheduleOptions overrides;
    if (kind_ == "attention" && random.chance(0.5)) overrides.softmax_form = SoftmaxForm::online;
    Schedule schedule = choose_schedule(body, axes, target, overrides);
    if (!(schedule.few_queries_when == Expr(0)) && random.chance(0.5)) schedule = schedule_few_queries(body, axes, target, schedule);
    stage = "lower";
    linear::LinearIR ir = linear::lower(body, axes, schedule, target);
    if (!agrees(ir)) return false;
    const auto pipeline = linear::linear_pipeline(schedule);
    for (const auto& pass : pipeline.passes()) {
      stage = pass.name;
      if (!pass.run(ir)) continue;
      linear::verify(ir);
      if (!agrees(ir)) return false;
    }
  } catch (const Error& e) {
    fail(fmt::format("Linear IR, {}, symbols:{}: {}", stage, describe(symbols), e.what()));
    return false;
  }
  return true;
}

void declare_run_features(Coverage& coverage) {
  for (Isa isa : {Isa::avx2, Isa::avx512})
    if (isa <= host_target().isa) coverage.declare("isa", {std::string(to_string(isa))});
  coverage.declare("verify", {"yes"});
  coverage.declare("linear", {"yes"});
  coverage.declare("strides", {"wide", "dense"});
  coverage.declare("workers", {"1", "2", "3"});
  coverage.declare("tail", {"none", "one", "below_8", "below_16", "some", "empty"});
}

}  // namespace burin::testing
