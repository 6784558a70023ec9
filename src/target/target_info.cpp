#include "target/target_info.h"

#include <array>
#include <utility>

#include "burin/error.h"

namespace burin {
namespace {

constexpr std::array<std::pair<Isa, std::string_view>, 3> kNames{{
    {Isa::none, "none"},
    {Isa::avx2, "avx2"},
    {Isa::avx512, "avx512"},
}};

}  // namespace

TargetInfo target_for(Isa isa) {
  TargetInfo t;
  t.isa = isa;
  t.name = to_string(isa);
  switch (isa) {
    case Isa::none: break;
    case Isa::avx2:
      t.vector_bytes = 32;
      t.vector_registers = 16;
      t.general_registers = 14;  // without the stack and the frame pointer
      break;
    case Isa::avx512:
      t.vector_bytes = 64;
      t.vector_registers = 32;
      t.mask_registers = 7;  // k0 cannot be a predicate
      t.general_registers = 14;
      t.has_scale_exponent = true;
      t.has_lookup_both = true;
      t.has_fraction = true;
      t.has_limit_magnitude = true;
      t.has_broadcast_operand = true;
      break;
  }
  return t;
}

std::string_view to_string(Isa isa) {
  for (const auto& [value, name] : kNames)
    if (value == isa) return name;
  throw Error("unknown instruction set");
}

Isa isa_from_string(std::string_view word) {
  for (const auto& [value, name] : kNames)
    if (name == word) return value;
  throw Error("unknown instruction set '" + std::string(word) + "': expected none, avx2 or avx512");
}

}  // namespace burin
