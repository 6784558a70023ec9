#pragma once

#include <chrono>
#include <string>

namespace burin::tools {

/// Says on stderr what long work is at: one line that changes on a terminal, elsewhere a line every
/// few seconds.
class Progress {
 public:
  Progress();
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Cheap: most calls show nothing.
  void show(const std::string& text);
  /// Makes room on the terminal for other output.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  bool terminal_ = false, visible_ = false;
  Clock::time_point next_;
};

}  // namespace burin::tools
