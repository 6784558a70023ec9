// Lays the buffers out in the worker's scratch: buffers whose live ranges do not meet share a colour; a colour is as
// large as its largest buffer; offsets are prefix sums. All sizes are expressions, so this is done once for all shapes.
//
//     worker %a: f32[48*S]  worker %b: f32[3072]  worker %c: f32[48*S]      (a and c never live at once)
//       ->  %a offset=0   %b offset=192*S (rounded to a cache line)   %c offset=0
//
// What the workers of a call share lies in scratch of its own, one buffer behind the other: phases overlap.
//
// A live range runs from the first to the last access in program order; a loop that holds some accesses but not all, or
// the first of which is a load, counts as a whole, since its next iteration reaches them again.

#include <algorithm>
#include <map>

#include "linear/analysis.h"
#include "linear/passes/passes.h"
#include "target/target_info.h"

namespace burin::linear {
namespace {


struct Range {
  std::size_t first = 0, last = 0;
  bool meets(const Range& other) const { return first <= other.last && other.first <= last; }
};

class LiveRanges {
 public:
  explicit LiveRanges(const LinearIR& ir) {
    for_each_expression(ir.phases, [&](const Expression& e) {
      if (is_memory(e)) ++accesses_[e.memory];
    });
    visit(ir.phases);
  }
  const std::map<MemoryId, Range>& ranges() const { return ranges_; }

 private:
  /// Of one memory inside of a block.
  struct Accesses {
    std::size_t count = 0;
    bool load_first = false;

    void add(const Accesses& more) {
      if (count == 0) load_first = more.load_first;
      count += more.count;
    }
  };

  std::map<MemoryId, Accesses> visit(const Block& block) {
    std::map<MemoryId, Accesses> inside;
    for (const Item& item : block) {
      if (!item.is_loop()) {
        ++position_;
        if (!is_memory(item.expression)) continue;
        touch(item.expression.memory, position_);
        inside[item.expression.memory].add({1, item.expression.op == Op::load});
        continue;
      }
      const std::size_t begin = ++position_;
      std::map<MemoryId, Accesses> in_loop;
      for (const Loop::Version& v : item.loop->versions)
        for (const auto& [m, accesses] : visit(v.body)) in_loop[m].add(accesses);
      const std::size_t end = ++position_;
      for (const auto& [m, accesses] : in_loop) {
        inside[m].add(accesses);
        if (accesses.count != accesses_[m] || accesses.load_first) touch(m, begin), touch(m, end);
      }
    }
    return inside;
  }

  void touch(MemoryId m, std::size_t position) {
    auto [it, fresh] = ranges_.try_emplace(m, Range{position, position});
    it->second.first = std::min(it->second.first, position);
    it->second.last = std::max(it->second.last, position);
  }

  std::map<MemoryId, std::size_t> accesses_;
  std::map<MemoryId, Range> ranges_;
  std::size_t position_ = 0;
};

struct Colour {
  std::vector<MemoryId> members;
  Expr bytes;
};

bool fits(const Colour& colour, const Range& range, const std::map<MemoryId, Range>& ranges) {
  return std::none_of(colour.members.begin(), colour.members.end(),
                      [&](MemoryId other) { return range.meets(ranges.at(other)); });
}

Expr bytes_of(const Memory& m) {
  return ceil_div(m.elements * static_cast<std::int64_t>(size_of(m.precision)), kCacheLine) * kCacheLine;
}

bool place_shared(LinearIR& ir) {
  Expr offset = 0;
  for (Memory& m : ir.memory) {
    if (m.kind != Memory::Kind::call) continue;
    m.offset = offset;
    offset += bytes_of(m);
  }
  return !(offset == Expr(0));
}

bool place_private(LinearIR& ir) {
  const LiveRanges live(ir);
  std::vector<Colour> colours;
  for (MemoryId m = 0; m < ir.memory.size(); ++m) {
    const Memory& memory = ir.memory[m];
    if (memory.kind != Memory::Kind::worker || live.ranges().count(m) == 0) continue;
    const Expr bytes = bytes_of(memory);
    auto colour = std::find_if(colours.begin(), colours.end(),
                               [&](const Colour& c) { return fits(c, live.ranges().at(m), live.ranges()); });
    if (colour == colours.end()) colour = colours.insert(colours.end(), Colour{{}, bytes});
    colour->members.push_back(m);
    colour->bytes = max(colour->bytes, bytes);
  }
  Expr offset = 0;
  for (const Colour& c : colours) {
    for (MemoryId m : c.members) ir.memory[m].offset = offset;
    offset += c.bytes;
  }
  return !colours.empty();
}

}  // namespace

bool allocate_scratch(LinearIR& ir) {
  const bool shared = place_shared(ir);
  return place_private(ir) || shared;
}

}  // namespace burin::linear
