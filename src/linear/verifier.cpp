// The invariants of Linear IR. verify() checks all but those marked (registers), which verify_registers() adds.
//
// Tables
//   - A definition is over symbols and earlier definitions.
//   - Names of symbols (and definitions), values and memories are unique; no symbol starts with '_'; lanes >= 1.
//   - Shapes, strides, sizes and offsets of scratch are over the kernel's symbols. A port has a stride for each
//     dimension; an input's innermost is 1, an output's are dense.
//   - A memory of kind input, output or constant names one that exists and has what its precision is in
//     memory; each output has one
//     memory, an input or constant at most one. What a memory is `otherwise` is an input or constant of its precision; only one of
//     kind call is.
//   - Each output is stored at least once.
// Loops
//   - The variable starts with '_' and no enclosing loop has it. begin and end are over symbols and variables of
//     enclosing loops, not over those of tiles.
//   - There is a version. Steps are positive and strictly descend, save that one may stand twice, whole and partial; only
//     the last may be partial, in lane loops those, too, that lack a part of one vector at the most. The last leaves no
//     element: it is partial, or of step 1, or its step divides the extent (and those of the wider ones), or a partial one
//     has left none.
//   - A lane loop's steps are multiples of the target's lanes; the last may be 1, elements one by one (before tiling, and
//     the tail where a target has no masks). No two lane loops enclose one another.
//   - A brgemm loop is a lane loop that stands in the body of a parallel loop and is one product of matrices in memory,
//     of the form that brgemm_nest.h shows.
//   - Parallel loops come outermost, have one version and are no lane loops; the body of one is another one and
//     nothing else, or has none. What follows at the top level is another phase.
//   - A round is of a parallel loop and over symbols. Of two phases the one with fewer loops that have a round comes
//     first; up to the last of these the phases' loops have the same bounds, steps and rounds.
//   - A loop with a condition has one version of step 1 and is neither parallel nor of lanes; its body itself, no loop
//     inside, holds what the condition reads.
// Expressions
//   - The operation has as many operands as its declaration says; ids exist. Loads, stores and prefetches have a memory
//     and an index, no other operation has a memory; inputs and constants are not stored to. Stores and prefetches have
//     no output, all others have. Only a store of an output goes past the caches.
//   - Indices are over symbols and variables of enclosing loops.
//   - A fill's `over` names, once each, loops that enclose it or that follow in its block, or loops inside of those;
//     none is a block loop (dependence.h).
//   - The tiles of an expression span one row loop and one lane loop at most.
//   - A store's index names the variable of each tile that its value varies over; so do operand 0 of an assign and
//     operand 1: no element is written twice.
//   - An update reads and writes one variable: operand 0 is the output. If it adds or multiplies, and a tile's loop
//     lies between it and what defined its variable, then the variable or another operand varies over that loop:
//     otherwise the result would depend on the loop's step.
//   - lanes_* folds something: its operand varies over a lane loop.
// Values
//   - What is read was written before on every path: in the same block or an enclosing one; or inside of an earlier
//     loop, whatever its version, if loops over the same variables enclose the use (a value that crosses loops; the
//     buffer-insertion pass ends that), or if the loop only blocks or has a condition and the value does not vary over
//     it (then it is what the last iteration made). A fill's variable is defined for all elements of the loops in `over`.
//   - No value crosses from one phase to another.
//   (registers)
//   - What is read was written in the same block or an enclosing one.
//   - No two tiled row loops enclose one another.
//   - A value defined in front of a tile's loop varies over that loop only if the loop runs once, or if it is a lane
//     loop in which the value is only updated: registers hold one tile.
//   - An update does not fold across lanes.

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "burin/error.h"
#include "linear/analysis.h"
#include "linear/brgemm_nest.h"
#include "linear/dependence.h"
#include "linear/linear_ir.h"
#include "linear/text.h"
#include "support/expr_node.h"

