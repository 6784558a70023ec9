// What many items of work read, but not in the order in which it lies in memory, is copied first, in that order, by a
// phase of its own. The items then take turns with it in rounds, so that the copy stays as small as a few units of work
// and is still warm when it is read.
//
// Rows that all blocks of lanes read (the keys and values of a head) are put side by side where that pays:
//
//                                                   parallel _h in 0..H round ... {             // the new phase
//                                                     parallel _b in 0..select(used, S, 0) step 256 {
//                                                       loop _r in _b.. { lanes _c in 0..64 {
//                                                         %x = load %k[s0*_r + 64*_h + _c]
//     parallel _h in 0..H {                               store %k.packed[64*S*slot + 64*_r + _c], %x } } } }
//       parallel _q.b in 0..S step 48 {             parallel _h in 0..H round ... {
//         lanes _q in ... {                           parallel _q.b in 0..S step 48 {
//           loop _k in 0..S { loop _d in 0..64 {        lanes _q in ... { loop _k in 0..S { loop _d in 0..64 {
//             %x = load %k[s0*_k + 64*_h + _d]  ->        %x = load %k.packed[select(used, 64, s0)*_k + ... + _d]
//
// At run time `used` says whether it pays: enough items read the rows, and they do not lie side by side already. If not,
// the new phase has no work, and %k.packed is %k itself.
//
// A matrix across the lanes that loops inside of a group of blocks share (a mask of [B, 1, S, S] and the heads) is
// transposed, with all that is computed of it alone:
//
//       %m = load %mask[S*_q + _k]                  (new phase)  %m = load %mask[S*_lane + _row]  %t = mul %m, 1.44
//       %t = mul %m, 1.44                     ->                 store %mask.packed[... + 48*_row + _lane - _q.b], %t
//                                                   (items)      %t = load %mask.packed[... + 48*_k + _q - _q.b]

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

/// Rows that one item of work of the new phase copies.
constexpr std::int64_t kRowBlock = 256;
/// Items of work for each worker in a round: enough to be even.
constexpr std::int64_t kItemsPerWorker = 8;

/// A loop around the work items' code, without its body.
Loop header_of(const Loop& l) {
  Loop out;
  out.var = l.var;
  out.begin = l.begin;
  out.end = l.end;
  out.parallel = l.parallel;
  out.lanes = l.lanes;
  out.round = l.round;
  out.versions.push_back({l.versions.front().step, l.versions.front().partial, {}});
  return out;
}

/// Puts the body into the loops, outermost first.
Loop nest(std::vector<Loop> loops, Block body) {
  loops.back().body() = std::move(body);
  for (std::size_t i = loops.size(); i-- > 1;) {
    Loop inner = std::move(loops[i]);
    loops[i - 1].body().emplace_back(std::move(inner));
  }
  return std::move(loops.front());
}

/// Rows that are read whole: the loops along which they are read.
struct Rows {
  const Loop *row = nullptr, *column = nullptr;
  Expr row_stride;
};

/// Where the copies of what an index names lie: those of a round one after the other, in each the copies for the loops
/// inside of the unit.
struct Place {
  std::size_t prefix = 0;    ///< loops around a unit
  std::vector<Loop> inside;  ///< loops of the unit that the index names
  Expr copies = 1;           ///< how many there are at once
  Expr number = 0;           ///< that of the present item
  Expr reads = 1;            ///< items of a unit that read the same copy
};

/// What is to be copied, and by which phase.
struct Copy {
  std::size_t prefix = 0;      ///< loops around a unit
  Expr used = 1;
  std::vector<Loop> inside;    ///< loops of the phase inside of the unit
  Block body;
};

class Packing {
 public:
  Packing(LinearIR& ir, const Schedule& schedule) : ir_(ir), schedule_(schedule) {}

  bool run() {
    if (!find_nest()) return false;
    if (schedule_.pack_reads > 0) pack_rows();
    while (pack_matrix()) {
    }
    if (copies_.empty()) return false;
    remove_unread(constant_fills());
    add_phases();
    return true;
  }

 private:
  // ---- the nest of the items

