#pragma once

#include <vector>

#include "codegen/vcode_builder.h"

namespace burin::codegen {

/// Transposes a square tile of vectors (as many as a vector has f32 lanes): lane j of result i is lane i of input j.
/// log2(lanes) stages of unpack and 128-bit shuffles, in place: two registers beside the tile are enough.
std::vector<VReg> emit_transpose(VBuilder& b, std::vector<VReg> rows, const TargetInfo& target);

/// Each group of four vectors: within every block of 128 bits a 4 x 4 transpose.
std::vector<VReg> emit_transpose_in_blocks(VBuilder& b, std::vector<VReg> rows);

}  // namespace burin::codegen