namespace burin::linear {
namespace {

bool is_scratch(const Memory& m) { return m.kind == Memory::Kind::worker || m.kind == Memory::Kind::call; }

bool is_accumulation(Op op) {
  return op == Op::update_sum || op == Op::update_prod || op == Op::update_fma || op == Op::update_sum_i32 || op == Op::update_prod_i32;
}

class Verifier {
 public:
  Verifier(const LinearIR& ir, bool registers) : ir_(ir), registers_(registers) {}

  void run() {
    names();
    ports(ir_.inputs, "input");
    ports(ir_.outputs, "output");
    memories();
    for_each_expression(ir_.phases, [this](const Expression& e) { form(e); });
    loop_forms(ir_.phases);
    rounds();
    dependence_.emplace(ir_);
    definitions_.resize(ir_.values.size());
    block(ir_.phases);
    for (std::size_t i = 0; i < ir_.memory.size(); ++i)
      if (ir_.memory[i].kind == Memory::Kind::output && !stored_.contains(static_cast<MemoryId>(i)))
        fail("output %{} is never stored", ir_.memory[i].name);
  }

 private:
  using Variable = Dependence::Variable;

  struct Enclosing {
    const Loop* loop;
    const Loop::Version* version;
  };

  /// A place where a value is written, as seen from the block that is being checked.
  struct Definition {
    std::vector<const Loop*> inside;  ///< loops that hold it and ended before; empty: it dominates
    std::size_t depth = 0;            ///< loops around it that still go on
    std::size_t phase = 0;
  };

  // ---- messages

  template <typename... A>
  [[noreturn]] void fail(fmt::format_string<A...> format, A&&... arguments) const {
    std::string where;
    for (const Enclosing& e : path_) where += (where.empty() ? ", in loop " : " > ") + e.loop->var;
    if (expression_ != nullptr) where += fmt::format(", in '{}'", to_string(*expression_, ir_));
    throw Error(fmt::format("Linear IR @{}{}: {}", ir_.name, where, fmt::format(format, std::forward<A>(arguments)...)));
  }

  std::string value(ValueId v) const { return "%" + ir_.values[v]; }
  const std::string& name(Variable v) const { return dependence_->variables()[v]; }

  // ---- tables

  void unique(const std::vector<std::string>& names, std::string_view one, std::string_view several) const {
    std::set<std::string> seen;
    for (const std::string& n : names) {
      if (n.empty()) fail("a {} has no name", one);
      if (!seen.insert(n).second) fail("two {} are called {}", several, n);
    }
  }

  void names() {
    if (ir_.lanes < 1) fail("lanes={}; expected at least 1", ir_.lanes);
    std::vector<std::string> symbols = ir_.symbols;
    for (const auto& definition : ir_.definitions) symbols.push_back(definition.first);
    unique(symbols, "symbol", "symbols");
    unique(ir_.values, "value", "values");
    std::vector<std::string> memory_names;
    for (const Memory& m : ir_.memory) memory_names.push_back(m.name);
    unique(memory_names, "memory", "memories");
    for (const std::string& s : symbols)
      if (s.starts_with('_')) fail("symbol {} starts with '_', as loop variables do", s);
    symbols_.insert(ir_.symbols.begin(), ir_.symbols.end());
    for (const auto& [name, e] : ir_.definitions) {
      over_symbols(e, "definition of " + name);
      symbols_.insert(name);
    }
  }

  void over_symbols(const Expr& e, const std::string& what) const {
    for (const std::string& s : e.symbols())
      if (!symbols_.contains(s)) fail("{}: {} names {}, which is no symbol of the kernel", what, e.to_string(), s);
  }

