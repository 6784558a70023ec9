// Takes products out of the lane loop, for a BRGEMM executor to compute: their operands and results
// lie in memory, and what stands before and behind goes to lane loops of its own:
//
//     lanes _q in _q.b..min(S, _q.b + 48) {      lanes _q in ... { loop _d in 0..64 {
//       loop _k in 0..S {                          %x = load %q[s*_q + _d]
//         %sum = fill 0 over(_k, _q)               store %x.matrix[48*_d + _q - _q.b], %x } }
//         loop _d in 0..64 {               ->    brgemm lanes _q in ... { loop _k in 0..S {
//           %a = load %k[t*_k + _d]                %sum = fill 0 over(_k, _q)
//           %x = load %q[s*_q + _d]                loop _d in 0..64 { ... }
//           %sum = update_fma ... } }              store %sum.matrix[48*_k + _q - _q.b], %sum } }
//       loop _k in 0..S {                        lanes _q in ... { loop _k in 0..S {
//         %e = exp2 %sum } }                       %sum1 = load %sum.matrix[48*_k + _q - _q.b]
//                                                  %e = exp2 %sum1 } }
//
// Loops that follow a product, do not need it and read what was computed before it go in front of it.
// An operand is read where it lies if its rows do: element by element along the depth on the left
// side, along the lanes on the right side. Otherwise it is copied, on the left side with its own rows
// in lanes.

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>

#include "burin/error.h"
#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

/// What a row of a transposed copy has behind its elements: rows whose distance is a large power of
/// two would meet in few places of a cache.
constexpr std::int64_t kRowPadding = 16;

/// A product as lowering leaves it.
struct Product {
  const Loop* rows = nullptr;  ///< null: one row
  const Loop* depth = nullptr;
  ValueId sum = kNone;
};

class Outlining {
 public:
  explicit Outlining(LinearIR& ir) : ir_(ir), varies_(dependences(ir)) {
    for_each_loop(static_cast<const Block&>(ir.phases),
                  [&](const Loop& l) { variables_.insert(l.var); });
  }

  bool run() {
    for (Item& phase : ir_.phases) visit(*parallel_nest(*phase.loop).back());
    return changed_;
  }

 private:
  struct Element {
    MemoryId memory = kNone;
    Expr index;
  };

  void visit(Loop& parallel) {
    Block items = std::move(parallel.body());
    parallel.body().clear();
    out_ = &parallel.body();
    for (Item& item : items) {
      if (item.is_loop() && item.loop->lanes)
        split(*item.loop);
      else
        out_->push_back(std::move(item));
    }
  }

  /// Distributes the lane loop's body over lane loops and products.
  void split(Loop& lanes) {
    lanes_ = &lanes;
    segment_ = empty_copy(lanes, lanes.var);
    Block body = with_depths(std::move(lanes.body()));
    for (std::size_t i = 0; i < body.size(); ++i) {
      std::optional<Product> product = product_at(body, i);
      if (!product) {
        append(segment_.body(), std::move(body[i]));
        continue;
      }
      for (Item& item : take_independent(body, i, product->rows == nullptr ? i + 2 : i + 1))
        append(segment_.body(), std::move(item));
      outline(*product);
      if (product->rows == nullptr) ++i;
      changed_ = true;
    }
    close_segment();
  }

