// Where each key or value that is loaded serves several queries or heads, so much is computed between the loads that too
// few of them are on their way at once; and rows of one head lie apart, which the hardware does not foresee. The rows of
// some keys later are asked for:
//
//     lanes _e in 0..64 {                              lanes _e in 0..64 {
//       loop _k in 0..S {                                loop _k in 0..S {
//         %x = load %v[512*_k + _e]          ->            %x = load %v[512*_k + _e]
//         %o = update_fma %o, %p, %x } }                   prefetch %v[512*_k + _e + 8192]
//                                                          %o = update_fma %o, %p, %x } }

#include <algorithm>
#include <optional>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

constexpr std::int64_t kKeysAhead = 16;
/// Multiply-adds for each vector that is loaded, from which on it pays.
constexpr std::int64_t kUses = 4;

class PrefetchKeys {
 public:
  explicit PrefetchKeys(LinearIR& ir) : ir_(ir) {}

  bool run() {
    visit(ir_.phases);
    return changed_;
  }

 private:
  struct Enclosing {
    const Loop* loop;
    std::int64_t step;
  };

  void visit(Block& block) {
    for (std::size_t i = 0; i < block.size(); ++i) {
      if (!block[i].is_loop()) {
        if (auto ahead = prefetch_for(block[i].expression, block)) block.insert(block.begin() + static_cast<std::ptrdiff_t>(++i), Item(std::move(*ahead)));
        continue;
      }
      for (Loop::Version& v : block[i].loop->versions) {
        path_.push_back({block[i].loop.get(), v.step});
        visit(v.body);
        path_.pop_back();
      }
    }
  }

  std::optional<Expression> prefetch_for(const Expression& e, const Block& block) {
    if (e.op != Op::load || ir_.memory[e.memory].kind != Memory::Kind::input) return std::nullopt;
    const auto lanes = std::ranges::find_if(path_, [](const Enclosing& l) { return l.loop->lanes; });
    if (lanes == path_.end() || access_mode(e, lanes->loop->var) != AccessMode::vector) return std::nullopt;
    const Loop* keys = keys_of(e);
    if (keys == nullptr || uses(block, e) < kUses) return std::nullopt;
    changed_ = true;
    return prefetch_of(e.memory, e.index.substitute({{keys->var, Expr::symbol(keys->var) + kKeysAhead}}));
  }

  /// The innermost loop over rows of what is loaded.
  const Loop* keys_of(const Expression& e) const {
    for (std::size_t i = path_.size(); i-- > 0;) {
      const Loop& l = *path_[i].loop;
      if (!l.lanes && !l.parallel && e.index.uses(l.var)) return &l;
    }
    return nullptr;
  }

  /// Multiply-adds of one vector that is loaded.
  std::int64_t uses(const Block& block, const Expression& load) const {
    std::int64_t uses = std::ranges::count_if(block, [&](const Item& item) {
      return !item.is_loop() && item.expression.op == Op::update_fma && item.expression.in[2] == load.out;
    });
    for (const auto& [loop, step] : path_)
      if (!loop->lanes && !loop->parallel && !is_block_loop(*loop) && !load.index.uses(loop->var)) uses *= step;
    return uses;
  }

  LinearIR& ir_;
  std::vector<Enclosing> path_;
  bool changed_ = false;
};

}  // namespace

bool prefetch_keys(LinearIR& ir, const Schedule& schedule) { return schedule.few_queries && PrefetchKeys(ir).run(); }

}  // namespace burin::linear
