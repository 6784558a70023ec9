#pragma once

#include "codegen/vcode.h"

namespace burin::codegen {

template <typename F>
void for_each_register(Instruction& i, F&& f) {
  const VOpInfo& op = info(i.op);
  for (Operand& s : i.src)
    if (s.kind == Operand::Kind::reg) f(s.reg, true, false);
  for (VReg* r : {&i.mem.base, &i.mem.index, &i.mask, &i.count, &i.stride})
    if (*r != kNoReg) f(*r, true, false);
  for (int t = 0; t < i.temp_count; ++t) f(i.temps[static_cast<std::size_t>(t)], false, true);
  if (i.dst != kNoReg) f(i.dst, op.inout, true);
}

}  // namespace burin::codegen
