#include "codegen/lower_to_vcode.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <span>
#include <tuple>

#include "burin/error.h"
#include "codegen/addresses.h"
#include "codegen/early_tiles.h"
#include "codegen/either_loads.h"
#include "codegen/element_pairs.h"
#include "codegen/expression_emitter.h"
#include "codegen/hoist_loop_constants.h"
#include "codegen/index_values.h"
#include "codegen/interleave.h"
#include "codegen/origins.h"
#include "codegen/required_pointers.h"
#include "codegen/segment_folds.h"
#include "codegen/tile.h"
#include "codegen/tile_access.h"
#include "codegen/tile_values.h"
#include "codegen/transposed_tiles.h"
#include "codegen/value_facts.h"
#include "linear/analysis.h"

namespace burin::codegen {
namespace {

using linear::AccessMode;
using linear::Block;
using linear::Expression;
using linear::Item;
using linear::LinearIR;
using linear::Loop;
using linear::Op;
using linear::ValueId;

constexpr std::int64_t kLoopAlignment = 32;

/// Emits one phase: its loops, and the straight-line segments inside of them, element by element of a tile. What one kind of
/// expression or access needs is in a class of its own.
class PhaseEmitter {
 public:
  PhaseEmitter(const LinearIR& ir, const ValueFacts& facts, const TargetInfo& target, Tape& tape, bool with_origins)
      : ir_(ir),
        facts_(facts),
        target_(target),
        b_(program_),
        prologue_(b_, ir, tape),
        index_(b_, prologue_),
        elementwise_(b_, target),
        origins_(ir, program_, with_origins),
        values_(facts),
        access_(b_, prologue_, ir, target),
        index_values_(b_, index_, values_, target),
        segments_(b_, prologue_, values_, elementwise_, target),
        either_(b_, prologue_, access_, target),
        pairs_(b_, prologue_, access_, values_, elementwise_, target),
        transposed_(b_, prologue_, access_, values_, elementwise_, target),
        early_(b_, ir, facts, values_, transposed_, elementwise_, origins_) {}

  PhaseCode run(const Loop& phase) {
    PhaseCode out;
    emit_phase(phase, out);
    if (writes_past_caches()) b_.append({VOp::fence});
    b_.append({VOp::ret});
    prologue_.finish();
    remove_dead_code();
    hoist_loop_constants(program_);
    out.program = std::move(program_);
    return out;
  }

 private:
  /// Whether the phase writes anything past the caches.
  bool writes_past_caches() const {
    return std::ranges::any_of(program_.code, [](const Instruction& i) { return i.op == VOp::store_stream; });
  }

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
    segments_.prepare(phase);
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
    for (const PointerKey& key : required_.by(body)) pointers[key] = address(key);
    emit_block(body, Tile{}, pointers);
  }

  VReg address(const PointerKey& key) {
    const VReg base = prologue_.base(key.first);
    if (key.second == Expr(0)) return b_.op(VOp::mov64, {reg(base)});
    const Operand offset = index_.operand(key.second * access_.element_bytes(key.first));
    return b_.op(VOp::add64, {reg(base), offset});
  }

  // ---- pointers ----

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
    for (const PointerKey& key : required_.inside(loop)) {
      if (!key.second.uses(loop.var) || RequiredPointers::is_made_anew(loop, key)) continue;
      const auto coefficient = key.second.coefficient(loop.var);
      if (!coefficient || linear::uses_loop_variable(*coefficient))
        throw Error(fmt::format("index {} is not linear in {}", key.second.to_string(), loop.var));
      const auto [start, constant] = split_constant(key.second.substitute({{loop.var, loop.begin}}));
      const Operand offset = prologue_.parameter_operand(Expr(constant) * access_.element_bytes(key.first));
      const VReg from = pointer(outer_pointers, {key.first, start});
      const VReg p = constant == 0 ? b_.op(VOp::mov64, {reg(from)}) : b_.op(VOp::add64, {reg(from), offset});
      pointers[key] = p;
      moving.push_back({p, *coefficient * access_.element_bytes(key.first)});
    }
    const VReg variable = b_.op(VOp::mov64, {reg(index_.evaluate(loop.begin))});
    index_.set_variable(loop.var, variable);
    if (loop.lanes) {
      either_.prepare(loop);
      pairs_.prepare(loop);
    }
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
    for (const PointerKey& key : required_.inside(loop))
      if (RequiredPointers::is_made_anew(loop, key)) pointers[key] = address(key);
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
    const ValueRegisters& value = values_[condition.value];
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
    tile.mask = access_.first_lanes(tile.count);
    return tile;
  }

