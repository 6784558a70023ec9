#include "codegen/live_intervals.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <memory>
#include <span>

#include <fmt/format.h>

#include "burin/error.h"

namespace burin::codegen {
namespace {

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

struct Block {
  std::uint32_t first = 0;  ///< instructions [first, last)
  std::uint32_t last = 0;
  std::uint32_t successors[2] = {kNone, kNone};
};

bool ends_block(VOp op) { return op == VOp::jump || op == VOp::jump_if || op == VOp::ret; }

/// By label: the instruction that places it.
std::vector<std::uint32_t> find_labels(const Program& program) {
  std::vector<std::uint32_t> at(program.label_count, kNone);
  for (std::uint32_t i = 0; i < program.code.size(); ++i) {
    const Instruction& instruction = program.code[i];
    if (instruction.op != VOp::label) continue;
    if (instruction.label >= at.size() || at[instruction.label] != kNone)
      throw Error(fmt::format("vcode: label L{} is unknown or placed twice", instruction.label));
    at[instruction.label] = i;
  }
  return at;
}

std::uint32_t target_of(const Instruction& jump, const std::vector<std::uint32_t>& labels) {
  if (jump.label >= labels.size() || labels[jump.label] == kNone)
    throw Error(fmt::format("vcode: jump to label L{}, which is not placed", jump.label));
  return labels[jump.label];
}

std::vector<Block> find_blocks(const Program& program, const std::vector<std::uint32_t>& labels) {
  const auto size = static_cast<std::uint32_t>(program.code.size());
  std::vector<Block> blocks;
  std::vector<std::uint32_t> block_of(size, 0);
  for (std::uint32_t i = 0; i < size; ++i) {
    const bool leader =
        i == 0 || program.code[i].op == VOp::label || ends_block(program.code[i - 1].op);
    if (leader) blocks.push_back({i, i, {kNone, kNone}});
    blocks.back().last = i + 1;
    block_of[i] = static_cast<std::uint32_t>(blocks.size() - 1);
  }
  for (std::uint32_t b = 0; b < blocks.size(); ++b) {
    const Instruction& end = program.code[blocks[b].last - 1];
    const bool falls = end.op != VOp::jump && end.op != VOp::ret && b + 1 < blocks.size();
    if (falls) blocks[b].successors[0] = b + 1;
    if (end.op == VOp::jump || end.op == VOp::jump_if)
      blocks[b].successors[1] = block_of[target_of(end, labels)];
  }
  return blocks;
}

/// Loop depth by instruction: a loop spans from a label to the last jump back to it.
std::vector<std::uint32_t> loop_depths(const Program& program,
                                       const std::vector<std::uint32_t>& labels) {
  std::vector<std::uint32_t> last_jump(program.label_count, kNone);
  for (std::uint32_t i = 0; i < program.code.size(); ++i) {
    const Instruction& jump = program.code[i];
    if ((jump.op == VOp::jump || jump.op == VOp::jump_if) && target_of(jump, labels) <= i)
      last_jump[jump.label] = i;
  }
  std::vector<std::uint32_t> depth(program.code.size() + 1, 0);
  for (std::uint32_t l = 0; l < program.label_count; ++l) {
    if (last_jump[l] == kNone) continue;
    depth[labels[l]] += 1;
    depth[last_jump[l] + 1] -= 1;  // may wrap around; the running sum wraps back
  }
  for (std::size_t i = 1; i < depth.size(); ++i) depth[i] += depth[i - 1];
  depth.pop_back();
  return depth;
}

struct Reference {
  VReg reg;
  bool read, write;
};

/// What each instruction refers to, in one array: the passes below each go over it.
class References {
 public:
  explicit References(const Program& program)
      : all_(std::make_unique_for_overwrite<Reference[]>(kMostRegisters * program.code.size())) {
    first_.reserve(program.code.size() + 1);
    Reference* end = all_.get();
    for (const Instruction& i : program.code) {
      first_.push_back(end);
      for_each_register(const_cast<Instruction&>(i), [&end](const VReg& r, bool read, bool write) { *end++ = {r, read, write}; });
    }
    first_.push_back(end);
  }

  std::span<const Reference> of(std::uint32_t instruction) const {
    return between(instruction, instruction + 1);
  }
  /// Of the instructions [first, last).
  std::span<const Reference> between(std::uint32_t first, std::uint32_t last) const {
    return {first_[first], first_[last]};
  }

 private:
  std::unique_ptr<Reference[]> all_;
  std::vector<const Reference*> first_;  ///< of each instruction; the end of the last
};

/// Live-in and live-out sets of blocks, over the registers that are live across a block's edge.
class Liveness {
 public:
  Liveness(std::size_t registers, const References& references, const std::vector<Block>& blocks)
      : number_(registers, kNone), references_(references), blocks_(blocks) {
    find_global_registers();
    words_ = (globals_.size() + 63) / 64;
    in_.assign(blocks.size() * words_, 0);
    out_.assign(blocks.size() * words_, 0);
    if (words_ != 0) solve();
  }

