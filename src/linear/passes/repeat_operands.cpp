// Lanes that run over many short rows read again and again what has no rows. It is copied several times first, side by side, by a
// phase of its own, so that a block of lanes reads it as one piece, wherever in a row the block begins:
//
//                                                     parallel _repeat in 0..used {                     // the new phase
//                                                       lanes _element in 0..N {
//                                                         %x = load %b[_element]
//                                                         loop _copy in 0..ceil_div(min(E, N + 1024), N) {
//                                                           store %b.repeated[N*_copy + _element], %x } } }
//     parallel _n.b in 0..E step 1024 {               parallel _n.b in 0..E step 1024 {
//       lanes _n in _n.b..min(E, _n.b + 1024) {   ->    lanes _n in _n.b..min(E, _n.b + 1024) {
//         %x = load %b[mod(_n, N)]                        %x = load %b.repeated[mod(_n.b, N) - _n.b + _n]
//
// E is M*N where rows are merged when shapes are bound, N where they are not: then nothing is used, the new phase has no work,
// and %b.repeated is %b itself, read at _n.

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "burin/error.h"
#include "linear/analysis.h"
#include "linear/passes/passes.h"
#include "support/expr_node.h"

namespace burin::linear {
namespace {

using Atom = Expr::Node::Atom;

/// The elements after which a position along the lanes is 0 again, if it is the atom.
std::optional<Expr> period_of(const Atom& atom, const std::string& lane) {
  if (atom.is_symbol() || atom.function != Expr::Function::mod || !(atom.arguments[0] == Expr::symbol(lane))) return std::nullopt;
  return atom.arguments[1];
}

std::optional<Expr> period_of(const Expr& index, const std::string& lane) {
  std::optional<Expr> period;
  for (const Expr::Node::Term& term : index.node().terms)
    for (const Expr::Node::Factor& factor : term.factors)
      if (auto here = period_of(factor.atom, lane)) period = std::move(here);
  return period;
}

/// The index with another position along the lanes.
Expr at_position(const Expr& index, const std::string& lane, const Expr& position) {
  return Expr::Node::map_atoms(index, [&](const Atom& atom) { return period_of(atom, lane) ? std::optional(position) : std::nullopt; });
}

class RepeatOperands {
 public:
  explicit RepeatOperands(LinearIR& ir) : ir_(ir) {}

  bool run() {
    for_each_block(ir_.phases, [&](Block& block, const Path& path) {
      const std::string lane = path.lane_variable();
      if (lane.empty()) return;
      for (Item& item : block)
        if (!item.is_loop())
          if (const auto period = period_of(item.expression.index, lane)) read_copy(item.expression, *period, path);
    });
    if (copies_.empty()) return false;
    Block phases;
    for (Copies& c : copies_) phases.emplace_back(phase(std::move(c)));
    ir_.phases.insert(ir_.phases.begin(), std::make_move_iterator(phases.begin()), std::make_move_iterator(phases.end()));
    return true;
  }

 private:
  /// Of all that has the same period.
  struct Copies {
    Expr period, used, number;
    Block loads, stores;  ///< of the new phase, for each element of a period
    std::map<std::pair<MemoryId, std::string>, MemoryId> memory;  ///< by what is copied, and from where on
  };

  void read_copy(Expression& e, const Expr& period, const Path& path) {
    const Loop& lanes = **std::ranges::find_if(path.loops, [](const Loop* l) { return l->lanes; });
    const Loop* blocks = block_loop_of(lanes, path);
    if (blocks == nullptr) throw Error(fmt::format("{}: what repeats along lanes that are no blocks", ir_.memory[e.memory].name));
    const Expr start = at_position(e.index, lanes.var, 0), position = Expr::symbol(lanes.var), block = Expr::symbol(blocks->var);
    if (!(at_position(e.index, lanes.var, position) == start + position))
      throw Error(fmt::format("{}: what repeats along the lanes lies apart", ir_.memory[e.memory].name));
    Copies& copies = copies_of(period, *blocks);
    e.memory = copy_of(copies, e, start);
    e.index = start + position + copies.used * (mod(block, period) - block - start);
  }

  Copies& copies_of(const Expr& period, const Loop& blocks) {
    const auto known = std::ranges::find_if(copies_, [&](const Copies& c) { return c.period == period; });
    if (known != copies_.end()) return *known;
    const Expr used = ir_.define("repeat.used", less(period, blocks.end));
    const Expr longest = min(blocks.end, period + blocks.versions.front().step);
    return copies_.emplace_back(Copies{period, used, select(used, ceil_div(longest, max(1, period)), 0), {}, {}, {}});
  }

  /// The copy of what is read there.
  MemoryId copy_of(Copies& copies, const Expression& e, const Expr& start) {
    const auto [made, fresh] = copies.memory.try_emplace({e.memory, start.to_string()}, kNone);
    if (!fresh) return made->second;
    const Memory& original = ir_.memory[e.memory];
    Memory copy{Memory::Kind::call, original.name + ".repeated", 0, original.precision, copies.number * copies.period, {}};
    copy.otherwise = e.memory;
    copy.used = copies.used;
    made->second = ir_.new_memory(std::move(copy));
    Expression load;
    load.op = Op::load;
    load.out = ir_.new_value("load");
    load.memory = e.memory;
    load.index = first_of(start) + Expr::symbol(element_);
    copies.stores.emplace_back(store_of(made->second, copies.period * Expr::symbol(copy_) + Expr::symbol(element_), load.out));
    copies.loads.emplace_back(std::move(load));
    return made->second;
  }

  /// Where loops make one iteration, as all of merged axes do.
  static Expr first_of(const Expr& start) {
    std::map<std::string, Expr> first;
    for (const std::string& name : start.symbols())
      if (name.front() == '_') first.emplace(name, 0);
    return start.substitute(first);
  }

  Loop phase(Copies copies) const {
    Block body = std::move(copies.loads);
    body.emplace_back(loop_over(copy_, 0, copies.number, std::move(copies.stores)));
    Loop lanes = loop_over(element_, 0, copies.period, std::move(body));
    lanes.lanes = true;
    Block item;
    item.emplace_back(std::move(lanes));
    Loop out = loop_over(repeat_, 0, copies.used, std::move(item));
    out.parallel = true;
    return out;
  }

  LinearIR& ir_;
  std::vector<Copies> copies_;
  const std::string repeat_ = fresh_variable(ir_, "_repeat"), element_ = fresh_variable(ir_, "_element"),
                    copy_ = fresh_variable(ir_, "_copy");
};

}  // namespace

bool repeat_operands(LinearIR& ir) { return RepeatOperands(ir).run(); }

}  // namespace burin::linear
