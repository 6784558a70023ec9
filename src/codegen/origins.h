#pragma once

#include <cstdint>
#include <map>

#include "codegen/vcode.h"
#include "linear/linear_ir.h"

namespace burin::codegen {

/// Program::origins: the texts of the expressions that instructions come from, if somebody reads them.
class Origins {
 public:
  Origins(const linear::LinearIR& ir, Program& program, bool read) : ir_(ir), program_(program), read_(read) {}

  std::uint32_t of(const linear::Expression& e);

 private:
  const linear::LinearIR& ir_;
  Program& program_;
  bool read_;
  std::map<const linear::Expression*, std::uint32_t> known_;
};

}  // namespace burin::codegen