  /// Takes out of the block the loops that follow a product (the items from `first` to `end`), do
  /// not need it and read what was computed before it: there they share loops with what the product
  /// needs (the sum of a row of scores).
  Block take_independent(Block& block, std::size_t first, std::size_t end) const {
    std::vector<bool> waits(block.size(), false);
    const auto begin = waits.begin();
    std::fill(begin + static_cast<std::ptrdiff_t>(first), begin + static_cast<std::ptrdiff_t>(end),
              true);
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t i = end; i < block.size(); ++i)
        if (!waits[i] && must_wait(block, i, first, waits)) waits[i] = changed = true;
    }
    Block independent, rest;
    for (std::size_t i = 0; i < block.size(); ++i)
      (i < end || waits[i] ? rest : independent).push_back(std::move(block[i]));
    block = std::move(rest);
    return independent;
  }

  bool must_wait(const Block& block, std::size_t i, std::size_t first,
                 const std::vector<bool>& waits) const {
    const Effects e = effects(block[i]);
    if (block[i].is_loop()) {
      const auto is_computed = [&](ValueId v) { return computed_.count(v) != 0; };
      if (holds_product(*block[i].loop) || std::none_of(e.reads.begin(), e.reads.end(), is_computed))
        return true;
    } else if (block[i].expression.op != Op::fill || block[i].expression.over.empty()) {
      return true;  // not the start of a running value
    }
    for (std::size_t k = first; k < block.size(); ++k) {
      if (!waits[k]) continue;
      const Effects other = effects(block[k]);
      if (k < i && depends(e, other)) return true;
      const auto is_updated = [&](ValueId v) { return other.writes.count(v) != 0; };
      if (std::any_of(e.writes.begin(), e.writes.end(), is_updated)) return true;
    }
    return false;
  }

  static Loop empty_copy(const Loop& loop, const std::string& variable) {
    Loop copy;
    copy.var = variable;
    copy.begin = loop.begin;
    copy.end = loop.end;
    copy.lanes = loop.lanes;
    copy.versions.push_back({1, false, {}});
    return copy;
  }

  void close_segment() {
    if (!segment_.body().empty()) out_->emplace_back(std::move(segment_));
    segment_ = empty_copy(*lanes_, lanes_->var);
  }

  // ---- recognition ----

  /// A depth that is known to be one element has no loop. Here it gets one, in the lane loop and in
  /// rows inside of it.
  Block with_depths(Block block) {
    Block out;
    for (Item& item : block) {
      if (item.is_loop() && item.loop->body().size() > 2)
        item.loop->body() = with_depths(std::move(item.loop->body()));
      out.push_back(std::move(item));
      if (!out.back().is_loop() && out.back().expression.op == Op::update_fma) wrap_depth(out);
    }
    return out;
  }

  /// The block ends with the product; in front of it are its operands, and before them the fill.
  void wrap_depth(Block& block) {
    const ValueId sum = block.back().expression.out;
    auto first = std::find_if(block.begin(), block.end(), [&](const Item& i) {
      return !i.is_loop() && i.expression.out == sum;
    });
    if (first->expression.op != Op::fill) return;  // in a loop already
    ++first;
    Loop depth;
    depth.var = fresh_variable("_one");
    depth.begin = 0;
    depth.end = 1;
    depth.versions.push_back({1, false, {}});
    depth.body().insert(depth.body().end(), std::make_move_iterator(first),
                        std::make_move_iterator(block.end()));
    block.erase(first, block.end());
    block.emplace_back(std::move(depth));
  }

  std::optional<Product> product_at(const Block& block, std::size_t i) const {
    if (!block[i].is_loop())
      return i + 1 < block.size() ? product_of(block[i], block[i + 1], nullptr) : std::nullopt;
    if (!holds_product(*block[i].loop)) return std::nullopt;
    const Loop& loop = *block[i].loop;
    if (loop.body().size() == 2)
      if (auto product = product_of(loop.body()[0], loop.body()[1], &loop)) return product;
    throw Error(fmt::format("a product over {} and other axes has no BRGEMM executor", loop.var));
  }

  /// %sum = fill 0, and a loop that adds products to it and does nothing else.
  static std::optional<Product> product_of(const Item& fill, const Item& loop, const Loop* rows) {
    if (fill.is_loop() || fill.expression.op != Op::fill || !loop.is_loop()) return std::nullopt;
    const Block& body = loop.loop->body();
    if (body.empty() || body.back().is_loop() || body.back().expression.op != Op::update_fma ||
        body.back().expression.out != fill.expression.out)
      return std::nullopt;
    return Product{rows, loop.loop.get(), fill.expression.out};
  }

  bool varies(ValueId v, const std::string& variable) const {
    return varies_[v].count(variable) != 0;
  }

  // ---- a product ----

  void outline(const Product& p) {
    const Expression& fma = p.depth->body().back().expression;
    ValueId left = fma.in[1], right = fma.in[2];
    if (varies(left, lanes_->var)) std::swap(left, right);
    if (varies(left, lanes_->var) || !varies(right, lanes_->var))
      throw Error(fmt::format(
          "a product of which not one operand lies along {} has no BRGEMM executor", lanes_->var));
    const Expression a = left_matrix(p, left), b = right_matrix(p, right);
    close_segment();
    for (Loop& copy : copies_) out_->emplace_back(std::move(copy));
    copies_.clear();
    emit_nest(p, a, b);
  }

  void emit_nest(const Product& p, const Expression& a, const Expression& b) {
    const Element result = {new_matrix(p.sum, p.rows), row_of(p.rows) * lane_width() + lane()};
    sums_[p.sum] = result;
    Loop depth = empty_copy(*p.depth, p.depth->var);
    const ValueId x = emit_load(depth.body(), a), y = emit_load(depth.body(), b);
    const ValueId sum = ir_.new_value(ir_.values[p.sum]);
    Expression fma;
    fma.op = Op::update_fma;
    fma.out = sum;
    fma.in = {sum, x, y};
    depth.body().emplace_back(std::move(fma));
    Expression fill;
    fill.op = Op::fill;
    fill.out = sum;
    if (p.rows != nullptr) fill.over.push_back(p.rows->var);
    fill.over.push_back(lanes_->var);
    Block body;
    body.emplace_back(std::move(fill));
    body.emplace_back(std::move(depth));
    emit_store(body, result, sum);
    Loop nest = empty_copy(*lanes_, lanes_->var);
    nest.brgemm = true;
    if (p.rows == nullptr) {
      nest.body() = std::move(body);
    } else {
      Loop rows = empty_copy(*p.rows, p.rows->var);
      rows.body() = std::move(body);
      nest.body().emplace_back(std::move(rows));
    }
    out_->emplace_back(std::move(nest));
  }

  // ---- operands: the load of an element, in place or of a copy ----

  /// Where an operand lies if it does: as the loop over the depth reads it, or as an earlier
  /// product left it.
  std::optional<Expression> load_of(const Loop& depth, ValueId v) const {
    for (const Item& item : depth.body())
      if (!item.is_loop() && item.expression.out == v && item.expression.op == Op::load)
        return item.expression;
    if (const auto sum = sums_.find(v); sum != sums_.end()) return load_of(sum->second);
    return std::nullopt;
  }

  static bool has_distance(const Expression& e, const Loop* loop) {
    if (loop == nullptr) return true;
    const auto c = e.index.coefficient(loop->var);
    return c && !uses_loop_variable(*c);
  }
  static bool is_along(const Expression& e, const Loop& loop) {
    const auto c = e.index.coefficient(loop.var);
    return c && *c == Expr(1);
  }

  Expression right_matrix(const Product& p, ValueId v) {
    const std::optional<Expression> load = load_of(*p.depth, v);
    if (load && is_along(*load, *lanes_) && has_distance(*load, p.depth)) return *load;
    const Element copy = {new_matrix(v, p.depth), row_of(p.depth) * lane_width() + lane()};
    copy_elements(segment_.body(), p, nullptr, v, copy);
    return load_of(copy);
  }

  Expression left_matrix(const Product& p, ValueId v) {
    const std::optional<Expression> load = load_of(*p.depth, v);
    if (load && is_along(*load, *p.depth) && has_distance(*load, p.rows)) return *load;
    if (load && p.rows != nullptr && is_along(*load, *p.rows) && has_distance(*load, p.depth))
      return transposed(p, *load);
    const Expr depth = extent_bound(*p.depth);
    const Element copy = {new_memory(v, rows_bound(p.rows) * depth),
                          row_of(p.rows) * depth + row_of(p.depth)};
    copy_elements(segment_.body(), p, p.rows, v, copy);
    return load_of(copy);
  }

  /// A copy of a left operand whose columns lie side by side: its rows in the lanes, so that both
  /// sides of the copy are read and written by vectors.
  Expression transposed(const Product& p, const Expression& load) {
    Loop lanes = empty_copy(*p.rows, fresh_variable(p.rows->var));
    lanes.lanes = true;
    Loop depth = empty_copy(*p.depth, fresh_variable(p.depth->var));
    const std::map<std::string, Expr> renamed = {{p.rows->var, Expr::symbol(lanes.var)},
                                                 {p.depth->var, Expr::symbol(depth.var)}};
    const Expr leading = ceil_div(extent_bound(*p.depth), ir_.lanes) * ir_.lanes + kRowPadding;
    const Element copy = {new_memory(load.out, rows_bound(p.rows) * leading),
                          row_of(p.rows) * leading + row_of(p.depth)};
    const ValueId x =
        emit_load(depth.body(), load_of({load.memory, load.index.substitute(renamed)}));
    emit_store(depth.body(), {copy.memory, copy.index.substitute(renamed)}, x);
    lanes.body().emplace_back(std::move(depth));
    copies_.push_back(std::move(lanes));
    return load_of(copy);
  }

  std::string fresh_variable(const std::string& hint) {
    std::string name = hint + ".t";
    while (!variables_.insert(name).second) name += 't';
    return name;
  }

  /// Element by element, over the depth inside of `rows` (null: no loop). The element is loaded, a
  /// constant, or what an earlier nest has computed.
  void copy_elements(Block& block, const Product& p, const Loop* rows, ValueId v,
                     const Element& to) {
    Loop depth = empty_copy(*p.depth, p.depth->var);
    if (const std::optional<Expression> load = load_of(*p.depth, v)) {
      v = emit_load(depth.body(), *load);
    } else {
      for (const Item& item : p.depth->body())
        if (!item.is_loop() && item.expression.out == v) depth.body().push_back(item.clone());
    }
    emit_store(depth.body(), to, v);
    if (rows == nullptr) {
      block.emplace_back(std::move(depth));
      return;
    }
    Loop outer = empty_copy(*rows, rows->var);
    outer.body().emplace_back(std::move(depth));
    block.emplace_back(std::move(outer));
  }

  // ---- memory ----

  /// From the beginning of the block of lanes.
  Expr lane() const { return Expr::symbol(lanes_->var) - lanes_->begin; }
  /// Whole vectors, as all scratch that lies along the lanes.
  Expr lane_width() const { return ceil_div(extent_bound(*lanes_), ir_.lanes) * ir_.lanes; }
  static Expr row_of(const Loop* loop) {
    return loop != nullptr ? Expr::symbol(loop->var) - loop->begin : Expr(0);
  }

  static Expr rows_bound(const Loop* loop) {
    return loop != nullptr ? extent_bound(*loop) : Expr(1);
  }

  /// Rows along the lanes.
  MemoryId new_matrix(ValueId v, const Loop* rows) {
    return new_memory(v, rows_bound(rows) * lane_width());
  }
  MemoryId new_memory(ValueId v, const Expr& elements) {
    Memory m;
    m.kind = Memory::Kind::worker;
    m.name = ir_.values[v] + ".matrix";
    m.elements = elements;
    return ir_.new_memory(std::move(m));
  }

  static Expression load_of(const Element& element) {
    Expression e;
    e.op = Op::load;
    e.memory = element.memory;
    e.index = element.index;
    return e;
  }
  ValueId emit_load(Block& block, Expression load) {
    load.out = ir_.new_value("load");
    const ValueId out = load.out;
    block.emplace_back(std::move(load));
    return out;
  }
  static void emit_store(Block& block, const Element& element, ValueId v) {
    block.emplace_back(store_of(element.memory, element.index, v));
  }

  // ---- results ----

  /// What follows a product reads its result from memory.
  void append(Block& block, Item item) {
    computed_.merge(effects(item).writes);
    if (item.is_loop()) {
      Block body = std::move(item.loop->body());
      item.loop->body().clear();
      for (Item& inner : body) append(item.loop->body(), std::move(inner));
    } else {
      for (ValueId& v : item.expression.in)
        if (const auto sum = sums_.find(v); sum != sums_.end())
          v = emit_load(block, load_of(sum->second));
    }
    block.push_back(std::move(item));
  }

  LinearIR& ir_;
  std::vector<std::set<std::string>> varies_;
  const Loop* lanes_ = nullptr;
  Block* out_ = nullptr;
  Loop segment_;  ///< the lane loop that grows
  std::vector<Loop> copies_;
  std::map<ValueId, Element> sums_;
  std::set<std::string> variables_;
  std::set<ValueId> computed_;  ///< in the segments so far
  bool changed_ = false;
};

}  // namespace

bool outline_products(LinearIR& ir, const Schedule& schedule) {
  return schedule.brgemm_executor && Outlining(ir).run();
}

}  // namespace burin::linear
