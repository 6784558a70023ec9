#include "codegen/lower_to_vcode.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <tuple>

#include "burin/error.h"
#include "codegen/addresses.h"
#include "codegen/expression_emitter.h"
#include "codegen/hoist_loop_constants.h"
#include "codegen/interleave.h"
#include "codegen/transpose.h"
#include "linear/analysis.h"
#include "linear/pairs.h"

namespace burin::codegen {
namespace {

using linear::AccessMode;
using linear::Block;
using linear::Expression;
using linear::Item;
using linear::LinearIR;
using linear::Loop;
using linear::MemoryId;
using linear::Op;
using linear::ValueId;

constexpr std::int64_t kLoopAlignment = 32;

/// Elements of a block of 128 bits.
constexpr std::int64_t kQuad = 4;

/// An address up to a constant: a memory and an index expression.
using PointerKey = std::pair<MemoryId, Expr>;
using Pointers = std::map<PointerKey, VReg>;

/// The tile that expressions are emitted for: rows of one loop, vectors of the lane loop.
struct Tile {
  std::string row_variable;
  std::int64_t rows = 1;
  std::string lane_variable;
  std::int64_t vectors = 1;
  VReg mask = kNoReg;   ///< of the last vector of a partial version
  VReg count = kNoReg;  ///< lanes that are on in it

  Tile with_whole_vectors() const {
    Tile whole = *this;
    whole.mask = whole.count = kNoReg;
    return whole;
  }
};

/// The registers of a value: rows x vectors, or one of a dimension that it does not span.
struct ValueRegisters {
  std::int64_t rows = 1, vectors = 1;
  bool lanes = false;  ///< varies over the lanes (otherwise each register is a splat)
  bool inside_lanes = false;  ///< defined inside of the lane loop: lanes that are off are never folded
  bool packed = false;  ///< a lane for each row, in one register
  std::vector<VReg> registers;
  std::optional<float> constant;
};

/// What is known of an expression for all elements of a tile.
struct Step {
  const Expression* expression = nullptr;
  bool rows = false, lanes = false;  ///< whether it is computed for each of the tile's rows, of its vectors
  // Of loads, stores and prefetches:
  AccessMode mode{};
  bool transposed = false;           ///< the tile goes through a transpose in registers: a square one, or two to four rows
  bool early = false;                ///< computed before that, for what is computed of several tiles alike
  VReg base = kNoReg;
  std::int64_t displacement = 0;     ///< bytes from there to the tile's first element
  Expr row_stride, lane_stride;      ///< bytes
};

class PhaseEmitter {
 public:
  PhaseEmitter(const LinearIR& ir, const std::vector<std::set<std::string>>& varies, const std::set<ValueId>& words, const TargetInfo& target, Tape& tape)
      : ir_(ir),
        target_(target),
        b_(program_),
        prologue_(b_, ir, tape),
        index_(b_, prologue_),
        elementwise_(b_, target),
        varies_(varies),
        words_(words),
        values_(ir.values.size()) {
    linear::for_each_expression(ir.phases, [&](const Expression& e) {
      if (info(e.op).kind == linear::OpClass::update) updated_.insert(e.out);
      if (e.op == Op::update_max_number) numbers_.insert(e.out);
      for (ValueId v : e.in) readers_[v].push_back(&e);
      if (e.out != linear::kNone) ++writers_[e.out];
    });
  }

  PhaseCode run(const Loop& phase) {
    PhaseCode out;
    emit_phase(phase, out);
    if (streams_) b_.append({VOp::fence});
    b_.append({VOp::ret});
    prologue_.finish();
    remove_dead_code();
    hoist_loop_constants(program_);
    out.program = std::move(program_);
    return out;
  }

 private:
  // ---- the parallel loops: one flattened range of work items ----

  void emit_phase(const Loop& phase, PhaseCode& out) {
    const std::vector<const Loop*> nest = linear::parallel_nest(phase);
    std::vector<Expr> counts;
    Expr units = 1;
    for (const Loop* l : nest) {
      counts.push_back(linear::iterations(*l));
      units *= counts.back();
      out.items *= counts.back();
      if (l->round == Expr(0)) continue;
      out.rounds.push_back({units, l->round});
      out.items = 1;
    }
    prepare_segments(phase);
    const VReg item = b_.op(VOp::mov64, {reg(prologue_.work_begin())});
    const std::uint32_t top = b_.new_label(), end = b_.new_label();
    b_.jump_if(Cond::ge, item, reg(prologue_.work_end()), end);
    const std::vector<VReg> positions = unravel(item, counts);
    b_.label(top);
    for (std::size_t i = 0; i < nest.size(); ++i) index_.set_variable(nest[i]->var, start_of(*nest[i], positions[i]));
    emit_work_item(nest.back()->body());
    advance(positions, counts);
    b_.into(item, VOp::add64, {reg(item), immediate(1)});
    b_.jump_if(Cond::lt, item, reg(prologue_.work_end()), top);
    b_.label(end);
  }

  /// The variable of a parallel loop at one of its iterations.
  VReg start_of(const Loop& loop, VReg position) {
    const std::int64_t step = loop.versions.front().step;
    const VReg scaled = step == 1 ? position : b_.op(VOp::mul64, {reg(position), immediate(step)});
    return loop.begin == Expr(0) ? scaled : b_.op(VOp::add64, {reg(scaled), index_.operand(loop.begin)});
  }

  /// The positions of a flattened index, outermost first.
  std::vector<VReg> unravel(VReg item, const std::vector<Expr>& counts) {
    std::vector<VReg> positions(counts.size());
    VReg rest = b_.op(VOp::mov64, {reg(item)});
    for (std::size_t i = counts.size(); i-- > 1;) {
      const VReg count = prologue_.parameter(counts[i]);
      const VReg quotient = b_.divide(rest, count);
      const VReg product = b_.op(VOp::mul64, {reg(quotient), reg(count)});
      positions[i] = b_.op(VOp::sub64, {reg(rest), reg(product)});
      rest = quotient;
    }
    positions[0] = rest;
    return positions;
  }

  /// The next item: the innermost position moves on, full ones carry.
  void advance(const std::vector<VReg>& positions, const std::vector<Expr>& counts) {
    const std::uint32_t done = b_.new_label();
    for (std::size_t i = positions.size(); i-- > 0;) {
      b_.into(positions[i], VOp::add64, {reg(positions[i]), immediate(1)});
      if (i == 0) break;
      b_.jump_if(Cond::lt, positions[i], prologue_.parameter_operand(counts[i]), done);
      b_.into(positions[i], VOp::imm64, {}, 0);
    }
    b_.label(done);
  }

  void emit_work_item(const Block& body) {
    Pointers pointers;
    for (const PointerKey& key : required(body)) pointers[key] = address(key);
    emit_block(body, Tile{}, pointers);
  }

  VReg address(const PointerKey& key) {
    const VReg base = prologue_.base(key.first);
    if (key.second == Expr(0)) return b_.op(VOp::mov64, {reg(base)});
    const Operand offset = index_.operand(key.second * element_bytes(key.first));
    return b_.op(VOp::add64, {reg(base), offset});
  }

  std::int64_t element_bytes(MemoryId m) const { return static_cast<std::int64_t>(size_of(ir_.memory[m].precision)); }

  // ---- pointers ----

  static PointerKey key_of(MemoryId memory, const Expr& index) { return {memory, split_constant(index).first}; }

  /// The addresses that a block needs when it starts: those of its own accesses, and where the pointers of its loops
  /// begin.
  std::set<PointerKey> required(const Block& block) {
    std::set<PointerKey> keys;
    for (const Item& item : block) {
      if (!item.is_loop()) {
        if (linear::is_memory(item.expression)) keys.insert(key_of(item.expression.memory, item.expression.index));
        continue;
      }
      const Loop& loop = *item.loop;
      for (const PointerKey& key : required_inside(loop))
        if (!is_made_anew(loop, key)) keys.insert(key_of(key.first, key.second.substitute({{loop.var, loop.begin}})));
    }
    return keys;
  }

  /// (Each loop's are asked for by all loops around it.)
  const std::set<PointerKey>& required_inside(const Loop& loop) {
    const auto [found, fresh] = required_.try_emplace(&loop);
    if (fresh)
      for (const Loop::Version& v : loop.versions) found->second.merge(required(v.body));
    return found->second;
  }

