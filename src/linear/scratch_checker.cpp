// Liveness of memories, backwards over the structured program:
//
//     needed before an item = needed behind it, without what the item fills anew, and what it loads
//     first
//
// An item that stores a memory before it loads it fills it anew, unless the memory is needed where
// an enclosing loop's body ends: then each iteration adds its part to what others have written, and
// the item keeps it alive. A loop's body ends with what is needed behind the loop and what its next
// iteration needs at its beginning.
//
//     loop _k { store A }           A is needed inside of the loop, not in front of it
//     loop _k { load A  store B }   A is needed when B is stored: A and B must not overlap
//     loop _k { load B }
//
// A loop may load what only its earlier iterations have stored (its first ones skip the load, by the
// bounds of a loop around it). So what a loop both loads and stores is never said to be read before
// it is written; the interpreter, which knows who wrote each byte, does that.
//
// Two memories that are needed at once and overlap: whichever is stored later is stored while the
// other is needed. So it is enough to look at stores.

#include "linear/scratch_checker.h"

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <utility>

#include "burin/error.h"

namespace burin::linear {
namespace {

using Memories = std::set<MemoryId>;

void unite(Memories& to, const Memories& from) { to.insert(from.begin(), from.end()); }

/// Which memories are needed when which is stored.
class Liveness {
 public:
  using Pair = std::pair<MemoryId, MemoryId>;  ///< stored, needed

  explicit Liveness(const LinearIR& ir) : ir_(ir) {
    for (const MemoryId m : before(ir.phases, {}, {}))
      if (!carried_.contains(m))
        throw Error(fmt::format("%{} is read before it is written", ir.memory[m].name));
  }
  const std::set<Pair>& conflicts() const { return conflicts_; }
  const Memories& touched() const { return touched_; }

 private:
  bool is_scratch(MemoryId m) const {
    if (m == kNone) return false;
    return ir_.memory[m].kind == Memory::Kind::worker || ir_.memory[m].kind == Memory::Kind::call;
  }

  /// What is needed in front of the block. `kept`: what no item fills anew.
  Memories before(const Block& block, Memories needed, const Memories& kept) {
    for (std::size_t i = block.size(); i-- > 0;)
      needed = block[i].is_loop() ? before(*block[i].loop, std::move(needed), kept)
                                  : before(block[i].expression, std::move(needed), kept);
    return needed;
  }

  Memories before(const Expression& e, Memories needed, const Memories& kept) {
    if (!is_scratch(e.memory)) return needed;
    touched_.insert(e.memory);
    if (e.op == Op::load) {
      needed.insert(e.memory);
      return needed;
    }
    for (const MemoryId other : needed)
      if (other != e.memory) conflicts_.emplace(e.memory, other);
    if (!kept.contains(e.memory)) needed.erase(e.memory);
    return needed;
  }

  Memories before(const Loop& loop, Memories behind, const Memories& kept) {
    Memories at_end = behind, at_begin;
    if (loop.parallel) unite(at_end, shared_in(loop));  // work items run at once
    for (;;) {
      const std::size_t size = at_end.size();
      Memories inner = kept;
      unite(inner, at_end);
      at_begin.clear();
      for (const Loop::Version& v : loop.versions) unite(at_begin, before(v.body, at_end, inner));
      for (const MemoryId m :
           at_begin)  // a work item leaves nothing in its worker's scratch for the next
        if (!loop.parallel || ir_.memory[m].kind == Memory::Kind::call) at_end.insert(m);
      if (at_end.size() == size) break;
    }
    // What the loop loads before it stores it, and what is needed behind it and not filled by it.
    const Memories exposed = loads_first(loop);
    Memories needed = std::move(behind);
    for (const MemoryId m : stored_in(loop)) {
      if (!kept.contains(m)) needed.erase(m);
      if (!loop.parallel && exposed.contains(m)) carried_.insert(m);
    }
    unite(needed, exposed);
    return needed;
  }

  /// Memories of which the first access of the loop, in the order of the text, is a load.
  Memories loads_first(const Loop& loop) const {
    Memories out;
    for (const Loop::Version& v : loop.versions) {
      Memories seen;
      for_each_expression(v.body, [&](const Expression& e) {
        if (is_scratch(e.memory) && seen.insert(e.memory).second && e.op == Op::load)
          out.insert(e.memory);
      });
    }
    return out;
  }

