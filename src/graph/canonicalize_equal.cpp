#include <algorithm>
#include <string>
#include <type_traits>
#include <unordered_map>

#include <fmt/format.h>

#include "graph/canonicalize.h"

namespace burin {
namespace {

/// Larger constants are compared by place, not by contents.
constexpr std::size_t kMaxComparedBytes = 4096;

std::string spell(const Tensor& tensor) {
  std::string text = fmt::format("{}{}:", to_string(tensor.precision()), to_string(tensor.dims()));
  if (tensor.bytes() > kMaxComparedBytes)
    return text + fmt::format("@{}", static_cast<const void*>(tensor.data()));
  const auto* bytes = reinterpret_cast<const char*>(tensor.data());
  return text.append(bytes, tensor.bytes());
}

std::string spell(const Attribute& attribute) {
  return std::visit(
      [](const auto& value) -> std::string {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, Tensor>) {
          return spell(value);
        } else if constexpr (std::is_same_v<T, std::string>) {
          return value;
        } else if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) {
          return to_string(value);
        } else {
          return fmt::format("{}{}", value, std::is_same_v<T, double> ? "f" : "");
        }
      },
      attribute);
}

class Merger {
 public:
  explicit Merger(Graph& graph) : graph_(graph) {}

  bool run() {
    merge_sources();
    for (const NodeId id : graph_.order()) merge_node(graph_.node(id));
    return redirects_.apply(graph_);
  }

 private:
  /// Constants, and known integers without producer.
  void merge_sources() {
    for (ValueId id = 0; id < graph_.value_count(); ++id) {
      const Value& value = graph_.value(id);
      if (value.producer != kNone) continue;
      if (value.constant) {
        merge(id, "constant " + spell(*value.constant));
      } else if (value.elements && !is_input(id)) {
        merge(id, fmt::format("known {}{}{}", to_string(value.precision), to_string(value.shape),
                              to_string(*value.elements)));
      }
    }
  }

  void merge_node(const Node& node) {
    if (node.op == OpKind::Subgraph) return;
    std::string key = fmt::format("node {} {}", info(node.op).name, node.outputs.size());
    for (const ValueId input : node.inputs)
      key += fmt::format(" {}", input == kNone ? "-" : std::to_string(redirects_.target(input)));
    for (const auto& [name, attribute] : node.attributes)
      key += fmt::format(" {}={}", name, spell(attribute));
    for (std::size_t i = 0; i < node.outputs.size(); ++i)
      merge(node.outputs[i], fmt::format("{} -> {}", key, i));
  }

  void merge(ValueId id, const std::string& key) {
    const auto [first, is_new] = first_.emplace(key, id);
    if (!is_new) redirects_.add(id, first->second);
  }

  bool is_input(ValueId id) const {
    return std::find(graph_.inputs.begin(), graph_.inputs.end(), id) != graph_.inputs.end();
  }

  Graph& graph_;
  std::unordered_map<std::string, ValueId> first_;
  Redirects redirects_;
};

}  // namespace

bool merge_equal(Graph& graph) { return Merger(graph).run(); }

}  // namespace burin