  /// Calls f(register, block) for the first block that a register is live into.
  template <typename F>
  void each_first_in(F&& f) const {
    std::vector<Word> seen(words_, 0);
    for (std::uint32_t b = 0; b < blocks_.size(); ++b) each_new(in_, b, seen, f);
  }
  /// The same for the last block that it is live out of.
  template <typename F>
  void each_last_out(F&& f) const {
    std::vector<Word> seen(words_, 0);
    for (auto b = static_cast<std::uint32_t>(blocks_.size()); b-- > 0;) each_new(out_, b, seen, f);
  }

 private:
  using Word = std::uint64_t;

  /// Those that two blocks refer to, or that a block reads before it writes.
  void find_global_registers() {
    std::vector<std::uint32_t> seen_in(number_.size(), kNone);
    for (std::uint32_t b = 0; b < blocks_.size(); ++b) {
      for (const auto& [r, read, write] : references_.between(blocks_[b].first, blocks_[b].last)) {
        const bool global = seen_in[r] == kNone ? read : seen_in[r] != b;
        seen_in[r] = b;
        if (!global || number_[r] != kNone) continue;
        number_[r] = static_cast<std::uint32_t>(globals_.size());
        globals_.push_back(r);
      }
    }
  }

  void solve() {
    // in = used | (out & ~written), where `used` are reads before any write. The references of an
    // instruction come with what it reads first.
    std::vector<Word> written(blocks_.size() * words_, 0);
    for (std::uint32_t b = 0; b < blocks_.size(); ++b) {
      Word* const used = &in_[b * words_];
      Word* const defined = &written[b * words_];
      for (const auto& [r, read, write] : references_.between(blocks_[b].first, blocks_[b].last)) {
        if (number_[r] == kNone) continue;
        const std::size_t w = number_[r] / 64;
        const Word bit = Word{1} << (number_[r] % 64);
        if (read) used[w] |= bit & ~defined[w];
        if (write) defined[w] |= bit;
      }
    }
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t b = blocks_.size(); b-- > 0;) {
        for (std::size_t w = 0; w < words_; ++w) {
          Word out = 0;
          for (const std::uint32_t s : blocks_[b].successors)
            if (s != kNone) out |= in_[s * words_ + w];
          const std::size_t at = b * words_ + w;
          out_[at] = out;
          const Word in = in_[at] | (out & ~written[at]);
          changed |= in != in_[at];
          in_[at] = in;
        }
      }
    }
  }

  template <typename F>
  void each_new(const std::vector<Word>& sets, std::uint32_t block, std::vector<Word>& seen, F&& f) const {
    for (std::size_t w = 0; w < words_; ++w) {
      const Word set = sets[block * words_ + w];
      for (Word bits = set & ~seen[w]; bits != 0; bits &= bits - 1)
        f(globals_[w * 64 + static_cast<std::size_t>(std::countr_zero(bits))], block);
      seen[w] |= set;
    }
  }

  std::vector<std::uint32_t> number_;  ///< by register: index into globals_, or kNone
  std::vector<VReg> globals_;
  const References& references_;
  const std::vector<Block>& blocks_;
  std::size_t words_ = 0;
  std::vector<Word> in_, out_;
};

}  // namespace

void LiveInterval::cover(std::uint32_t from, std::uint32_t to) {
  begin = empty() ? from : std::min(begin, from);
  end = std::max(end, to);
}

void LiveInterval::refer(const Instruction& instruction, std::uint32_t index, std::uint32_t in_loops, bool read, bool write) {
  static constexpr float kPowers[] = {1e0F, 1e1F, 1e2F, 1e3F, 1e4F, 1e5F, 1e6F};
  const bool writes_early = instruction.temp_count != 0;
  if (read) cover(2 * index, 2 * index + 1);
  if (write) cover(writes_early ? 2 * index : 2 * index + 1, 2 * index + 2);
  cost += kPowers[std::min<std::size_t>(in_loops, std::size(kPowers) - 1)] * static_cast<float>(int{read} + int{write});
  depth = std::max(depth, in_loops);
}

LiveIntervals live_intervals(const Program& program) {
  const std::vector<std::uint32_t> labels = find_labels(program);
  const std::vector<Block> blocks = find_blocks(program, labels);
  LiveIntervals intervals{std::vector<LiveInterval>(program.registers.size()), loop_depths(program, labels)};
  const References references(program);
  for (std::uint32_t i = 0; i < program.code.size(); ++i)
    for (const auto& [r, read, write] : references.of(i))
      intervals.of[r].refer(program.code[i], i, intervals.in_loops[i], read, write);
  const Liveness liveness(program.registers.size(), references, blocks);
  // What is live into a block is read in it or live out of it, what is live out of one is written in it or live into it:
  // the outermost edges are enough.
  liveness.each_first_in([&](VReg r, std::uint32_t b) { intervals.of[r].cover(2 * blocks[b].first, 2 * blocks[b].first + 1); });
  liveness.each_last_out([&](VReg r, std::uint32_t b) { intervals.of[r].cover(2 * blocks[b].last - 1, 2 * blocks[b].last); });
  return intervals;
}

}  // namespace burin::codegen
