// Random graphs, and those that once failed, as kernels and through the reference interpreter (see graph_fuzzer.h).

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "burin/tokenize.h"
#include "tests/support/coverage.h"
#include "tests/support/graph_fuzzer.h"
#include "tests/support/graph_generator.h"

namespace burin::testing {
namespace {

// Graphs of a run that is not scaled; the preset `fuzz` makes ten times as many.
constexpr int kAttentions = 500;
constexpr int kElementwise = 1000;
constexpr int kProducts = 300;

TEST(Differential, Attention) {
  Coverage coverage;
  declare_attention_features(coverage);
  declare_run_features(coverage);
  coverage.declare("softmax_form", {"score_rows", "online", "by shape"});
  coverage.declare("pack", {"always", "by shape"});
  coverage.declare("few_queries", {"any number", "by shape"});
  coverage.declare("brgemm", {"onednn"});
  GraphFuzzer("attention", generate_attention, coverage, kAttentions).run();
}

std::string text_of(const std::filesystem::path& file) {
  std::ifstream stream(file);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

std::vector<std::filesystem::path> files_in(const std::string& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(BURIN_TEST_DIR) / "filetests" / folder))
    if (entry.path().extension() == ".txt") files.push_back(entry.path());
  EXPECT_FALSE(files.empty()) << "no file in " << folder;
  return files;
}

void run_files(const std::string& folder) {
  Coverage coverage;
  for (const std::filesystem::path& file : files_in(folder)) {
    const bool attention = text_of(file).find("matmul") != std::string::npos;
    GraphFuzzer(attention ? "attention" : "elementwise", nullptr, coverage, 0).run_file(file);
  }
}

TEST(Differential, Reproducers) { run_files("reproducers"); }

/// Kinds of element-wise groups as exporters write them.
TEST(Differential, Groups) { run_files("groups"); }

/// Each of them is one Subgraph, and nothing else is left; a comment says of which that is not so.
TEST(Differential, GroupsAreCarved) {
  for (const std::filesystem::path& file : files_in("groups")) {
    const std::string text = text_of(file);
    Graph graph = parse_graph(text);
    canonicalize(graph);
    const TokenizeReport report = tokenize(graph);
    const bool whole = report.subgraphs.size() == 1 && graph.order().size() == 1;
    EXPECT_EQ(whole, text.find("// in parts") == std::string::npos) << file << print(graph);
  }
}

TEST(Differential, Product) {
  Coverage coverage;
  declare_product_features(coverage);
  declare_run_features(coverage);
  coverage.declare("brgemm", {"onednn"});
  GraphFuzzer("product", generate_product, coverage, kProducts).run();
}

TEST(Differential, Elementwise) {
  Coverage coverage;
  declare_elementwise_features(coverage);
  declare_run_features(coverage);
  GraphFuzzer("elementwise", generate_elementwise, coverage, kElementwise).run();
}

}  // namespace
}  // namespace burin::testing
