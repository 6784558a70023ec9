#pragma once

#include <cstdint>

/// Immediates of shuffles: which parts of their operands they pick.
namespace burin::codegen {

/// Blocks of 128 bits of two vectors: the even and the odd ones of four (shuffle128 of 512 bits), the low and the high ones of
/// two (of 256 bits).
inline constexpr std::int64_t kEvenBlocks = 0x88, kOddBlocks = 0xDD, kLowHalves = 0x20, kHighHalves = 0x31;

/// Words of 32 bits in each 128 bits of two vectors: the even and the odd ones.
inline constexpr std::int64_t kEvenWords = 0x88, kOddWords = 0xDD;

/// Halves, quarters, pairs and neighbours change places.
inline constexpr std::int64_t kSwap256 = 0x4E, kSwap128 = 0xB1, kSwap128Avx2 = 0x01, kSwap64 = 0x4E, kSwap32 = 0xB1;

}  // namespace burin::codegen