  void ports(const std::vector<Port>& ports, const std::string& kind) const {
    for (std::size_t i = 0; i < ports.size(); ++i) {
      const Port& p = ports[i];
      const std::string what = fmt::format("{} {} '{}'", kind, i, p.name);
      if (p.shape.size() != p.strides.size())
        fail("{} has {} dimensions and {} strides", what, p.shape.size(), p.strides.size());
      for (const Expr& e : p.shape) over_symbols(e, what);
      for (const Expr& e : p.strides) over_symbols(e, what);
      if (!p.strides.empty() && p.strides.back() != 1)
        fail("{}: the innermost stride is {}; expected 1", what, p.strides.back().to_string());
      if (kind == "output") dense(p, what);
    }
  }

  void dense(const Port& p, const std::string& what) const {
    for (std::size_t d = p.shape.size(); d-- > 1;) {
      const Expr expected = p.strides[d] * p.shape[d];
      if (!ir_.facts.proves_equal(p.strides[d - 1], expected))
        fail("{}: stride {} is {}; a dense one is {}", what, d - 1, p.strides[d - 1].to_string(), expected.to_string());
    }
  }

  /// The precision of the tensor that a memory stands for.
  std::optional<Precision> tensor_of(const Memory& m) const {
    switch (m.kind) {
      case Memory::Kind::input:
        if (m.index < ir_.inputs.size()) return ir_.inputs[m.index].precision;
        break;
      case Memory::Kind::output:
        if (m.index < ir_.outputs.size()) return ir_.outputs[m.index].precision;
        break;
      case Memory::Kind::constant:
        if (m.index < ir_.constants.size()) return ir_.constants[m.index].precision();
        break;
      default: break;
    }
    return std::nullopt;
  }

  void memories() const {
    std::set<std::pair<Memory::Kind, std::uint32_t>> seen;
    for (const Memory& m : ir_.memory) {
      if (is_scratch(m)) {
        over_symbols(m.elements, "%" + m.name);
        if (m.offset) over_symbols(*m.offset, "%" + m.name);
        alternative(m);
        continue;
      }
      const auto precision = tensor_of(m);
      if (!precision) fail("%{} stands for tensor {}, which does not exist", m.name, m.index);
      if (precision_in_memory(*precision) != m.precision)
        fail("%{} holds {}; its tensor holds {}", m.name, burin::to_string(m.precision), burin::to_string(*precision));
      if (!seen.emplace(m.kind, m.index).second) fail("%{} stands for a tensor that another memory stands for", m.name);
    }
    for (std::size_t i = 0; i < ir_.outputs.size(); ++i)
      if (!seen.contains({Memory::Kind::output, static_cast<std::uint32_t>(i)}))
        fail("output {} '{}' has no memory", i, ir_.outputs[i].name);
  }

  void alternative(const Memory& m) const {
    over_symbols(m.used, "%" + m.name);
    if (m.otherwise == kNone) return;
    if (m.kind != Memory::Kind::call) fail("%{} is scratch of a worker: nothing takes its place", m.name);
    const auto can_take_its_place = [&](const Memory& other) {
      return (other.kind == Memory::Kind::input || other.kind == Memory::Kind::constant) && other.precision == m.precision;
    };
    if (m.otherwise >= ir_.memory.size() || !can_take_its_place(ir_.memory[m.otherwise]))
      fail("%{}: an input or constant that holds {} takes its place, or nothing does", m.name, burin::to_string(m.precision));
  }

  // ---- what can be said of an expression alone

