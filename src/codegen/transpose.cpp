#include "codegen/transpose.h"

#include "codegen/shuffles.h"

namespace burin::codegen {
namespace {

/// (rows[i], rows[j]) = (low(rows[i], rows[j]), high(rows[i], rows[j]))
void butterfly(VBuilder& b, std::vector<VReg>& rows, std::size_t i, std::size_t j, VOp low, VOp high,
               std::int64_t low_imm = 0, std::int64_t high_imm = 0) {
  const VReg l = b.op(low, {reg(rows[i]), reg(rows[j])}, low_imm);
  const VReg h = b.op(high, {reg(rows[i]), reg(rows[j])}, high_imm);
  rows[i] = l;
  rows[j] = h;
}

}  // namespace

std::vector<VReg> emit_transpose_in_blocks(VBuilder& b, std::vector<VReg> rows) {
  for (std::size_t g = 0; g < rows.size(); g += 4) {
    butterfly(b, rows, g, g + 1, VOp::unpack_low32, VOp::unpack_high32);      // a0 b0 a1 b1 | a2 b2 a3 b3
    butterfly(b, rows, g + 2, g + 3, VOp::unpack_low32, VOp::unpack_high32);  // c0 d0 c1 d1 | c2 d2 c3 d3
    butterfly(b, rows, g, g + 2, VOp::unpack_low64, VOp::unpack_high64);      // column 0 | column 1
    butterfly(b, rows, g + 1, g + 3, VOp::unpack_low64, VOp::unpack_high64);  // column 2 | column 3
    std::swap(rows[g + 1], rows[g + 2]);
  }
  return rows;
}

std::vector<VReg> emit_transpose(VBuilder& b, std::vector<VReg> rows, const TargetInfo& target) {
  rows = emit_transpose_in_blocks(b, std::move(rows));
  if (target.lanes() == 8) {
    for (std::size_t c = 0; c < 4; ++c)
      butterfly(b, rows, c, c + 4, VOp::shuffle128, VOp::shuffle128, kLowHalves, kHighHalves);
    return rows;
  }
  // 4 x 4 blocks of 4 x 4: rows[4 * g + c] holds, in block k, column 4 * k + c of rows 4 * g .. 4 * g + 3.
  for (std::size_t c = 0; c < 4; ++c) {
    butterfly(b, rows, c, c + 4, VOp::shuffle128, VOp::shuffle128, kEvenBlocks, kOddBlocks);
    butterfly(b, rows, c + 8, c + 12, VOp::shuffle128, VOp::shuffle128, kEvenBlocks, kOddBlocks);
    butterfly(b, rows, c, c + 8, VOp::shuffle128, VOp::shuffle128, kEvenBlocks, kOddBlocks);
    butterfly(b, rows, c + 4, c + 12, VOp::shuffle128, VOp::shuffle128, kEvenBlocks, kOddBlocks);
  }
  return rows;
}

}  // namespace burin::codegen
