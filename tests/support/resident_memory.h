#pragma once

#include <unistd.h>

#include <cstdint>
#include <fstream>

namespace burin::testing {

/// Of this process, in bytes.
inline std::int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

/// AddressSanitizer keeps what was freed: memory then says nothing.
#ifdef __SANITIZE_ADDRESS__
inline constexpr bool kMemoryIsGivenBack = false;
#else
inline constexpr bool kMemoryIsGivenBack = true;
#endif

}  // namespace burin::testing