  void form(const Expression& e) {
    expression_ = &e;
    const OpInfo& op = info(e.op);
    for (const ValueId v : e.in)
      if (v >= ir_.values.size()) fail("an operand does not exist");
    if (e.out != kNone && e.out >= ir_.values.size()) fail("the output does not exist");
    const bool gives_value = e.op != Op::store && e.op != Op::prefetch;
    if ((e.out != kNone) != gives_value)
      fail("{}", gives_value ? "there is no output" : fmt::format("a {} has no output", op.text));
    if (e.in.size() != static_cast<std::size_t>(op.inputs))
      fail("{} takes {} operands, given {}", op.text, op.inputs, e.in.size());
    const bool has_memory = op.kind == OpClass::memory;
    if (has_memory != (e.memory != kNone)) fail("{} {} a memory", op.text, has_memory ? "needs" : "does not take");
    if (has_memory && e.memory >= ir_.memory.size()) fail("the memory does not exist");
    if (e.op == Op::store) {
      const Memory& m = ir_.memory[e.memory];
      if (m.kind == Memory::Kind::input || m.kind == Memory::Kind::constant) fail("%{} is read only", m.name);
      stored_.insert(e.memory);
    }
    if (!e.over.empty() && e.op != Op::fill) fail("only a fill has `over`");
    if (e.past_caches && (e.op != Op::store || ir_.memory[e.memory].kind != Memory::Kind::output))
      fail("only a store of an output goes past the caches");
    if (e.once && e.op != Op::prefetch) fail("only a prefetch is made once for a tile");
    if (e.second_level && e.op != Op::prefetch) fail("only a prefetch brings to the second level");
    if (op.kind == OpClass::update && e.out != e.in[0])
      fail("{} writes {} but reads {}: they must be one variable", op.text, value(e.out), value(e.in[0]));
    expression_ = nullptr;
  }

  // ---- loops

  static bool holds_parallel(const Block& block) {
    bool found = false;
    for_each_loop(block, [&](const Loop& loop) { found = found || loop.parallel; });
    return found;
  }

  void loop_forms(const Block& block) {
    for (const Item& item : block) {
      if (!item.is_loop()) continue;
      const Loop& loop = *item.loop;
      if (loop.versions.empty()) fail("loop {} has no version", loop.var);
      path_.push_back({&loop, &loop.versions.front()});
      variable(loop);
      versions(loop);
      if (loop.parallel) parallel(loop);
      if (loop.lanes) lanes(loop);
      if (loop.brgemm) brgemm(loop);
      if (loop.condition) condition(loop);
      for (const Loop::Version& version : loop.versions) {
        path_.back().version = &version;
        loop_forms(version.body);
      }
      path_.pop_back();
    }
  }

  void variable(const Loop& loop) const {
    if (!loop.var.starts_with('_')) fail("a loop variable starts with '_'");
    std::set<std::string> outer;
    for (std::size_t i = 0; i + 1 < path_.size(); ++i) outer.insert(path_[i].loop->var);
    if (outer.contains(loop.var)) fail("an enclosing loop has the same variable");
    for (const Expr* bound : {&loop.begin, &loop.end})
      for (const std::string& s : bound->symbols())
        if (!symbols_.contains(s) && !outer.contains(s))
          fail("the bound {} names {}, which is neither a symbol nor the variable of an enclosing loop", bound->to_string(), s);
    for (const Enclosing& e : path_)
      if (e.loop != &loop && e.loop->lanes && (loop.begin.uses(e.loop->var) || loop.end.uses(e.loop->var)))
        fail("a bound names {}, the variable of a lane loop", e.loop->var);
  }

  /// The versions leave nothing over: a known extent is used up by them in turn, or the last step divides any extent.
  bool reaches_end(const Loop& loop) const {
    const Expr extent = loop.end - loop.begin;
    auto rest = extent.as_constant();
    if (!rest) {
      const std::int64_t last = loop.versions.back().step;
      return std::ranges::all_of(loop.versions, [&](const Loop::Version& v) { return v.step % last == 0; }) &&
             ir_.facts.proves_divides(last, extent);
    }
    for (std::size_t i = 0; i < loop.versions.size(); ++i)
      if (*rest >= loop.fewest(i)) *rest -= ((*rest - loop.fewest(i)) / loop.versions[i].step + 1) * loop.versions[i].step;
    return *rest <= 0;
  }

