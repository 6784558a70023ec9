// A variance is the mean square of what is left of the mean, which takes a time of its own over what is read. Where that comes
// from memory, sum and squares are folded at once, of the distances from the middle one of three elements:
//
//     loop _c in 0..C {                             loop _start in 0..min(1, C) {
//       %x = load %a[D*_c + _d]                       %x0 = load %a[D*(C/4) + _d], ... of C/2, 3*C/4
//       %s = update_sum %s, %x }                      %base = assign %base, middle(%x0, %x1, %x2) }
//     %m = div %s, %n                       ->      loop _c in 0..C {
//     loop _c in 0..C {                               %x = load %a[D*_c + _d]
//       %x1 = load %a[D*_c + _d]                      %d = sub %x, %base
//       %d = sub %x1, %m                              %s = update_sum %s, %d
//       %q = update_fma %q, %d, %d }                  %q = update_fma %q, %d, %d }
//                                                   %from = div %s, %n
//                                                   %m = add %from, %base
//                                                   loop _around in 0..min(1, C) {
//                                                     %q = assign %q, max(%q - %s * %from, 0) }
//
// Where the base is k deviations from the mean, about k^2 units of the last place of the variance are lost, however far from zero
// the elements are. One element that is far off is never the middle one. Where the middle one is no finite number the base stays
// zero: the mean is infinite or NaN as the plain one is, and the squares are NaN.

#include <algorithm>
#include <map>
#include <optional>

#include "linear/analysis.h"
#include "linear/passes/passes.h"
#include "support/expr_node.h"

namespace burin::linear {
namespace {

using Atom = Expr::Node::Atom;

/// One of the equations that an expression depends on, if it does.
std::optional<Expr> equation_in(const Expr& e) {
  for (const Expr::Node::Term& term : e.node().terms)
    for (const Expr::Node::Factor& factor : term.factors) {
      if (factor.atom.is_symbol()) continue;
      if (factor.atom.function == Expr::Function::equal) return Expr::Node::of_atom(factor.atom);
      for (const Expr& argument : factor.atom.arguments)
        if (auto found = equation_in(argument)) return found;
    }
  return std::nullopt;
}

/// The expression where the equation holds (1), or does not (0).
Expr where_equation_is(const Expr& e, const Expr& equation, int truth) {
  return Expr::Node::map_atoms(e, [&](const Atom& atom) -> std::optional<Expr> {
    if (Expr::Node::of_atom(atom) == equation) return Expr(truth);
    if (atom.is_symbol()) return std::nullopt;
    std::vector<Expr> arguments;
    for (const Expr& argument : atom.arguments) arguments.push_back(where_equation_is(argument, equation, truth));
    return Expr::apply(atom.function, arguments);
  });
}

/// Whether the expression is that number whichever equations hold: whether axes are merged depends on some.
bool is_always(const Expr& e, const Expr& number) {
  if (e == number) return true;
  const std::optional<Expr> equation = equation_in(e);
  return equation && is_always(where_equation_is(e, *equation, 0), number) && is_always(where_equation_is(e, *equation, 1), number);
}

class JoinMoments {
 public:
  explicit JoinMoments(LinearIR& ir) : ir_(ir) {
    for_each_expression(ir_.phases, [&](const Expression& e) {
      for (const ValueId v : e.in) ++uses_[v];
      if (e.op == Op::integer) integers_[e.out] = e.index;
    });
  }

  bool run() {
    bool changed = false;
    for_each_block(ir_.phases, [&](Block& block, const Path& path) {
      if (!path.loops.empty() && path.loops.back()->lanes != !path.lane_variable().empty()) return;
      for (std::size_t second = 1; second < block.size(); ++second) changed |= join(block, second, path.lane_variable());
    });
    return changed;
  }

 private:
  /// The three elements lie there: the ends of a row may be borders, which differ from all else.
  static constexpr std::int64_t kQuarters = 4;

  /// A loop and those that stand alone in one another inside of it, outermost first.
  using Nest = std::vector<const Loop*>;

  /// Where a mean and the squares around it stand in a block. Along lanes both are folded across them, too.
  struct Moments {
    std::size_t first_fill, first, mean, second_fill, second;
    std::optional<std::size_t> squares_across;
  };

