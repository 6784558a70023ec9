#pragma once

#include <cstdint>
#include <vector>

#include "codegen/vcode.h"
#include "target/target_info.h"

namespace burin::codegen {

/// Reorders the end of a program, which consists of streams that hardly depend on each other (one
/// for each vector of a tile): `starts` says where each begins, the last one ends with the program.
/// Several streams advance in turns, as many as registers suffice for. What depends on another
/// stream through a register stays behind it; memory that one stream writes no other may touch.
void interleave(Program& program, const std::vector<std::size_t>& starts, const TargetInfo& target);

}  // namespace burin::codegen