  // ---- straight-line segments, element by element ----

  Step step_for(const Expression& e, const Tile& t, const Pointers& pointers) {
    Step s;
    s.expression = &e;
    for (const ValueId v : e.in) s.rows |= values_.spans_rows(v, t), s.lanes |= values_.spans_lanes(v, t);
    if (linear::is_memory(e) || linear::is_integer(e.op)) {
      s.rows |= t.rows > 1 && e.index.uses(t.row_variable);
      s.lanes |= !t.lane_variable.empty() && e.index.uses(t.lane_variable);
    }
    if (!linear::is_memory(e)) return s;
    s.mode = linear::access_mode(e, t.lane_variable);
    std::tie(s.base, s.displacement) = start_of(e, pointers);
    const Expr row = step_of(e, t.rows > 1 ? t.row_variable : "");
    s.row_stride = row * access_.element_bytes(e.memory);
    s.lane_stride = step_of(e, t.lane_variable) * access_.element_bytes(e.memory);
    s.transposed = transposed_.can_hold(t) && s.mode == AccessMode::across && row == Expr(1);
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
    pairs_.find(block, begin, steps, tile);
    early_.find(steps, tile);
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
      if (e.over.empty() && facts_.updated.count(e.out) == 0) {
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
      if (values_.spans_rows(e.out, t)) r.rows = t.rows;
      if (values_.spans_lanes(e.out, t)) r.vectors = t.vectors, r.lanes = true;
      r.packed = is_packed(e, t);
      if (r.packed) r.rows = 1;
    }
    r.inside_lanes = !t.lane_variable.empty();
    r.registers.assign(static_cast<std::size_t>(r.rows * r.vectors), kNoReg);
    values_[e.out] = std::move(r);
  }

  void emit_element(const Step& s, const Tile& t, std::int64_t row, std::int64_t vector) {
    const Expression& e = *s.expression;
    b_.set_origin(origins_.of(e));
    if (e.op == Op::fill) return emit_fill(e, row, vector);
    if ((row > 0 && (!s.rows || computes_packed(e))) || (vector > 0 && !s.lanes)) return;
    if (s.paired) return pairs_.emit(s, t, row, vector);
    if (s.early) {
      if (row == 0 && s.transposed) early_.emit(s, t, vector);
      return;
    }
    if (e.op == Op::load) return emit_load(s, t, row, vector);
    if (e.op == Op::store) return emit_store(s, t, row, vector);
    if (e.op == Op::integer_i32) return index_values_.emit_word(e, t, row, vector);
    if (e.op == Op::integer) return index_values_.emit_float(e, t, row, vector);
    if (e.op == Op::prefetch) return emit_prefetch(s, t, row, vector);
    if (info(e.op).kind == linear::OpClass::lanes) return emit_fold(e, t, row);
    if (info(e.op).kind == linear::OpClass::segments) {
      if (row == 0) segments_.emit(e, t);
      return;
    }
    std::vector<Element> in;
    const bool update = info(e.op).kind == linear::OpClass::update;
    for (std::size_t i = update ? 1 : 0; i < e.in.size(); ++i) in.push_back(values_.element(e.in[i], row, vector));
    if (update) {
      // A value that is folded over the lanes later must not take in lanes that are off.
      const bool folds = t.mask != kNoReg && values_[e.out].lanes && !values_[e.out].inside_lanes;
      elementwise_.update(e.op, values_.slot(e.out, row, vector), in, folds ? t.mask : kNoReg);
    } else {
      values_.slot(e.out, row, vector) = elementwise_.emit(e, in);
    }
  }

  /// Emitted for all its elements at once, when the segment comes to its first.
  void emit_fill(const Expression& e, std::int64_t row, std::int64_t vector) {
    ValueRegisters& r = values_[e.out];
    if (row != 0 || vector != 0 || r.constant) return;
    for (VReg& x : r.registers)
      x = facts_.words.count(e.out) != 0 ? b_.op(VOp::constant, {}, static_cast<std::int32_t>(e.imm)) : b_.constant_vector(static_cast<float>(e.imm));
  }

