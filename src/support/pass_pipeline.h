#pragma once

#include <chrono>
#include <functional>
#include <iomanip>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "burin/error.h"

namespace burin {

/// What a person may ask of every pipeline, whatever its IR.
struct PassOptions {
  std::set<std::string> disabled;  ///< names of passes to skip; required ones run all the same
  int limit = -1;                  ///< run only the first N passes (to bisect); -1: all
  /// Called with "<stage>.<NN>.<pass>" and the IR as text after each pass that changed something.
  std::function<void(std::string_view stage, const std::string& text)> dump;
  bool verify = true;  ///< check the IR's invariants after each pass that changed something
};

struct PassTiming {
  std::string name;
  double microseconds;  ///< of the pass alone, without verifying and dumping
  bool changed;
};

/// An ordered table of passes over one IR. Gives all of them names, dumps, timers, a verifier in
/// between and a limit to bisect with. Immutable once built; run() may be called from many threads.
template <class IR>
class PassPipeline {
 public:
  struct Pass {
    std::string name, summary;
    std::function<bool(IR&)> run;  ///< true if it changed the IR
    bool required = false;         ///< cannot be switched off
  };

  PassPipeline(std::string stage, std::function<std::string(const IR&)> print,
               std::function<void(const IR&)> verify)
      : stage_(std::move(stage)), print_(std::move(print)), verify_(std::move(verify)) {}

  void add(Pass pass) { passes_.push_back(std::move(pass)); }
  const std::vector<Pass>& passes() const { return passes_; }
  const std::string& stage() const { return stage_; }

  /// Throws burin::Error, with the name of the pass in front, if a pass or the verifier behind it
  /// throws.
  std::vector<PassTiming> run(IR& ir, const PassOptions& options = {}) const {
    std::vector<PassTiming> timings;
    for (std::size_t i = 0; i < passes_.size(); ++i) {
      const Pass& pass = passes_[i];
      if (options.limit >= 0 && static_cast<int>(i) >= options.limit) break;
      if (!pass.required && options.disabled.contains(pass.name)) continue;
      timings.push_back(run_one(ir, pass, i, options));
    }
    return timings;
  }

 private:
  PassTiming run_one(IR& ir, const Pass& pass, std::size_t index,
                     const PassOptions& options) const {
    using Clock = std::chrono::steady_clock;
    try {
      const auto start = Clock::now();
      const bool changed = pass.run(ir);
      const std::chrono::duration<double, std::micro> elapsed = Clock::now() - start;
      if (changed && options.dump &&
          print_) {  // before verifying: a broken IR is what one wants to see
        std::ostringstream name;
        name << stage_ << '.' << std::setw(2) << std::setfill('0') << index << '.' << pass.name;
        options.dump(name.str(), print_(ir));
      }
      if (changed && options.verify && verify_) verify_(ir);
      return {pass.name, elapsed.count(), changed};
    } catch (const Error& error) {
      throw Error(stage_ + " pass " + pass.name + ": " + error.what());
    }
  }

  std::string stage_;
  std::function<std::string(const IR&)> print_;
  std::function<void(const IR&)> verify_;
  std::vector<Pass> passes_;
};

}  // namespace burin
