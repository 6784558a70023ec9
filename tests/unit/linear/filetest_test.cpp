// Every pass over Linear IR as text in, text out (tests/filetests/linear), and by the interpreter
// before and after; so too lowering and the schedule, from the text of a graph.
//
//   ; pass: tile_loops                        a pass of linear_pipeline(): Linear IR in and out;
//   ; lane_steps: 8,4                         the output is "unchanged" where it does not fire
//   ; pass: tile_loops,expand_versions        several, in the pipeline's order ("all" of them), after
//                                             which nothing is left to do before code generation
//   ; pass: lower                             a graph in, Linear IR out
//   ; pass: schedule                          a graph in, the schedule's decisions out
//   ; target: avx2                            of these two; avx512 unless given, neon: no code is made for it
//   ; few_queries: yes                        the schedule for few queries, for passes and for graphs
//   ; executor: yes                           products are for a BRGEMM executor

#include <sstream>

#include <gtest/gtest.h>

#include "burin/error.h"
#include "dataflow/dataflow.h"
#include "linear/lower.h"
#include "linear/passes/passes.h"
#include "linear/scratch_checker.h"
#include "tests/support/filetest.h"
#include "tests/support/interpret_check.h"

namespace burin::linear {
namespace {

using burin::testing::FileCase;
using Symbols = std::map<std::string, std::int64_t>;

std::string option(const FileCase& c, const std::string& key, const std::string& fallback) {
  const auto it = c.options.find(key);
  return it == c.options.end() ? fallback : it->second;
}

/// Between commas.
std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string word; std::getline(in, word, ',');) out.push_back(word);
  return out;
}

std::vector<std::int64_t> numbers(const std::string& text) {
  std::vector<std::int64_t> out;
  for (const std::string& word : words(text)) out.push_back(std::stoll(word));
  return out;
}

SoftmaxForm softmax_form(const std::string& word) {
  if (word == "online") return SoftmaxForm::online;
  return word == "none" ? SoftmaxForm::none : SoftmaxForm::score_rows;
}

/// What passes over Linear IR read of a schedule, at small sizes.
Schedule schedule_of(const FileCase& c) {
  Schedule s;
  s.lane_steps = numbers(option(c, "lane_steps", "8,4"));
  s.product_rows = numbers(option(c, "product_rows", "4,2,1"));
  s.elementwise_rows = numbers(option(c, "elementwise_rows", "2,1"));
  s.transposed_rows = numbers(option(c, "transposed_rows", "8,1"));
  s.transposed_rows_of_last = numbers(option(c, "transposed_rows_of_last", option(c, "transposed_rows", "8,1")));
  s.stream = c.options.contains("stream");
  s.masked_tiles = c.options.contains("masked_tiles");
  s.taller_tails = c.options.contains("taller_tails");
  s.softmax_form = softmax_form(option(c, "softmax", "score_rows"));
  s.key_block = std::stoll(option(c, "key_block", "4"));
  s.pack_reads = std::stoll(option(c, "pack_reads", "2"));
  s.lane_group = std::stoll(option(c, "lane_group", "8"));
  s.brgemm_executor = c.options.contains("executor");
  s.elements_ahead = std::stoll(option(c, "elements_ahead", "0"));
  s.rows_ahead = std::stoll(option(c, "rows_ahead", "0"));
  s.keys_ahead = std::stoll(option(c, "keys_ahead", "0"));
  s.prefetched_panel = std::stoll(option(c, "prefetched_panel", "0"));
  s.near_operand = std::stoll(option(c, "near_operand", "0"));
  s.fetched_item = std::stoll(option(c, "fetched_item", "0"));
  s.fetch_next_block = c.options.contains("fetch_next_block");
  s.fold_by_rows = c.options.contains("fold_by_rows");
  s.delay_stores = c.options.contains("delay_stores");
  s.recompute = c.options.contains("recompute");
  s.moments_at_once = c.options.contains("moments_at_once");
  s.few_queries = c.options.contains("few_queries");
  s.side_by_side = c.options.contains("side_by_side");
  s.packed_rows = c.options.contains("packed_rows");
  s.staggered = c.options.contains("staggered");
  s.folded_rows = numbers(option(c, "folded_rows", "4,1"));
  s.product_lanes = std::stoll(option(c, "product_lanes", "8"));
  s.prefetched_row = std::stoll(option(c, "prefetched_row", "0"));
  return s;
}

/// Small sizes for all symbols of shapes; those of strides follow from them.
Symbols sizes_of(const LinearIR& ir, std::size_t variant) {
  const std::vector<std::vector<std::int64_t>> sizes = {{2, 11, 5, 7}, {1, 3, 13, 2}, {3, 4, 8, 1}};
  Symbols out;
  for (const auto* ports : {&ir.inputs, &ir.outputs})
    for (const Port& port : *ports)
      for (const Expr& extent : port.shape)
        for (const std::string& s : extent.symbols())
          out.emplace(s, sizes[variant][out.size() % sizes[variant].size()]);
  return out;
}

