#include "host/model.h"

#include <fmt/format.h>
#include <omp.h>

#include <map>
#include <optional>
#include <set>

#include "burin/error.h"
#include "dataflow/dataflow.h"
#include "graph/canonicalize.h"
#include "host/fuse_post_ops.h"
#include "host/graph_shapes.h"
#include "host/kernel.h"
#include "host/onednn.h"
#include "host/program.h"
#include "host/subgraph_kernel.h"
#include "runtime/compile_once.h"

namespace burin::host {

struct Model::Impl {
  Impl(Graph source, ModelOptions given) : options(std::move(given)), graph(std::move(source)) {
    canonicalize(graph);
    if (options.tokenize) compile_subgraphs();
    dataflow::fuse_activations(graph);
    graph.erase_dead_nodes();
    shapes.emplace(graph, values_in_use(graph));
    program.emplace(graph, *shapes, make_steps());
  }

  void compile_subgraphs() {
    report = tokenize(graph);
    runtime::CompileOnce compile_once(options.compile);
    std::vector<CarvedSubgraph> accepted;
    for (CarvedSubgraph& s : report.subgraphs) {
      if (const auto reason = try_compile(s, compile_once)) {
        // It stays a Subgraph of the graph, which the interpreter computes.
        report.rejected.push_back({s.nodes, *reason});
        report.attentions_carved -= s.kind == "sdpa" ? 1 : 0;
      } else {
        accepted.push_back(std::move(s));
      }
    }
    report.subgraphs = std::move(accepted);
  }

  /// Gives the reason where the compiler refuses.
  std::optional<std::string> try_compile(const CarvedSubgraph& s, runtime::CompileOnce& compile_once) {
    try {
      compiled.emplace(s.name, compile_once(*graph.node(s.node).body));
      return std::nullopt;
    } catch (const Error& e) {
      return e.what();
    }
  }

  /// A product runs where the last node that it absorbs stands: what that reads is computed by then.
  std::vector<Step> make_steps() {
    const std::vector<FusedProduct> products = fuse_post_ops(graph);
    std::map<NodeId, const FusedProduct*> ends;  // by the node in whose place a product runs
    std::set<NodeId> absorbed;
    for (const FusedProduct& p : products) {
      absorbed.insert(p.product);
      absorbed.insert(p.absorbed.begin(), p.absorbed.end());
      ends[p.absorbed.empty() ? p.product : p.absorbed.back()] = &p;
    }
    KernelContext context{onednn, options.threads};
    std::vector<Step> steps;
    for (const NodeId id : graph.order()) {
      const Node& node = graph.node(id);
      if (const auto end = ends.find(id); end != ends.end()) {
        const FusedProduct& p = *end->second;
        steps.push_back({make_fused_product(graph, p, context), p.inputs, {p.result}});
      } else if (!absorbed.contains(id) && !only_renames(node.op)) {
        auto kernel = node.op == OpKind::Subgraph ? subgraph_kernel(node) : make_kernel(graph, node, context);
        if (kernel->is_interpreted()) interpreted.push_back(node.name);
        steps.push_back({std::move(kernel), node.inputs, node.outputs});
      }
    }
    return steps;
  }

  std::unique_ptr<Kernel> subgraph_kernel(const Node& node) {
    const auto found = compiled.find(node.name);
    if (found == compiled.end()) return make_interpreted_subgraph(graph, node, shapes->symbols());
    return make_subgraph_kernel(found->second, shapes->symbols(), options.threads, subgraphs_run);
  }

  ModelOptions options;
  Graph graph;
  TokenizeReport report;
  std::map<std::string, CompiledSubgraph> compiled;  ///< by name of the Subgraph node
  std::vector<std::string> interpreted;
  std::uint64_t subgraphs_run = 0;
  OneDnn onednn;
  std::optional<GraphShapes> shapes;
  std::optional<Program> program;
};

Model::Model(Graph graph, ModelOptions options) : impl_(std::make_unique<Impl>(std::move(graph), std::move(options))) {}
Model::~Model() = default;
Model::Model(Model&&) noexcept = default;

const Graph& Model::graph() const { return impl_->graph; }
const TokenizeReport& Model::report() const { return impl_->report; }

const CompiledSubgraph* Model::compiled(const std::string& name) const {
  const auto it = impl_->compiled.find(name);
  return it == impl_->compiled.end() ? nullptr : &it->second;
}

std::vector<Tensor> Model::run(const std::vector<Tensor>& inputs) {
  omp_set_num_threads(impl_->options.threads);  // oneDNN's pool, for calls from this thread
  return impl_->program->run(inputs);
}

ModelStatistics Model::statistics() const {
  const OneDnn::Counters counters = impl_->onednn.counters();
  ModelStatistics s;
  s.subgraphs_run = impl_->subgraphs_run;
  s.primitives_created = counters.created;
  s.primitives_reused = counters.reused;
  s.bindings = impl_->program->bindings();
  s.arena_bytes = impl_->program->arena_bytes();
  s.interpreted = impl_->interpreted;
  return s;
}

}  // namespace burin::host