  void versions(const Loop& loop) const {
    for (std::size_t i = 0; i < loop.versions.size(); ++i) {
      const Loop::Version& v = loop.versions[i];
      if (v.step < 1) fail("a step is {}; expected at least 1", v.step);
      const bool is_rest = i > 0 && v.partial && !loop.versions[i - 1].partial;
      if (i > 0 && v.step >= loop.versions[i - 1].step + (is_rest ? 1 : 0))
        fail("step {} follows step {}; steps must descend", v.step, loop.versions[i - 1].step);
      const bool masks_one_vector = loop.lanes && loop.fewest(i) > v.step - ir_.lanes;
      if (v.partial && i + 1 != loop.versions.size() && !masks_one_vector)
        fail("step {} is partial, not the last, and may lack more than a part of one vector", v.step);
    }
    const Loop::Version& last = loop.versions.back();
    if (!last.partial && last.step != 1 && !reaches_end(loop))
      fail("the last step, {}, is not partial and is not known to divide {}", last.step, (loop.end - loop.begin).to_string());
  }

  void parallel(const Loop& loop) const {
    if (loop.lanes) fail("a parallel loop cannot be a lane loop");
    if (loop.versions.size() != 1) fail("a parallel loop has one version, given {}", loop.versions.size());
    for (const Enclosing& e : path_)
      if (!e.loop->parallel) fail("a parallel loop stands inside of a loop that is not: {}", e.loop->var);
    if (holds_parallel(loop.body()) && loop.body().size() != 1)
      fail("a parallel loop holds another one and something else");
  }

  /// The loops of a phase down to the last that has a round.
  static std::vector<const Loop*> rounds_of(const Loop& phase) {
    std::vector<const Loop*> nest = parallel_nest(phase);
    while (!nest.empty() && nest.back()->round == Expr(0)) nest.pop_back();
    return nest;
  }

  void rounds() const {
    for_each_loop(ir_.phases, [&](const Loop& loop) {
      over_symbols(loop.round, "the round of loop " + loop.var);
      if (!loop.parallel && !(loop.round == Expr(0))) fail("loop {} has a round but is not parallel", loop.var);
    });
    std::vector<const Loop*> before;
    for (const Item& item : ir_.phases) {
      if (!item.is_loop()) continue;
      const std::vector<const Loop*> nest = rounds_of(*item.loop);
      if (nest.size() < before.size()) fail("the phase of loop {} has rounds of fewer loops than the one in front of it", item.loop->var);
      for (std::size_t i = 0; i < before.size(); ++i) {
        const Loop &a = *before[i], &b = *nest[i];
        if (!(a.begin == b.begin) || !(a.end == b.end) || a.versions.front().step != b.versions.front().step || !(a.round == b.round))
          fail("loop {} and loop {} of an earlier phase differ: they cannot have rounds in common", b.var, a.var);
      }
      before = nest;
    }
  }

  void condition(const Loop& loop) const {
    if (loop.parallel || loop.lanes) fail("a loop with a condition is neither parallel nor of lanes");
    if (loop.versions.size() != 1 || loop.versions[0].step != 1) fail("a loop with a condition has one version, of step 1");
    const auto writes = [&](const Item& item) { return !item.is_loop() && item.expression.out == loop.condition->value; };
    if (std::ranges::none_of(loop.body(), writes)) fail("the condition reads {}, which the body itself does not hold", value(loop.condition->value));
  }

  void lanes(const Loop& loop) const {
    for (const Enclosing& e : path_)
      if (e.loop != &loop && e.loop->lanes) fail("lane loop {} encloses another one", e.loop->var);
    for (const Loop::Version& v : loop.versions)
      if (v.step != 1 && v.step % ir_.lanes != 0) fail("step {} is not a multiple of the {} lanes", v.step, ir_.lanes);
  }

  void brgemm(const Loop& loop) const {
    if (path_.size() < 2 || !path_[path_.size() - 2].loop->parallel)
      fail("brgemm loop {} does not stand in the body of a parallel loop", loop.var);
    if (!loop.lanes) fail("brgemm loop {} is not a lane loop", loop.var);
    match_brgemm(loop);
  }

  // ---- the walk: expressions where they stand