  /// Bounds inside of a loop with a condition depend on its variable in any way; it seldom runs twice: addresses with the
  /// variable are computed in each iteration.
  static bool is_made_anew(const Loop& loop, const PointerKey& key) { return loop.condition && key.second.uses(loop.var); }

  VReg pointer(const Pointers& pointers, const PointerKey& key) const {
    auto it = pointers.find(key);
    if (it == pointers.end()) throw Error(fmt::format("no pointer for {}[{}]", ir_.memory[key.first].name, key.second.to_string()));
    return it->second;
  }

  // ---- loops ----

  /// A pointer that moves with a loop.
  struct Moving {
    VReg pointer;
    Expr bytes_per_element;
  };

  void emit_block(const Block& block, const Tile& tile, const Pointers& pointers) {
    for (std::size_t i = 0; i < block.size();) {
      if (block[i].is_loop()) {
        emit_loop(*block[i].loop, tile, pointers);
        ++i;
        continue;
      }
      std::size_t end = i + 1;
      while (end < block.size() && !block[end].is_loop() && !is_barrier(block[end - 1].expression) && !is_barrier(block[end].expression)) ++end;
      emit_segment(block, i, end, tile, pointers);
      i = end;
    }
  }

  /// Folds need all vectors of their operand, which the element by element order has only behind a segment.
  static bool is_barrier(const Expression& e) {
    return info(e.op).kind == linear::OpClass::lanes || info(e.op).kind == linear::OpClass::segments;
  }

  void emit_loop(const Loop& loop, const Tile& outer, const Pointers& outer_pointers) {
    Pointers pointers = outer_pointers;
    std::vector<Moving> moving;
    for (const PointerKey& key : required_inside(loop)) {
      if (!key.second.uses(loop.var) || is_made_anew(loop, key)) continue;
      const auto coefficient = key.second.coefficient(loop.var);
      if (!coefficient || linear::uses_loop_variable(*coefficient))
        throw Error(fmt::format("index {} is not linear in {}", key.second.to_string(), loop.var));
      const auto [start, constant] = split_constant(key.second.substitute({{loop.var, loop.begin}}));
      const Operand offset = prologue_.parameter_operand(Expr(constant) * element_bytes(key.first));
      const VReg from = pointer(outer_pointers, {key.first, start});
      const VReg p = constant == 0 ? b_.op(VOp::mov64, {reg(from)}) : b_.op(VOp::add64, {reg(from), offset});
      pointers[key] = p;
      moving.push_back({p, *coefficient * element_bytes(key.first)});
    }
    const VReg variable = b_.op(VOp::mov64, {reg(index_.evaluate(loop.begin))});
    index_.set_variable(loop.var, variable);
    if (loop.lanes) prepare_either(loop);
    if (loop.lanes && holds_pairs(loop)) pair_tables_ = pair_tables();
    const std::optional<std::int64_t> extent = (loop.end - loop.begin).as_constant();
    if (linear::is_block_loop(loop) || loop.condition)
      emit_blocks(loop, outer, pointers, moving, variable);
    else if (extent)
      emit_counted_versions(loop, outer, pointers, moving, variable, *extent);
    else
      emit_run_time_versions(loop, outer, pointers, moving, variable);
  }

  /// Blocks of `step` elements, the last one shorter; what a block holds is the affair of the loops inside.
  void emit_blocks(const Loop& loop, const Tile& tile, const Pointers& outer_pointers, const std::vector<Moving>& moving, VReg variable) {
    const Loop::Version& v = loop.versions.front();
    Pointers pointers = outer_pointers;
    const VReg left = b_.op(VOp::mov64, {reg(index_.evaluate(loop.end - loop.begin))});
    const std::uint32_t top = b_.new_label(), next = b_.new_label(), end = b_.new_label();
    b_.jump_if(Cond::le, left, immediate(0), next);
    b_.label(top);
    for (const PointerKey& key : required_inside(loop))
      if (is_made_anew(loop, key)) pointers[key] = address(key);
    emit_block(v.body, tile, pointers);
    if (loop.condition) leave_unless(*loop.condition, end);
    step(moving, variable, v.step);
    b_.into(left, VOp::sub64, {reg(left), immediate(v.step)});
    b_.jump_if(Cond::gt, left, immediate(0), top);
    b_.label(next);
    b_.label(end);
  }

  void leave_unless(const Loop::Condition& condition, std::uint32_t end) {
    const std::uint32_t go_on = b_.new_label();
    const ValueRegisters& value = values_.at(condition.value);
    for (const VReg x : value.registers) {
      const VReg any = b_.op(VOp::mask_any, {reg(b_.compare(Cond::le, x, constant(static_cast<float>(condition.at_most))))});
      b_.jump_if(Cond::ne, any, immediate(0), go_on);
    }
    b_.jump(end);
    b_.label(go_on);
  }

  /// The extent is a constant: each version runs a known number of times.
  void emit_counted_versions(const Loop& loop, const Tile& outer, const Pointers& pointers, const std::vector<Moving>& moving,
                             VReg variable, std::int64_t rest) {
    for (std::size_t i = 0; i < loop.versions.size(); ++i) {
      const Loop::Version& v = loop.versions[i];
      if (rest < loop.fewest(i)) continue;
      const std::int64_t trips = (rest - loop.fewest(i)) / v.step + 1;
      if (rest >= v.step) emit_times(std::min(trips, rest / v.step), v, tile_of(loop, v, outer), pointers, moving, variable);
      if (rest < trips * v.step) {
        const std::int64_t last = rest - (trips - 1) * v.step;
        emit_times(1, v, partial_tile(loop, v, outer, b_.imm64(last), last), pointers, moving, variable);
      }
      rest -= trips * v.step;
    }
  }

  void emit_times(std::int64_t trips, const Loop::Version& v, const Tile& tile, const Pointers& pointers,
                  const std::vector<Moving>& moving, VReg variable) {
    const VReg counter = trips > 1 ? b_.imm64(trips) : kNoReg;
    const std::uint32_t top = b_.new_label();
    if (trips > 1) b_.label(top, alignment(v.body));
    emit_block(v.body, tile, pointers);
    step(moving, variable, v.step);
    if (trips == 1) return;
    b_.into(counter, VOp::sub64, {reg(counter), immediate(1)});
    b_.jump_if(Cond::gt, counter, immediate(0), top);
  }

  void emit_run_time_versions(const Loop& loop, const Tile& outer, const Pointers& pointers, const std::vector<Moving>& moving,
                              VReg variable) {
    const VReg left = b_.op(VOp::mov64, {reg(index_.evaluate(loop.end - loop.begin))});
    std::int64_t bound = std::numeric_limits<std::int64_t>::max();
    if (auto c = linear::extent_bound(loop).as_constant()) bound = *c;
    for (std::size_t i = 0; i < loop.versions.size(); ++i) {
      const std::int64_t fewest = loop.fewest(i);
      const std::uint32_t next = b_.new_label();
      b_.jump_if(Cond::lt, left, immediate(fewest), next);
      emit_version(loop, i, outer, pointers, moving, variable, left, bound >= loop.versions[i].step + fewest);
      b_.label(next);
      bound = std::min(bound, fewest - 1);
    }
  }

  /// Runs once, or until too few elements are left for it.
  void emit_version(const Loop& loop, std::size_t version, const Tile& outer, const Pointers& pointers,
                    const std::vector<Moving>& moving, VReg variable, VReg left, bool repeats) {
    const Loop::Version& v = loop.versions[version];
    const std::uint32_t top = b_.new_label();
    if (repeats) b_.label(top, alignment(v.body));
    emit_block(v.body, v.partial ? partial_tile(loop, v, outer, left, loop.fewest(version)) : tile_of(loop, v, outer), pointers);
    step(moving, variable, v.step);
    b_.into(left, VOp::sub64, {reg(left), immediate(v.step)});
    if (repeats) b_.jump_if(Cond::ge, left, immediate(loop.fewest(version)), top);
  }

  static std::int64_t alignment(const Block& body) {
    const bool innermost = std::none_of(body.begin(), body.end(), [](const Item& i) { return i.is_loop(); });
    return innermost ? kLoopAlignment : 0;
  }