  void emit_fold(const Expression& e, const Tile& t, std::int64_t row) {
    if (!values_[e.out].packed) {
      values_.slot(e.out, row, 0) = elementwise_.fold_lanes(fold_of(e), all_vectors(e, row));
    } else if (row == 0) {
      std::vector<VReg> rows;
      for (std::int64_t r = 0; r < t.rows; ++r) rows.push_back(all_vectors(e, r));
      values_.slot(e.out, 0, 0) = elementwise_.fold_lanes_of_rows(fold_of(e), std::move(rows));
    }
  }

  /// Of what may have lost a NaN already the fold may, too.
  Op fold_of(const Expression& e) const { return facts_.numbers.contains(e.in[0]) ? Op::update_max_number : e.op; }

  /// Those of the operand's row, folded into one.
  VReg all_vectors(const Expression& e, std::int64_t row) {
    const ValueRegisters& r = values_[e.in[0]];
    if (r.constant) return b_.constant_vector(*r.constant);
    VReg x = values_.slot(e.in[0], row, 0);
    for (std::int64_t v = 1; v < r.vectors; ++v) x = elementwise_.combine(fold_of(e), x, values_.slot(e.in[0], row, v));
    return x;
  }

  /// Whether folds of several rows share their shuffles: if rows are a power of two, and only stored, side by side. What is
  /// computed of them before is computed for all rows at once.
  bool is_packed(const Expression& e, const Tile& t) const {
    constexpr std::int64_t kFewest = 4;
    const linear::OpClass kind = info(e.op).kind;
    if (kind == linear::OpClass::value) return std::ranges::any_of(e.in, [&](ValueId v) { return values_[v].packed; });
    if (kind != linear::OpClass::lanes || !values_.spans_rows(e.out, t) || t.rows < kFewest) return false;
    if (t.rows > target_.lanes() || (t.rows & (t.rows - 1)) != 0) return false;
    return is_used_packed(e.out, t);
  }

  bool is_used_packed(ValueId v, const Tile& t) const {
    const auto readers = facts_.readers.find(v);
    return readers != facts_.readers.end() && std::ranges::all_of(readers->second, [&](const Expression* reader) {
      if (reader->op == Op::store) return !access_.is_boolean(*reader) && step_of(*reader, t.row_variable) == Expr(1);
      return info(reader->op).kind == linear::OpClass::value && facts_.varies[reader->out] == facts_.varies[v] &&
             std::ranges::all_of(reader->in, [&](ValueId other) { return other == v || !values_.spans_rows(other, t); }) &&
             is_used_packed(reader->out, t);
    });
  }

  bool computes_packed(const Expression& e) const {
    return info(e.op).kind == linear::OpClass::value && e.out != linear::kNone && values_[e.out].packed;
  }

  // ---- memory ----

  /// The base pointer of an access and its constant displacement in bytes.
  std::pair<VReg, std::int64_t> start_of(const Expression& e, const Pointers& pointers) {
    const auto [index, constant] = split_constant(e.index);
    const std::int64_t displacement = constant * access_.element_bytes(e.memory);
    const VReg base = pointer(pointers, {e.memory, index});
    if (fits_immediate(displacement)) return {base, displacement};
    return {b_.op(VOp::add64, {reg(base), reg(prologue_.parameter(displacement))}), 0};
  }

  void emit_load(const Step& s, const Tile& t, std::int64_t row, std::int64_t vector) {
    if (s.transposed) {
      if (row == 0) transposed_.load(s, t, vector);
      return;
    }
    const Expression& e = *s.expression;
    if (s.mode == AccessMode::either) {
      values_.slot(e.out, row, vector) = either_.load(s, t, row, vector);
      return;
    }
    Instruction i = access_.is_boolean(e) ? access_.element(s, t, row, vector, VOp::load_bool_splat, VOp::load_bool, VOp::load_bool_strided)
                                          : access_.element(s, t, row, vector, VOp::load_splat, VOp::load, VOp::load_strided);
    i.dst = values_.slot(e.out, row, vector) = b_.vector();
    b_.append(i);
  }

