// What is valid Linear IR and has no code.

#include "codegen/lower_to_vcode.h"

#include <gtest/gtest.h>

#include "target/target_info.h"
#include "tests/unit/support/error_of.h"

namespace burin::codegen {
namespace {

TEST(LowerToVcode, LanesOneByOneHaveNoCode) {
  const linear::LinearIR ir = linear::parse_linear(R"(linear @k lanes=8 symbols(S) {
    input %x: f32[S] strides[1]
    output %y: f32[S] strides[1]
    parallel _one in 0..1 {
      lanes _i in 0..S {
        step 8 {
          %a = load %x[_i]
          store %y[_i], %a
        }
        step 1 {
          %a = load %x[_i]
          store %y[_i], %a
        }
      }
    }
  })");
  linear::verify_registers(ir);
  Tape tape(ir.symbols);
  EXPECT_ERROR(lower_to_vcode(ir, target_for(Isa::avx2), tape), "loop _i: 1 elements are no whole vectors");
}

}  // namespace
}  // namespace burin::codegen