  void step(const std::vector<Moving>& moving, VReg variable, std::int64_t elements) {
    for (const Moving& m : moving)
      b_.into(m.pointer, VOp::add64, {reg(m.pointer), prologue_.parameter_operand(m.bytes_per_element * elements)});
    b_.into(variable, VOp::add64, {reg(variable), immediate(elements)});
  }

  Tile tile_of(const Loop& loop, const Loop::Version& v, const Tile& outer) const {
    Tile tile = outer;
    if (loop.lanes) {
      if (v.step % target_.lanes() != 0) throw Error(fmt::format("loop {}: {} elements are no whole vectors", loop.var, v.step));
      tile.lane_variable = loop.var;
      tile.vectors = v.step / target_.lanes();
    } else if (v.step > 1) {
      tile.row_variable = loop.var;
      tile.rows = v.step;
    }
    return tile;
  }

  /// All vectors are whole but for the last.
  Tile partial_tile(const Loop& loop, const Loop::Version& v, const Tile& outer, VReg left, std::int64_t fewest) {
    const std::int64_t whole = v.step - target_.lanes();
    if (!loop.lanes || fewest <= whole) throw Error(fmt::format("loop {}: a partial version of {} elements", loop.var, v.step));
    Tile tile = tile_of(loop, v, outer);
    const VReg behind = whole == 0 ? left : b_.op(VOp::sub64, {reg(left), immediate(whole)});
    tile.count = b_.op(VOp::min64, {reg(behind), immediate(target_.lanes())});
    tile.mask = first_lanes(tile.count);
    return tile;
  }

  VReg first_lanes(VReg count) {
    Instruction i;
    i.op = VOp::mask_first;
    i.dst = b_.mask();
    i.src = {reg(count), {}, {}};
    i.temps[0] = b_.general();
    i.temp_count = 1;
    b_.append(i);
    return i.dst;
  }

  // ---- straight-line segments, element by element ----

  bool spans_rows(ValueId v, const Tile& t) const { return t.rows > 1 && varies_[v].count(t.row_variable) != 0; }
  bool spans_lanes(ValueId v, const Tile& t) const { return !t.lane_variable.empty() && varies_[v].count(t.lane_variable) != 0; }

  Step step_for(const Expression& e, const Tile& t, const Pointers& pointers) {
    Step s;
    s.expression = &e;
    for (const ValueId v : e.in) s.rows |= spans_rows(v, t), s.lanes |= spans_lanes(v, t);
    if (linear::is_memory(e) || linear::is_integer(e.op)) {
      s.rows |= t.rows > 1 && e.index.uses(t.row_variable);
      s.lanes |= !t.lane_variable.empty() && e.index.uses(t.lane_variable);
    }
    if (!linear::is_memory(e)) return s;
    s.mode = linear::access_mode(e, t.lane_variable);
    std::tie(s.base, s.displacement) = start_of(e, pointers);
    const Expr row = step_of(e, t.rows > 1 ? t.row_variable : "");
    s.row_stride = row * element_bytes(e.memory);
    s.lane_stride = step_of(e, t.lane_variable) * element_bytes(e.memory);
    const bool can_be_transposed = t.rows == target_.lanes() || (t.rows > 1 && t.rows <= kQuad);
    s.transposed = can_be_transposed && s.mode == AccessMode::across && row == Expr(1);
    return s;
  }

  void emit_segment(const Block& block, std::size_t begin, std::size_t end, const Tile& tile, const Pointers& pointers) {
    bool column_by_column = false;
    std::vector<Step> steps;
    for (std::size_t i = begin; i < end; ++i) {
      allocate(block[i].expression, tile, std::span(block).subspan(i + 1));
      steps.push_back(step_for(block[i].expression, tile, pointers));
      column_by_column |= steps.back().transposed;
    }
    find_pairs(block, begin, steps, tile);
    find_early(steps, tile);
    const std::int64_t outer = column_by_column ? tile.vectors : tile.rows, inner = column_by_column ? tile.rows : tile.vectors;
    const Tile whole = tile.with_whole_vectors();
    std::vector<std::size_t> starts;
    for (std::int64_t o = 0; o < outer; ++o)
      for (std::int64_t n = 0; n < inner; ++n) {
        starts.push_back(program_.code.size());
        const std::int64_t row = column_by_column ? n : o, vector = column_by_column ? o : n;
        for (const Step& s : steps) emit_element(s, vector + 1 == tile.vectors ? tile : whole, row, vector);
      }
    if (!column_by_column && !touch_other_elements(block, begin, end)) interleave(program_, starts, target_);
  }

  /// Whether an element of the tile may read or write memory that another one writes.
  static bool touch_other_elements(const Block& block, std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i)
      for (std::size_t k = begin; k < end; ++k) {
        const Expression &written = block[i].expression, &other = block[k].expression;
        if (written.op == Op::store && linear::is_memory(other) && other.memory == written.memory && other.index != written.index)
          return true;
      }
    return false;
  }

  /// Vectors of the widest tile of the lane loops that follow, or stand inside of one that does; 0: there are none.
  std::int64_t widest_lanes(const std::string& variable, std::span<const Item> following) const {
    std::int64_t widest = 0;
    for (const Item& item : following) {
      if (!item.is_loop()) continue;
      const Loop& loop = *item.loop;
      for (const Loop::Version& v : loop.versions)
        widest = std::max({widest, loop.lanes && loop.var == variable ? v.step / target_.lanes() : 0, widest_lanes(variable, v.body)});
    }
    return widest;
  }

  /// Makes the registers' table of the expression's result (the registers themselves come as they are written).
  void allocate(const Expression& e, const Tile& t, std::span<const Item> following) {
    if (e.out == linear::kNone || info(e.op).kind == linear::OpClass::update) return;
    ValueRegisters r;
    if (e.op == Op::fill) {
      if (e.over.empty() && updated_.count(e.out) == 0) {
        r.constant = static_cast<float>(e.imm);
        values_[e.out] = std::move(r);
        return;
      }
      for (const std::string& name : e.over) {
        if (name == t.row_variable) r.rows = t.rows;
        const std::int64_t vectors = name == t.lane_variable ? t.vectors : widest_lanes(name, following);
        if (vectors == 0) continue;
        r.lanes = true;
        r.vectors = vectors;
      }
    } else {
      if (spans_rows(e.out, t)) r.rows = t.rows;
      if (spans_lanes(e.out, t)) r.vectors = t.vectors, r.lanes = true;
      r.packed = is_packed(e, t);
      if (r.packed) r.rows = 1;
    }
    r.inside_lanes = !t.lane_variable.empty();
    r.registers.assign(static_cast<std::size_t>(r.rows * r.vectors), kNoReg);
    values_[e.out] = std::move(r);
  }

  VReg& slot(ValueId v, std::int64_t row, std::int64_t vector) {
    ValueRegisters& r = values_.at(v);
    return r.registers[static_cast<std::size_t>((r.rows > 1 ? row : 0) * r.vectors + vector % r.vectors)];
  }

  Element element(ValueId v, std::int64_t row, std::int64_t vector) {
    const ValueRegisters& r = values_.at(v);
    if (r.constant) return {kNoReg, r.constant};
    return {slot(v, row, vector), std::nullopt};
  }

