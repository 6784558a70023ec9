#include "codegen/x64/executable_memory.h"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <system_error>

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include "burin/error.h"

namespace burin::codegen {
namespace {

std::atomic<std::uint64_t> g_events{0};
std::atomic<std::uint64_t> g_bytes{0};

}  // namespace

CodegenCounters codegen_counters() { return {g_events.load(), g_bytes.load()}; }

namespace x64 {
namespace {

[[noreturn]] void denied(const char* what, const std::string& name) {
  throw Error(fmt::format("no executable memory for kernel '{}': {}: {}", name, what,
                          std::generic_category().message(errno)));
}

/// Pages that are writable while they are filled, executable from then on, never both.
class ExecutablePages final : public MachineCode {
 public:
  ExecutablePages(std::span<const std::byte> code, std::vector<std::uint32_t> offsets,
                  const std::string& name) {
    void* pages =
        mmap(nullptr, code.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) denied("mmap", name);
    std::memcpy(pages, code.data(), code.size());
    if (mprotect(pages, code.size(), PROT_READ | PROT_EXEC) != 0) {
      const int error = errno;
      munmap(pages, code.size());
      errno = error;
      denied("mprotect", name);
    }
    pages_ = pages;
    function_ = reinterpret_cast<KernelFunction>(pages);
    size_ = code.size();
    offsets_ = std::move(offsets);
  }
  ~ExecutablePages() override { munmap(pages_, size_); }
  ExecutablePages(const ExecutablePages&) = delete;
  ExecutablePages& operator=(const ExecutablePages&) = delete;

 private:
  void* pages_ = nullptr;
};

/// Kernels can be compiled from several threads; a line of the map must stay whole.
void append_to_perf_map(const MachineCode& code, const std::string& name) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  std::FILE* file = std::fopen(fmt::format("/tmp/perf-{}.map", getpid()).c_str(), "a");
  if (file == nullptr) return;  // a debugging aid must not fail a compilation
  fmt::print(file, "{:x} {:x} burin:{}\n", reinterpret_cast<std::uintptr_t>(code.function()),
             code.size(), name);
  std::fclose(file);
}

}  // namespace

std::unique_ptr<MachineCode> make_executable(std::span<const std::byte> code,
                                             std::vector<std::uint32_t> offsets,
                                             const std::string& name) {
  auto result = std::make_unique<ExecutablePages>(code, std::move(offsets), name);
  g_events.fetch_add(1);
  g_bytes.fetch_add(code.size());
  if (std::getenv("BURIN_PERF") != nullptr) append_to_perf_map(*result, name);
  return result;
}

}  // namespace x64
}  // namespace burin::codegen
