// Rows so short that a vector has room for several lie side by side in one, as they do in memory. What is folded of a row is
// folded of a segment of the vector's lanes, and is there in all of them at once: all times over a row are one, and nothing goes
// through a buffer.
//
//     parallel _m in 0..M {                      parallel _m.b in 0..ceil_div(M, rows) step 32 {
//       %tops = fill -inf over(_n)                 loop _m.t in _m.b..min(tiled, _m.b + 32) step 8 {
//       lanes _n in 0..N {                           loop _m.v in _m.t.._m.t + 8 {
//         %x = load %a[s*_m + _n]                      lanes _n in 0..N*rows {
//         update_max %tops, %x }           ->            %x = load %a[N*rows*_m.v + _n]
//       %top = lanes_max %tops                           %top = segments_max %x of N
//       lanes _n in 0..N {                               %y = sub %x, %top
//         %y = sub %x, %top                              store %b[N*rows*_m.v + _n], %y } } }
//         store %b[N*_m + _n], %y } }              loop _m.v in max(tiled, _m.b)..min(ceil_div(M, rows), _m.b + 32) {
//                                                    lanes _n in 0..min(N*rows, N*(M - rows*_m.v)) { ... } } }
//
// rows = floor_div(lanes, N); tiled: vectors that are full, as far as tiles of them go. The schedule says for which shapes: all
// tensors have whole rows, one behind the other (s = N). A kernel that reads or writes anything else, as one number a row, is left
// as it is.

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

/// Tiles of an item of work: enough that setting it up does not show.
constexpr std::int64_t kTilesOfItem = 4;

std::optional<Op> of_segments(Op update) {
  switch (update) {
    case Op::update_fma:
    case Op::update_sum: return Op::segments_sum;
    case Op::update_max: return Op::segments_max;
    case Op::update_max_number: return Op::segments_max_number;
    case Op::update_min: return Op::segments_min;
    case Op::update_prod: return Op::segments_prod;
    default: return std::nullopt;
  }
}

class PackRows {
 public:
  /// `tile`: vectors that are computed at once.
  PackRows(LinearIR& ir, Loop& items, std::int64_t tile) : ir_(ir), items_(items), tile_(tile) {}

  bool run() {
    if (!find_row()) return false;
    std::optional<Block> body = of_one_vector();
    if (!body) return false;
    pack(*body);
    return true;
  }

 private:
  bool find_row() {
    if (items_.versions.front().step != 1 || !(items_.begin == Expr(0))) return false;
    for (const Item& item : items_.body())
      if (item.is_loop()) {
        row_ = item.loop.get();
        return row_->lanes && row_->begin == Expr(0) && !uses_loop_variable(row_->end);
      }
    return false;
  }

  /// All that is computed of a row, in order, as if it were one vector; nothing if that is not all.
  std::optional<Block> of_one_vector() {
    Block out;
    for (const Item& item : items_.body()) {
      if (!item.is_loop()) {
        if (!add_of_row(item.expression, out)) return std::nullopt;
        continue;
      }
      if (!same_range(*item.loop, *row_) || item.loop->versions.size() != 1) return std::nullopt;
      for (const Item& inside : item.loop->body())
        if (inside.is_loop() || !add_of_element(inside.expression, out)) return std::nullopt;
    }
    if (std::ranges::any_of(out, [this](const Item& item) { return reads_running_value(item.expression); })) return std::nullopt;
    return out;
  }

  /// In front of, between, and behind the times over a row.
  bool add_of_row(const Expression& e, Block& out) {
    switch (info(e.op).kind) {
      case OpClass::lanes: return add_fold(e, out);
      case OpClass::value: break;
      default: return false;
    }
    if (e.op != Op::fill || e.over.empty()) return add_value(e, out);
    starts_.insert(e.out);  // what a fold starts with: it takes in an element at least
    return true;
  }

  bool add_of_element(const Expression& e, Block& out) {
    switch (info(e.op).kind) {
      case OpClass::update: return add_update(e, out);
      case OpClass::memory: return add_access(e, out);
      case OpClass::value: return add_value(e, out);
      default: return false;
    }
  }

  /// As a sum over another axis of one element is: its elements are no fold of a row.
  bool reads_running_value(const Expression& e) const {
    return std::ranges::any_of(e.in, [this](ValueId v) { return starts_.contains(v) || updates_.contains(v); });
  }