  template <typename Condition>
  Memories accessed(const Loop& loop, const Condition& condition) const {
    Memories out;
    for (const Loop::Version& v : loop.versions)
      for_each_expression(v.body, [&](const Expression& e) {
        if (is_scratch(e.memory) && condition(e)) out.insert(e.memory);
      });
    return out;
  }
  Memories stored_in(const Loop& loop) const {
    return accessed(loop, [](const Expression& e) { return e.op == Op::store; });
  }
  Memories shared_in(const Loop& loop) const {
    return accessed(
        loop, [&](const Expression& e) { return ir_.memory[e.memory].kind == Memory::Kind::call; });
  }

  const LinearIR& ir_;
  std::set<Pair> conflicts_;
  Memories touched_;
  Memories carried_;  ///< from one iteration of a loop to the next
};

using Symbols = std::map<std::string, std::int64_t>;

/// Leaves out what has no value for these symbols.
Symbols with_definitions(const LinearIR& ir, Symbols symbols) {
  for (const auto& [name, e] : ir.definitions) {
    try {
      symbols[name] = e.evaluate(symbols);
    } catch (const Error&) {
    }
  }
  return symbols;
}

/// Small, large, odd and equal sizes; the same ones in each run.
std::vector<Symbols> assignments(const LinearIR& ir) {
  std::vector<Symbols> out;
  for (const std::int64_t same : {0, 1, 16, 37, 1000}) {
    Symbols& s = out.emplace_back();
    for (const std::string& name : ir.symbols) s[name] = same;
  }
  constexpr int kRandom = 16;
  std::mt19937 random(1);
  for (int i = 0; i < kRandom; ++i) {
    Symbols& s = out.emplace_back();
    for (const std::string& name : ir.symbols)
      s[name] = static_cast<std::int64_t>(random() % (i % 2 == 0 ? 20 : 3000));
  }
  for (Symbols& s : out) s = with_definitions(ir, std::move(s));
  return out;
}

struct Bytes {
  std::int64_t begin = 0, end = 0;
  bool meets(const Bytes& other) const { return begin < other.end && other.begin < end; }
};

/// Nothing where the symbols contradict each other (dimensions that do not broadcast).
std::optional<Bytes> bytes_of(const Memory& m, const Symbols& symbols) {
  try {
    const std::int64_t begin = m.offset->evaluate(symbols);
    return Bytes{begin, begin + m.elements.evaluate(symbols) *
                                    static_cast<std::int64_t>(size_of(m.precision))};
  } catch (const Error&) {
    return std::nullopt;
  }
}

void compare(const Memory& stored, const Memory& needed, const std::vector<Symbols>& all) {
  if (stored.kind != needed.kind || !stored.offset || !needed.offset) return;
  for (const Symbols& symbols : all) {
    const auto a = bytes_of(stored, symbols), b = bytes_of(needed, symbols);
    if (!a || !b || !a->meets(*b)) continue;
    std::string values;
    for (const auto& [name, value] : symbols) values += fmt::format(" {}={}", name, value);
    throw Error(fmt::format(
        "scratch: %{} in bytes {}..{} is stored while %{} in bytes {}..{} is needed, for{}",
        stored.name, a->begin, a->end, needed.name, b->begin, b->end, values));
  }
}

}  // namespace

void check_scratch(const LinearIR& ir) {
  const Liveness liveness(ir);
  const std::vector<Symbols> all = assignments(ir);
  for (const MemoryId m : liveness.touched()) {
    if (!ir.memory[m].offset && ir.memory[m].kind == Memory::Kind::worker)
      throw Error(fmt::format("%{} has no offset", ir.memory[m].name));
    if (!ir.memory[m].offset) continue;
    for (const Symbols& symbols : all)
      if (const auto bytes = bytes_of(ir.memory[m], symbols); bytes && bytes->begin < 0)
        throw Error(fmt::format("%{} has offset {}", ir.memory[m].name, bytes->begin));
  }
  for (const auto& [stored, needed] : liveness.conflicts())
    compare(ir.memory[stored], ir.memory[needed], all);
}

}  // namespace burin::linear