  void emit_element(const Step& s, const Tile& t, std::int64_t row, std::int64_t vector) {
    const Expression& e = *s.expression;
    b_.set_origin(origin_of(e));
    if (e.op == Op::fill) return emit_fill(e, row, vector);
    if ((row > 0 && (!s.rows || computes_packed(e))) || (vector > 0 && !s.lanes)) return;
    if (const auto pair = pairs_.find(&e); pair != pairs_.end()) {
      if (pair->second.is_done_here) (e.op == Op::load ? load_pair(pair->second, t, row, vector) : store_pair(pair->second, t, row, vector));
      return;
    }
    if (s.early) {
      if (row == 0 && s.transposed) transpose_into(e.out, early_tile(e.out, t, vector), t, vector);
      return;
    }
    if (e.op == Op::load) return emit_load(s, t, row, vector);
    if (e.op == Op::store) return emit_store(s, t, row, vector);
    if (e.op == Op::integer_i32) return emit_word(e, t, row, vector);
    if (e.op == Op::integer) return emit_integer(e, t, row, vector);
    if (e.op == Op::prefetch) return emit_prefetch(s, t, row, vector);
    if (info(e.op).kind == linear::OpClass::lanes) return emit_fold(e, t, row);
    if (info(e.op).kind == linear::OpClass::segments) {
      if (row == 0) emit_segments(e, t);
      return;
    }
    std::vector<Element> in;
    const bool update = info(e.op).kind == linear::OpClass::update;
    for (std::size_t i = update ? 1 : 0; i < e.in.size(); ++i) in.push_back(element(e.in[i], row, vector));
    if (update) {
      // A value that is folded over the lanes later must not take in lanes that are off.
      const bool folds = t.mask != kNoReg && values_.at(e.out).lanes && !values_.at(e.out).inside_lanes;
      elementwise_.update(e.op, slot(e.out, row, vector), in, folds ? t.mask : kNoReg);
    } else {
      slot(e.out, row, vector) = elementwise_.emit(e, in);
    }
  }

  /// Emitted for all its elements at once, when the segment comes to its first.
  void emit_fill(const Expression& e, std::int64_t row, std::int64_t vector) {
    ValueRegisters& r = values_.at(e.out);
    if (row != 0 || vector != 0 || r.constant) return;
    for (VReg& x : r.registers)
      x = words_.count(e.out) != 0 ? b_.op(VOp::constant, {}, static_cast<std::int32_t>(e.imm)) : b_.constant_vector(static_cast<float>(e.imm));
  }

  void emit_fold(const Expression& e, const Tile& t, std::int64_t row) {
    if (!values_.at(e.out).packed) {
      slot(e.out, row, 0) = elementwise_.fold_lanes(fold_of(e), all_vectors(e, row));
    } else if (row == 0) {
      std::vector<VReg> rows;
      for (std::int64_t r = 0; r < t.rows; ++r) rows.push_back(all_vectors(e, r));
      slot(e.out, 0, 0) = elementwise_.fold_lanes_of_rows(fold_of(e), std::move(rows));
    }
  }

  // ---- folds of segments: each lane takes in those behind it, twice as many at each step, as far as its segment goes ----

  struct SegmentTables {
    VReg length;                             ///< in lanes
    VReg first;                              ///< where each lane's segment begins
    std::map<std::int64_t, VReg> ahead;      ///< by how many: the lanes that far ahead, or the last of the segment
    std::map<std::int64_t, VReg> has_ahead;  ///< the same: which lanes have one
  };

  /// In front of all items of work.
  void prepare_segments(const Loop& phase) {
    linear::for_each_expression(phase.body(), [&](const Expression& e) {
      if (info(e.op).kind == linear::OpClass::segments && segments_.count(e.index) == 0) segments_[e.index] = tables_of(e.index);
    });
  }

  SegmentTables tables_of(const Expr& length) {
    SegmentTables t;
    t.length = prologue_.parameter(length);
    const VReg n = b_.op(VOp::to_f32, {reg(b_.op(VOp::splat64, {reg(t.length)}))}), lane = b_.op(VOp::to_f32, {reg(b_.op(VOp::iota, {}))});
    // (Half a lane off the multiples of the length, so that no rounding matters.)
    const VReg places = b_.op(VOp::div, {reg(b_.op(VOp::add, {reg(lane), constant(0.5F)})), reg(n)});
    const VReg first = b_.op(VOp::mul, {reg(elementwise_.floor(places)), reg(n)});
    const VReg last = b_.op(VOp::sub, {reg(b_.op(VOp::add, {reg(first), reg(n)})), constant(1)});
    t.first = b_.op(VOp::to_i32, {reg(first)});
    for (std::int64_t ahead = 1; ahead < target_.lanes(); ahead *= 2) {
      const VReg lane_ahead = b_.op(VOp::add, {reg(lane), constant(static_cast<float>(ahead))});
      t.ahead[ahead] = b_.op(VOp::to_i32, {reg(b_.op(VOp::min, {reg(lane_ahead), reg(last)}))});
      t.has_ahead[ahead] = b_.compare(Cond::le, lane_ahead, reg(last));
    }
    return t;
  }

  /// Step by step for all rows, since each step waits for the one in front. Those that short segments do not need are jumped over.
  void emit_segments(const Expression& e, const Tile& t) {
    constexpr std::int64_t kAlwaysTaken = 2;
    const SegmentTables& tables = segments_.at(e.index);
    const std::optional<std::int64_t> known = e.index.as_constant();
    const std::uint32_t done = b_.new_label();
    std::vector<VReg> rows;
    for (std::int64_t r = 0; r < (spans_rows(e.out, t) ? t.rows : 1); ++r) rows.push_back(slot(e.in[0], r, 0));
    for (std::int64_t ahead = 1; ahead < target_.lanes(); ahead *= 2) {
      if (known && *known <= ahead) break;
      if (ahead > kAlwaysTaken && !known) b_.jump_if(Cond::le, tables.length, immediate(ahead), done);
      for (VReg& x : rows) {
        const VReg taken_in = with_lanes_ahead(e.op, x, tables, ahead);
        if (ahead > kAlwaysTaken)
          b_.into(x, VOp::mov, {reg(taken_in)});
        else
          x = taken_in;
      }
    }
    b_.label(done);
    for (std::size_t r = 0; r < rows.size(); ++r)
      slot(e.out, static_cast<std::int64_t>(r), 0) = b_.op(VOp::lookup16, {reg(tables.first), reg(rows[r])});
  }

  VReg with_lanes_ahead(Op op, VReg x, const SegmentTables& tables, std::int64_t ahead) {
    const VReg both = elementwise_.combine(op, x, b_.op(VOp::lookup16, {reg(tables.ahead.at(ahead)), reg(x)}));
    if (op != Op::segments_sum && op != Op::segments_prod) return both;  // the last element of a segment may count twice
    return b_.op(VOp::blend, {reg(tables.has_ahead.at(ahead)), reg(both), reg(x)});
  }

  /// Of what may have lost a NaN already the fold may, too.
  Op fold_of(const Expression& e) const { return numbers_.contains(e.in[0]) ? Op::update_max_number : e.op; }

  /// Those of the operand's row, folded into one.
  VReg all_vectors(const Expression& e, std::int64_t row) {
    const ValueRegisters& r = values_.at(e.in[0]);
    if (r.constant) return b_.constant_vector(*r.constant);
    VReg x = slot(e.in[0], row, 0);
    for (std::int64_t v = 1; v < r.vectors; ++v) x = elementwise_.combine(fold_of(e), x, slot(e.in[0], row, v));
    return x;
  }

  /// Whether folds of several rows share their shuffles: if rows are a power of two, and only stored, side by side. What is
  /// computed of them before is computed for all rows at once.
  bool is_packed(const Expression& e, const Tile& t) const {
    constexpr std::int64_t kFewest = 4;
    const linear::OpClass kind = info(e.op).kind;
    if (kind == linear::OpClass::value) return std::ranges::any_of(e.in, [&](ValueId v) { return values_[v].packed; });
    if (kind != linear::OpClass::lanes || !spans_rows(e.out, t) || t.rows < kFewest) return false;
    if (t.rows > target_.lanes() || (t.rows & (t.rows - 1)) != 0) return false;
    return is_used_packed(e.out, t);
  }

  bool is_used_packed(ValueId v, const Tile& t) const {
    const auto readers = readers_.find(v);
    return readers != readers_.end() && std::ranges::all_of(readers->second, [&](const Expression* reader) {
      if (reader->op == Op::store) return !is_boolean(*reader) && step_of(*reader, t.row_variable) == Expr(1);
      return info(reader->op).kind == linear::OpClass::value && varies_[reader->out] == varies_[v] &&
             std::ranges::all_of(reader->in, [&](ValueId other) { return other == v || !spans_rows(other, t); }) &&
             is_used_packed(reader->out, t);
    });
  }

  bool computes_packed(const Expression& e) const {
    return info(e.op).kind == linear::OpClass::value && e.out != linear::kNone && values_[e.out].packed;
  }

