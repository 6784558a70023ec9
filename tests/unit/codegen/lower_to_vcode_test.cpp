// What is valid Linear IR and has no code.

#include "codegen/lower_to_vcode.h"

#include <gtest/gtest.h>

#include "target/target_info.h"
#include "tests/unit/support/error_of.h"

namespace burin::codegen {
namespace {

void expect_no_code(const std::string& body, const std::string& message) {
  const linear::LinearIR ir = linear::parse_linear(R"(linear @k lanes=8 symbols(S) {
    input %x: f32[S] strides[1]
    output %y: f32[S] strides[1]
    parallel _one in 0..1 {)" + body + "} }");
  linear::verify_registers(ir);
  Tape tape(ir.symbols);
  EXPECT_ERROR(lower_to_vcode(ir, target_for(Isa::avx2), tape), message);
}

TEST(LowerToVcode, LanesOneByOne) {
  const std::string copy = " { %a = load %x[_i]\n store %y[_i], %a }\n";
  expect_no_code("lanes _i in 0..S { step 8" + copy + "step 1" + copy + "}",
                 "loop _i: 1 elements are no whole vectors");
}

TEST(LowerToVcode, PartialRows) {
  expect_no_code("loop _i in 0..S step 4 partial { %a = load %x[_i]\n store %y[_i], %a }",
                 "loop _i: a partial version of 4 elements");
}

}  // namespace
}  // namespace burin::codegen
