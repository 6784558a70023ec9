#include "linear/brgemm_nest.h"

#include <fmt/format.h>

#include "burin/error.h"
#include "linear/analysis.h"
#include "support/expr_node.h"

namespace burin::linear {
namespace {

class Matching {
 public:
  explicit Matching(const Loop& nest) : columns_(nest) {}

  BrgemmNest run() {
    const Block* body = &body_of(columns_);
    if (body->size() == 1 && body->front().is_loop()) {
      rows_ = body->front().loop.get();
      body = &body_of(*rows_);
    }
    if (body->size() != 3 || !(*body)[1].is_loop()) fail("fill, a loop over the depth and a store");
    const Expression& fill = expression((*body)[0], Op::fill);
    depth_ = (*body)[1].loop.get();
    const Expression& store = expression((*body)[2], Op::store);
    const Block& innermost = body_of(*depth_);
    if (innermost.size() != 3) fail("two loads and update_fma");
    const Expression& a = expression(innermost[0], Op::load);
    const Expression& b = expression(innermost[1], Op::load);
    const Expression& fma = expression(innermost[2], Op::update_fma);
    const std::vector<ValueId> operands = {fill.out, a.out, b.out};
    if (fill.imm != 0 || fma.in != operands || fma.out != fill.out || store.in[0] != fill.out)
      fail("sum = 0; sum += a * b");
    if (a.index.uses(columns_.var) || (rows_ != nullptr && b.index.uses(rows_->var)))
      fail("%a[row, depth] and %b[depth, column]");
    return {matrix(a, rows_, depth_),
            matrix(b, depth_, &columns_),
            matrix(store, rows_, &columns_),
            rows_ != nullptr ? extent(*rows_) : BrgemmExtent{1, {1}},
            extent(columns_),
            extent(*depth_)};
  }

 private:
  [[noreturn]] void fail(std::string_view expected) const {
    throw Error(fmt::format("brgemm loop {}: expected {}", columns_.var, expected));
  }

  const Block& body_of(const Loop& loop) const {
    if (loop.versions.size() != 1 || loop.versions.front().step != 1) fail("loops of step 1");
    return loop.body();
  }

  const Expression& expression(const Item& item, Op op) const {
    if (item.is_loop() || item.expression.op != op)
      fail(fmt::format("a nest with {} at its place", info(op).text));
    return item.expression;
  }

  /// `rows` may be null: one row.
  MatrixInMemory matrix(const Expression& e, const Loop* rows, const Loop* columns) const {
    const auto across = e.index.coefficient(columns->var);
    if (!across || !(*across == Expr(1)))
      fail(fmt::format("columns side by side in {}", e.index.to_string()));
    const auto leading = rows != nullptr ? e.index.coefficient(rows->var) : Expr(0);
    if (!leading || uses_loop_variable(*leading))
      fail(fmt::format("rows at a fixed distance in {}", e.index.to_string()));
    std::map<std::string, Expr> first = {{columns->var, columns->begin}};
    if (rows != nullptr) first[rows->var] = rows->begin;
    return {e.memory, e.index.substitute(first), *leading};
  }

  /// Of a loop over a block, begin..min(begin + block, whole): what a whole block has, and the last
  /// one.
  BrgemmExtent extent(const Loop& loop) const {
    const Expr here = loop.end - loop.begin;
    if (!uses_loop_variable(here)) return {here, {here}};
    if (const Expr::Node::Atom* end = Expr::Node::lone_function(loop.end, Expr::Function::min))
      for (const std::size_t i : {0, 1}) {
        const Expr block = end->arguments[i] - loop.begin, &whole = end->arguments[1 - i];
        if (!uses_loop_variable(block) && !uses_loop_variable(whole))
          return {here, {min(block, whole), mod(whole, block)}};
      }
    fail(fmt::format("blocks of one size in {}..{}", loop.begin.to_string(), loop.end.to_string()));
  }

  const Loop& columns_;
  const Loop* rows_ = nullptr;
  const Loop* depth_ = nullptr;
};

/// Splits one phase.
class Splitting {
 public:
  Splitting(const LinearIR& ir, const Loop& phase) : ir_(ir) {
    nest_ = parallel_nest(phase);
  }

