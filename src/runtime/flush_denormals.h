#pragma once

#include <xmmintrin.h>

namespace burin::runtime {

/// While it lives, results of this thread that are denormal are 0 (FTZ of MXCSR), if asked for. Some processors take some
/// hundred cycles for each operation on a denormal number: attention with many small probabilities 80 times as long.
class FlushDenormals {
 public:
  explicit FlushDenormals(bool flush) : before_(_mm_getcsr()), flush_(flush) {
    if (flush_) _mm_setcsr(before_ | _MM_FLUSH_ZERO_ON);
  }
  ~FlushDenormals() {
    if (flush_) _mm_setcsr(before_);
  }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned before_;
  bool flush_;
};

}  // namespace burin::runtime
