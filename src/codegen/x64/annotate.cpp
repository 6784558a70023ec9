#include <cctype>
#include <charconv>

#include <fmt/format.h>

#include "codegen/machine_code.h"
#include "codegen/x64/registers.h"

namespace burin::codegen {
namespace x64 {
namespace {

std::string physical_name(const Allocation& allocation, VReg reg, const TargetInfo& target) {
  const unsigned index = allocation.physical[reg];
  switch (allocation.program.registers[reg]) {
    case RegClass::general: return std::string(kGeneralRegisters.at(index).name);
    case RegClass::mask:
      if (!masks_are_vectors(target))
        return fmt::format("k{}", mask_register(static_cast<int>(index)));
      [[fallthrough]];
    case RegClass::vector:
      return fmt::format("{}{}", target.vector_bytes == 64 ? "zmm" : "ymm", index);
    case RegClass::none: break;
  }
  return "none";
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// Replaces virtual registers (v12, g3, m0) in a printed instruction.
std::string with_physical_names(const std::string& text, const Allocation& allocation,
                                const TargetInfo& target) {
  std::string out;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = begin;
    while (end < text.size() && is_word(text[end]) == is_word(text[begin])) ++end;
    const std::string_view word(text.data() + begin, end - begin);
    VReg reg = kNoReg;
    const bool letter = word.front() == 'v' || word.front() == 'g' || word.front() == 'm';
    const auto [rest, error] = std::from_chars(word.data() + 1, word.data() + word.size(), reg);
    if (letter && error == std::errc() && rest == word.data() + word.size() &&
        reg < allocation.physical.size())
      out += physical_name(allocation, reg, target);
    else
      out += word;
    begin = end;
  }
  return out;
}

}  // namespace
}  // namespace x64

std::string annotate(const Allocation& allocation, const MachineCode& code, const TargetInfo& target) {
  const Program& program = allocation.program;
  std::string out;
  std::string_view origin;
  for (std::size_t n = 0; n < program.code.size(); ++n) {
    const Instruction& i = program.code[n];
    const std::string_view from =
        i.origin < program.origins.size() ? std::string_view(program.origins[i.origin]) : "";
    if (from != origin && !from.empty()) out += fmt::format("; {}\n", from);
    origin = from;
    out += fmt::format("{:04x}  {}\n", code.offsets().at(n),
                       x64::with_physical_names(print(program, i), allocation, target));
  }
  return out;
}

}  // namespace burin::codegen