  bool find_nest() {
    if (ir_.phases.size() != 1 || !ir_.phases[0].is_loop()) return false;
    if (!ir_.phases[0].loop->parallel) return false;
    nest_ = parallel_nest(*ir_.phases[0].loop);
    for (const Item& item : nest_.back()->body()) {  // beside it only what does not change in it
      if (!item.is_loop()) continue;
      if (lanes_ != nullptr || !item.loop->lanes) return false;
      lanes_ = item.loop.get();
    }
    if (lanes_ == nullptr) return false;
    // The loops over blocks of lanes, and over groups of these.
    std::set<std::string> names = lanes_->begin.symbols();
    for (std::size_t i = nest_.size(); i-- > 0;)
      if (names.count(nest_[i]->var) != 0) {
        block_loops_.insert(nest_[i]);
        names.merge(nest_[i]->begin.symbols());
      }
    return true;
  }

  bool is_used(const Loop& parallel, const Expr& index) const {
    return index.uses(parallel.var) || (block_loops_.count(&parallel) != 0 && index.uses(lanes_->var));
  }

  /// How many of the outermost loops the index names without a gap: for one unit of these the same is read again and
  /// again.
  std::size_t prefix_of(const Expr& index) const {
    std::size_t n = 0;
    while (n < nest_.size() && is_used(*nest_[n], index)) ++n;
    return n;
  }

  Expr units_of(std::size_t prefix) const {
    Expr units = 1;
    for (std::size_t i = 0; i < prefix; ++i) units *= iterations(*nest_[i]);
    return units;
  }

  /// Units of a round in which copies are used.
  Expr round_of(std::size_t prefix) {
    Expr items = 1;
    for (std::size_t i = prefix; i < nest_.size(); ++i) items *= iterations(*nest_[i]);
    ir_.add_symbol(kWorkers);
    const Expr wanted = ceil_div(Expr::symbol(kWorkers) * kItemsPerWorker, max(1, items));
    return ir_.define("pack.units", min(wanted, max(1, units_of(prefix))));
  }

  Place place_of(const Expr& index) {
    Place p;
    p.prefix = prefix_of(index);
    const auto position = [](const Loop& l) { return floor_div(Expr::symbol(l.var) - l.begin, l.versions.front().step); };
    for (std::size_t i = 0; i < p.prefix; ++i) p.number = p.number * iterations(*nest_[i]) + position(*nest_[i]);
    if (p.prefix > 0) {
      p.copies = round_of(p.prefix);
      p.number = mod(p.number, p.copies);
    }
    for (std::size_t i = p.prefix; i < nest_.size(); ++i) {
      const Expr count = iterations(*nest_[i]);
      if (!is_used(*nest_[i], index)) {
        p.reads *= count;
        continue;
      }
      p.inside.push_back(header_of(*nest_[i]));
      p.copies *= count;
      p.number = p.number * count + position(*nest_[i]);
    }
    return p;
  }

  /// Every coefficient of the index is known before the loops start.
  bool is_linear(const Expr& index) const {
    Expr rest = index;
    for (const std::string& name : index.symbols()) {
      if (name.front() != '_') continue;
      const auto c = index.coefficient(name);
      if (!c || uses_loop_variable(*c)) return false;
      rest -= *c * Expr::symbol(name);
    }
    return !uses_loop_variable(rest);
  }

  static bool is_whole(const Loop& l) { return l.begin == Expr(0) && !uses_loop_variable(l.end); }

  /// The loops inside of the lane loop that the index names, outermost first.
  static std::vector<const Loop*> inner_loops(const Expr& index, const Path& path) {
    std::vector<const Loop*> out;
    for (const Loop* l : path.loops)
      if (!l->parallel && !l->lanes && index.uses(l->var)) out.push_back(l);
    return out;
  }

  // ---- rows

  void pack_rows() {
    for_each_block(ir_.phases, [&](Block& block, const Path& path) {
      for (Item& item : block)
        if (!item.is_loop())
          if (const auto rows = rows_of(item.expression, path)) pack(item.expression, *rows);
    });
  }

