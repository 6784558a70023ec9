#include "tools/arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "burin/error.h"
#include "target/target_info.h"

namespace burin::tools {
namespace {

/// A model would leave all its subgraphs to the interpreter on an instruction set that it lacks.
void check_isa(const std::string& word) {
  if (word.empty()) return;
  const Isa isa = isa_from_string(word);
  const Isa offered = host_target().isa;
  if (isa > offered)
    throw Error(fmt::format("--isa {}: this machine offers {}", word, to_string(offered)));
}

/// The same where there is no such executor.
void check_brgemm(const std::string& word) {
  if (!word.empty() && word != "burin") static_cast<void>(brgemm_statistics(word));
}

}  // namespace

void add_engine_options(CLI::App& sub, EngineOptions& options) {
  sub.add_option("--threads", options.threads, "Threads");
  sub.add_option("--precision", options.precision, "f32");
  sub.add_option("--isa", options.isa, "Instruction set: avx2, avx512");
  sub.add_option("--brgemm", options.brgemm, "Who computes products in kernels: burin, onednn");
}

host::ModelOptions model_options(const EngineOptions& options, bool tokenize) {
  if (options.precision != "f32")
    throw Error(fmt::format("--precision {}: only f32 is built so far", options.precision));
  if (options.threads < 1)
    throw Error(fmt::format("--threads {}: expected at least 1", options.threads));
  check_isa(options.isa);
  check_brgemm(options.brgemm);
  host::ModelOptions out;
  out.tokenize = tokenize;
  out.threads = options.threads;
  out.compile.isa = options.isa;
  out.compile.brgemm = options.brgemm;
  return out;
}

std::vector<NamedWord> named_words(const std::vector<std::string>& words, const char* option) {
  std::vector<NamedWord> out;
  for (const std::string& word : words) {
    const auto at = word.find('=');
    if (at == std::string::npos || at == 0)
      throw Error(fmt::format("{} {}: expected NAME=VALUE", option, word));
    const std::string name = word.substr(0, at);
    if (std::any_of(out.begin(), out.end(), [&](const NamedWord& o) { return o.first == name; }))
      throw Error(fmt::format("{} {}: '{}' is given twice", option, word, name));
    out.emplace_back(name, word.substr(at + 1));
  }
  return out;
}

std::vector<std::string> split(const std::string& word, char separator) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t end; (end = word.find(separator, begin)) != std::string::npos; begin = end + 1)
    parts.push_back(word.substr(begin, end - begin));
  parts.push_back(word.substr(begin));
  return parts;
}

std::int64_t to_integer(const std::string& word, const std::string& what) {
  std::int64_t value = 0;
  const char* end = word.data() + word.size();
  const auto result = std::from_chars(word.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end)
    throw Error(fmt::format("{}: expected a number, given '{}'", what, word));
  return value;
}

}  // namespace burin::tools
