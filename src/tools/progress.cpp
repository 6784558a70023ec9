#include "tools/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace burin::tools {
namespace {

constexpr std::chrono::milliseconds kTerminalInterval{200}, kLogInterval{5000};

}  // namespace

Progress::Progress() : terminal_(isatty(STDERR_FILENO) != 0) {
  next_ = Clock::now() + (terminal_ ? kTerminalInterval : kLogInterval);
}

void Progress::show(const std::string& text) {
  if (Clock::now() < next_) return;
  fmt::print(stderr, "{}{}{}", terminal_ ? "\r\x1b[K" : "burin: ", text, terminal_ ? "" : "\n");
  std::fflush(stderr);
  visible_ = terminal_;
  next_ = Clock::now() + (terminal_ ? kTerminalInterval : kLogInterval);
}

void Progress::clear() {
  if (!visible_) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
  visible_ = false;
}

}  // namespace burin::tools
