#pragma once

#include <onnxruntime_c_api.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "burin/compile.h"
#include "plugins/onnxruntime/api.h"
#include "plugins/onnxruntime/claims.h"
#include "plugins/onnxruntime/options.h"
#include "plugins/onnxruntime/scratch.h"
#include "runtime/compile_once.h"

namespace burin::ort {

/// The provider of one session: says which nodes it takes, compiles them.
class Provider : public OrtEp {
 public:
  Provider(std::string name, Options options, const OrtLogger& logger);

 private:
  struct Planned {
    Claim claim;
    CompiledSubgraph compiled;
  };

  // What the interface calls, by the names of its functions.
  void get_capability(const OrtGraph& graph, OrtEpGraphSupportInfo& info);
  std::unique_ptr<OrtNodeComputeInfo> compile(const OrtNode& fused);

  std::optional<std::string> plan(Claim claim, runtime::CompileOnce& compile_once);
  void log(const std::string& message) const noexcept;
  int threads() const;

  std::string name_;
  Options options_;
  const OrtLogger& logger_;
  std::shared_ptr<ScratchPool> scratch_ = std::make_shared<ScratchPool>();
  /// Of the graph that ONNX Runtime asked about last, by the name of the first result: it compiles what it was told
  /// about one graph before it asks about the next.
  std::map<std::string, Planned> planned_;
  int graphs_ = 0;  ///< that it was asked about
};

}  // namespace burin::ort