  bool join(Block& block, std::size_t second, const std::string& lane) {
    const std::optional<Moments> found = moments(block, second, lane);
    if (!found) return false;
    const Nest nest = nest_of(block[found->first]);
    const Expression load = nest.back()->body()[0].expression, fill = block[found->first_fill].expression;
    const Expression squares_fill = block[found->second_fill].expression, mean = block[found->mean].expression;
    const ValueId base = ir_.new_value("base"), distance = ir_.new_value("distance"), from = ir_.new_value("from_base");

    Loop joined = block[found->first].loop->clone();
    Block& body = innermost(joined);
    body.clear();
    body.emplace_back(load);
    body.emplace_back(made(Op::sub, distance, {load.out, base}));
    body.emplace_back(made(Op::update_sum, fill.out, {fill.out, distance}));
    body.emplace_back(made(Op::update_fma, squares_fill.out, {squares_fill.out, distance, distance}));

    Block times;
    times.emplace_back(zero(base, lane.empty() ? std::vector<std::string>{} : fill.over));
    times.emplace_back(middle_element(nest, load, base));
    times.emplace_back(squares_fill);
    times.emplace_back(std::move(joined));

    Block around;
    around.emplace_back(with_out(mean, from));
    around.emplace_back(made(Op::add, mean.out, {from, base}));

    const ValueId squares = found->squares_across ? block[*found->squares_across].expression.out : squares_fill.out;
    Item left = left_of(nest, squares, mean.in[0], from, lane.empty() ? std::vector<std::string>{} : fill.over);

    Block all;
    for (std::size_t i = 0; i < block.size(); ++i) {
      if (i == found->first) {
        std::ranges::move(times, std::back_inserter(all));
      } else if (i == found->mean) {
        std::ranges::move(around, std::back_inserter(all));
      } else if (i != second && i != found->second_fill) {
        all.push_back(std::move(block[i]));
      }
      if (i == found->squares_across.value_or(second)) all.push_back(std::move(left));
    }
    block = std::move(all);
    return true;
  }

  /// Those of which the block's item of that number folds the squares; nothing between the two times needs the mean.
  std::optional<Moments> moments(const Block& block, std::size_t second, const std::string& lane) const {
    const Nest nest = nest_of(block[second]);
    if (!folds(nest, 3, Op::update_fma) || nest.back()->lanes != lane.empty()) return std::nullopt;
    const Block& squares = nest.back()->body();
    const Expression &load = squares[0].expression, &distance = squares[1].expression, &update = squares[2].expression;
    if (!is_read(load, lane.empty() ? nest.back()->var : lane) || distance.op != Op::sub || distance.in[0] != load.out ||
        uses(load.out) != 1 || update.in[1] != distance.out || update.in[2] != distance.out || uses(distance.out) != 2)
      return std::nullopt;
    const auto mean = home(block, second, distance.in[1]);
    const auto second_fill = home(block, second, update.in[0]);
    if (!mean || !second_fill || !is_zero(block[*second_fill])) return std::nullopt;
    const Expression& m = block[*mean].expression;
    if (m.op != Op::div || !is_number_of_elements(m.in[1], nest) || is_between(block, *mean, second, m.out)) return std::nullopt;

    Moments found{0, 0, *mean, *second_fill, second, std::nullopt};
    ValueId sum = m.in[0];
    if (lane.empty()) {
      const auto across = home(block, *mean, sum);
      if (!across || block[*across].expression.op != Op::lanes_sum || uses(sum) != 1) return std::nullopt;
      sum = block[*across].expression.in[0];
      found.squares_across = reader(block, second, update.in[0]);
      if (!found.squares_across || block[*found.squares_across].expression.op != Op::lanes_sum || uses(update.in[0]) != 2) return std::nullopt;
    }
    const auto first = time_of(block, *mean, nest, load, sum);
    const auto first_fill = home(block, *mean, sum);
    if (!first || !first_fill || !is_zero(block[*first_fill]) || uses(sum) != 2) return std::nullopt;
    found.first_fill = *first_fill;
    found.first = *first;
    return found;
  }

  static Nest nest_of(const Item& item) {
    Nest nest;
    for (const Item* i = &item; i->is_loop(); i = &i->loop->body().front()) {
      nest.push_back(i->loop.get());
      if (i->loop->body().size() != 1) break;
    }
    return nest;
  }

  static Block& innermost(Loop& loop) {
    Block& body = loop.body();
    return body.size() == 1 && body[0].is_loop() ? innermost(*body[0].loop) : body;
  }

  /// Whether it has so many operations, the last of which is the update; lanes, if any, are the innermost loop.
  static bool folds(const Nest& nest, std::size_t operations, Op update) {
    if (nest.empty()) return false;
    const Block& body = nest.back()->body();
    return std::ranges::all_of(nest, [&](const Loop* loop) {
             return !loop->parallel && !loop->condition && loop->versions.size() == 1 &&
                    (loop->lanes ? loop == nest.back() : loop->versions.front().step == 1);
           }) &&
           body.size() == operations && std::ranges::none_of(body, [](const Item& i) { return i.is_loop(); }) &&
           body.back().expression.op == update;
  }

  bool is_read(const Expression& e, const std::string& lane) const {
    return e.op == Op::load && ir_.memory[e.memory].kind == Memory::Kind::input && access_mode(e, lane) == AccessMode::vector;
  }

  static bool is_zero(const Item& item) { return item.expression.op == Op::fill && item.expression.imm == 0; }

  /// The expression in front of `end` that the value is from, running updates in loops aside.
  static std::optional<std::size_t> home(const Block& block, std::size_t end, ValueId v) {
    for (std::size_t i = 0; i < end; ++i)
      if (!block[i].is_loop() && block[i].expression.out == v) return i;
    return std::nullopt;
  }

