#include <array>
#include <string_view>
#include <unordered_map>

#include <fmt/format.h>

#include "burin/error.h"
#include "burin/graph.h"

namespace burin {
namespace {

constexpr auto kOps = std::to_array<OpInfo>({
#define BURIN_OP(name, text, category, min_inputs, max_inputs) \
  {OpKind::name, #name, #text, OpCategory::category, min_inputs, max_inputs},
#include "burin/ops.def"
});

using Index = std::unordered_map<std::string_view, OpKind>;

Index index_by(std::string_view OpInfo::*spelling) {
  Index index;
  for (const OpInfo& op : kOps) index.emplace(op.*spelling, op.kind);
  return index;
}

std::optional<OpKind> look_up(const Index& index, std::string_view word) {
  const auto found = index.find(word);
  if (found == index.end()) return std::nullopt;
  return found->second;
}

}  // namespace

const OpInfo& info(OpKind kind) {
  const auto index = static_cast<std::size_t>(kind);
  if (index >= kOps.size()) throw Error(fmt::format("there is no operation {}", index));
  return kOps[index];
}

std::span<const OpInfo> all_operations() { return kOps; }

std::optional<OpKind> op_from_name(std::string_view onnx_name) {
  static const Index index = index_by(&OpInfo::name);
  return look_up(index, onnx_name);
}

std::optional<OpKind> op_from_text(std::string_view text) {
  static const Index index = index_by(&OpInfo::text);
  return look_up(index, text);
}

bool is_elementwise(OpKind kind) {
  switch (info(kind).category) {
    case OpCategory::unary:
    case OpCategory::binary:
    case OpCategory::compare:
    case OpCategory::ternary: return true;
    default: return false;
  }
}

}  // namespace burin