  /// The tile's first element is converted to f32; the others are a known number away from it.
  void emit_integer(const Expression& e, const Tile& t, std::int64_t row, std::int64_t vector) {
    const Expr row_step = step_of(e, t.rows > 1 ? t.row_variable : ""), lane_step = step_of(e, t.lane_variable);
    const Expr away = row_step * row + lane_step * (vector * target_.lanes());
    const auto distance = away.as_constant();
    if (distance && *distance != 0) {
      slot(e.out, row, vector) = b_.op(VOp::add, {reg(slot(e.out, 0, 0)), constant(static_cast<float>(*distance))});
      return;
    }
    const VReg first = b_.op(VOp::splat64, {reg(index_.evaluate(e.index + away))});
    slot(e.out, row, vector) = along_lanes(b_.op(VOp::to_f32, {reg(first)}), lane_step);
  }

  /// The same as i32.
  void emit_word(const Expression& e, const Tile& t, std::int64_t row, std::int64_t vector) {
    const Expr lane_step = step_of(e, t.lane_variable);
    const Expr first = e.index + step_of(e, t.rows > 1 ? t.row_variable : "") * row + lane_step * (vector * target_.lanes());
    const auto number = first.as_constant();
    VReg x = number ? b_.op(VOp::constant, {}, static_cast<std::int32_t>(*number)) : b_.op(VOp::splat64, {reg(index_.evaluate(first))});
    if (!(lane_step == Expr(0))) {
      const VReg step = b_.op(VOp::splat64, {reg(index_.evaluate(lane_step))});
      x = b_.op(VOp::add_i32, {reg(x), reg(b_.op(VOp::mul_i32, {reg(b_.op(VOp::iota, {})), reg(step)}))});
    }
    slot(e.out, row, vector) = x;
  }

  /// x + step * lane
  VReg along_lanes(VReg x, const Expr& step) {
    if (step == Expr(0)) return x;
    const VReg lane = b_.op(VOp::to_f32, {reg(b_.op(VOp::iota, {}))});
    if (step == Expr(1)) return b_.op(VOp::add, {reg(x), reg(lane)});
    const VReg factor = b_.op(VOp::to_f32, {reg(b_.op(VOp::splat64, {reg(index_.evaluate(step))}))});
    return b_.op(VOp::fma, {reg(lane), reg(factor), reg(x)});
  }

  /// How much the index grows with the variable.
  Expr step_of(const Expression& e, const std::string& variable) const {
    if (variable.empty()) return 0;
    const auto c = e.index.coefficient(variable);
    if (!c) throw Error(fmt::format("index {} is not linear in {}", e.index.to_string(), variable));
    return *c;
  }

  std::uint32_t origin_of(const Expression& e) {
    auto [it, fresh] = origins_.try_emplace(&e, static_cast<std::uint32_t>(program_.origins.size()));
    if (fresh) {
      std::string text(info(e.op).text);
      if (e.out != linear::kNone) text = fmt::format("%{} = {}", ir_.values[e.out], text);
      if (linear::is_memory(e)) text += fmt::format(" %{}[{}]", ir_.memory[e.memory].name, e.index.to_string());
      program_.origins.push_back(std::move(text));
    }
    return it->second;
  }

  // ---- memory ----

  /// base + row * row stride, where the stride may be known at run time only: then an odd multiple of it in a register,
  /// scaled by a power of two.
  Memory row_address(VReg base, std::int64_t displacement, std::int64_t row, const Expr& stride_bytes) {
    constexpr std::int64_t kLargestScale = 8;
    if (auto c = stride_bytes.as_constant(); c && fits_immediate(*c * row + displacement))
      return {base, kNoReg, 1, static_cast<std::int32_t>(displacement + *c * row)};
    if (row == 0) return {base, kNoReg, 1, static_cast<std::int32_t>(displacement)};
    std::int64_t scale = 1;
    while (row % (2 * scale) == 0 && 2 * scale <= kLargestScale) scale *= 2;
    const VReg multiple = prologue_.parameter(stride_bytes * (row / scale));
    return {base, multiple, static_cast<std::uint8_t>(scale), static_cast<std::int32_t>(displacement)};
  }

  /// The base pointer of an access and its constant displacement in bytes.
  std::pair<VReg, std::int64_t> start_of(const Expression& e, const Pointers& pointers) {
    const auto [index, constant] = split_constant(e.index);
    const std::int64_t displacement = constant * element_bytes(e.memory);
    const VReg base = pointer(pointers, {e.memory, index});
    if (fits_immediate(displacement)) return {base, displacement};
    return {b_.op(VOp::add64, {reg(base), reg(prologue_.parameter(displacement))}), 0};
  }

  bool is_boolean(const Expression& e) const { return ir_.memory[e.memory].precision == Precision::boolean; }
  /// A worker's scratch is padded to whole vectors. (In what workers share, others' elements follow.)
  bool is_padded(MemoryId m) const { return ir_.memory[m].kind == linear::Memory::Kind::worker; }

  Instruction access(VOp op, const Memory& mem) const {
    Instruction i;
    i.op = op;
    i.mem = mem;
    return i;
  }

  void predicate(Instruction& i, const Tile& t, MemoryId memory) const {
    if (t.mask == kNoReg || is_padded(memory)) return;
    i.mask = t.mask;
    i.count = t.count;
  }

  void emit_load(const Step& s, const Tile& t, std::int64_t row, std::int64_t vector) {
    if (s.transposed) {
      if (row == 0) load_transposed(s, t, vector);
      return;
    }
    const Expression& e = *s.expression;
    if (s.mode == AccessMode::either) return load_either(s, t, row, vector);
    Instruction i = is_boolean(e) ? element_access(s, t, row, vector, VOp::load_bool_splat, VOp::load_bool, VOp::load_bool_strided)
                                  : element_access(s, t, row, vector, VOp::load_splat, VOp::load, VOp::load_strided);
    i.dst = slot(e.out, row, vector) = b_.vector();
    b_.append(i);
  }

  // ---- two accesses that take turns: whole vectors, of which each has every second element ----

  struct Pair {
    const Step *even, *odd;
    bool is_done_here;  ///< both are emitted with the first of two loads, with the second of two stores
  };

  /// `steps`: of the block's expressions from `begin` on.
  void find_pairs(const Block& block, std::size_t begin, const std::vector<Step>& steps, const Tile& tile) {
    pairs_.clear();
    for (std::size_t i = begin; i < begin + steps.size(); ++i) {
      const auto k = linear::partner_in_pairs(block, i, tile.lane_variable);
      const Expression& e = block[i].expression;
      if (!k || *k < begin || *k >= begin + steps.size() || is_boolean(e)) continue;
      const Step &own = steps[i - begin], &other = steps[*k - begin];
      const bool is_even = (other.expression->index - e.index) == Expr(1);
      pairs_[&e] = {is_even ? &own : &other, is_even ? &other : &own, (i < *k) == (e.op == Op::load)};
    }
  }

  /// A vector of memory: the first or the second half of a pair of vectors.
  Instruction half_of_pair(VOp op, const Step& even, const Tile& t, std::int64_t row, std::int64_t vector, std::int64_t half) {
    const MemoryId memory = even.expression->memory;
    const std::int64_t lanes = target_.lanes();
    Instruction i = access(op, row_address(even.base, even.displacement + (2 * vector + half) * lanes * element_bytes(memory), row, even.row_stride));
    if (t.count == kNoReg || is_padded(memory)) return i;
    const VReg elements = b_.op(VOp::shl64, {reg(t.count), immediate(1)});
    const VReg behind = b_.op(VOp::sub64, {reg(elements), immediate(half * lanes)});
    i.count = b_.op(VOp::max64, {reg(b_.op(VOp::min64, {reg(behind), immediate(lanes)})), immediate(0)});
    i.mask = first_lanes(i.count);
    return i;
  }

  /// Lane l as an i32: (l << left) >> right, modulo the lanes, plus something.
  VReg lane_numbers(std::int64_t left, std::int64_t right, std::int64_t plus) {
    VReg x = b_.op(VOp::iota, {});
    if (left > 0) x = b_.op(VOp::shl_i32, {reg(x)}, left);
    if (right > 0) x = b_.op(VOp::shr_i32, {reg(x)}, right);
    x = b_.op(VOp::and_bits, {reg(x), constant_bits(static_cast<std::uint32_t>(target_.lanes() - 1))});
    return plus == 0 ? x : b_.op(VOp::add_i32, {reg(x), constant_bits(static_cast<std::uint32_t>(plus))});
  }

