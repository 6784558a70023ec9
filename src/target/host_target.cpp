// The machine that this process runs on.

#include <algorithm>
#include <cstdlib>

#include <unistd.h>

#include "burin/error.h"
#include "target/target_info.h"

namespace burin {
namespace {

/// The best instruction set that the CPU has and the operating system keeps the registers of.
Isa host_isa() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  if (avx512) return Isa::avx512;
  if (avx2) return Isa::avx2;
#endif
  return Isa::none;
}

/// The cap that BURIN_ISA sets; without it, the highest there is.
Isa cap() {
  const char* word = std::getenv("BURIN_ISA");
  if (word == nullptr || *word == '\0') return Isa::avx512;
  try {
    return isa_from_string(word);
  } catch (const Error& e) {
    throw Error(std::string("BURIN_ISA: ") + e.what());
  }
}

void set_cache_size(std::int64_t& bytes, int name) {
  const long value = sysconf(name);  // 0 or -1 where the system does not say
  if (value > 0) bytes = value;
}

}  // namespace

TargetInfo host_target() {
  TargetInfo t = target_for(std::min(host_isa(), cap()));
#if defined(_SC_LEVEL1_DCACHE_SIZE) && defined(_SC_LEVEL2_CACHE_SIZE) && defined(_SC_LEVEL3_CACHE_SIZE)
  set_cache_size(t.l1_bytes, _SC_LEVEL1_DCACHE_SIZE);
  set_cache_size(t.l2_bytes, _SC_LEVEL2_CACHE_SIZE);
  set_cache_size(t.l3_bytes, _SC_LEVEL3_CACHE_SIZE);
#endif
  return t;
}

}  // namespace burin
