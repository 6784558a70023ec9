#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "linear/linear_ir.h"

namespace burin::linear {

/// For each value the names of the loop variables that it varies over; see linear/dependence.h.
std::vector<std::set<std::string>> dependences(const LinearIR& ir);

/// Values and memory that a block (or item) touches, loops entered.
struct Effects {
  std::set<ValueId> reads, writes;
  std::set<MemoryId> loads, stores;
};
Effects effects(const Item& item);
Effects effects(const Block& block);

/// Whether `later` must stay behind `earlier`.
bool depends(const Effects& later, const Effects& earlier);

/// How the lanes of an access meet memory, from the coefficient of the lane variable in its index.
enum class AccessMode : std::uint8_t {
  splat,
  vector,
  either,  ///< one or the other: only the shapes of a call tell whether a dimension is one element
  across   ///< lanes lie apart
};
AccessMode access_mode(const Expression& e, const std::string& lane_variable);

bool is_memory(const Expression& e);

bool is_exponential(Op op);

/// How many operations a block computes, those of its loops aside.
std::ptrdiff_t operations_in(const Block& block);

/// Values that are words (see linear_ops.def): everything else is f32.
std::set<ValueId> words_of(const LinearIR& ir);

/// A loop with one version, `step` elements at once, the last of several fewer.
Loop loop_over(std::string variable, Expr begin, Expr end, Block body = {}, std::int64_t step = 1);

/// Gives what the block computes values of its own.
void rename_values(LinearIR& ir, Block& block);

Expression store_of(MemoryId memory, Expr index, ValueId value);

/// A hint that the element will be read soon.
Expression prefetch_of(MemoryId memory, Expr index, bool second_level = false);

/// The enclosing lane loop's variable, "" outside of one.
struct Path {
  std::vector<const Loop*> loops;  ///< outermost first
  std::string lane_variable() const;
  bool has(std::string_view variable) const;
};

/// The loop over the blocks that a lane loop goes over one of; null if none is around it.
const Loop* block_loop_of(const Loop& lanes, const Path& path);

/// Calls f(block, path) for every block, outer before inner. The block may be changed by f (not its parents).
void for_each_block(Block& root, const std::function<void(Block&, const Path&)>& f);

/// The expression, and where it is the least (or the largest) of several, each of them.
std::vector<Expr> operands_of(const Expr& e, Expr::Function function);

/// The loop's number of elements, as an expression free of loop variables that is at least as large: where the end is
/// min(begin + c, e), c; where the begin is max(0, b), the end. Throws burin::Error where none is found.
Expr extent_bound(const Loop& loop);

bool uses_loop_variable(const Expr& e);

/// The loops of a phase that its work items are counted by: it, and the parallel loops that stand alone in one another.
std::vector<Loop*> parallel_nest(Loop& phase);
std::vector<const Loop*> parallel_nest(const Loop& phase);

/// Whether both count the same variable over the same range.
bool same_range(const Loop& a, const Loop& b);

/// Whether it loads a vector of an input, another one in each iteration of `counter`.
bool loads_own_vector(const LinearIR& ir, const Expression& e, const Loop& counter, const std::string& lane_variable);

/// How often the loop's first version runs, a part of a step included.
Expr iterations(const Loop& loop);

/// Whether it holds a product's multiplications and additions.
bool holds_product(const Loop& loop);

/// What multiply-adds in it are added to.
std::set<ValueId> sums_of_products(const Block& block);

/// Whether it holds a product that is summed across the lanes.
bool holds_folded_product(const Loop& loop);

/// Whether a loop only counts blocks: the elements are the affair of inner loops, whose bounds name its variable.
bool is_block_loop(const Loop& loop);

/// Bytes of one worker's scratch (kind worker), of what the workers of a call share (call), once offsets are set.
Expr scratch_bytes(const LinearIR& ir, Memory::Kind kind);

}  // namespace burin::linear
