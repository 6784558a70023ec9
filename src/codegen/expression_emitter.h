#pragma once

#include <optional>

#include "codegen/pair_division.h"
#include "codegen/vcode_builder.h"
#include "linear/linear_ir.h"
#include "target/target_info.h"

namespace burin::codegen {

/// An operand of an element-wise operation: a register, or a constant that needs none.
struct Element {
  VReg reg = kNoReg;
  std::optional<float> constant;
};

/// Emits element-wise Linear IR operations for one vector.
class ElementwiseEmitter {
 public:
  ElementwiseEmitter(VBuilder& b, const TargetInfo& target) : b_(b), target_(target), pair_division_(b) {}

  /// out = op(in...), into a new register.
  VReg emit(const linear::Expression& e, const std::vector<Element>& in);
  /// variable = op(variable, in...); where `mask` is given, in its lanes only.
  void update(linear::Op op, VReg variable, const std::vector<Element>& in, VReg mask);
  /// All lanes of x folded, splat.
  VReg fold_lanes(linear::Op op, VReg x);
  /// The same of each of 4, 8, ... vectors: lane i is what vector i gives.
  VReg fold_lanes_of_rows(linear::Op op, std::vector<VReg> rows);
  /// Two values under the operation of an update or fold.
  VReg combine(linear::Op op, VReg a, VReg b);

  VReg in_register(const Element& e);
  VReg floor(VReg x);

 private:
  VReg select(VReg mask, const Element& a, const Element& b);
  VReg compare(Cond cond, const Element& a, const Element& b);
  VReg truth(VReg mask);
  VReg propagate_nan(VOp op, VReg a, VReg b);
  VReg unary(const linear::Expression& e, VReg x);
  VReg flip_sign(VReg x);
  VReg i64_to_f32(VReg low, VReg high);
  VReg fused(VOp op, const std::vector<Element>& in);
  VReg binary(const linear::Expression& e, const Element& a, const Element& b);
  Operand operand(const Element& e) const;

  VBuilder& b_;
  const TargetInfo& target_;
  PairDivision pair_division_;
};

}  // namespace burin::codegen