  /// The first behind `begin` that reads it.
  static std::optional<std::size_t> reader(const Block& block, std::size_t begin, ValueId v) {
    for (std::size_t i = begin + 1; i < block.size(); ++i)
      if (effects(block[i]).reads.contains(v)) return block[i].is_loop() ? std::nullopt : std::optional(i);
    return std::nullopt;
  }

  /// The time over the same elements that sums them.
  static std::optional<std::size_t> time_of(const Block& block, std::size_t end, const Nest& like, const Expression& load,
                                            ValueId sum) {
    const auto same_loop = [](const Loop* a, const Loop* b) { return same_range(*a, *b) && a->lanes == b->lanes; };
    for (std::size_t i = 0; i < end; ++i) {
      const Nest nest = nest_of(block[i]);
      if (!folds(nest, 2, Op::update_sum) || !std::ranges::equal(nest, like, same_loop)) continue;
      const Expression &own = nest.back()->body()[0].expression, &update = nest.back()->body()[1].expression;
      const bool same = own.op == Op::load && own.memory == load.memory && own.index == load.index;
      if (same && update.in[0] == sum && update.in[1] == own.out) return i;
    }
    return std::nullopt;
  }

  static bool is_between(const Block& block, std::size_t from, std::size_t to, ValueId v) {
    return std::any_of(block.begin() + static_cast<std::ptrdiff_t>(from) + 1, block.begin() + static_cast<std::ptrdiff_t>(to),
                       [&](const Item& item) { return effects(item).reads.contains(v); });
  }

  /// The middle one of three elements at the quarters; zero where it is no finite number, or where there is none.
  Item middle_element(const Nest& nest, const Expression& load, ValueId base) {
    Loop once = unless_empty(nest, "_start");
    Block& body = once.body();
    const auto add = [&](Op op, const char* name, std::vector<ValueId> in) {
      const ValueId out = ir_.new_value(name);
      body.emplace_back(made(op, out, std::move(in)));
      return out;
    };
    std::vector<ValueId> at;
    for (std::int64_t quarters = 1; quarters < kQuarters; ++quarters) {
      at.push_back(ir_.new_value("sample"));
      body.emplace_back(with_out(element_at(nest, load, quarters), at.back()));
    }
    const ValueId low = add(Op::min, "low", {at[0], at[1]}), high = add(Op::max, "high", {at[0], at[1]});
    const ValueId middle = add(Op::max, "middle", {low, add(Op::min, "most", {high, at[2]})});
    const ValueId none = add(Op::is_nan, "not_finite", {add(Op::sub, "nothing", {middle, middle})});
    body.emplace_back(made(Op::assign, base, {base, add(Op::where, "start", {none, base, middle})}));
    return Item(std::move(once));
  }

  static Expression element_at(const Nest& nest, Expression load, std::int64_t quarters) {
    for (const Loop* loop : nest) {
      const Expr position = loop->begin + floor_div((loop->end - loop->begin) * quarters, kQuarters);
      load.index = load.index.substitute({{loop->var, position}});
    }
    return load;
  }

  /// What the squares around the base are less by around the mean, which rounding must not make negative. (Of no elements both
  /// are zero, but the mean is NaN.)
  Item left_of(const Nest& nest, ValueId squares, ValueId sum, ValueId from, const std::vector<std::string>& over) {
    const ValueId rest = ir_.new_value("rest"), none = ir_.new_value("zero"), limited = ir_.new_value("limited");
    Loop once = unless_empty(nest, "_around");
    Block& out = once.body();
    out.emplace_back(made(Op::fnma, rest, {sum, from, squares}));
    out.emplace_back(zero(none, over));
    out.emplace_back(made(Op::max, limited, {rest, none}));
    out.emplace_back(made(Op::assign, squares, {squares, limited}));
    return Item(std::move(once));
  }

  /// A loop that runs once, or not at all where the nest goes over nothing.
  Loop unless_empty(const Nest& nest, const char* variable) const {
    return loop_over(fresh_variable(ir_, variable), 0, min(1, elements_of(nest)));
  }

  static Expression zero(ValueId out, const std::vector<std::string>& over) {
    Expression e;
    e.op = Op::fill;
    e.out = out;
    e.over = over;
    return e;
  }
  static Expression made(Op op, ValueId out, std::vector<ValueId> in) {
    Expression e;
    e.op = op;
    e.out = out;
    e.in = std::move(in);
    return e;
  }
  static Expression with_out(Expression e, ValueId out) {
    e.out = out;
    return e;
  }

  static Expr elements_of(const Nest& nest) {
    Expr elements = 1;
    for (const Loop* loop : nest) elements *= loop->end - loop->begin;
    return elements;
  }

  bool is_number_of_elements(ValueId v, const Nest& nest) const {
    const auto integer = integers_.find(v);
    return integer != integers_.end() && is_always(elements_of(nest), integer->second);
  }

  int uses(ValueId v) const { return uses_.at(v); }

  LinearIR& ir_;
  std::map<ValueId, int> uses_;
  std::map<ValueId, Expr> integers_;
};

}  // namespace

bool join_moments(LinearIR& ir, const Schedule& schedule) { return schedule.moments_at_once && JoinMoments(ir).run(); }

}  // namespace burin::linear
