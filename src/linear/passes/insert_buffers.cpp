// A value that is written in one loop and read in another goes through memory of the worker's scratch:
//
//     loop _k in 0..S { %t = ... }                worker %t.buffer: f32[48*S]
//     loop _k in 0..S { %e = exp2 %t }      ->    loop _k in 0..S { %t = ...  store %t.buffer[48*_k + _q - _q.b], %t }
//                                                 loop _k in 0..S { %t1 = load %t.buffer[...]  %e = exp2 %t1 }
//
// The buffer spans the loops of the definition that do not enclose all uses, the lanes innermost and padded to whole
// vectors (so no access of scratch needs a mask). Where the definition has rows that are lanes of a use, these are meant.

#include <algorithm>
#include <map>

#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

struct Place {
  Block* block = nullptr;
  std::vector<const Loop*> loops;  ///< that enclose the block
};

class BufferInsertion {
 public:
  explicit BufferInsertion(LinearIR& ir) : ir_(ir), varies_(dependences(ir)), words_(words_of(ir)) {}

  bool run() {
    for_each_block(ir_.phases, [&](Block& block, const Path& path) { find_homes(block, path); });
    for_each_block(ir_.phases, [&](Block& block, const Path& path) { count_shared(block, path); });
    // Uses are rewritten block by block; blocks are not moved while the loads are collected.
    for_each_block(ir_.phases, [&](Block& block, const Path& path) { rewrite_uses(block, path); });
    for (const auto& [value, memory] : buffers_) store_at_home(value, memory);
    return !buffers_.empty();
  }

 private:
  void find_homes(Block& block, const Path& path) {
    for (const Item& item : block)
      if (!item.is_loop() && item.expression.out != kNone) homes_.try_emplace(item.expression.out, Place{&block, path.loops});
  }

  bool dominates(const Place& home, const Path& use) const {
    if (home.loops.size() > use.loops.size()) return false;
    return std::equal(home.loops.begin(), home.loops.end(), use.loops.begin());
  }

  /// How many of the loops around its definition all uses of a value have in common with it.
  void count_shared(const Block& block, const Path& path) {
    for (const Item& item : block) {
      if (item.is_loop()) continue;
      for (ValueId v : item.expression.in) {
        const Place& home = homes_.at(v);
        if (dominates(home, path)) continue;
        std::size_t n = 0;
        while (n < home.loops.size() && n < path.loops.size() && home.loops[n] == path.loops[n]) ++n;
        auto [it, fresh] = shared_.try_emplace(v, n);
        it->second = std::min(it->second, n);
        if (const std::string lane = path.lane_variable(); varies_[v].count(lane) != 0) lanes_of_use_[v] = lane;
      }
    }
  }

  void rewrite_uses(Block& block, const Path& path) {
    std::map<ValueId, ValueId> loaded;
    for (std::size_t i = 0; i < block.size(); ++i) {
      if (block[i].is_loop()) continue;
      for (std::size_t k = 0; k < block[i].expression.in.size(); ++k) {
        const ValueId v = block[i].expression.in[k];
        const Place& home = homes_.at(v);
        if (dominates(home, path)) continue;
        auto [it, fresh] = loaded.try_emplace(v, kNone);
        if (fresh) {
          Expression load;
          load.op = Op::load;
          load.memory = buffer_of(v);
          load.index = indices_.at(v);
          load.out = it->second = ir_.new_value(ir_.values[v]);
          homes_[load.out] = Place{&block, path.loops};
          block.insert(block.begin() + static_cast<std::ptrdiff_t>(i), Item(std::move(load)));
          ++i;
        }
        block[i].expression.in[k] = it->second;
      }
    }
  }

  /// The loops of the definition's home that the buffer spans: what it varies over and not all uses share. The lane
  /// loop is always spanned: its tile has as many elements as lanes.
  std::vector<const Loop*> spanned(ValueId v) const {
    const Place& home = homes_.at(v);
    std::vector<const Loop*> out;
    const Loop *lane = nullptr, *lane_of_use = nullptr;
    for (std::size_t i = 0; i < home.loops.size(); ++i) {
      const Loop* l = home.loops[i];
      if (varies_[v].count(l->var) == 0 || l->parallel) continue;
      if (l->lanes)
        lane = l;
      else if (is_lane_of_use(v, *l))
        lane_of_use = l;
      else if (i >= shared_.at(v) || is_tile(*l))
        out.push_back(l);
    }
    for (const Loop* innermost : {lane_of_use, lane})
      if (innermost != nullptr) out.push_back(innermost);
    return out;
  }

  /// All its rows are there at once.
  static bool is_tile(const Loop& loop) { return loop.versions.front().step > 1 && !is_block_loop(loop); }

  bool is_lane_of_use(ValueId v, const Loop& loop) const {
    const auto it = lanes_of_use_.find(v);
    return it != lanes_of_use_.end() && it->second == loop.var;
  }

  MemoryId buffer_of(ValueId v) {
    if (auto it = buffers_.find(v); it != buffers_.end()) return it->second;
    const std::vector<const Loop*> loops = spanned(v);
    Expr index = 0, size = 1;
    for (std::size_t i = loops.size(); i-- > 0;) {
      index += (Expr::symbol(loops[i]->var) - loops[i]->begin) * size;
      Expr extent = extent_bound(*loops[i]);
      if (loops[i]->lanes || is_lane_of_use(v, *loops[i])) extent = ceil_div(extent, ir_.lanes) * ir_.lanes;
      size *= extent;
    }
    Memory m;
    m.kind = Memory::Kind::worker;
    m.name = ir_.values[v] + ".buffer";
    m.precision = words_.contains(v) ? Precision::i32 : Precision::f32;
    m.elements = size;
    indices_[v] = index;
    return buffers_[v] = ir_.new_memory(std::move(m));
  }

  /// Behind the last item of its block that writes the value.
  void store_at_home(ValueId v, MemoryId memory) {
    Block& block = *homes_.at(v).block;
    std::size_t last = 0;
    for (std::size_t i = 0; i < block.size(); ++i)
      if (effects(block[i]).writes.count(v) != 0) last = i;
    block.insert(block.begin() + static_cast<std::ptrdiff_t>(last) + 1, Item(store_of(memory, indices_.at(v), v)));
  }

  LinearIR& ir_;
  std::vector<std::set<std::string>> varies_;
  std::set<ValueId> words_;
  std::map<ValueId, Place> homes_;
  std::map<ValueId, std::size_t> shared_;
  std::map<ValueId, std::string> lanes_of_use_;
  std::map<ValueId, MemoryId> buffers_;
  std::map<ValueId, Expr> indices_;
};

}  // namespace

bool insert_buffers(LinearIR& ir) { return BufferInsertion(ir).run(); }

}  // namespace burin::linear
