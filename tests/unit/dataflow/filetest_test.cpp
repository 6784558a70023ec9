// Every pass as text in, text out (tests/filetests/dataflow), and by the reference interpreter
// before and after.

#include <gtest/gtest.h>

#include "dataflow/dataflow.h"
#include "tests/support/filetest.h"
#include "tests/support/interpret_check.h"

namespace burin {
namespace {

/// One pass by name; "all" is the whole pipeline.
std::string run_pass(const std::string& name, const std::string& input) {
  const Graph before = parse_graph(input);
  Graph after = before;
  const auto& pipeline = dataflow_pipeline();
  if (name == "all") {
    pipeline.run(after);
  } else {
    bool found = false;
    for (const auto& pass : pipeline.passes()) {
      if (pass.name != name) continue;
      const bool changed = pass.run(after);
      EXPECT_EQ(changed, print(after) != print(before)) << "what the pass says of itself";
      found = true;
    }
    EXPECT_TRUE(found) << "no pass is called " << name;
    Graph again = after;
    for (const auto& pass : pipeline.passes())
      if (pass.name == name) {
        EXPECT_FALSE(pass.run(again)) << "a second run finds more:\n" << print(again);
      }
  }
  verify(after);
  const bool is_f32 = input.find("bf16") == std::string::npos;
  testing::expect_same_results(before, after, is_f32 ? 1e-6 : 3e-2);
  return print(after);
}

TEST(DataflowFiletests, All) {
  testing::run_file_tests(std::string(BURIN_TEST_DIR) + "/filetests/dataflow", run_pass);
}

}  // namespace
}  // namespace burin