  /// Appends the phases of code to `phases`.
  SplitPhase run(Block& phases) {
    SplitPhase out;
    Block code;
    std::optional<BrgemmNest> product;
    const auto finish_step = [&] {
      if (!product && code.empty()) return;
      out.steps.push_back({std::move(product), std::nullopt});
      if (code.empty()) return;
      out.steps.back().code = phases.size();
      const std::size_t own = scalars_.size();
      for (const Item& item : code)
        if (!item.is_loop()) scalars_.push_back(item.clone());
      phases.push_back(around(with_scalars(std::move(code), own)));
      code.clear();
    };
    for (const Item& item : nest_.back()->body()) {
      if (!item.is_loop() || !item.loop->brgemm) {
        code.push_back(item.clone());
        continue;
      }
      finish_step();
      product = match_brgemm(*item.loop);
    }
    finish_step();
    out.variables = variables();
    return out;
  }

 private:
  /// What stands in no loop of the work item is computed again in each phase that needs it:
  /// registers do not live across phases. `earlier`: how many scalars are of earlier phases.
  Block with_scalars(Block code, std::size_t earlier) const {
    Effects all = effects(code);
    Block out;
    for (std::size_t i = earlier; i-- > 0;) {
      const Expression& e = scalars_[i].expression;
      if (all.reads.count(e.out) == 0 || all.writes.count(e.out) != 0) continue;
      if (!can_be_repeated(e))
        throw Error(
            fmt::format("{} crosses a product and has no BRGEMM executor", info(e.op).text));
      all.reads.insert(e.in.begin(), e.in.end());
      out.insert(out.begin(), scalars_[i].clone());
    }
    for (Item& item : code) out.push_back(std::move(item));
    return out;
  }

  /// Not so running values, and what scratch held.
  bool can_be_repeated(const Expression& e) const {
    if (e.op != Op::load) return info(e.op).kind == OpClass::value && e.over.empty();
    const Memory::Kind kind = ir_.memory[e.memory].kind;
    return kind == Memory::Kind::input || kind == Memory::Kind::constant;
  }

  /// The phase's parallel loops around another body.
  Loop around(Block body) const {
    for (std::size_t i = nest_.size(); i-- > 0;) {
      Loop loop;
      loop.var = nest_[i]->var;
      loop.begin = nest_[i]->begin;
      loop.end = nest_[i]->end;
      loop.parallel = true;
      loop.versions.push_back(
          {nest_[i]->versions.front().step, nest_[i]->versions.front().partial, std::move(body)});
      if (i == 0) return loop;
      body = Block();
      body.emplace_back(std::move(loop));
    }
    throw Error("a phase without a loop");
  }

  /// The flattened range of work items counts the innermost loop first.
  std::map<std::string, Expr> variables() const {
    std::vector<Expr> positions(nest_.size());
    Expr rest = Expr::symbol(kWorkItem);
    for (std::size_t i = nest_.size(); i-- > 0;) {
      const Expr count = iterations(*nest_[i]);
      positions[i] = i == 0 ? rest : mod(rest, count);
      rest = floor_div(rest, count);
    }
    std::map<std::string, Expr> out;
    for (std::size_t i = 0; i < nest_.size(); ++i)
      out[nest_[i]->var] =
          nest_[i]->begin.substitute(out) + positions[i] * nest_[i]->versions.front().step;
    return out;
  }

  const LinearIR& ir_;
  std::vector<const Loop*> nest_;  ///< the parallel loops
  Block scalars_;                  ///< expressions of the phases so far that stand in no loop
};

}  // namespace

BrgemmNest match_brgemm(const Loop& loop) { return Matching(loop).run(); }

std::vector<SplitPhase> split_at_products(LinearIR& ir) {
  std::vector<SplitPhase> out;
  Block phases;
  for (const Item& phase : ir.phases) out.push_back(Splitting(ir, *phase.loop).run(phases));
  ir.phases = std::move(phases);
  return out;
}

}  // namespace burin::linear
