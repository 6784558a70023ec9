#pragma once

#include <onnxruntime_c_api.h>

#include <optional>
#include <string>

namespace burin::ort {

/// The provider options, as docs/onnxruntime.md lists them.
struct Options {
  std::string isa;             ///< as CompileOptions::isa
  std::optional<int> threads;  ///< the most that one call uses; unset: as many as the process may run on
  std::string dump;            ///< a folder; empty: none
};

/// Reads the options of the provider called `provider` out of a session's. Throws burin::Error that
/// names the option that has no such value, or that there is none of that name.
Options read_options(const OrtSessionOptions& session, const std::string& provider);

}  // namespace burin::ort
