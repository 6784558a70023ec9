#include "plugins/onnxruntime/provider.h"

#include <fmt/format.h>

#include <algorithm>

#include "burin/error.h"
#include "plugins/onnxruntime/compute_info.h"
#include "plugins/onnxruntime/dump.h"
#include "plugins/onnxruntime/executor.h"
#include "plugins/onnxruntime/read_graph.h"

namespace burin::ort {
namespace {

Provider& self(OrtEp* ep) { return *static_cast<Provider*>(ep); }

CompileOptions compile_options(const Options& options, int graph) {
  CompileOptions compile;
  compile.isa = options.isa;
  if (!options.dump.empty()) compile.dump = dump_forms(options.dump, graph);
  return compile;
}

}  // namespace

Provider::Provider(std::string name, Options options, const OrtLogger& logger)
    : OrtEp{}, name_(std::move(name)), options_(std::move(options)), logger_(logger) {
  ort_version_supported = kApiVersion;
  GetName = [](const OrtEp* ep) noexcept { return static_cast<const Provider*>(ep)->name_.c_str(); };
  GetCapability = [](OrtEp* ep, const OrtGraph* graph, OrtEpGraphSupportInfo* info) noexcept {
    return guarded([&] { self(ep).get_capability(*graph, *info); });
  };
  Compile = [](OrtEp* ep, const OrtGraph**, const OrtNode** fused, std::size_t count, OrtNodeComputeInfo** infos,
               OrtNode**) noexcept {
    return guarded([&] {
      for (std::size_t i = 0; i < count; ++i) infos[i] = self(ep).compile(*fused[i]).release();
    });
  };
  ReleaseNodeComputeInfos = [](OrtEp*, OrtNodeComputeInfo** infos, std::size_t count) noexcept {
    for (std::size_t i = 0; i < count; ++i) release(infos[i]);
  };
}

/// Nothing that goes wrong here is an error of the session: what is not claimed runs on other providers.
void Provider::get_capability(const OrtGraph& graph, OrtEpGraphSupportInfo& info) {
  planned_.clear();
  try {
    const int number = graphs_++;
    runtime::CompileOnce compile_once(compile_options(options_, number));
    const ReadGraph read = read_graph(graph, name_);
    Claims claims = find_claims(read.model, read.types);
    for (Claim& claim : claims.claims) {
      std::vector<const OrtNode*> nodes;
      std::vector<std::string> names;
      for (const std::size_t i : claim.nodes) {
        nodes.push_back(read.nodes[i]);
        names.push_back(read.model.nodes[i].name);
      }
      if (const auto reason = plan(std::move(claim), compile_once)) {
        claims.left.push_back({names, *reason});
        continue;
      }
      OrtNodeFusionOptions fusion{};
      fusion.ort_version_supported = kApiVersion;
      fusion.drop_constant_initializers = true;
      check(ep_api().EpGraphSupportInfo_AddNodesToFuse(&info, nodes.data(), nodes.size(), &fusion));
    }
    std::vector<const Claim*> accepted;
    for (const auto& [unused, p] : planned_) accepted.push_back(&p.claim);
    if (!options_.dump.empty()) dump_claims(options_.dump, number, read.model, accepted, claims.left);
  } catch (const std::exception& error) {
    log(fmt::format("{}: takes no more nodes of this graph: {}", name_, error.what()));
  }
}

std::optional<std::string> Provider::plan(Claim claim, runtime::CompileOnce& compile_once) {
  try {
    CompiledSubgraph compiled = compile_once(*claim.part.body);
    const CallShapes shapes(claim.part, compiled);  // throws where a call could not be made
    claim.part.body.reset();                        // and with it the weights, which the kernel has packed
    const std::string result = claim.part.results.front().name;
    planned_.emplace(result, Planned{std::move(claim), std::move(compiled)});
    return std::nullopt;
  } catch (const std::exception& error) {
    return error.what();
  }
}

std::unique_ptr<OrtNodeComputeInfo> Provider::compile(const OrtNode& fused) {
  const std::vector<std::string> inputs = input_names(fused), outputs = output_names(fused);
  for (const std::string& output : outputs) {
    const auto found = planned_.find(output);
    if (found == planned_.end()) continue;
    const Planned planned = std::move(found->second);
    planned_.erase(found);
    return make_compute_info(
        std::make_shared<FusedKernel>(planned.claim.part, planned.compiled, inputs, outputs, threads(), scratch_));
  }
  throw Error("a fused node that was not asked for");
}

int Provider::threads() const { return options_.threads.value_or(usable_threads()); }

void Provider::log(const std::string& message) const noexcept {
  OrtStatus* status =
      api().Logger_LogMessage(&logger_, ORT_LOGGING_LEVEL_WARNING, message.c_str(), ORT_FILE, __LINE__, __func__);
  if (status != nullptr) api().ReleaseStatus(status);  // a message that cannot be written stops nothing
}

}  // namespace burin::ort
