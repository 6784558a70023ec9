// What is carved, what is left and why, as text (tests/filetests/carving): a model in, what `burin inspect` says of it out.
//
//   ; pass: inspect

#include <gtest/gtest.h>

#include "burin/error.h"
#include "tests/support/filetest.h"
#include "tests/support/interpret_check.h"
#include "tokenize/describe_report.h"

namespace burin {
namespace {

std::string inspect(const std::string& pass, const std::string& input) {
  if (pass != "inspect") throw Error("no pass is called " + pass);
  const Graph before = parse_graph(input);
  Graph after = before;
  canonicalize(after);
  const TokenizeReport report = tokenize(after);
  verify(after);
  const testing::SymbolValues symbols = testing::small_symbols(before);
  testing::expect_same_results(before, after, testing::random_inputs(before, symbols), symbols, 1e-6);
  return describe(after, report);
}

TEST(CarvingFiletests, All) { testing::run_file_tests(std::string(BURIN_TEST_DIR) + "/filetests/carving", inspect); }

}  // namespace
}  // namespace burin
