#pragma once

#include <array>
#include <vector>

#include "codegen/vcode_builder.h"

namespace burin::codegen {

/// The operation with temporary vector registers.
VReg emit_with_temps(VBuilder& b, VOp op, VReg x, VReg y, std::uint8_t temps);

/// Quotients of i64s, of which each vector has the low or the high words. Both words of a quotient come of one division:
/// whichever is asked for second is there already.
class PairDivision {
 public:
  explicit PairDivision(VBuilder& b) : b_(b) {}

  struct Words {
    VReg low, high;
  };
  VReg low(Words a, Words b) { return word({a.low, a.high, b.low, b.high}, false); }
  VReg high(Words a, Words b) { return word({a.low, a.high, b.low, b.high}, true); }

 private:
  using Operands = std::array<VReg, 4>;
  /// A word of a quotient that nobody has asked for yet.
  struct Other {
    Operands of;
    bool is_high;
    VReg word;
    std::size_t place;  ///< in the code
  };

  VReg word(const Operands& of, bool is_high);
  Words divide(const Operands& of);
  /// Whether the quotient would still be the same, and has been computed.
  bool holds(const Other& other) const;

  VBuilder& b_;
  std::vector<Other> others_;
};

}  // namespace burin::codegen