  /// One instruction for each line of the cache.
  void emit_prefetch(const Step& s, const Tile& t, std::int64_t row, std::int64_t vector) {
    if (s.expression->once && row > 0) return;
    if (s.mode == AccessMode::across) {
      if (row == 0 && s.transposed) transposed_.prefetch(s, t, vector);
      return;
    }
    if (vector * target_.vector_bytes % kCacheLine != 0) return;
    Instruction i = access_.element(s, t, row, vector, VOp::prefetch, VOp::prefetch, VOp::prefetch);
    i.mask = i.count = kNoReg;
    i.imm = s.expression->second_level ? 1 : 0;
    b_.append(i);
  }

  void emit_store(const Step& s, const Tile& t, std::int64_t row, std::int64_t vector) {
    if (s.transposed) {
      if (row == t.rows - 1) transposed_.store(s, t, vector);
      return;
    }
    const Expression& e = *s.expression;
    if (values_[e.in[0]].packed) {
      if (row == 0) store_packed(s, t);
      return;
    }
    const VReg value = elementwise_.in_register(values_.element(e.in[0], row, vector));
    const VOp whole = e.past_caches && t.mask == kNoReg ? VOp::store_stream : VOp::store;
    // Where all lanes are the same one is stored.
    Instruction i = access_.is_boolean(e) ? access_.element(s, t, row, vector, VOp::store_bool, VOp::store_bool, VOp::store_bool_strided)
                                          : access_.element(s, t, row, vector, VOp::store_first, whole, VOp::store_strided);
    if (s.mode == AccessMode::splat && access_.is_boolean(e)) {
      i.count = prologue_.parameter(1);
      i.mask = access_.first_lanes(i.count);
    }
    i.src[0] = reg(value);
    b_.append(i);
  }

  /// The rows of a tile, which lie side by side.
  void store_packed(const Step& s, const Tile& t) {
    Instruction i = access(VOp::store, {s.base, kNoReg, 1, static_cast<std::int32_t>(s.displacement)});
    i.src[0] = reg(values_.slot(s.expression->in[0], 0, 0));
    if (t.rows < target_.lanes()) {
      i.count = prologue_.parameter(t.rows);
      i.mask = access_.first_lanes(i.count);
    }
    b_.append(i);
  }

  // ---- clean-up ----

  /// Loop variables, pointers and constants that nobody reads.
  void remove_dead_code() {
    auto& code = program_.code;
    std::vector<std::uint32_t> reads(program_.registers.size(), 0);
    const auto count = [&reads](Instruction& i, std::uint32_t by) {
      for_each_register(i, [&](VReg r, bool read, bool) {
        if (read && r != i.dst) reads[r] += by;
      });
    };
    for (Instruction& i : code) count(i, 1);
    const auto is_dead = [&reads](const Instruction& i) {
      const VOpInfo& op = info(i.op);
      return i.dst != kNoReg && i.op != VOp::arguments && !op.control && !op.stores && reads[i.dst] == 0;
    };
    std::vector<bool> dead(code.size(), false);
    for (bool changed = true; changed;) {  // once for chains, once more for what a loop carries
      changed = false;
      for (std::size_t at = code.size(); at-- > 0;) {
        if (dead[at] || !is_dead(code[at])) continue;
        dead[at] = changed = true;
        count(code[at], -1U);
      }
    }
    std::size_t kept = 0;
    for (std::size_t at = 0; at < code.size(); ++at)
      if (!dead[at]) code[kept++] = code[at];
    code.resize(kept);
  }

  const LinearIR& ir_;
  const ValueFacts& facts_;
  const TargetInfo& target_;
  Program program_;
  VBuilder b_;
  Prologue prologue_;
  IndexArithmetic index_;
  ElementwiseEmitter elementwise_;
  Origins origins_;
  TileValues values_;
  TileAccess access_;
  IndexValues index_values_;
  SegmentFolds segments_;
  EitherLoads either_;
  ElementPairs pairs_;
  TransposedTiles transposed_;
  EarlyTiles early_;
  RequiredPointers required_;
};

}  // namespace

std::vector<PhaseCode> lower_to_vcode(const LinearIR& ir, const TargetInfo& target, Tape& tape, bool with_origins) {
  for (const auto& [name, e] : ir.definitions) tape.define(name, e);
  const ValueFacts facts(ir);
  std::vector<PhaseCode> phases;
  for (const Item& item : ir.phases) {
    if (!item.is_loop() || !item.loop->parallel) throw Error("a phase is a nest of parallel loops");
    phases.push_back(PhaseEmitter(ir, facts, target, tape, with_origins).run(*item.loop));
  }
  return phases;
}

}  // namespace burin::codegen
