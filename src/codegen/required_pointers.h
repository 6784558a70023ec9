#pragma once

#include <map>
#include <set>
#include <utility>

#include "codegen/vcode.h"
#include "linear/linear_ir.h"

namespace burin::codegen {

/// An address up to a constant: a memory and an index expression.
using PointerKey = std::pair<linear::MemoryId, Expr>;
using Pointers = std::map<PointerKey, VReg>;

/// Which addresses blocks and loops need.
class RequiredPointers {
 public:
  /// Those that a block needs when it starts: those of its own accesses, and where the pointers of its loops begin.
  std::set<PointerKey> by(const linear::Block& block);

  /// Those of the blocks of a loop. (Each loop's are asked for by all loops around it.)
  const std::set<PointerKey>& inside(const linear::Loop& loop);

  /// Bounds inside of a loop with a condition depend on its variable in any way; it seldom runs twice: addresses with the
  /// variable are computed in each iteration.
  static bool is_made_anew(const linear::Loop& loop, const PointerKey& key) { return loop.condition && key.second.uses(loop.var); }

 private:
  std::map<const linear::Loop*, std::set<PointerKey>> inside_;
};

}  // namespace burin::codegen