  /// No place in a row or among rows.
  static bool add_value(const Expression& e, Block& out) {
    if (is_integer(e.op) && uses_loop_variable(e.index)) return false;
    out.emplace_back(e);
    return true;
  }

  bool add_access(const Expression& e, Block& out) const {
    const auto elements = e.index.coefficient(row_->var), rows = e.index.coefficient(items_.var);
    if (!elements || !(*elements == Expr(1)) || !rows || *rows == Expr(0) || uses_loop_variable(*rows)) return false;
    out.emplace_back(e);
    return true;
  }

  bool add_update(const Expression& e, Block& out) {
    const auto fold = of_segments(e.op);
    if (!fold) return false;
    ValueId taken_in = e.in.back();
    if (e.op == Op::update_fma) {
      Expression product;
      product.op = Op::mul;
      product.in = {e.in[1], e.in[2]};
      product.out = taken_in = ir_.new_value("mul");
      out.emplace_back(std::move(product));
    }
    return updates_.try_emplace(e.out, *fold, taken_in).second;
  }

  bool add_fold(const Expression& e, Block& out) {
    const auto update = updates_.find(e.in[0]);
    if (update == updates_.end()) return false;
    Expression fold;
    fold.op = update->second.first;
    fold.in = {update->second.second};
    fold.out = e.out;
    fold.index = row_->end;
    out.emplace_back(std::move(fold));
    return true;
  }

  /// Whole tiles of vectors, then those that are left, the last of which may hold fewer rows.
  void pack(const Block& body) {
    const std::string vector = items_.var + ".v", tile = items_.var + ".t", block = items_.var + ".b";
    const std::int64_t vectors_of_item = kTilesOfItem * tile_;
    const Expr elements = row_->end, rows_of_vector = ir_.define("pack.rows", max(1, floor_div(ir_.lanes, max(1, elements))));
    const Expr all = ceil_div(items_.end, rows_of_vector), full = floor_div(items_.end, rows_of_vector);
    const Expr in_tiles = ir_.define("pack.tiled", floor_div(full, tile_) * tile_);
    const Expr start = Expr::symbol(block), end = start + vectors_of_item, first = Expr::symbol(tile);
    const Expr row = rows_of_vector * Expr::symbol(vector), in_vector = elements * rows_of_vector;
    Loop vectors_of_tile = loop_over(vector, first, first + tile_, one(lanes_over(in_vector, at_row(body, row))));
    Block left = at_row(body, row);
    rename_values(ir_, left);
    Block item;
    item.emplace_back(loop_over(tile, start, min(in_tiles, end), one(std::move(vectors_of_tile)), tile_));
    item.emplace_back(loop_over(vector, max(in_tiles, start), min(all, end), one(lanes_over(min(in_vector, elements * (items_.end - row)), std::move(left)))));
    Loop packed = loop_over(block, 0, all, std::move(item), vectors_of_item);
    packed.parallel = true;
    items_ = std::move(packed);
  }

  static Block one(Loop loop) {
    Block block;
    block.emplace_back(std::move(loop));
    return block;
  }

  /// (It is one vector for all shapes that this is chosen for.)
  Loop lanes_over(const Expr& elements, Block body) const {
    Loop loop = loop_over(row_->var, 0, min(ir_.lanes, elements), std::move(body), ir_.lanes);
    loop.lanes = true;
    return loop;
  }

  /// With the first of its vectors' elements in that row; rows are dense.
  Block at_row(const Block& body, const Expr& row) const {
    Block out = clone(body);
    for (Item& item : out) {
      Expression& e = item.expression;
      if (is_memory(e)) e.index = e.index.substitute({{items_.var, 0}}) + row_->end * row;
    }
    return out;
  }

  LinearIR& ir_;
  Loop& items_;
  const std::int64_t tile_;
  const Loop* row_ = nullptr;  ///< the first time over it
  std::set<ValueId> starts_;  ///< running values before they take in anything
  std::map<ValueId, std::pair<Op, ValueId>> updates_;  ///< by running value: how its segments are folded, and of what
};

}  // namespace

bool pack_rows(LinearIR& ir, const Schedule& schedule) {
  if (!schedule.packed_rows) return false;
  bool changed = false;
  for (Item& phase : ir.phases) changed |= PackRows(ir, *parallel_nest(*phase.loop).back(), schedule.elementwise_rows.front()).run();
  return changed;
}

}  // namespace burin::linear
