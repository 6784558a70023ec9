#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>

/// Tests that are text: a folder of files, each with one or more cases.
///
///     ; pass: fold_exp_base
///     ; any number of comment lines
///     graph @g(...) { ... }
///     ; expect
///     graph @g(...) { ... }
///
/// The transformation gets the name of the pass and the input, and gives the output; an exception
/// is the output "error: <message>". Comment lines "; key: value" are options, for those who ask.
/// With BURIN_BLESS=1 in the environment, expectations are rewritten to what comes out, in the
/// source tree: look at the difference before you commit it.
namespace burin::testing {

using FileTransformation =
    std::function<std::string(const std::string& pass, const std::string& input)>;

struct FileCase {
  std::string pass;
  std::map<std::string, std::string> options;
  std::string input;
};
using FileCaseTransformation = std::function<std::string(const FileCase& file_case)>;

/// Runs every *.txt file of the folder (and of folders in it) as gtest expectations; a failure
/// names the file and the line of the case. Fails if there is none.
void run_file_tests(const std::filesystem::path& folder, const FileTransformation& transform);
void run_file_case_tests(const std::filesystem::path& folder,
                         const FileCaseTransformation& transform);

}  // namespace burin::testing
