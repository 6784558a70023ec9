// Random graphs, and those that once failed, as kernels and through the reference interpreter (see graph_fuzzer.h).

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

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
  coverage.declare("brgemm", {"onednn"});
  GraphFuzzer("attention", generate_attention, coverage, kAttentions).run();
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
    GraphFuzzer(attention ? "attention" : "elementwise", nullptr, coverage, 0).run_file(entry.path());
  }
  EXPECT_GT(files, 0) << "no reproducer in " << folder;
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