  void block(const Block& block) {
    for (std::size_t i = 0; i < block.size(); ++i) {
      // At the top level each parallel loop is a phase, and so is what stands between two of them.
      const auto is_parallel = [&](const Item& item) { return item.is_loop() && item.loop->parallel; };
      if (path_.empty() && i > 0 && (is_parallel(block[i]) || is_parallel(block[i - 1]))) ++phase_;
      if (block[i].is_loop()) {
        loop(*block[i].loop);
        continue;
      }
      expression_ = &block[i].expression;
      check(block[i].expression, block, i);
      expression_ = nullptr;
    }
  }

  void loop(const Loop& loop) {
    std::map<ValueId, std::vector<Definition>> written;  // in all versions
    for (const Loop::Version& version : loop.versions) {
      const std::size_t mark = log_.size();
      path_.push_back({&loop, &version});
      if (registers_) one_row_tile();
      block(version.body);
      path_.pop_back();
      std::map<ValueId, std::vector<Definition>> here = take_back(mark);
      if (&version == &loop.versions.front()) {
        written = std::move(here);
      } else {
        std::erase_if(written, [&](const auto& entry) { return !here.contains(entry.first); });
      }
    }
    for (auto& [v, definitions] : written) {
      for (Definition& d : definitions) {
        d.inside.insert(d.inside.begin(), &loop);
        d.depth = path_.size();
        define(v, std::move(d));
      }
    }
  }

  void one_row_tile() const {
    const Loop* outer = nullptr;
    for (const Enclosing& e : path_) {
      if (e.version->step == 1 || dependence_->kind(*e.loop) != LoopKind::rows) continue;
      if (outer != nullptr) fail("tiled row loop {} encloses another one", outer->var);
      outer = e.loop;
    }
  }

  void define(ValueId v, Definition d) {
    std::vector<Definition>& all = definitions_[v];
    for (const Definition& old : all) {
      const bool is_same = old.depth == d.depth && old.inside == d.inside;
      if (old.phase == d.phase && (is_same || (old.inside.empty() && !d.inside.empty()))) return;
    }
    all.push_back(std::move(d));
    log_.push_back(v);
  }

  /// Undoes the definitions since the mark.
  std::map<ValueId, std::vector<Definition>> take_back(std::size_t mark) {
    std::map<ValueId, std::vector<Definition>> out;
    for (; log_.size() > mark; log_.pop_back()) {
      out[log_.back()].push_back(std::move(definitions_[log_.back()].back()));
      definitions_[log_.back()].pop_back();
    }
    return out;
  }

  // ---- expressions

  void check(const Expression& e, const Block& block, std::size_t position) {
    for (const ValueId v : e.in) read(v, e);
    index(e);
    if (e.op == Op::fill) over(e, block, position);
    tiles(e);
    switch (info(e.op).kind) {
      case OpClass::update: update(e); break;
      case OpClass::lanes: fold(e); break;
      case OpClass::segments: segments(e); break;
      case OpClass::memory:
        if (e.op == Op::store) store(e);
        break;
      case OpClass::value: break;
    }
    if (e.out != kNone && info(e.op).kind != OpClass::update) define(e.out, {{}, path_.size(), phase_});
  }

  const Enclosing* enclosing(Variable v) const {
    for (const Enclosing& e : path_)
      if (e.loop->var == name(v)) return &e;
    return nullptr;
  }

  /// Whether the expression, where it stands, sees several positions of the variable at once.
  bool sees_many(Variable v) const {
    const Enclosing* e = enclosing(v);
    if (e == nullptr) return true;
    const LoopKind kind = dependence_->kind(*e->loop);
    return kind == LoopKind::rows || kind == LoopKind::lanes;
  }

  // -- reads

  bool reaches(ValueId v, const Definition& d) const {
    if (d.phase != phase_) return false;
    if (registers_) return d.inside.empty();
    return std::ranges::all_of(d.inside, [&](const Loop* loop) {
      const Variable x = dependence_->variable(loop->var);
      if (enclosing(x) != nullptr) return true;
      return (dependence_->kind(*loop) == LoopKind::block || loop->condition) && !dependence_->varies(v, x);
    });
  }