  std::optional<Rows> rows_of(const Expression& e, const Path& path) const {
    if (e.op != Op::load || ir_.memory[e.memory].kind != Memory::Kind::input || ir_.memory[e.memory].precision != Precision::f32)
      return std::nullopt;
    if (e.index.uses(lanes_->var) || !is_linear(e.index)) return std::nullopt;
    for (const Loop* l : block_loops_)
      if (e.index.uses(l->var)) return std::nullopt;
    const std::vector<const Loop*> inner = inner_loops(e.index, path);
    if (inner.size() != 2 || !is_whole(*inner[0]) || !is_whole(*inner[1])) return std::nullopt;
    Rows r{inner[0], inner[1], *e.index.coefficient(inner[0]->var)};
    if (r.row_stride == Expr(1)) r = {inner[1], inner[0], *e.index.coefficient(inner[1]->var)};
    return *e.index.coefficient(r.column->var) == Expr(1) ? std::optional(r) : std::nullopt;
  }

  void pack(Expression& e, const Rows& r) {
    const Expr rows = r.row->end, columns = r.column->end, size = rows * columns;
    Place place = place_of(e.index);
    const Expr used = ir_.define("pack.used", select(less_equal(schedule_.pack_reads, place.reads), 1 - equal(r.row_stride, columns), 0));
    if (used == Expr(0)) return;
    Memory copy{Memory::Kind::call, ir_.memory[e.memory].name + ".packed", 0, Precision::f32,
                select(used, place.copies * size, 0), {}};
    copy.otherwise = e.memory;
    copy.used = used;
    const MemoryId memory = ir_.new_memory(std::move(copy));
    const Expr start = place.number * size;

    const Expr block = Expr::symbol(row_block_), row = Expr::symbol(row_), column = Expr::symbol(column_);
    std::vector<Loop> loops = std::move(place.inside);
    loops.push_back(loop_over(row_block_, 0, select(used, rows, 0), {}, kRowBlock));
    loops.back().parallel = true;
    loops.push_back(loop_over(row_, block, min(rows, block + kRowBlock)));
    loops.push_back(loop_over(column_, 0, columns));
    loops.back().lanes = true;
    Block body;
    const ValueId value = add_load(body, e.memory, e.index.substitute({{r.row->var, row}, {r.column->var, column}}));
    body.emplace_back(store_of(memory, start + row * columns + column, value));
    copies_.push_back({place.prefix, used, std::move(loops), std::move(body)});

    e.memory = memory;
    e.index = chosen(used, start, e.index, {r.row->var, r.column->var}) + Expr::symbol(r.column->var) +
              select(used, columns, r.row_stride) * Expr::symbol(r.row->var);
  }

  /// `used` ? a : b, of what does not depend on `varying`, in such a way that coefficients of loop variables are known
  /// before the loops start.
  static Expr chosen(const Expr& used, const Expr& a, const Expr& b, const std::set<std::string>& varying) {
    Expr index = used * a, rest = b;
    for (const std::string& name : b.symbols()) {
      if (name.front() != '_') continue;
      const Expr c = *b.coefficient(name);
      rest -= c * Expr::symbol(name);
      if (varying.count(name) == 0) index += select(used, 0, c) * Expr::symbol(name);
    }
    return index + select(used, 0, rest);
  }

  // ---- matrices across the lanes

  bool pack_matrix() {
    bool found = false;
    for_each_block(ir_.phases, [&](Block& block, const Path& path) {
      for (std::size_t i = 0; i < block.size() && !found; ++i)
        if (!block[i].is_loop() && is_shared_matrix(block[i].expression, path)) {
          pack(block, i, *path.loops.back());
          found = true;
        }
    });
    return found;
  }

