// What lies across memory (queries and outputs of attention, a mask: lanes far apart) is read and written a line of each
// row at a time, which the hardware does not follow. So it is brought in good time.
//
// Short rows: the last product of a work item, whose outer loop is short and each iteration of which is long, brings the
// inputs' rows of the next block of lanes, and this one's of the outputs, into the second-level cache:
//
//     lanes _q in _b..min(S, _b + 48) {               lanes _q in _b..min(S, _b + 48) {
//       loop _d in 0..64 step 16 {                      ...
//         %x = load %q[s*_q + _d] }                     loop _e in 0..64 step 8 {
//       ...                                               prefetch %q[s*(_b + 48 + _e)] second level
//       loop _e in 0..64 step 8 {              ->         prefetch %q[s*(_b + 48 + _e) + 16] second level
//         loop _k in 0..S { ... } }                       ...
//       loop _e in 0..64 step 16 {                        prefetch %out[t*(_b + _e)] second level
//         store %out[t*_q + _e], %y }                     ...
//                                                         loop _k in 0..S { ... } }
//                                                       loop _e in 0..64 step 16 { store %out[t*_q + _e], %y }
//
// (A row of the block for each row of the product, or two, or more, so that at least the block is covered; there may be
// too many. Narrower versions of the lane loop are the last block: no other comes.) All other loads bring what lies ahead in the same rows:
//
//       loop _k in 0..S step 16 {              ->       loop _k in 0..S step 16 {
//         %m = load %mask[S*_q + _k]                      prefetch %mask[S*_q + _k + 64]
//                                                         %m = load %mask[S*_q + _k]
//
// Elements that do not exist do not matter: it is a hint. (What prefetch_next_block asks for is asked for.)

#include <iterator>
#include <set>

#include "linear/analysis.h"
#include "linear/passes/passes.h"
#include "target/target_info.h"

namespace burin::linear {
namespace {

/// How far ahead in a row: a few tiles.
constexpr std::int64_t kBytesAhead = 4 * kCacheLine;

std::int64_t elements_in(std::int64_t bytes, const Memory& memory) { return bytes / static_cast<std::int64_t>(size_of(memory.precision)); }

class PrefetchAcross {
 public:
  explicit PrefetchAcross(LinearIR& ir) : ir_(ir) {}

  bool run() {
    for (Item& phase : ir_.phases)
      for (Item& item : parallel_nest(*phase.loop).back()->body())
        if (item.is_loop() && item.loop->lanes) bring_blocks(*item.loop);
    for_each_block(ir_.phases, [&](Block& block, const Path& path) { bring_ahead(block, path); });
    return changed_;
  }

 private:
  bool is_across(const Expression& e, const std::string& lanes) const {
    if (e.op != Op::load && e.op != Op::store) return false;
    const Memory::Kind kind = ir_.memory[e.memory].kind;
    return (kind == Memory::Kind::input || kind == Memory::Kind::output) && access_mode(e, lanes) == AccessMode::across;
  }

  // ---- short rows

  /// The last product, if it is known how many rows it has.
  static Loop* last_product(Loop& lanes) {
    for (auto item = lanes.body().rbegin(); item != lanes.body().rend(); ++item)
      if (item->is_loop() && holds_product(*item->loop))
        return item->loop->begin == Expr(0) && item->loop->end.as_constant() ? item->loop.get() : nullptr;
    return nullptr;
  }

  void bring_blocks(Loop& lanes) {
    Loop* product = last_product(lanes);
    if (product == nullptr) return;
    Block prefetches;
    for (Item& child : lanes.body()) {
      if (!child.is_loop() || !child.loop->end.as_constant()) continue;
      for (const Item& item : child.loop->body())
        if (!item.is_loop() && is_across(item.expression, lanes.var)) bring_block(item.expression, *child.loop, lanes, *product, prefetches);
    }
    Block& body = product->body();
    body.insert(body.begin(), std::make_move_iterator(prefetches.begin()), std::make_move_iterator(prefetches.end()));
  }

  void bring_block(const Expression& access, const Loop& along, const Loop& lanes, const Loop& product, Block& prefetches) {
    const std::int64_t block = lanes.versions.front().step, line = elements_in(kCacheLine, ir_.memory[access.memory]);
    const Expr start = lanes.begin + (access.op == Op::load ? block : 0);
    for (std::int64_t row = 0; row < block; row += *product.end.as_constant())
      for (std::int64_t column = 0; column < *along.end.as_constant(); column += line) {
        const Expr row_of_block = start + row + Expr::symbol(product.var);
        prefetches.emplace_back(prefetch_of(access.memory, access.index.substitute({{lanes.var, row_of_block}, {along.var, column}}), true));
      }
    brought_.insert(&access);
    changed_ = true;
  }

  // ---- along a row

  void bring_ahead(Block& block, const Path& path) {
    Block out;
    for (Item& item : block) {
      if (!item.is_loop() && item.expression.op == Op::load && brought_.count(&item.expression) == 0 &&
          is_across(item.expression, path.lane_variable()) && runs_along(item.expression, *path.loops.back())) {
        const Expression& load = item.expression;
        out.emplace_back(prefetch_of(load.memory, load.index + elements_in(kBytesAhead, ir_.memory[load.memory])));
        changed_ = true;
      }
      out.push_back(std::move(item));
    }
    block = std::move(out);
  }

  bool runs_along(const Expression& e, const Loop& l) const {
    if (l.lanes || l.parallel || l.versions.front().step < ir_.lanes) return false;
    const auto c = e.index.coefficient(l.var);
    return c && *c == Expr(1);
  }

  LinearIR& ir_;
  std::set<const Expression*> brought_;  ///< with the block in front of theirs
  bool changed_ = false;
};

}  // namespace

bool prefetch_across(LinearIR& ir, const Schedule& schedule) { return !schedule.fetch_next_block && PrefetchAcross(ir).run(); }

}  // namespace burin::linear