  void read(ValueId v, const Expression& e) const {
    const auto& all = definitions_[v];
    if (std::ranges::none_of(all, [&](const Definition& d) { return reaches(v, d); })) {
      if (all.empty()) fail("{} is read before it is written on every path", value(v));
      const Definition& d = all.back();
      if (d.phase != phase_) fail("{} crosses from one phase to another", value(v));
      fail("{} is written in loop {}, {}", value(v), d.inside.front()->var,
           registers_ ? "which does not enclose this use" : "and no loops over the same variables enclose this use");
    }
    if (registers_) one_tile(v, e);
  }

  /// The number of enclosing loops that the innermost dominating definition stands in.
  std::optional<std::size_t> depth_of(ValueId v) const {
    std::optional<std::size_t> depth;
    for (const Definition& d : definitions_[v])
      if (d.inside.empty() && d.phase == phase_) depth = std::max(depth.value_or(0), d.depth);
    return depth;
  }

  bool runs_once(const Loop& loop) const {
    if (loop.versions.size() != 1) return false;
    const std::int64_t step = loop.versions.front().step;
    const auto fits = [&](const Expr& end) { return ir_.facts.proves_at_least(step - (end - loop.begin), 0); };
    if (fits(loop.end)) return true;
    const Expr::Node::Atom* least = Expr::Node::lone_function(loop.end, Expr::Function::min);
    return least != nullptr && std::ranges::any_of(least->arguments, fits);
  }

  void one_tile(ValueId v, const Expression& e) const {
    const bool only_updated = info(e.op).kind == OpClass::update && e.in[0] == v && std::count(e.in.begin(), e.in.end(), v) == 1;
    for (std::size_t i = depth_of(v).value_or(0); i < path_.size(); ++i) {
      const Loop& loop = *path_[i].loop;
      const LoopKind kind = dependence_->kind(loop);
      if (kind != LoopKind::rows && kind != LoopKind::lanes) continue;
      if (!dependence_->varies(v, dependence_->variable(loop.var)) || runs_once(loop)) continue;
      if (kind == LoopKind::lanes && only_updated) continue;
      fail("{} is defined in front of loop {} and varies over it: registers hold one tile only", value(v), loop.var);
    }
  }

  // -- what each kind of operation needs

  void index(const Expression& e) const {
    for (const std::string& s : e.index.symbols()) {
      if (symbols_.contains(s)) continue;
      if (std::ranges::none_of(path_, [&](const Enclosing& p) { return p.loop->var == s; }))
        fail("the index names {}, which is neither a symbol nor the variable of an enclosing loop", s);
    }
  }

  void over(const Expression& e, const Block& block, std::size_t position) const {
    std::set<std::string> seen;
    for (const std::string& var : e.over) {
      if (!seen.insert(var).second) fail("`over` names {} twice", var);
      const Loop* found = nullptr;
      for (const Enclosing& p : path_)
        if (p.loop->var == var) found = p.loop;
      for (std::size_t i = position + 1; i < block.size() && found == nullptr; ++i) {
        if (!block[i].is_loop()) continue;
        if (block[i].loop->var == var) found = block[i].loop.get();
        for (const Loop::Version& v : block[i].loop->versions)
          for_each_loop(v.body, [&](const Loop& loop) {
            if (loop.var == var) found = &loop;
          });
      }
      if (found == nullptr) fail("`over` names {}, which neither encloses the fill nor follows it", var);
      if (dependence_->kind(*found) == LoopKind::block)
        fail("`over` names {}, which only blocks: its variable bounds inner loops, or it is parallel", var);
    }
  }