  /// What permutations of pairs need; the same in a whole kernel.
  struct PairTables {
    VReg evens, odds;         ///< where a vector's elements at even and odd places lie
    VReg first, second;       ///< from which lane each pair of the first and the second vector comes
    VReg low_half = kNoReg, even_lanes = kNoReg;  ///< masks, where a permutation sees one vector only
  };
  PairTables pair_tables() {
    PairTables p;
    if (target_.has_lookup_both) {
      constexpr std::int64_t kLaneBits = 4;  // of 16 lanes: the numbers of the second vector's lanes have one more
      const VReg lane = b_.op(VOp::iota, {});
      p.evens = b_.op(VOp::shl_i32, {reg(lane)}, 1), p.odds = b_.op(VOp::add_i32, {reg(p.evens), constant_bits(1)});
      const VReg parity = b_.op(VOp::shl_i32, {reg(b_.op(VOp::and_bits, {reg(lane), constant_bits(1)}))}, kLaneBits);
      p.first = b_.op(VOp::or_bits, {reg(b_.op(VOp::shr_i32, {reg(lane)}, 1)), reg(parity)});
      p.second = b_.op(VOp::add_i32, {reg(p.first), constant_bits(static_cast<std::uint32_t>(target_.lanes() / 2))});
      return p;
    }
    p.evens = lane_numbers(1, 0, 0), p.odds = lane_numbers(1, 0, 1);
    p.first = lane_numbers(0, 1, 0), p.second = lane_numbers(0, 1, target_.lanes() / 2);
    p.low_half = first_lanes(prologue_.parameter(target_.lanes() / 2));
    const VReg parity = b_.op(VOp::and_bits, {reg(b_.op(VOp::iota, {})), constant_bits(1)});
    p.even_lanes = b_.compare(Cond::eq, b_.op(VOp::to_f32, {reg(parity)}), constant(0));
    return p;
  }

  /// What the table says of the lanes of two vectors.
  VReg lookup_both(VReg table, VReg first, VReg second) {
    Instruction i;
    i.op = VOp::lookup_both;
    i.src = {reg(table), reg(first), reg(second)};
    i.temps = {b_.vector()};
    i.temp_count = 1;
    i.dst = b_.vector();
    b_.append(i);
    return i.dst;
  }

  static bool holds_pairs(const Loop& loop) {
    bool found = false;
    for (const Loop::Version& v : loop.versions) {
      const auto check = [&](const Block& block) {
        for (std::size_t i = 0; i < block.size(); ++i) found |= linear::partner_in_pairs(block, i, loop.var).has_value();
      };
      check(v.body);
      linear::for_each_loop(v.body, [&](const Loop& inner) {
        for (const Loop::Version& w : inner.versions) check(w.body);
      });
    }
    return found;
  }

  void load_pair(const Pair& pair, const Tile& t, std::int64_t row, std::int64_t vector) {
    std::array<VReg, 2> memory{};
    for (std::int64_t half = 0; half < 2; ++half) {
      Instruction i = half_of_pair(VOp::load, *pair.even, t, row, vector, half);
      i.dst = memory[static_cast<std::size_t>(half)] = b_.vector();
      b_.append(i);
    }
    const auto pick = [&](VReg lanes) {
      if (target_.has_lookup_both) return lookup_both(lanes, memory[0], memory[1]);
      const VReg low = b_.op(VOp::lookup16, {reg(lanes), reg(memory[0])}), high = b_.op(VOp::lookup16, {reg(lanes), reg(memory[1])});
      return b_.op(VOp::blend, {reg(pair_tables_->low_half), reg(low), reg(high)});
    };
    slot(pair.even->expression->out, row, vector) = pick(pair_tables_->evens);
    slot(pair.odd->expression->out, row, vector) = pick(pair_tables_->odds);
  }

  VReg alternating(VReg from, VReg even, VReg odd) {
    if (target_.has_lookup_both) return lookup_both(from, even, odd);
    const VReg a = b_.op(VOp::lookup16, {reg(from), reg(even)}), b = b_.op(VOp::lookup16, {reg(from), reg(odd)});
    return b_.op(VOp::blend, {reg(pair_tables_->even_lanes), reg(a), reg(b)});
  }

  void store_pair(const Pair& pair, const Tile& t, std::int64_t row, std::int64_t vector) {
    const VReg even = elementwise_.in_register(element(pair.even->expression->in[0], row, vector)), odd = elementwise_.in_register(element(pair.odd->expression->in[0], row, vector));
    const bool past = pair.even->expression->past_caches && pair.odd->expression->past_caches && t.mask == kNoReg;
    streams_ |= past;
    for (std::int64_t half = 0; half < 2; ++half) {
      const VReg from = half == 0 ? pair_tables_->first : pair_tables_->second;
      Instruction i = half_of_pair(past ? VOp::store_stream : VOp::store, *pair.even, t, row, vector, half);
      i.src[0] = reg(alternating(from, even, odd));
      b_.append(i);
    }
  }

  // ---- loads whose lanes are one element, or lie side by side, as the shapes of a call say ----

  /// For a factor of the lane variable that is 0 or 1.
  struct Either {
    VReg factor, lanes, mask;  ///< lanes that are read, where the whole vector is computed
    VReg indices;              ///< 0, 1, 2, ..., or 0, 0, 0, ...: where each lane finds what was read
  };

  /// In front of a lane loop.
  void prepare_either(const Loop& loop) {
    either_.clear();
    for (const Loop::Version& v : loop.versions)
      linear::for_each_expression(v.body, [&](const Expression& e) {
        if (e.op != Op::load || linear::access_mode(e, loop.var) != AccessMode::either) return;
        const Expr factor = *e.index.coefficient(loop.var);
        if (either_.count(factor) != 0) return;
        Either either;
        either.factor = prologue_.parameter(factor);
        either.lanes = prologue_.parameter(1 + factor * (target_.lanes() - 1));
        either.mask = first_lanes(either.lanes);
        const VReg all_or_nothing = b_.op(VOp::splat64, {reg(prologue_.parameter(0 - factor))});
        either.indices = b_.op(VOp::and_bits, {reg(b_.op(VOp::iota, {})), reg(all_or_nothing)});
        either_[factor] = either;
      });
  }

  /// What is there is read and no more; a permutation spreads it.
  void load_either(const Step& s, const Tile& t, std::int64_t row, std::int64_t vector) {
    const Expression& e = *s.expression;
    const Either& either = either_.at(step_of(e, t.lane_variable));
    VReg base = s.base;
    std::int64_t displacement = s.displacement;
    if (row > 0) {
      Instruction address = access(VOp::lea64, row_address(base, displacement, row, s.row_stride));
      address.dst = base = b_.general();
      displacement = 0;
      b_.append(address);
    }
    Instruction i = access(is_boolean(e) ? VOp::load_bool : VOp::load, row_address(base, displacement, vector, s.lane_stride * target_.lanes()));
    i.count = either.lanes, i.mask = either.mask;
    if (t.count != kNoReg) {
      const VReg others = b_.op(VOp::sub64, {reg(t.count), immediate(1)});
      i.count = b_.op(VOp::add64, {reg(b_.op(VOp::mul64, {reg(others), reg(either.factor)})), immediate(1)});
      i.mask = first_lanes(i.count);
    }
    i.dst = b_.vector();
    b_.append(i);
    slot(e.out, row, vector) = b_.op(VOp::lookup16, {reg(either.indices), reg(i.dst)});
  }

  /// One instruction for each line of the cache.
  void emit_prefetch(const Step& s, const Tile& t, std::int64_t row, std::int64_t vector) {
    if (s.expression->once && row > 0) return;
    if (s.mode == AccessMode::across) return prefetch_across(s, t, row, vector);
    if (vector * target_.vector_bytes % kCacheLine != 0) return;
    Instruction i = element_access(s, t, row, vector, VOp::prefetch, VOp::prefetch, VOp::prefetch);
    i.mask = i.count = kNoReg;
    i.imm = s.expression->second_level ? 1 : 0;
    b_.append(i);
  }

