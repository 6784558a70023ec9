#include "plugins/onnxruntime/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <memory>
#include <string_view>

#include "burin/error.h"
#include "plugins/onnxruntime/api.h"
#include "target/target_info.h"

namespace burin::ort {
namespace {

constexpr int kMostThreads = 1024;

/// What ONNX Runtime puts in front of the name of a provider's option.
std::string prefix_of(std::string provider) {
  std::transform(provider.begin(), provider.end(), provider.begin(), [](unsigned char c) { return std::tolower(c); });
  return "ep." + provider + ".";
}

int parse_threads(std::string_view text) {
  int threads = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), threads);
  if (error != std::errc() || end != text.data() + text.size() || threads < 1 || threads > kMostThreads)
    throw Error(fmt::format("option 'threads': expected a number from 1 to {}, given '{}'", kMostThreads, text));
  return threads;
}

/// A word that names no instruction set is an error here; one that this machine lacks leaves nothing to claim.
std::string parse_isa(std::string_view word) {
  try {
    if (isa_from_string(word) != Isa::none) return std::string(word);
  } catch (const Error&) {  // another word
  }
  throw Error(fmt::format("option 'isa': expected 'avx2' or 'avx512', given '{}'", word));
}

void set(Options& options, std::string_view key, std::string_view value) {
  if (key == "precision") {
    if (value != "f32") throw Error(fmt::format("option 'precision': expected 'f32', given '{}'", value));
  } else if (key == "isa") {
    options.isa = parse_isa(value);
  } else if (key == "threads") {
    options.threads = parse_threads(value);
  } else if (key == "dump") {
    options.dump = value;
  } else {
    throw Error(fmt::format("option '{}': there are precision, isa, threads and dump", key));
  }
}

struct ReleasePairs {
  void operator()(OrtKeyValuePairs* pairs) const { api().ReleaseKeyValuePairs(pairs); }
};

}  // namespace

Options read_options(const OrtSessionOptions& session, const std::string& provider) {
  OrtKeyValuePairs* entries = nullptr;
  check(api().GetSessionOptionsConfigEntries(&session, &entries));
  const std::unique_ptr<OrtKeyValuePairs, ReleasePairs> owner(entries);
  const char* const* keys = nullptr;
  const char* const* values = nullptr;
  std::size_t count = 0;
  api().GetKeyValuePairs(entries, &keys, &values, &count);
  const std::string prefix = prefix_of(provider);
  Options options;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string_view key = keys[i];
    if (key.starts_with(prefix)) set(options, key.substr(prefix.size()), values[i]);
  }
  return options;
}

}  // namespace burin::ort
