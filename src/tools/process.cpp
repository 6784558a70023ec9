#include "tools/process.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "burin/error.h"

namespace burin::tools {
namespace {

// The first byte of what a child sends.
constexpr char kResult = '+', kError = '-';

[[noreturn]] void run_child(int pipe, const std::function<std::string()>& work) {
  std::string message;
  try {
    message = kResult + work();
  } catch (const std::exception& e) {
    message = kError + std::string(e.what());
  }
  std::size_t sent = 0;
  while (sent < message.size()) {
    const ssize_t n = write(pipe, message.data() + sent, message.size() - sent);
    if (n < 0 && errno != EINTR) break;
    if (n > 0) sent += static_cast<std::size_t>(n);
  }
  // Not exit(): buffers and handlers at exit are the parent's.
  _exit(0);
}

std::string read_all(int pipe) {
  std::string message;
  char buffer[4096];
  for (;;) {
    const ssize_t n = read(pipe, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return message;
    message.append(buffer, static_cast<std::size_t>(n));
  }
}

double status_mb(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.compare(0, key.size(), key) == 0) return std::stod(line.substr(key.size())) / 1024;
  throw Error(fmt::format("/proc/self/status has no {}", key));
}

}  // namespace

std::string in_child_process(const std::function<std::string()>& work) {
  int ends[2];
  if (pipe(ends) != 0) throw Error(fmt::format("pipe: {}", std::strerror(errno)));
  const pid_t child = fork();
  if (child < 0) throw Error(fmt::format("fork: {}", std::strerror(errno)));
  if (child == 0) {
    close(ends[0]);
    run_child(ends[1], work);
  }
  close(ends[1]);
  const std::string message = read_all(ends[0]);
  close(ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (message.empty())
    throw Error(fmt::format("a child process ended without a result (wait status {})", status));
  if (message[0] == kError) throw Error(message.substr(1));
  return message.substr(1);
}

double resident_mb() { return status_mb("VmRSS:"); }

double peak_resident_mb() { return status_mb("VmHWM:"); }

void reset_peak_resident() { std::ofstream("/proc/self/clear_refs") << "5"; }

}  // namespace burin::tools
