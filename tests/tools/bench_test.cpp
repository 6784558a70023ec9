// The burin command from outside, on the small encoder of the repository: `bench`, and `run
// --check`.

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

namespace {

using nlohmann::json;

struct Output {
  int status = -1;
  std::string text;  ///< stdout and stderr
};

/// `burin COMMAND demo.onnx WORDS`
Output burin(const std::string& command, const std::string& words) {
  const std::string line = std::string(BURIN_TOOL) + " " + command + " " + BURIN_TEST_DIR +
                           "/data/demo/demo.onnx " + words + " 2>&1";
  Output output;
  FILE* pipe = popen(line.c_str(), "r");
  if (pipe == nullptr) return output;
  std::array<char, 4096> buffer;
  while (const std::size_t n = fread(buffer.data(), 1, buffer.size(), pipe))
    output.text.append(buffer.data(), n);
  const int status = pclose(pipe);
  output.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return output;
}

/// The JSON lines of a `bench` that must succeed.
std::vector<json> bench(const std::string& words) {
  const Output output = burin("bench", words + " --json --seconds 0.02");
  EXPECT_EQ(output.status, 0) << output.text;
  std::vector<json> parsed;
  std::istringstream in(output.text);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with('{')) parsed.push_back(json::parse(line));
  return parsed;
}

TEST(Bench, ReportsEachKeyOfTheContract) {
  const auto lines = bench("--dim seq=9 --dim batch=1");
  ASSERT_EQ(lines.size(), 1U);
  const json& line = lines[0];
  EXPECT_NE(line.at("model").get<std::string>().find("demo.onnx"), std::string::npos);
  EXPECT_EQ(line.at("dims"), (json{{"seq", 9}, {"batch", 1}}));
  EXPECT_EQ(line.at("threads"), 1);
  EXPECT_EQ(line.at("precision"), "f32");
  EXPECT_GE(line.at("pairs"), 5);
  EXPECT_EQ(line.at("codegen_events_after_compile"), 0);
  EXPECT_TRUE(line.at("new_shape_us").is_number());
  EXPECT_GT(line.at("speedup"), 0.0);
  for (const char* mode : {"tokenized", "standalone"}) {
    EXPECT_GT(line.at(mode).at("best_ms"), 0.0);
    EXPECT_GE(line.at(mode).at("median_ms"), line.at(mode).at("best_ms"));
    EXPECT_GT(line.at("peak_mb").at(mode), 1.0);
    EXPECT_LT(line.at("peak_above_weights_mb").at(mode), line.at("peak_mb").at(mode));
  }
}

TEST(Bench, ListsAndRangesGiveALineForEachCombination) {
  const auto lines = bench("--dim seq=5,3 --dim batch=1..3:2 --threads 2");
  std::vector<std::pair<int, int>> dims;
  for (const json& line : lines) dims.emplace_back(line["dims"]["seq"], line["dims"]["batch"]);
  EXPECT_EQ(dims, (std::vector<std::pair<int, int>>{{5, 1}, {5, 3}, {3, 1}, {3, 3}}));
}

TEST(Bench, ADistributionIsOneLine) {
  const auto lines = bench("--dim seq=normal:9:3:20 --dim batch=1");
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0]["dims"]["seq"], "normal:9:3:20");
  EXPECT_GE(lines[0]["pairs"], 5);
  EXPECT_LE(lines[0]["pairs"], 20);
}

TEST(Bench, PlotsTheSweptDimension) {
  const auto file = std::filesystem::path(testing::TempDir()) / "burin_bench_test.svg";
  bench("--dim seq=4,8,64 --dim batch=1 --plot " + file.string());
  std::ifstream in(file);
  const std::string svg{std::istreambuf_iterator<char>(in), {}};
  std::filesystem::remove(file);
  EXPECT_TRUE(svg.starts_with("<svg"));
  for (const char* text : {"</svg>", ">seq<", ">64<", ">tokenized<", ">stand-alone<"})
    EXPECT_NE(svg.find(text), std::string::npos) << text;
}

TEST(Bench, BadInputIsAnErrorThatNamesTheOption) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"--dim seq=4", "--dim batch"},
      {"--dim seq", "--dim seq: expected NAME=VALUE"},
      {"--dim seq=0 --dim batch=1", "--dim seq=0"},
      {"--dim seq=4,x --dim batch=1", "--dim seq=4,x"},
      {"--dim seq=9..8 --dim batch=1", "--dim seq=9..8"},
      {"--dim seq=1..9:0 --dim batch=1", "--dim seq=1..9:0"},
      {"--dim seq=normal:9:3 --dim batch=1", "--dim seq=normal:9:3"},
      {"--dim seq=4 --dim batch=1 --dim depth=2", "--dim depth"},
      {"--dim seq=4 --dim batch=1 --range ids=0:2", "--range ids"},
      {"--dim seq=4 --dim batch=1 --range input_ids=2:2", "--range input_ids=2:2"},
      {"--dim seq=4 --dim batch=1 --threads 0", "--threads 0"},
      {"--dim seq=4 --dim batch=1 --precision f8", "--precision f8"},
      {"--dim seq=4 --dim batch=1 --isa none_such", "none_such"},
      {"--dim seq=4 --dim batch=1 --brgemm none_such", "BRGEMM executor 'none_such'"},
      {"--dim seq=4 --dim batch=1 --seconds 0", "--seconds 0"},
      {"--dim seq=4 --dim batch=1 --plot x.svg", "--plot"},
  };
  for (const auto& [words, message] : cases) {
    const Output output = burin("bench", words);
    EXPECT_EQ(output.status, 2) << words;
    EXPECT_NE(output.text.find("burin: "), std::string::npos) << output.text;
    EXPECT_NE(output.text.find(message), std::string::npos) << words << "\n" << output.text;
  }
}

TEST(Run, CheckComparesWithStandaloneAndReference) {
  for (const std::string engine : {"", " --brgemm onednn"}) {
    const Output output = burin("run", "--dim seq=6,11 --dim batch=2 --check --json" + engine);
    ASSERT_EQ(output.status, 0) << output.text;
    const json report = json::parse(output.text);
    ASSERT_EQ(report["sets"].size(), 2U);
    for (const json& set : report["sets"]) {
      EXPECT_TRUE(set["ok"]);
      EXPECT_LT(set["check"]["standalone"], 1e-4);
      EXPECT_LT(set["check"]["reference"], 1e-4);
    }
  }
}

}  // namespace