std::vector<Tensor> inputs_of(const LinearIR& ir, const Symbols& sizes) {
  GraphBuilder b("inputs");
  for (const Port& p : ir.inputs) b.input(p.name, p.precision, p.shape);
  return burin::testing::random_inputs(b.build(), sizes, 1);
}

void expect_same_results(const LinearIR& before, const LinearIR& after) {
  for (const std::size_t variant : {0, 1, 2}) {
    const Symbols sizes = sizes_of(before, variant);
    const std::vector<Tensor> inputs = inputs_of(before, sizes);
    const std::vector<Tensor> expected = interpret(before, inputs, sizes);
    const std::vector<Tensor> actual = interpret(after, inputs, sizes);
    ASSERT_EQ(expected.size(), actual.size());
    for (std::size_t i = 0; i < expected.size(); ++i)
      EXPECT_LE(burin::testing::relative_difference(expected[i], actual[i]), 1e-6)
          << "output " << i << " of\n"
          << print(after);
  }
}

/// What code generation expects.
void expect_ready(const LinearIR& ir) {
  verify_registers(ir);
  check_scratch(ir);
}

std::string run_passes(const FileCase& c) {
  const LinearIR before = parse_linear(c.input);
  verify(before);
  LinearIR after = parse_linear(c.input);
  const auto pipeline = linear_pipeline(schedule_of(c));
  std::vector<std::string> names = words(c.pass);
  if (c.pass == "all") {
    names.clear();
    for (const auto& pass : pipeline.passes()) names.push_back(pass.name);
  }
  const bool several = names.size() > 1;
  for (const auto& pass : pipeline.passes()) {
    if (names.empty() || pass.name != names.front()) continue;
    names.erase(names.begin());
    const std::string text = print(after);
    const bool changed = pass.run(after);
    EXPECT_EQ(changed, print(after) != text) << "what the pass says of itself";
    verify(after);
    if (pass.name == "allocate_scratch") check_scratch(after);
  }
  if (!names.empty()) throw Error("no pass is called " + names.front() + ", or it comes earlier");
  expect_same_results(before, after);
  if (several) expect_ready(after);
  return print(after) != print(before) ? print(after) : "unchanged";
}

/// A graph on its way to Linear IR.
struct Scheduled {
  Graph graph;
  AxisMap axes;
  TargetInfo target;
  Schedule schedule;
};

/// Vectors of 128 bit and no masks at all.
TargetInfo neon() {
  TargetInfo t;
  t.name = "neon";
  t.vector_bytes = 16;
  t.vector_registers = 32;
  return t;
}

Scheduled scheduled(const FileCase& c) {
  Scheduled s;
  s.graph = parse_graph(c.input);
  dataflow_pipeline().run(s.graph);
  s.axes = analyze_axes(s.graph);
  const std::string target = option(c, "target", "avx512");
  s.target = target == "neon" ? neon() : target_for(isa_from_string(target));
  ScheduleOptions options;
  if (c.options.contains("softmax")) options.softmax_form = softmax_form(c.options.at("softmax"));
  options.brgemm_executor = c.options.contains("executor");
  options.stream = c.options.contains("stream");
  options.delay_stores = c.options.contains("delay_stores");
  s.schedule = choose_schedule(s.graph, s.axes, s.target, options);
  if (c.options.contains("few_queries")) s.schedule = schedule_few_queries(s.graph, s.axes, s.target, s.schedule);
  if (target == "neon") s.schedule.lane_steps.push_back(1);
  return s;
}

/// The graph, what it is lowered to, and that behind all passes compute the same.
std::string run_lower(const FileCase& c) {
  const Scheduled s = scheduled(c);
  LinearIR ir = lower(s.graph, s.axes, s.schedule, s.target);
  verify(ir);
  const Graph graph = parse_graph(c.input);
  for (const std::size_t variant : {0, 1, 2}) {
    const Symbols sizes = sizes_of(ir, variant);
    const auto inputs = burin::testing::random_inputs(graph, sizes, 1);
    const auto expected = burin::interpret(graph, inputs, sizes);
    const auto actual = interpret(ir, inputs, sizes);
    for (std::size_t i = 0; i < expected.size(); ++i)
      EXPECT_LE(burin::testing::relative_difference(expected[i], actual[i]), 1e-5);
  }
  const std::string text = print(ir);
  LinearIR whole = parse_linear(text);
  linear_pipeline(s.schedule).run(whole);
  expect_ready(whole);
  expect_same_results(ir, whole);
  return text;
}

std::string run_schedule(const FileCase& c) {
  const Scheduled s = scheduled(c);
  std::string out;
  for (const auto& [name, value] : s.schedule.describe(s.axes)) out += name + ": " + value + '\n';
  return out;
}

TEST(LinearFiletests, All) {
  burin::testing::run_file_case_tests(std::string(BURIN_TEST_DIR) + "/filetests/linear",
                                      [](const FileCase& c) {
                                        if (c.pass == "lower") return run_lower(c);
                                        if (c.pass == "schedule") return run_schedule(c);
                                        return run_passes(c);
                                      });
}

}  // namespace
}  // namespace burin::linear
