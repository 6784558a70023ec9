#include "codegen/pair_division.h"

#include <algorithm>

#include "codegen/shuffles.h"

namespace burin::codegen {
namespace {

constexpr std::uint8_t kTemps = 4;

}  // namespace

VReg emit_with_temps(VBuilder& b, VOp op, VReg x, VReg y, std::uint8_t temps) {
  Instruction i;
  i.op = op;
  i.src = {reg(x), reg(y), {}};
  for (; i.temp_count < temps; ++i.temp_count) i.temps.at(i.temp_count) = b.vector();
  i.dst = b.vector();
  b.append(i);
  return i.dst;
}

VReg PairDivision::word(const Operands& of, bool is_high) {
  const auto other = std::find_if(others_.begin(), others_.end(), [&](const Other& o) { return o.of == of; });
  if (other != others_.end()) {
    const bool is_there = other->is_high == is_high && holds(*other);
    const VReg word = other->word;
    others_.erase(other);
    if (is_there) return word;
  }
  const Words quotient = divide(of);
  others_.push_back({of, !is_high, is_high ? quotient.low : quotient.high, b_.program().code.size()});
  return is_high ? quotient.high : quotient.low;
}

bool PairDivision::holds(const Other& other) const {
  const auto& code = b_.program().code;
  return std::none_of(code.begin() + static_cast<std::ptrdiff_t>(other.place), code.end(), [&](const Instruction& i) {
    return info(i.op).control || std::find(other.of.begin(), other.of.end(), i.dst) != other.of.end();
  });
}

/// Low and high words that are interleaved are lanes of 64 bits, in an order that taking them apart undoes.
PairDivision::Words PairDivision::divide(const Operands& of) {
  const auto [a_low, a_high, b_low, b_high] = of;
  std::array<VReg, 2> halves{};
  for (std::size_t half = 0; half < halves.size(); ++half) {
    const VOp unpack = half == 0 ? VOp::unpack_low32 : VOp::unpack_high32;
    const VReg a = b_.op(unpack, {reg(a_low), reg(a_high)}), b = b_.op(unpack, {reg(b_low), reg(b_high)});
    halves[half] = emit_with_temps(b_, VOp::div_i64, a, b, kTemps);
  }
  const auto every_second = [&](std::int64_t which) { return b_.op(VOp::shuffle_words, {reg(halves[0]), reg(halves[1])}, which); };
  return {every_second(kEvenWords), every_second(kOddWords)};
}

}  // namespace burin::codegen
