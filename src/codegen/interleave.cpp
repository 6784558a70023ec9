// An element-wise expression over four vectors is four long chains of dependent operations:
//
//     v1 = add v0, 1        v1 = add v0, 1
//     v2 = mul v1, v1       v5 = add v4, 1
//     v3 = max v2, 0   ->   v2 = mul v1, v1
//     v5 = add v4, 1        v6 = mul v5, v5
//     v6 = mul v5, v5       v3 = max v2, 0
//     v7 = max v6, 0        v7 = max v6, 0
//
// One after the other they leave it to the machine to find what can run at once, and its schedulers
// are full of what waits long before they reach the third.

#include "codegen/interleave.h"

#include <algorithm>
#include <map>
#include <set>

namespace burin::codegen {
namespace {

/// Streams of fewer instructions than that overlap by themselves.
constexpr std::size_t kShortStream = 8;
/// More do not gain anything.
constexpr std::size_t kMostStreams = 4;
/// So many vectors of a stream may find no register where it has most alive.
constexpr std::size_t kSpilled = 2;

class Interleaving {
 public:
  Interleaving(Program& program, const std::vector<std::size_t>& starts, const TargetInfo& target)
      : program_(program), target_(target), starts_(starts) {
    starts_.push_back(program.code.size());
  }

  void run() {
    const std::size_t streams = starts_.size() - 1;
    if (streams < 2 || longest_stream() < kShortStream || has_control_flow()) return;
    const std::size_t most = streams_at_once();
    const std::size_t groups = (streams + most - 1) / most;
    for (std::size_t g = 0; g < groups; ++g)
      merge(g * streams / groups, (g + 1) * streams / groups);
  }

 private:
  bool has_control_flow() const {
    return std::any_of(program_.code.begin() + static_cast<std::ptrdiff_t>(starts_.front()),
                       program_.code.end(),
                       [](const Instruction& i) { return info(i.op).control; });
  }

  std::size_t longest_stream() const {
    std::size_t longest = 0;
    for (std::size_t s = 0; s + 1 < starts_.size(); ++s)
      longest = std::max(longest, starts_[s + 1] - starts_[s]);
    return longest;
  }

  /// As many as the registers hold at a time, or a little more: a few spills cost less than
  /// waiting.
  std::size_t streams_at_once() const {
    const auto registers = static_cast<std::size_t>(target_.vector_registers);
    const std::size_t alive = std::max(most_alive(), kSpilled + 1) - kSpilled;
    return std::clamp<std::size_t>(registers / alive, 1, kMostStreams);
  }

  std::size_t most_alive() const {
    std::size_t most = 1;
    for (std::size_t s = 0; s + 1 < starts_.size(); ++s)
      most = std::max(most, most_alive(starts_[s], starts_[s + 1]));
    return most;
  }
  /// Vectors that the instructions [begin, end) hold at the same time, of their own and without
  /// constants.
  std::size_t most_alive(std::size_t begin, std::size_t end) const {
    std::map<VReg, std::size_t> last_read;
    std::set<VReg> fixed;
    for (std::size_t at = begin; at < end; ++at) {
      Instruction i = program_.code[at];
      for_each_register(i, [&](VReg r, bool read, bool) {
        if (read) last_read[r] = at;
      });
      if (i.op == VOp::imm64) fixed.insert(i.dst);
    }
    std::vector<std::size_t> dying(end - begin, 0);
    std::size_t alive = 0, most = 0;
    for (std::size_t at = begin; at < end; ++at) {
      alive -= dying[at - begin];
      const Instruction& i = program_.code[at];
      const bool is_constant =
          i.op == VOp::constant || (i.op == VOp::load && fixed.count(i.mem.base) != 0);
      if (i.dst == kNoReg || is_constant || !in_vector_register(i.dst)) continue;
      const auto last = last_read.find(i.dst);
      if (last == last_read.end() || last->second <= at) continue;
      ++dying[last->second - begin];
      most = std::max(most, ++alive);
    }
    return most;
  }
  bool in_vector_register(VReg r) const {
    const RegClass c = program_.registers[r];
    return c == RegClass::vector || (c == RegClass::mask && target_.mask_registers == 0);
  }

  /// The streams [first, last) in turns, an instruction each.
  void merge(std::size_t first, std::size_t last) {
    const std::size_t begin = starts_[first], end = starts_[last];
    const std::vector<std::vector<std::size_t>> needs = dependences(begin, end);
    std::vector<bool> done(end - begin, false);
    std::vector<std::size_t> next(starts_.begin() + static_cast<std::ptrdiff_t>(first),
                                  starts_.begin() + static_cast<std::ptrdiff_t>(last));
    std::vector<Instruction> merged;
    while (merged.size() < end - begin) {
      for (std::size_t s = 0; s < next.size(); ++s) {
        const std::size_t at = next[s];
        if (at == starts_[first + s + 1]) continue;
        const std::vector<std::size_t>& before = needs[at - begin];
        if (!std::all_of(before.begin(), before.end(),
                         [&](std::size_t i) { return done[i - begin]; }))
          continue;
        merged.push_back(program_.code[at]);
        done[at - begin] = true;
        ++next[s];
      }
    }
    std::move(merged.begin(), merged.end(),
              program_.code.begin() + static_cast<std::ptrdiff_t>(begin));
  }

  /// By instruction: those in front of it that it has to stay behind.
  std::vector<std::vector<std::size_t>> dependences(std::size_t begin, std::size_t end) const {
    struct References {
      std::vector<std::size_t> writes, reads;  ///< since the last write
    };
    std::map<VReg, References> references;
    std::vector<std::vector<std::size_t>> needs(end - begin);
    for (std::size_t at = begin; at < end; ++at) {
      Instruction i = program_.code[at];
      std::vector<std::size_t>& before = needs[at - begin];
      for_each_register(i, [&](VReg r, bool read, bool write) {
        References& of = references[r];
        before.insert(before.end(), of.writes.begin(), of.writes.end());
        if (write) {
          before.insert(before.end(), of.reads.begin(), of.reads.end());
          of = {{at}, {}};
        } else if (read) {
          of.reads.push_back(at);
        }
      });
      std::erase(before, at);
    }
    return needs;
  }

  Program& program_;
  const TargetInfo& target_;
  std::vector<std::size_t> starts_;
};

}  // namespace

void interleave(Program& program, const std::vector<std::size_t>& starts,
                const TargetInfo& target) {
  Interleaving(program, starts, target).run();
}

}  // namespace burin::codegen
