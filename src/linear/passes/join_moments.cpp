// A variance is the mean square of what is left of the mean, which takes a time of its own over what is read. Where that comes
// from memory, sum and squares are folded at once, of the distances from one of the elements:
//
//     loop _c in 0..C {                             loop _first in 0..min(1, C) {
//       %x = load %a[D*_c + _d]                       %x0 = load %a[_d]
//       %s = update_sum %s, %x }                      %base = assign %base, %x0 }
//     %m = div %s, %n                       ->      loop _c in 0..C {
//     loop _c in 0..C {                               %x = load %a[D*_c + _d]
//       %x1 = load %a[D*_c + _d]                      %d = sub %x, %base
//       %d = sub %x1, %m                              %s = update_sum %s, %d
//       %q = update_fma %q, %d, %d }                  %q = update_fma %q, %d, %d }
//                                                   %from = div %s, %n
//                                                   %m = add %from, %base
//                                                   %q = assign %q, max(%q - %s * %from, 0)
//
// An element is no further from the mean than sqrt(C) deviations: at worst the variance loses C units of its last place, however
// far from zero the elements are. (The mean is NaN, not infinite, where an element is infinite; the variance is so anyway.)

#include <algorithm>
#include <map>
#include <optional>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

class JoinMoments {
 public:
  explicit JoinMoments(LinearIR& ir) : ir_(ir) {
    for_each_expression(ir_.phases, [&](const Expression& e) {
      for (const ValueId v : e.in) ++uses_[v];
    });
  }

  bool run() {
    bool changed = false;
    for_each_block(ir_.phases, [&](Block& block, const Path& path) {
      if (path.loops.empty() || !path.loops.back()->lanes) return;
      for (std::size_t second = 1; second < block.size(); ++second) changed |= join(block, second, path.lane_variable());
    });
    return changed;
  }

 private:
  /// Where a mean and the squares around it stand in a block.
  struct Moments {
    std::size_t first_fill, first, mean, second_fill, second;
  };

  bool join(Block& block, std::size_t second, const std::string& lane) {
    const std::optional<Moments> found = moments(block, second, lane);
    if (!found) return false;
    const Loop& old = *block[found->first].loop;
    const Expression load = old.body()[0].expression, fill = block[found->first_fill].expression;
    const Expression mean = block[found->mean].expression;
    const ValueId sum = fill.out, squares = block[found->second_fill].expression.out;
    const ValueId base = ir_.new_value("base"), distance = ir_.new_value("distance"), from = ir_.new_value("from_base");
    const ValueId rest = ir_.new_value("rest"), zero = ir_.new_value("zero"), limited = ir_.new_value("limited");

    Loop joined = old.clone();
    joined.body().clear();
    joined.body().emplace_back(load);
    joined.body().emplace_back(made(Op::sub, distance, {load.out, base}));
    joined.body().emplace_back(made(Op::update_sum, sum, {sum, distance}));
    joined.body().emplace_back(made(Op::update_fma, squares, {squares, distance, distance}));

    Block out;
    out.emplace_back(with_out(fill, base));
    out.emplace_back(first_element(old, load, base));
    out.emplace_back(fill);
    out.emplace_back(with_out(fill, squares));
    out.emplace_back(std::move(joined));
    out.emplace_back(with_out(mean, from));
    out.emplace_back(made(Op::add, mean.out, {from, base}));
    out.emplace_back(made(Op::fnma, rest, {sum, from, squares}));
    out.emplace_back(with_out(fill, zero));
    out.emplace_back(made(Op::max, limited, {rest, zero}));
    out.emplace_back(made(Op::assign, squares, {squares, limited}));

    const std::size_t taken[] = {found->first_fill, found->first, found->second_fill, found->mean};
    Block all;
    for (std::size_t i = 0; i < block.size(); ++i) {
      if (i == second)
        std::ranges::move(out, std::back_inserter(all));
      else if (std::ranges::find(taken, i) == std::end(taken))
        all.push_back(std::move(block[i]));
    }
    block = std::move(all);
    return true;
  }

