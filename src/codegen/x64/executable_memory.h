#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "codegen/machine_code.h"

namespace burin::codegen::x64 {

/// Copies position-independent code, entered at its first byte, into pages of its own, and then
/// makes them executable and read-only. Counts the event; tells `perf` where the environment
/// variable BURIN_PERF is set (a line in /tmp/perf-<pid>.map).
std::unique_ptr<MachineCode> make_executable(std::span<const std::byte> code,
                                             std::vector<std::uint32_t> offsets,
                                             const std::string& name);

}  // namespace burin::codegen::x64
