#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "host/model.h"

namespace burin::tools {

/// What all commands that execute a model let the user choose.
struct EngineOptions {
  std::string precision = "f32", isa, brgemm;
  int threads = 1;
};
void add_engine_options(CLI::App& sub, EngineOptions& options);
/// Throws burin::Error that names the option.
host::ModelOptions model_options(const EngineOptions& options, bool tokenize);

/// One "NAME=VALUE" of the command line.
using NamedWord = std::pair<std::string, std::string>;
/// Splits them, in their order; throws burin::Error, naming `option`, on other words and on a name
/// given twice.
std::vector<NamedWord> named_words(const std::vector<std::string>& words, const char* option);

/// The parts of a word between separators: at least one.
std::vector<std::string> split(const std::string& word, char separator);

/// A number; `what` says in the error where it was expected.
std::int64_t to_integer(const std::string& word, const std::string& what);

}  // namespace burin::tools
