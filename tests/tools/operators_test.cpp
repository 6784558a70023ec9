// docs/operators.md is what `burin operators` prints.

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

namespace {

std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return text;
  std::array<char, 4096> buffer;
  while (const std::size_t n = fread(buffer.data(), 1, buffer.size(), pipe))
    text.append(buffer.data(), n);
  pclose(pipe);
  return text;
}

TEST(Operators, TheListInTheDocumentationIsUpToDate) {
  std::ifstream file(std::string(BURIN_TEST_DIR) + "/../docs/operators.md");
  const std::string stored(std::istreambuf_iterator<char>(file), {});
  EXPECT_EQ(stored, output_of(std::string(BURIN_TOOL) + " operators"))
      << "write it anew: burin operators > docs/operators.md";
}

}  // namespace
