// An access whose lanes lie across memory (stride neither 0 nor 1) while another loop's variable runs along it goes to
// a loop of its own over that variable, where whole tiles can be transposed in registers:
//
//     loop _k in 0..S {                             loop _k in 0..S {
//       ...products...                                %m = load %mask[S*_q + _k] }
//       %m = load %mask[S*_q + _k]          ->      loop _k in 0..S {
//       %t = add %s, %m }                             ...products...
//                                                     %t = add %s, %m }
//
// Other loops inside of that one over which the access varies stand around it. The value then crosses loops, that is, it
// goes through a buffer. A loop that holds nothing but element-wise expressions and no product may keep its access; and a
// loop over the elements of one lane may: pairs of bf16 that lie side by side for instructions that multiply pairs.

#include <algorithm>
#include <optional>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

/// The loop inside of the lane loop whose variable runs along memory at stride 1.
const Loop* row_loop(const Expression& e, const Path& path) {
  for (std::size_t i = path.loops.size(); i-- > 0;) {
    const Loop& l = *path.loops[i];
    if (l.lanes) return nullptr;
    if (l.parallel) continue;
    const auto c = e.index.coefficient(l.var);
    if (c && *c == Expr(1)) return &l;
  }
  return nullptr;
}

bool only_elementwise(const Block& block) {
  return std::none_of(block.begin(), block.end(),
                      [](const Item& i) { return i.is_loop() || i.expression.op == Op::update_fma; });
}

/// Whether the loop is over the narrow elements that make one lane of 32 bit, so that all its iterations together read
/// whole vectors.
bool is_inside_of_lane(const Loop& row, const Expression& e, const std::string& lane, Precision precision) {
  const std::int64_t elements = static_cast<std::int64_t>(sizeof(float) / size_of(precision));
  const auto stride = e.index.coefficient(lane);
  return row.end - row.begin == Expr(elements) && stride && *stride == Expr(elements);
}

class Isolation {
 public:
  explicit Isolation(LinearIR& ir) : ir_(ir) {}

  bool run() {
    visit(ir_.phases);
    return changed_;
  }

 private:
  struct Moved {
    Loop loop;
    bool is_store;
    std::size_t depth;  ///< of the block that receives the loop
  };

  void visit(Block& block) {
    for (std::size_t i = 0; i < block.size(); ++i) {
      if (!block[i].is_loop()) continue;
      Loop& loop = *block[i].loop;
      path_.loops.push_back(&loop);
      visit(loop.body());
      collect(loop.body());
      path_.loops.pop_back();
      i += place(block, i);
    }
  }

  void collect(Block& body) {
    const std::string lane = path_.lane_variable();
    const bool pure = only_elementwise(body);
    for (std::size_t i = 0; i < body.size();) {
      if (body[i].is_loop() || !is_memory(body[i].expression) || access_mode(body[i].expression, lane) != AccessMode::across) {
        ++i;
        continue;
      }
      Expression& e = body[i].expression;
      const Loop* row = row_loop(e, path_);
      if (row == nullptr || (pure && row == path_.loops.back()) ||
          is_inside_of_lane(*row, e, lane, ir_.memory[e.memory].precision)) {
        ++i;
        continue;
      }
      moved_.push_back(make_loop(*row, e));
      body.erase(body.begin() + static_cast<std::ptrdiff_t>(i));
      changed_ = true;
    }
  }

  Moved make_loop(const Loop& row, Expression& e) const {
    Moved m;
    m.is_store = e.op == Op::store;
    m.depth = receiving_depth(row, e);
    m.loop = copy_of(row);
    const Expr index = e.index;
    m.loop.body().emplace_back(std::move(e));
    for (std::size_t i = path_.loops.size(); i-- > 0 && path_.loops[i] != &row;) {  // the access varies over them, too
      if (!index.uses(path_.loops[i]->var)) continue;
      Loop around = copy_of(*path_.loops[i]);
      around.body().emplace_back(std::move(m.loop));
      m.loop = std::move(around);
    }
    return m;
  }

  static Loop copy_of(const Loop& loop) { return loop_over(loop.var, loop.begin, loop.end); }

  /// The outermost block that sees all that the access and the moved loops name, but the variables of these loops.
  std::size_t receiving_depth(const Loop& row, const Expression& e) const {
    const auto position = static_cast<std::size_t>(std::find(path_.loops.begin(), path_.loops.end(), &row) - path_.loops.begin());
    const auto is_named = [&](const std::string& variable) {
      if (e.index.uses(variable)) return true;
      for (std::size_t i = position; i < path_.loops.size(); ++i) {
        const Loop& moved = *path_.loops[i];
        const bool moves = i == position || e.index.uses(moved.var);
        if (moves && (moved.begin.uses(variable) || moved.end.uses(variable))) return true;
      }
      return false;
    };
    std::size_t depth = 0;
    for (std::size_t i = 0; i < position; ++i) {
      const Loop& l = *path_.loops[i];
      if (l.parallel || l.lanes || is_named(l.var)) depth = i + 1;
    }
    return depth;
  }

  /// Puts the loops that belong to this block around the item at `position`; gives how many items came.
  std::size_t place(Block& block, std::size_t position) {
    std::size_t added = 0;
    for (std::size_t i = 0; i < moved_.size();) {
      if (moved_[i].depth != path_.loops.size()) {
        ++i;
        continue;
      }
      const bool behind = moved_[i].is_store;
      block.insert(block.begin() + static_cast<std::ptrdiff_t>(position + added + (behind ? 1 : 0)),
                   Item(std::move(moved_[i].loop)));
      if (!behind) ++added; else ++behind_;
      moved_.erase(moved_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    const std::size_t total = added + behind_;
    behind_ = 0;
    return total;
  }

  LinearIR& ir_;
  Path path_;
  std::vector<Moved> moved_;
  std::size_t behind_ = 0;
  bool changed_ = false;
};

}  // namespace

bool isolate_transposes(LinearIR& ir) { return Isolation(ir).run(); }

}  // namespace burin::linear
