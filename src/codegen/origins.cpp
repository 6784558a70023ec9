#include "codegen/origins.h"

#include <fmt/format.h>

#include "linear/analysis.h"

namespace burin::codegen {

std::uint32_t Origins::of(const linear::Expression& e) {
  if (!read_) return 0;
  auto [it, fresh] = known_.try_emplace(&e, static_cast<std::uint32_t>(program_.origins.size()));
  if (fresh) {
    std::string text(info(e.op).text);
    if (e.out != linear::kNone) text = fmt::format("%{} = {}", ir_.values[e.out], text);
    if (linear::is_memory(e)) text += fmt::format(" %{}[{}]", ir_.memory[e.memory].name, e.index.to_string());
    program_.origins.push_back(std::move(text));
  }
  return it->second;
}

}  // namespace burin::codegen
