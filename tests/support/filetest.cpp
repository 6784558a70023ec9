#include "tests/support/filetest.h"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <sstream>
#include <vector>

#include <gtest/gtest.h>

namespace burin::testing {
namespace {

constexpr std::string_view kPass = "; pass:";
constexpr std::string_view kExpect = "; expect";

struct Case {
  std::string pass;
  std::size_t line = 0;
  std::vector<std::string> header;  ///< with the line that names the pass
  std::vector<std::string> input, expected;
};

struct File {
  std::vector<std::string> preamble;
  std::vector<Case> cases;
};

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + '\n';
  return text;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

File read(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  File file;
  bool expecting = false;
  std::size_t number = 0;
  for (const std::string& line : split(text.str())) {
    ++number;
    if (line.starts_with(kPass)) {
      file.cases.push_back(
          {trimmed(std::string_view(line).substr(kPass.size())), number, {line}, {}, {}});
      expecting = false;
    } else if (file.cases.empty()) {
      file.preamble.push_back(line);
    } else if (line.starts_with(kExpect)) {
      expecting = true;
    } else if (expecting) {
      file.cases.back().expected.push_back(line);
    } else if (file.cases.back().input.empty() && line.starts_with(";")) {
      file.cases.back().header.push_back(line);
    } else {
      file.cases.back().input.push_back(line);
    }
  }
  return file;
}

void write(const std::filesystem::path& path, const File& file) {
  std::ofstream out(path);
  out << joined(file.preamble);
  for (std::size_t i = 0; i < file.cases.size(); ++i) {
    const Case& c = file.cases[i];
    out << joined(c.header) << trimmed(joined(c.input)) << '\n'
        << kExpect << '\n'
        << trimmed(joined(c.expected)) << (i + 1 < file.cases.size() ? "\n\n" : "\n");
  }
}

/// "; key: value" for a key that is one word.
std::map<std::string, std::string> options_of(const Case& c) {
  std::map<std::string, std::string> options;
  for (std::size_t i = 1; i < c.header.size(); ++i) {
    const std::string line = trimmed(std::string_view(c.header[i]).substr(1));
    const auto colon = line.find(':');
    if (colon != std::string::npos && line.find(' ') > colon)
      options[line.substr(0, colon)] = trimmed(std::string_view(line).substr(colon + 1));
  }
  return options;
}

std::string run(const FileCaseTransformation& transform, const Case& c) {
  try {
    return trimmed(transform({c.pass, options_of(c), joined(c.input)}));
  } catch (const std::exception& error) {
    return std::string("error: ") + error.what();
  }
}

void run_file(const std::filesystem::path& path, const FileCaseTransformation& transform,
              bool bless) {
  File file = read(path);
  EXPECT_FALSE(file.cases.empty()) << path << " has no line that starts with '" << kPass << "'";
  for (Case& c : file.cases) {
    SCOPED_TRACE(path.string() + ":" + std::to_string(c.line) + ": pass " + c.pass);
    const std::string output = run(transform, c);
    if (bless) {
      c.expected = split(output);
    } else {
      EXPECT_EQ(output, trimmed(joined(c.expected)));
    }
  }
  if (bless) write(path, file);
}

}  // namespace

void run_file_tests(const std::filesystem::path& folder, const FileTransformation& transform) {
  run_file_case_tests(folder, [&](const FileCase& c) { return transform(c.pass, c.input); });
}

void run_file_case_tests(const std::filesystem::path& folder,
                         const FileCaseTransformation& transform) {
  const char* bless = std::getenv("BURIN_BLESS");
  std::vector<std::filesystem::path> paths;
  if (std::filesystem::is_directory(folder))
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
      if (entry.path().extension() == ".txt") paths.push_back(entry.path());
  ASSERT_FALSE(paths.empty()) << "no *.txt in " << folder;
  std::sort(paths.begin(), paths.end());
  for (const auto& path : paths)
    run_file(path, transform, bless != nullptr && std::string_view(bless) == "1");
}

}  // namespace burin::testing