  bool is_shared_matrix(const Expression& e, const Path& path) const {
    if (schedule_.lane_group == 0 || e.op != Op::load || ir_.memory[e.memory].kind != Memory::Kind::input ||
        access_mode(e, path.lane_variable()) != AccessMode::across || !is_linear(e.index))
      return false;
    const std::vector<const Loop*> inner = inner_loops(e.index, path);
    if (inner.size() != 1 || inner[0] != path.loops.back() || !is_whole(*inner[0]) || *e.index.coefficient(inner[0]->var) != Expr(1))
      return false;
    // Of the loops over blocks only the innermost may lie inside of a unit: else the copy would be the whole matrix.
    const std::size_t prefix = prefix_of(e.index);
    bool shared = false;
    for (std::size_t i = prefix; i < nest_.size(); ++i) {
      if (i + 1 < nest_.size() && block_loops_.count(nest_[i]) != 0) return false;
      shared |= !is_used(*nest_[i], e.index);
    }
    return shared && prefix < nest_.size() && is_block_innermost();
  }

  bool is_block_innermost() const { return lanes_->begin == Expr::symbol(nest_.back()->var); }

  void pack(Block& block, std::size_t position, const Loop& row_loop) {
    const Expression load = block[position].expression;
    const Loop& lane_blocks = *nest_.back();
    const std::int64_t width = lane_blocks.versions.front().step;
    const Expr rows = row_loop.end, first = Expr::symbol(lane_blocks.var);
    Place place = place_of(load.index);
    const MemoryId memory = ir_.new_memory({Memory::Kind::call, ir_.memory[load.memory].name + ".packed", 0, Precision::f32,
                                            place.copies * rows * width, {}});
    const Expr start = place.number * rows * width;

    const Expr blocks = Expr::symbol(row_block_), row = Expr::symbol(row_), lane = Expr::symbol(lane_);
    std::vector<Loop> loops = std::move(place.inside);
    loops.push_back(loop_over(row_block_, 0, rows, {}, kRowBlock));
    loops.back().parallel = true;
    loops.push_back(loop_over(lane_, lanes_->begin, lanes_->end));
    loops.back().lanes = true;
    loops.push_back(loop_over(row_, blocks, min(rows, blocks + kRowBlock)));
    Block body;
    const ValueId value = add_load(body, load.memory, load.index.substitute({{row_loop.var, row}, {lanes_->var, lane}}));
    const auto [result, copied] = move_computation(block, position, body, value);
    body.emplace_back(store_of(memory, start + row * width + lane - first, copied));
    copies_.push_back({place.prefix, 1, std::move(loops), std::move(body)});

    Expression& e = block[position].expression;
    e.out = result;
    e.memory = memory;
    e.index = start + Expr::symbol(row_loop.var) * width + Expr::symbol(lanes_->var) - first;
  }

  /// Moves what is computed of the load and of constants alone, as far as one value of it is used by others; gives that
  /// value and its copy.
  std::pair<ValueId, ValueId> move_computation(Block& block, std::size_t position, Block& to, ValueId value) {
    const ValueId loaded = block[position].expression.out;
    const std::map<ValueId, double> constants = constant_fills();
    std::map<ValueId, ValueId> copies = {{loaded, value}};
    std::vector<std::size_t> members;
    for (std::size_t i = position + 1; i < block.size(); ++i) {
      if (block[i].is_loop() || info(block[i].expression.op).kind != OpClass::value) continue;
      const std::vector<ValueId>& in = block[i].expression.in;
      const auto known = [&](ValueId v) { return copies.count(v) != 0 || constants.count(v) != 0; };
      if (in.empty() || !std::all_of(in.begin(), in.end(), known)) continue;
      if (std::none_of(in.begin(), in.end(), [&](ValueId v) { return copies.count(v) != 0; })) continue;
      copies[block[i].expression.out] = kNone;
      members.push_back(i);
    }
    const std::vector<ValueId> results = used_by_others(copies, block, members);
    if (results.size() != 1) return {loaded, value};
    for (std::size_t i : members) {
      Expression e = block[i].expression;
      for (ValueId& v : e.in) v = constants.count(v) != 0 ? add_fill(to, constants.at(v)) : copies.at(v);
      copies[e.out] = ir_.new_value(ir_.values[e.out]);
      e.out = copies[block[i].expression.out];
      to.emplace_back(std::move(e));
    }
    for (std::size_t i = members.size(); i-- > 0;) block.erase(block.begin() + static_cast<std::ptrdiff_t>(members[i]));
    return {results.front(), copies.at(results.front())};
  }