  /// Those of which the block's item of that number folds the squares; nothing between the two times needs the mean.
  std::optional<Moments> moments(const Block& block, std::size_t second, const std::string& lane) const {
    if (!folds(block[second], 3, Op::update_fma)) return std::nullopt;
    const Block& squares = block[second].loop->body();
    const Expression &load = squares[0].expression, &distance = squares[1].expression, &update = squares[2].expression;
    if (!is_read(load, lane) || distance.op != Op::sub || distance.in[0] != load.out || uses(load.out) != 1 ||
        update.in[1] != distance.out || update.in[2] != distance.out || uses(distance.out) != 2)
      return std::nullopt;
    const auto mean = home(block, second, distance.in[1]);
    const auto second_fill = home(block, second, update.in[0]);
    if (!mean || !second_fill || !is_zero(block[*second_fill])) return std::nullopt;
    const Expression& m = block[*mean].expression;
    if ((m.op != Op::div && m.op != Op::mul) || uses(m.in[0]) != 2) return std::nullopt;
    const auto first = time_of(block, *mean, *block[second].loop, load, m.in[0]);
    const auto first_fill = home(block, *mean, m.in[0]);
    if (!first || !first_fill || !is_zero(block[*first_fill]) || is_between(block, *mean, second, m.out)) return std::nullopt;
    return Moments{*first_fill, *first, *mean, *second_fill, second};
  }

  /// Whether it is a loop of so many operations, the last of which is the update.
  static bool folds(const Item& item, std::size_t operations, Op update) {
    if (!item.is_loop()) return false;
    const Loop& loop = *item.loop;
    return !loop.lanes && !loop.parallel && !loop.condition && loop.versions.size() == 1 && loop.versions.front().step == 1 &&
           loop.body().size() == operations && std::ranges::none_of(loop.body(), [](const Item& i) { return i.is_loop(); }) &&
           loop.body().back().expression.op == update;
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

  /// The time over the same elements that sums them.
  static std::optional<std::size_t> time_of(const Block& block, std::size_t end, const Loop& like, const Expression& load,
                                            ValueId sum) {
    for (std::size_t i = 0; i < end; ++i) {
      if (!folds(block[i], 2, Op::update_sum) || !same_range(*block[i].loop, like)) continue;
      const Expression &own = block[i].loop->body()[0].expression, &update = block[i].loop->body()[1].expression;
      const bool same = own.op == Op::load && own.memory == load.memory && own.index == load.index;
      if (same && update.in[0] == sum && update.in[1] == own.out) return i;
    }
    return std::nullopt;
  }

  static bool is_between(const Block& block, std::size_t from, std::size_t to, ValueId v) {
    return std::any_of(block.begin() + static_cast<std::ptrdiff_t>(from) + 1, block.begin() + static_cast<std::ptrdiff_t>(to),
                       [&](const Item& item) { return effects(item).reads.contains(v); });
  }

  /// Not where there is none.
  Item first_element(const Loop& loop, Expression load, ValueId base) {
    const ValueId element = ir_.new_value("first");
    load.index = load.index.substitute({{loop.var, loop.begin}});
    load.out = element;
    Loop once;
    once.var = fresh_variable(ir_, "_first");
    once.begin = 0;
    once.end = min(1, loop.end - loop.begin);
    once.versions.push_back({1, false, {}});
    once.body().emplace_back(std::move(load));
    once.body().emplace_back(made(Op::assign, base, {base, element}));
    return Item(std::move(once));
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

  int uses(ValueId v) const { return uses_.at(v); }

  LinearIR& ir_;
  std::map<ValueId, int> uses_;
};

}  // namespace

bool join_moments(LinearIR& ir, const Schedule& schedule) { return schedule.moments_at_once && JoinMoments(ir).run(); }

}  // namespace burin::linear
