#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "burin/compile.h"
#include "target/target_info.h"
#include "tests/support/coverage.h"
#include "tests/support/graph_generator.h"
#include "tests/support/guarded_call.h"
#include "tests/support/random.h"

/// Kernels against the reference interpreter: random graphs, each compiled once for each instruction set and run at
/// random shapes around every tail, with all memory between pages that may not be touched.
///
///   BURIN_SEED=N        replays a run (each run takes a new seed and prints it)
///   BURIN_CASE=KIND:I   of that run one graph alone: attention:17, elementwise:3, product:5
///   BURIN_FUZZ_SCALE=X  multiplies the number of graphs
///
/// Graphs that once failed are kept as text in tests/filetests/reproducers/, kinds of element-wise groups in
/// tests/filetests/groups/. Lines in front of the graph:
///
///   // symbols: B=1 S=17    shapes to run at, beside random ones; may be repeated
///   // rounding: 1e-4       what rounding may cost, as an absolute error (1e-5)
///   // refused: some words  compile() throws an Error with these words: the graph cannot be one kernel
///   // carved: sdpa         a whole model: it is canonicalized and carved first (see GeneratedGraph::carved_as)
namespace burin::testing {

class GraphFuzzer {
 public:
  using Generator = std::function<GeneratedGraph(Random&)>;
  using Symbols = std::map<std::string, std::int64_t>;

  /// `graphs`: of a run that is not scaled.
  GraphFuzzer(std::string kind, Generator generate, Coverage& coverage, int graphs);

  void run();
  /// A graph that once failed.
  void run_file(const std::filesystem::path& file);

 private:
  struct Shaped {
    Symbols symbols;
    std::vector<Tensor> inputs, expected;
  };
  /// What is compiled, and how results are compared: Subgraph nodes, with or without a graph around them.
  struct Subject {
    Graph graph;
    std::vector<double> rounding;
  };
  /// The body of each Subgraph node as machine code.
  using Compiled = std::map<const Graph*, CompiledSubgraph>;

  void run_case(int index);
  void expect_refusal(const Graph& graph, const std::string& words);
  void fail(const std::string& what);

  Subject subject_of(const GeneratedGraph& generated, Random& random);
  void check_graph(const GeneratedGraph& generated, Random& random, const std::vector<Symbols>& given = {});
  void check_kernels(const Subject& subject, const std::vector<Shaped>& shapes, Isa isa, Random& random);
  void draw_schedule(CompileOptions& options, Random& random) const;
  bool check_run(const Compiled& compiled, const Subject& subject, const Shaped& s, const CompileOptions& options, Random& random);
  std::vector<Tensor> call(const Compiled& compiled, const Subject& subject, const Shaped& s, const CallOptions& options,
                           Random& random) const;
  std::string culprits(const Subject& subject, const Shaped& s, CompileOptions options, const CallOptions& how) const;
  void count_tails(const Shaped& s);
  void check_linear(const Subject& subject, const GeneratedGraph& generated, Random& random);
  bool check_linear_body(const Graph& body, const std::vector<Tensor>& inputs, const Symbols& symbols,
                         const std::vector<double>& rounding, Random& random);

  std::string kind_;
  Generator generate_;
  Coverage& coverage_;
  int graphs_;
  std::vector<Isa> instruction_sets_;
  std::string replay_, text_;
  int failures_ = 0;
  std::int64_t runs_ = 0;
};

/// The values of the feature axes of each run, beside those of the graphs.
void declare_run_features(Coverage& coverage);

}  // namespace burin::testing
