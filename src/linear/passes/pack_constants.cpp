// A constant matrix that is read in blocks of lanes lies in memory as it is read: block by block, the lanes of a block
// side by side, the last block filled up with zeros:
//
//     parallel _n.b in 0..100 step 48 {              parallel _n.b in 0..100 step 48 {
//       lanes _n in _n.b..min(100, _n.b + 48) {        lanes _n in _n.b..min(100, _n.b + 48) {
//         loop _k in 0..64 {                  ->         loop _k in 0..64 {
//           %w = load %c0[100*_k + _n]                     %w = load %c0[63*_n.b + 48*_k + _n]
//
// The contents are put into that order here, once: at run time the matrix is read from one end to the other, whatever
// its layout in the model.

#include <algorithm>
#include <cstring>
#include <optional>

#include "burin/error.h"
#include "linear/analysis.h"
#include "linear/passes/passes.h"

namespace burin::linear {
namespace {

/// A loop of a known extent that a matrix is read in, and how far apart its elements lie.
struct Dimension {
  std::string variable;
  std::int64_t extent = 0, stride = 0;
};

/// How a constant is read: in blocks of lanes, and along other loops, outermost first.
struct Reading {
  Dimension lanes;
  std::string block_variable;
  std::int64_t block = 0;
  std::vector<Dimension> others;

  std::int64_t others_size() const {
    std::int64_t size = 1;
    for (const Dimension& d : others) size *= d.extent;
    return size;
  }
  Expr packed_index() const {
    Expr index = Expr::symbol(block_variable) * (others_size() - 1) + Expr::symbol(lanes.variable);
    std::int64_t stride = block;
    for (std::size_t i = others.size(); i-- > 0; stride *= others[i].extent)
      index += Expr::symbol(others[i].variable) * stride;
    return index;
  }
};

class Packing {
 public:
  explicit Packing(LinearIR& ir) : ir_(ir) {}

  bool run() {
    for_each_block(ir_.phases, [&](Block& block, const Path& path) {
      for (Item& item : block)
        if (!item.is_loop() && is_constant_load(item.expression)) pack(item.expression, path);
    });
    return changed_;
  }

 private:
  bool is_constant_load(const Expression& e) const {
    return e.op == Op::load && ir_.memory[e.memory].kind == Memory::Kind::constant;
  }

  void pack(Expression& e, const Path& path) {
    const auto reading = reading_of(e, path);
    if (!reading || readers_of(e.memory) != 1) return;
    Memory& memory = ir_.memory[e.memory];
    ir_.constants[memory.index] = packed(ir_.constants[memory.index], *reading);
    e.index = reading->packed_index();
    changed_ = true;
  }

  std::size_t readers_of(MemoryId memory) const {
    std::size_t readers = 0;
    for_each_expression(static_cast<const Block&>(ir_.phases),
                        [&](const Expression& e) { readers += e.memory == memory ? 1 : 0; });
    return readers;
  }

  /// Nothing unless it is a matrix read in blocks of lanes, at places known now.
  static std::optional<Reading> reading_of(const Expression& e, const Path& path) {
    Reading r;
    Expr rest = e.index;
    for (const Loop* loop : path.loops) {
      const auto coefficient = e.index.coefficient(loop->var);
      if (!coefficient || !coefficient->as_constant()) return std::nullopt;
      rest -= *coefficient * Expr::symbol(loop->var);
      if (loop->lanes) {
        const Loop* outer = block_loop_of(*loop, path);
        if (outer == nullptr || !(outer->begin == Expr(0)) || !outer->end.as_constant()) return std::nullopt;
        r.lanes = {loop->var, *outer->end.as_constant(), *coefficient->as_constant()};
        r.block_variable = outer->var;
        r.block = outer->versions.front().step;
      } else if (*coefficient->as_constant() != 0) {
        if (!(loop->begin == Expr(0)) || !loop->end.as_constant()) return std::nullopt;
        r.others.push_back({loop->var, *loop->end.as_constant(), *coefficient->as_constant()});
      }
    }
    if (r.block == 0 || r.lanes.stride == 0 || r.others.empty() || !(rest == Expr(0))) return std::nullopt;
    return r;
  }

  static Tensor packed(const Tensor& from, const Reading& r) {
    const std::int64_t blocks = (r.lanes.extent + r.block - 1) / r.block;
    Tensor to = Tensor::zeros(from.precision(), {blocks, r.others_size(), r.block});
    const std::size_t element = size_of(from.precision());
    std::byte* out = to.mutable_data();
    for (std::int64_t b = 0; b < blocks; ++b)
      for (std::int64_t other = 0; other < r.others_size(); ++other)
        for (std::int64_t lane = 0; lane < r.block; ++lane, out += element) {
          const std::int64_t column = b * r.block + lane;
          if (column >= r.lanes.extent) continue;
          const std::int64_t at = column * r.lanes.stride + offset_of(other, r.others);
          std::memcpy(out, from.data() + static_cast<std::size_t>(at) * element, element);
        }
    return to;
  }

  /// Of the `position`-th point of the loops.
  static std::int64_t offset_of(std::int64_t position, const std::vector<Dimension>& loops) {
    std::int64_t offset = 0;
    for (std::size_t i = loops.size(); i-- > 0; position /= loops[i].extent)
      offset += position % loops[i].extent * loops[i].stride;
    return offset;
  }

  LinearIR& ir_;
  bool changed_ = false;
};

}  // namespace

bool pack_constants(LinearIR& ir) { return Packing(ir).run(); }

}  // namespace burin::linear