  /// Into the nearest cache for whole tiles; lane by lane it would cost more than it saves. A tile may begin in the middle of
  /// lines, which the one in front has asked for: the last of its rows counts.
  void prefetch_across(const Step& s, const Tile& t, std::int64_t row, std::int64_t vector) {
    const bool second_level = s.expression->second_level;
    if (row > 0 || !s.transposed || (t.rows < target_.lanes() && !second_level)) return;
    const std::int64_t last_row = (t.rows - 1) * element_bytes(s.expression->memory);
    for_each_lane(s, t, vector, [&](std::int64_t, Memory mem) {
      mem.displacement += static_cast<std::int32_t>(last_row);
      Instruction i = access(VOp::prefetch, mem);
      i.imm = second_level ? 1 : 0;
      b_.append(i);
    });
  }

  /// The access of one element of the tile, as what its lanes make of it.
  Instruction element_access(const Step& s, const Tile& t, std::int64_t row, std::int64_t vector, VOp splat, VOp whole,
                             VOp lane_by_lane) {
    switch (s.mode) {
      case AccessMode::splat: return access(splat, row_address(s.base, s.displacement, row, s.row_stride));
      case AccessMode::vector: {
        const MemoryId memory = s.expression->memory;
        Instruction i = access(whole, row_address(s.base, s.displacement + vector * target_.lanes() * element_bytes(memory), row, s.row_stride));
        predicate(i, t, memory);
        return i;
      }
      case AccessMode::either:
      case AccessMode::across: break;
    }
    return strided(s, t, row, vector, lane_by_lane);
  }

  /// Of what lies across memory: where this vector's first lane is, up to the displacement.
  VReg start_of_vector(const Step& s, std::int64_t vector) {
    if (vector == 0) return s.base;
    return b_.op(VOp::add64, {reg(s.base), prologue_.parameter_operand(s.lane_stride * (vector * target_.lanes()))});
  }

  /// Lane by lane, a stride apart.
  Instruction strided(const Step& s, const Tile& t, std::int64_t row, std::int64_t vector, VOp op) {
    Instruction i = access(op, row_address(start_of_vector(s, vector), s.displacement, row, s.row_stride));
    i.stride = prologue_.parameter(s.lane_stride);
    const bool all_lanes = t.count == kNoReg && (op == VOp::load_strided || op == VOp::store_strided);
    i.count = t.count == kNoReg && !all_lanes ? prologue_.parameter(target_.lanes()) : t.count;
    i.temps = {b_.general(), b_.vector()};
    i.temp_count = 2;
    return i;
  }

  void emit_store(const Step& s, const Tile& t, std::int64_t row, std::int64_t vector) {
    if (s.transposed) {
      if (row == t.rows - 1) store_transposed(s, t, vector);
      return;
    }
    const Expression& e = *s.expression;
    if (values_[e.in[0]].packed) {
      if (row == 0) store_packed(s, t);
      return;
    }
    const VReg value = elementwise_.in_register(element(e.in[0], row, vector));
    const VOp whole = e.past_caches && t.mask == kNoReg ? VOp::store_stream : VOp::store;
    streams_ |= whole == VOp::store_stream;
    // Where all lanes are the same one is stored.
    Instruction i = is_boolean(e) ? element_access(s, t, row, vector, VOp::store_bool, VOp::store_bool, VOp::store_bool_strided)
                                  : element_access(s, t, row, vector, VOp::store_first, whole, VOp::store_strided);
    if (s.mode == AccessMode::splat && is_boolean(e)) {
      i.count = prologue_.parameter(1);
      i.mask = first_lanes(i.count);
    }
    i.src[0] = reg(value);
    b_.append(i);
  }

  /// The rows of a tile, which lie side by side.
  void store_packed(const Step& s, const Tile& t) {
    Instruction i = access(VOp::store, {s.base, kNoReg, 1, static_cast<std::int32_t>(s.displacement)});
    i.src[0] = reg(slot(s.expression->in[0], 0, 0));
    if (t.rows < target_.lanes()) {
      i.count = prologue_.parameter(t.rows);
      i.mask = first_lanes(i.count);
    }
    b_.append(i);
  }

  /// Goes from lane to lane of a tile in memory.
  struct LaneCursor {
    VReg group = kNoReg;             ///< where the lanes start whose addresses are computed from one pointer
    VReg last = kNoReg, bytes = kNoReg;  ///< where not all lanes are on: the last that is, and the stride
    std::int64_t lane = 0;           ///< the next one
  };

  LaneCursor first_lane(const Step& s, const Tile& t, std::int64_t vector) {
    LaneCursor c;
    c.group = start_of_vector(s, vector);
    if (t.count == kNoReg) return c;
    c.last = b_.op(VOp::sub64, {reg(t.count), immediate(1)});
    c.bytes = prologue_.parameter(s.lane_stride);
    return c;
  }

  /// The address of the next lane, a vector along the rows' axis. Lanes that are off repeat the last that is on: never
  /// outside of the tensor.
  Memory next_lane(const Step& s, LaneCursor& c) {
    constexpr std::int64_t kLanesPerPointer = 4;
    const std::int64_t lane = c.lane++;
    if (c.last != kNoReg) {
      const VReg on = b_.op(VOp::min64, {reg(c.last), immediate(lane)});
      const VReg offset = b_.op(VOp::mul64, {reg(on), reg(c.bytes)});
      return {c.group, offset, 1, static_cast<std::int32_t>(s.displacement)};
    }
    if (lane > 0 && lane % kLanesPerPointer == 0)
      c.group = b_.op(VOp::add64, {reg(c.group), prologue_.parameter_operand(s.lane_stride * kLanesPerPointer)});
    return row_address(c.group, s.displacement, lane % kLanesPerPointer, s.lane_stride);
  }

  template <typename F>
  void for_each_lane(const Step& s, const Tile& t, std::int64_t vector, F&& f) {
    LaneCursor cursor = first_lane(s, t, vector);
    for (std::int64_t l = 0; l < target_.lanes(); ++l) f(l, next_lane(s, cursor));
  }

  bool is_square(const Tile& t) const { return t.rows == target_.lanes(); }

  /// The vectors of a tile in memory, one after the other: one for each lane of a square one; otherwise four, block b of vector
  /// g has the rows of lane 4 * b + g.
  class TileReader {
   public:
    TileReader(PhaseEmitter& emitter, const Step& s, const Tile& t, std::int64_t vector) : emitter_(emitter), s_(s), t_(t), vector_(vector) {
      if (emitter.is_square(t))
        cursor_ = emitter.first_lane(s, t, vector);
      else
        mask_ = emitter.mask_of_quads(s, t);
    }

    VReg next() {
      const bool boolean = emitter_.is_boolean(*s_.expression);
      Instruction i;
      if (emitter_.is_square(t_)) {
        i = emitter_.access(boolean ? VOp::load_bool : VOp::load, emitter_.next_lane(s_, cursor_));
      } else {
        i = emitter_.quads(s_, t_, vector_, cursor_.lane++, boolean ? VOp::load_bool_quads : VOp::load_quads);
        i.mask = mask_;
      }
      i.dst = emitter_.b_.vector();
      emitter_.b_.append(i);
      return i.dst;
    }

   private:
    PhaseEmitter& emitter_;
    const Step& s_;
    const Tile& t_;
    std::int64_t vector_;
    LaneCursor cursor_;
    VReg mask_ = kNoReg;
  };

  std::int64_t vectors_in_memory(const Tile& t) const { return is_square(t) ? target_.lanes() : kQuad; }

  std::vector<VReg> transpose(std::vector<VReg> tile, const Tile& t) {
    return is_square(t) ? emit_transpose(b_, std::move(tile), target_) : emit_transpose_in_blocks(b_, std::move(tile));
  }

  void transpose_into(ValueId v, std::vector<VReg> tile, const Tile& t, std::int64_t vector) {
    tile = transpose(std::move(tile), t);
    for (std::int64_t r = 0; r < t.rows; ++r) slot(v, r, vector) = tile[static_cast<std::size_t>(r)];
  }

