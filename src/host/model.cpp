#include "host/model.h"

#include <fmt/format.h>

#include "burin/error.h"
#include "graph/interpreter.h"

namespace burin::host {

Model::Model(Graph graph, ModelOptions options) : options_(std::move(options)), graph_(std::move(graph)) {
  canonicalize(graph_);
  if (!options_.tokenize) return;
  report_ = tokenize(graph_);
  std::vector<CarvedSubgraph> compiled;
  for (CarvedSubgraph& s : report_.subgraphs) {
    if (auto reason = try_compile(s)) {
      // It stays a Subgraph of the graph, which the interpreter computes like any other node.
      report_.rejected.push_back({s.nodes, *reason});
      report_.attentions_carved -= s.kind == "sdpa" ? 1 : 0;
    } else {
      compiled.push_back(std::move(s));
    }
  }
  report_.subgraphs = std::move(compiled);
}

std::optional<std::string> Model::try_compile(const CarvedSubgraph& s) {
  try {
    CompiledSubgraph compiled = burin::compile(*graph_.node(s.node).body, options_.compile);
    Invocation invocation = compiled.invocation(options_.threads);
    entries_.emplace(s.name, Entry{std::move(compiled), std::move(invocation)});
    return std::nullopt;
  } catch (const Error& e) {
    return e.what();
  }
}

const CompiledSubgraph* Model::compiled(const std::string& name) const {
  auto it = entries_.find(name);
  return it == entries_.end() ? nullptr : &it->second.compiled;
}

std::vector<Tensor> Model::run(const std::vector<Tensor>& inputs) {
  return interpret_around(graph_, inputs, {},
                          [this](const Node& node, const std::vector<Tensor>& tensors, const SymbolValues& symbols) {
                            return run_subgraph(node, tensors, symbols);
                          });
}

std::vector<Tensor> Model::run_subgraph(const Node& node, const std::vector<Tensor>& inputs,
                                        const std::map<std::string, std::int64_t>& symbols) {
  const auto entry = entries_.find(node.name);
  if (entry == entries_.end()) return interpret(*node.body, inputs, symbols);
  Invocation& invocation = entry->second.invocation;
  std::vector<TensorDesc> shapes;
  std::vector<const void*> in;
  for (const Tensor& t : inputs) {
    shapes.push_back({t.dims(), {}});
    in.push_back(t.data());
  }
  invocation.rebind(shapes, symbols);
  std::vector<Tensor> results;
  std::vector<void*> out;
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    results.push_back(Tensor::zeros(graph_.value(node.outputs[i]).precision, invocation.output_shapes()[i]));
    out.push_back(results.back().mutable_data());
  }
  if (options_.threads > 1)
    invocation.run(in, out, default_executor());
  else
    invocation.run(in, out);
  ++subgraphs_run_;
  return results;
}

}  // namespace burin::host