  void remove_unread(const std::map<ValueId, double>& constants) {
    std::set<ValueId> read;
    for_each_expression(ir_.phases, [&](const Expression& e) { read.insert(e.in.begin(), e.in.end()); });
    for_each_block(ir_.phases, [&](Block& block, const Path&) {
      std::erase_if(block, [&](const Item& item) {
        return !item.is_loop() && constants.count(item.expression.out) != 0 && read.count(item.expression.out) == 0;
      });
    });
  }

  std::map<ValueId, double> constant_fills() const {
    std::map<ValueId, double> out;
    std::set<ValueId> changed;
    for_each_expression(static_cast<const Block&>(ir_.phases), [&](const Expression& e) {
      if (e.op == Op::fill && e.over.empty()) out[e.out] = e.imm;
      if (info(e.op).kind == OpClass::update) changed.insert(e.out);
    });
    std::erase_if(out, [&](const auto& entry) { return changed.count(entry.first) != 0; });
    return out;
  }

  std::vector<ValueId> used_by_others(const std::map<ValueId, ValueId>& values, const Block& block,
                                      const std::vector<std::size_t>& members) const {
    std::set<const Expression*> own;
    for (std::size_t i : members) own.insert(&block[i].expression);
    std::set<ValueId> used;
    for_each_expression(static_cast<const Block&>(ir_.phases), [&](const Expression& e) {
      if (own.count(&e) != 0) return;
      for (ValueId v : e.in)
        if (values.count(v) != 0) used.insert(v);
    });
    return {used.begin(), used.end()};
  }

  // ---- expressions

  ValueId add_load(Block& block, MemoryId memory, Expr index) {
    Expression e;
    e.op = Op::load;
    e.out = ir_.new_value("load");
    e.memory = memory;
    e.index = std::move(index);
    block.emplace_back(e);
    return e.out;
  }
  ValueId add_fill(Block& block, double imm) {
    Expression e;
    e.op = Op::fill;
    e.out = ir_.new_value("fill");
    e.imm = imm;
    block.emplace_back(e);
    return e.out;
  }

  // ---- phases

  void add_phases() {
    set_rounds();
    std::stable_sort(copies_.begin(), copies_.end(), [](const Copy& a, const Copy& b) { return a.prefix < b.prefix; });
    Block phases;
    for (Copy& c : copies_) {
      std::vector<Loop> loops;
      for (std::size_t i = 0; i < c.prefix; ++i) loops.push_back(header_of(*nest_[i]));
      std::move(c.inside.begin(), c.inside.end(), std::back_inserter(loops));
      phases.emplace_back(nest(std::move(loops), std::move(c.body)));
    }
    phases.emplace_back(std::move(ir_.phases[0]));
    ir_.phases = std::move(phases);
  }

  /// Where no copy is used, all units are one round.
  void set_rounds() {
    std::map<std::size_t, Expr> used;
    for (const Copy& c : copies_)
      if (c.prefix > 0) used[c.prefix] = max(used.try_emplace(c.prefix, 0).first->second, c.used);
    for (const auto& [prefix, any] : used)
      nest_[prefix - 1]->round = ir_.define("pack.round", select(any, round_of(prefix), max(1, units_of(prefix))));
  }

  LinearIR& ir_;
  const Schedule& schedule_;
  std::vector<Loop*> nest_;  ///< the parallel loops, outermost first
  std::set<const Loop*> block_loops_;
  const Loop* lanes_ = nullptr;
  std::vector<Copy> copies_;
  const std::string row_block_ = fresh_variable(ir_, "_packed_block"), row_ = fresh_variable(ir_, "_packed_row"),
                    column_ = fresh_variable(ir_, "_packed_column"), lane_ = fresh_variable(ir_, "_packed_lane");
};

}  // namespace

bool pack_operands(LinearIR& ir, const Schedule& schedule) { return Packing(ir, schedule).run(); }

}  // namespace burin::linear