  void load_transposed(const Step& s, const Tile& t, std::int64_t vector) {
    TileReader reader(*this, s, t, vector);
    std::vector<VReg> tile;
    for (std::int64_t k = 0; k < vectors_in_memory(t); ++k) tile.push_back(reader.next());
    transpose_into(s.expression->out, std::move(tile), t, vector);
  }

  void store_transposed(const Step& s, const Tile& t, std::int64_t vector) {
    std::vector<VReg> tile;
    for (std::int64_t r = 0; r < t.rows; ++r) tile.push_back(elementwise_.in_register(element(s.expression->in[0], r, vector)));
    tile.resize(static_cast<std::size_t>(vectors_in_memory(t)), tile.front());
    tile = transpose(std::move(tile), t);
    is_square(t) ? store_square(s, t, vector, tile) : store_quads(s, t, vector, tile);
  }

  void store_square(const Step& s, const Tile& t, std::int64_t vector, const std::vector<VReg>& tile) {
    const std::uint32_t done = b_.new_label();
    for_each_lane(s, t, vector, [&](std::int64_t lane, const Memory& mem) {
      if (t.count != kNoReg) b_.jump_if(Cond::le, t.count, immediate(lane), done);
      Instruction i = access(is_boolean(*s.expression) ? VOp::store_bool : VOp::store, mem);
      i.src[0] = reg(tile[static_cast<std::size_t>(lane)]);
      b_.append(i);
    });
    b_.label(done);
  }

  // ---- what is computed of tiles alike, before they are transposed: x + y needs one transpose instead of two ----

  /// Trees of element-wise expressions with transposed loads as leaves. Each has several leaves, and nobody else reads what is
  /// inside of it.
  void find_early(std::vector<Step>& steps, const Tile& t) {
    std::map<ValueId, std::vector<Step*>> trees;  // by the value of the root
    const auto take = [&](Step& root, std::vector<Step*> tree) {
      tree.push_back(&root);
      trees[root.expression->out] = std::move(tree);
    };
    for (Step& s : steps) {
      const Expression& e = *s.expression;
      if (s.transposed && e.op == Op::load && ir_.memory[e.memory].kind == linear::Memory::Kind::input && pairs_.count(&e) == 0) {
        take(s, {});
        continue;
      }
      if (info(e.op).kind != linear::OpClass::value || linear::is_integer(e.op)) continue;
      std::vector<Step*> tree;
      const bool is_early = std::ranges::all_of(e.in, [&](ValueId v) {
        const auto operand = trees.find(v);
        if (operand == trees.end()) return !spans_rows(v, t) && !spans_lanes(v, t);
        tree.insert(tree.end(), operand->second.begin(), operand->second.end());
        return readers_.at(v).size() == writers_.at(v);  // one in each version of a loop
      });
      if (!is_early || tree.empty()) continue;
      for (const ValueId v : e.in) trees.erase(v);
      take(s, std::move(tree));
    }
    early_.clear();
    for (const auto& [root, tree] : trees) {
      if (std::ranges::count_if(tree, [](const Step* s) { return s->expression->op == Op::load; }) < 2) continue;
      for (Step* s : tree) {
        s->early = true;
        early_[s->expression->out] = s;
        s->transposed = s->expression->out == root;
      }
    }
  }

  std::vector<VReg> early_tile(ValueId root, const Tile& t, std::int64_t vector) {
    std::map<ValueId, TileReader> readers;
    std::vector<VReg> tile;
    for (std::int64_t k = 0; k < vectors_in_memory(t); ++k) tile.push_back(early_vector(root, t, vector, readers));
    return tile;
  }

  VReg early_vector(ValueId v, const Tile& t, std::int64_t vector, std::map<ValueId, TileReader>& readers) {
    const Step& s = *early_.at(v);
    const Expression& e = *s.expression;
    b_.set_origin(origin_of(e));
    if (e.op == Op::load) return readers.try_emplace(v, *this, s, t, vector).first->second.next();
    std::vector<Element> in;
    for (const ValueId operand : e.in)
      in.push_back(early_.count(operand) != 0 ? Element{early_vector(operand, t, vector, readers), std::nullopt} : element(operand, 0, 0));
    b_.set_origin(origin_of(e));
    return elementwise_.emit(e, in);
  }

  void store_quads(const Step& s, const Tile& t, std::int64_t vector, const std::vector<VReg>& tile) {
    const VReg mask = mask_of_quads(s, t);
    for (std::int64_t g = 0; g < kQuad; ++g) {
      Instruction i = quads(s, t, vector, g, is_boolean(*s.expression) ? VOp::store_bool_quads : VOp::store_quads);
      i.mask = mask;
      i.src[0] = reg(tile[static_cast<std::size_t>(g)]);
      b_.append(i);
    }
  }

  VReg mask_of_quads(const Step& s, const Tile& t) {
    const bool masked = t.rows < kQuad && target_.mask_registers > 0 && !is_boolean(*s.expression);
    return masked ? first_lanes(prologue_.parameter(t.rows)) : kNoReg;
  }

  Instruction quads(const Step& s, const Tile& t, std::int64_t vector, std::int64_t first_lane, VOp op) {
    Instruction i = access(op, row_address(start_of_vector(s, vector), s.displacement, first_lane, s.lane_stride));
    i.imm = t.rows;
    i.stride = prologue_.parameter(s.lane_stride * kQuad);
    if (t.count != kNoReg) i.count = b_.op(VOp::sub64, {reg(t.count), immediate(first_lane)});
    i.temps = {b_.general(), b_.vector()};
    i.temp_count = 2;
    return i;
  }

  // ---- clean-up ----

  /// Loop variables, pointers and constants that nobody reads.
  void remove_dead_code() {
    auto& code = program_.code;
    for (bool changed = true; changed;) {
      std::vector<std::uint32_t> reads(program_.registers.size(), 0);
      for (Instruction& i : code)
        for_each_register(i, [&](VReg r, bool read, bool) {
          if (read && r != i.dst) ++reads[r];
        });
      const std::size_t before = code.size();
      std::erase_if(code, [&](const Instruction& i) {
        const VOpInfo& op = info(i.op);
        return i.dst != kNoReg && i.op != VOp::arguments && !op.control && !op.stores && reads[i.dst] == 0;
      });
      changed = code.size() != before;
    }
  }

  const LinearIR& ir_;
  const TargetInfo& target_;
  Program program_;
  VBuilder b_;
  Prologue prologue_;
  IndexArithmetic index_;
  ElementwiseEmitter elementwise_;
  const std::vector<std::set<std::string>>& varies_;  ///< linear::dependences
  const std::set<ValueId>& words_;                    ///< linear::words_of
  std::map<ValueId, std::vector<const Expression*>> readers_;
  std::map<ValueId, std::size_t> writers_;
  std::set<ValueId> updated_;
  std::set<ValueId> numbers_;  ///< running maxima that may lose a NaN
  bool streams_ = false;  ///< something is written past the caches
  std::vector<ValueRegisters> values_;  ///< by ValueId
  std::map<const Loop*, std::set<PointerKey>> required_;  ///< inside of a loop
  std::map<const Expression*, Pair> pairs_;  ///< of the segment that is being emitted
  std::map<ValueId, const Step*> early_;     ///< the same: what each value comes from that is computed before a transpose
  std::optional<PairTables> pair_tables_;    ///< of the lane loop
  std::map<Expr, SegmentTables> segments_;  ///< by length
  std::map<Expr, Either> either_;  ///< of the lane loop that is being emitted
  std::map<const Expression*, std::uint32_t> origins_;
};

}  // namespace

std::vector<PhaseCode> lower_to_vcode(const LinearIR& ir, const TargetInfo& target, Tape& tape) {
  for (const auto& [name, e] : ir.definitions) tape.define(name, e);
  const std::vector<std::set<std::string>> varies = linear::dependences(ir);
  const std::set<ValueId> words = linear::words_of(ir);
  std::vector<PhaseCode> phases;
  for (const Item& item : ir.phases) {
    if (!item.is_loop() || !item.loop->parallel) throw Error("a phase is a nest of parallel loops");
    phases.push_back(PhaseEmitter(ir, varies, words, target, tape).run(*item.loop));
  }
  return phases;
}

}  // namespace burin::codegen
