#include "frontend/operators.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace burin::frontend {
namespace {

auto key(const OnnxOperator& op) { return std::tuple(op.domain, op.name); }

std::vector<Operator> collect() {
  std::map<std::tuple<std::string_view, std::string_view>, Operator> by_key;
  for (const auto part :
       {activation_operators, attention_operators, cache_operators, contrib_attention_operators,
        contrib_operators, indicator_operators, quantization_operators, reduction_operators,
        rewritten_operators, rotary_operators, direct_operators})
    for (const Operator& op : part()) by_key.emplace(key(op.is), op);
  std::vector<Operator> all;
  for (auto& [unused, op] : by_key) all.push_back(std::move(op));
  return all;
}

}  // namespace

const std::vector<Operator>& operators() {
  static const std::vector<Operator> all = collect();
  return all;
}

const Operator* find_operator(std::string_view domain, std::string_view name) {
  const std::vector<Operator>& all = operators();
  const auto wanted = std::tuple(domain, name);
  const auto found =
      std::lower_bound(all.begin(), all.end(), wanted,
                       [](const Operator& op, const auto& what) { return key(op.is) < what; });
  return found != all.end() && key(found->is) == wanted ? &*found : nullptr;
}

}  // namespace burin::frontend

namespace burin {

std::vector<OnnxOperator> onnx_operators() {
  std::vector<OnnxOperator> all;
  for (const frontend::Operator& op : frontend::operators()) all.push_back(op.is);
  return all;
}

}  // namespace burin
