#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "linear/linear_ir.h"

namespace burin::linear {

/// A matrix in memory: element (row, column) is at `start` + row * `leading` + column.
struct MatrixInMemory {
  MemoryId memory = kNone;
  Expr start;    ///< over symbols and the variables of parallel loops
  Expr leading;  ///< over symbols
};

/// A dimension of a product.
struct BrgemmExtent {
  /// In one work item: over symbols and the variables of parallel loops.
  Expr here;
  /// All values that it has in the work items of a call, over symbols; some may be 0.
  std::vector<Expr> all;
};

/// C = A B, with the columns in the lanes:
///
///     brgemm lanes _n in _n.b..min(N, _n.b + 48) {
///       loop _m in 0..M {                                   // not there: one row
///         %sum = fill 0 over(_m, _n)
///         loop _k in 0..K {
///           %a = load %a[lda*_m + _k + ...]
///           %b = load %b[ldb*_k + _n + ...]
///           %sum = update_fma %sum, %a, %b }
///         store %c[ldc*_m + _n + ...], %sum } }
struct BrgemmNest {
  MatrixInMemory a, b, c;
  BrgemmExtent rows, columns, depth;
};

/// The product that a brgemm loop is. Throws burin::Error where it has another form.
BrgemmNest match_brgemm(const Loop& loop);

/// The work items of a phase with products for an executor: code and products in turn.
struct SplitPhase {
  struct Step {
    std::optional<BrgemmNest> product;  ///< before the code
    std::optional<std::size_t> code;    ///< the index of a phase
  };
  std::vector<Step> steps;
  /// The variables of the phase's parallel loops, over symbols and kWorkItem.
  std::map<std::string, Expr> variables;
};
inline constexpr const char* kWorkItem = "_item";

/// Takes the products out of the phases: what stands between them becomes phases over the same work
/// items. They share the scratch of an item, so they must be run one after the other for each item.
/// Gives an entry for each phase that there was; one without a product is a step of code and
/// nothing else.
std::vector<SplitPhase> split_at_products(LinearIR& ir);

}  // namespace burin::linear