  Dependence::Set spans(const Expression& e) const {
    std::set<Variable> all;
    const auto add = [&](const Dependence::Set& set) { all.insert(set.begin(), set.end()); };
    for (const ValueId v : e.in) add(dependence_->of(v));
    if (e.out != kNone) add(dependence_->of(e.out));
    if (info(e.op).kind == OpClass::memory) add(dependence_->variables_of(e.index));
    return {all.begin(), all.end()};
  }

  void tiles(const Expression& e) const {
    const Loop* rows = nullptr;
    for (const Variable v : spans(e)) {
      const Enclosing* at = enclosing(v);
      if (at == nullptr || at->version->step == 1 || dependence_->kind(*at->loop) != LoopKind::rows) continue;
      if (rows != nullptr) fail("its tiles span two row loops, {} and {}", rows->var, at->loop->var);
      rows = at->loop;
    }
  }

  void store(const Expression& e) const {
    for (const Variable v : dependence_->of(e.in[0]))
      if (sees_many(v) && !e.index.uses(name(v)))
        fail("{} varies over {}; the index does not", value(e.in[0]), name(v));
  }

  void update(const Expression& e) const {
    if (e.op == Op::assign) {
      for (const Variable v : dependence_->of(e.in[1]))
        if (sees_many(v) && !dependence_->varies(e.out, v))
          fail("{} varies over {}; {} does not", value(e.in[1]), name(v), value(e.out));
      return;
    }
    const auto operand_varies = [&](Variable x) {
      return std::any_of(e.in.begin() + 1, e.in.end(), [&](ValueId v) { return dependence_->varies(v, x); });
    };
    const auto depth = depth_of(e.out);
    for (std::size_t i = 0; i < path_.size(); ++i) {
      const Loop& loop = *path_[i].loop;
      const Variable x = dependence_->variable(loop.var);
      if (!sees_many(x) || dependence_->varies(e.out, x)) continue;
      if (operand_varies(x)) {
        if (registers_ && loop.lanes) fail("{} varies over lane loop {}; an operand does: only lanes_* folds across lanes", value(e.out), loop.var);
        continue;
      }
      if (is_accumulation(e.op) && depth && *depth <= i && path_[i].version->step > 1)
        fail("no operand varies over {}: the sum would depend on the step {}", loop.var, path_[i].version->step);
    }
  }

  void fold(const Expression& e) const {
    const auto& from = dependence_->of(e.in[0]);
    const auto& to = dependence_->of(e.out);
    if (std::ranges::includes(to, from)) fail("{} does not vary over a lane loop", value(e.in[0]));
  }

  /// Nothing may lie in another vector than where its segment begins.
  void segments(const Expression& e) const {
    const auto lanes = std::ranges::find_if(path_, [](const Enclosing& p) { return p.loop->lanes; });
    if (lanes == path_.end() || !dependence_->varies(e.in[0], dependence_->variable(lanes->loop->var)))
      fail("{} does not vary over an enclosing lane loop", value(e.in[0]));
    if (!ir_.facts.proves_at_least(ir_.lanes - extent_bound(*lanes->loop), 0))
      fail("segments of loop {}, which may have more lanes than one vector", lanes->loop->var);
    if (const auto length = e.index.as_constant(); length && 2 * *length > ir_.lanes)
      fail("segments of {} lanes are more than half a vector of {}", *length, ir_.lanes);
  }

  const LinearIR& ir_;
  const bool registers_;
  std::set<std::string> symbols_;
  std::set<MemoryId> stored_;
  std::optional<Dependence> dependence_;

  // Where the walk is, also for messages.
  std::vector<Enclosing> path_;
  const Expression* expression_ = nullptr;
  std::size_t phase_ = 0;

  std::vector<std::vector<Definition>> definitions_;  ///< by value
  std::vector<ValueId> log_;                          ///< whose definitions were added, in order
};

}  // namespace

void verify(const LinearIR& ir) { Verifier(ir, false).run(); }
void verify_registers(const LinearIR& ir) { Verifier(ir, true).run(); }

}  // namespace burin::linear
